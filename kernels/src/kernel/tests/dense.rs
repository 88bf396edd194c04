//! Dense convolutions.

use proptest::prelude::*;

use super::compare::{Reals, check_codes};
use super::scene::{Codes, FREE, Layout, Output, Random, Runs, Shape, clamps, shapes, split};
use crate::isa::Isa;
use crate::kernel::{DenseF32, DenseU8, Kernels, reference};

fn layout(shape: &Shape, lanes: usize) -> Layout {
    let pitch = match shape.image {
        true => shape.channels_in,
        false => shape.channels_in.next_multiple_of(lanes),
    };
    Layout::new(shape, shape.channels_in, pitch)
}

fn check_f32(kernels: &Kernels, shape: &Shape) {
    let random = &mut Random(shape.seed);
    let layout = layout(shape, kernels.lanes);
    let runs = Runs::new(shape, &layout);
    let (channels, depth) = (shape.channels_out, runs.pads.len());
    let x = random.reals(layout.len);
    let mut weights = random.reals(depth * channels);
    runs.clear_pads(&mut weights, channels);
    let bias = random.bias(channels, kernels.lanes);
    let packed = (kernels.pack_dense_f32)(&weights, depth, channels);
    let mut added = Output::new(shape, channels, kernels.lanes, 0.0);
    added.values = random.reals(added.values.len());
    let (pre, post) = clamps(shape);
    let arguments = |y: &mut Output<f32>| DenseF32 {
        x: layout.reads(&x),
        runs: &runs.starts,
        run: runs.run,
        weights: &packed,
        bias: &bias,
        channels,
        width: shape.width,
        pre,
        added: shape.added.then(|| added.plane()),
        post,
        y: y.plane_mut(),
    };

    let mut outputs = Reals::new(shape, channels, kernels.lanes);
    // SAFETY: the tensors hold every window and output; the instruction set is this processor's.
    unsafe { (kernels.dense_f32)(&arguments(&mut outputs.whole), 0..shape.height) };
    for rows in split(shape) {
        // SAFETY: as above.
        unsafe { (kernels.dense_f32)(&arguments(&mut outputs.parts), rows) };
    }
    if shape.added {
        outputs.in_place.values.clone_from(&added.values);
        let mut arguments = arguments(&mut outputs.in_place);
        arguments.added = Some(outputs.in_place.plane());
        // SAFETY: as above; what is added is read before it is written over.
        unsafe { (kernels.dense_f32)(&arguments, 0..shape.height) };
    }
    reference::dense_f32(&arguments(&mut outputs.expected), &weights, 0..shape.height);

    let [x, bias, weights] = [&x, &bias, &weights].map(|v| v.iter().map(|v| v.abs()).collect());
    let (x, bias, weights): (Vec<f32>, Vec<f32>, Vec<f32>) = (x, bias, weights);
    let of_magnitudes = DenseF32 {
        x: layout.reads(&x),
        bias: &bias,
        pre: FREE,
        added: None,
        post: FREE,
        ..arguments(&mut outputs.magnitudes)
    };
    reference::dense_f32(&of_magnitudes, &weights, 0..shape.height);
    outputs.check(shape, channels, kernels.lanes);
}

fn check_u8(kernels: &Kernels, shape: &Shape) {
    let random = &mut Random(shape.seed);
    let layout = layout(shape, kernels.lanes);
    let runs = Runs::new(shape, &layout);
    let (channels, depth) = (shape.channels_out, runs.pads.len());
    let x = random.codes(layout.len);
    let mut weights = random.weights(depth * channels);
    runs.clear_pads(&mut weights, channels);
    let packed = (kernels.pack_dense_u8)(&weights, runs.starts.len(), runs.run, channels);
    let (bias, scale) = random.bias_and_scale(depth, channels, kernels.lanes);
    let mut outputs = Codes::three(shape, channels, kernels.lanes, random);
    let arguments = |outputs: &mut Codes| DenseU8 {
        x: layout.reads(&x),
        runs: &runs.starts,
        run: runs.run,
        weights: &packed,
        bias: &bias,
        scale: &scale,
        channels,
        width: shape.width,
        after: outputs.after(shape),
    };

    let [whole, parts, expected] = &mut outputs;
    // SAFETY: the tensors hold every window and output; the instruction set is this processor's.
    unsafe { (kernels.dense_u8)(&arguments(whole), 0..shape.height) };
    for rows in split(shape) {
        // SAFETY: as above.
        unsafe { (kernels.dense_u8)(&arguments(parts), rows) };
    }
    let offset = kernels.code_offset;
    reference::dense_u8(&arguments(expected), &weights, offset, 0..shape.height);
    check_codes(&outputs, shape, channels, kernels.lanes);
}

proptest! {
    #![proptest_config(super::cases(100))]

    #[test]
    fn dense_f32_is_near_the_reference(shape in shapes()) {
        for isa in Isa::available() {
            println!("{isa}");
            check_f32(isa.kernels(), &shape);
        }
    }

    #[test]
    fn dense_u8_equals_the_reference(shape in shapes()) {
        for isa in Isa::available() {
            println!("{isa}");
            check_u8(isa.kernels(), &shape);
        }
    }
}

/// A convolution deep enough that few windows fit the scratch, and that blocks are of few pixels.
const DEEP: Shape = Shape {
    height: 3,
    width: 5,
    channels_in: 640,
    channels_out: 20,
    kernel: 3,
    stride: 1,
    dilation: 1,
    merged: true,
    image: false,
    added: false,
    clamped: false,
    seed: 1,
};

#[test]
fn deep_windows() {
    for isa in Isa::available() {
        check_f32(isa.kernels(), &DEEP);
        check_u8(isa.kernels(), &DEEP);
        let deepest = Shape {
            channels_in: 1808,
            width: 2,
            ..DEEP
        };
        check_u8(isa.kernels(), &deepest);
    }
}
