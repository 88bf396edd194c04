//! Depthwise convolutions.

use proptest::prelude::*;

use super::compare::{Reals, check_codes};
use super::scene::{Codes, FREE, Layout, Output, Random, Shape, clamps, shapes, split};
use crate::isa::Isa;
use crate::kernel::{DepthwiseF32, DepthwiseU8, Kernels, reference};

fn check_f32(kernels: &Kernels, shape: &Shape) {
    let random = &mut Random(shape.seed);
    let (channels, lanes) = (shape.channels_out, kernels.lanes);
    let padded = channels.next_multiple_of(lanes);
    let layout = Layout::new(shape, padded, padded);
    let taps = layout.taps.len();
    let x = random.reals(layout.len);
    let weights = random.reals(taps * channels);
    let mut laid_out = vec![0.0; taps * padded];
    for tap in 0..taps {
        let row = &weights[tap * channels..][..channels];
        laid_out[tap * padded..][..channels].copy_from_slice(row);
    }
    let bias = random.bias(channels, lanes);
    let mut added = Output::new(shape, channels, lanes, 0.0);
    added.values = random.reals(added.values.len());
    let (pre, post) = clamps(shape);
    let arguments = |y: &mut Output<f32>| DepthwiseF32 {
        x: layout.reads(&x),
        taps: &layout.taps,
        weights: &laid_out,
        bias: &bias,
        channels,
        width: shape.width,
        pre,
        added: shape.added.then(|| added.plane()),
        post,
        y: y.plane_mut(),
    };

    let mut outputs = Reals::new(shape, channels, lanes);
    // SAFETY: the tensors hold every window and output; the instruction set is this processor's.
    unsafe { (kernels.depthwise_f32)(&arguments(&mut outputs.whole), 0..shape.height) };
    for rows in split(shape) {
        // SAFETY: as above.
        unsafe { (kernels.depthwise_f32)(&arguments(&mut outputs.parts), rows) };
    }
    if shape.added {
        outputs.in_place.values.clone_from(&added.values);
        let mut arguments = arguments(&mut outputs.in_place);
        arguments.added = Some(outputs.in_place.plane());
        // SAFETY: as above; what is added is read before it is written over.
        unsafe { (kernels.depthwise_f32)(&arguments, 0..shape.height) };
    }
    reference::depthwise_f32(&arguments(&mut outputs.expected), &weights, 0..shape.height);

    let [x, bias, weights] = [&x, &bias, &weights].map(|v| v.iter().map(|v| v.abs()).collect());
    let (x, bias, weights): (Vec<f32>, Vec<f32>, Vec<f32>) = (x, bias, weights);
    let of_magnitudes = DepthwiseF32 {
        x: layout.reads(&x),
        bias: &bias,
        pre: FREE,
        added: None,
        post: FREE,
        ..arguments(&mut outputs.magnitudes)
    };
    reference::depthwise_f32(&of_magnitudes, &weights, 0..shape.height);
    outputs.check(shape, channels, lanes);
}

fn check_u8(kernels: &Kernels, shape: &Shape) {
    let random = &mut Random(shape.seed);
    let (channels, lanes) = (shape.channels_out, kernels.lanes);
    let padded = channels.next_multiple_of(lanes);
    let layout = Layout::new(shape, padded, padded);
    let taps = layout.taps.len();
    let x = random.codes(layout.len);
    let weights = random.weights(taps * channels);
    let packed = (kernels.pack_depthwise_u8)(&weights, taps, channels);
    let (bias, scale) = random.bias_and_scale(taps, channels, lanes);
    let mut outputs = Codes::three(shape, channels, lanes, random);
    let arguments = |outputs: &mut Codes| DepthwiseU8 {
        x: layout.reads(&x),
        taps: &layout.taps,
        weights: &packed,
        bias: &bias,
        scale: &scale,
        channels,
        width: shape.width,
        after: outputs.after(shape),
    };

    let [whole, parts, expected] = &mut outputs;
    // SAFETY: the tensors hold every window and output; the instruction set is this processor's.
    unsafe { (kernels.depthwise_u8)(&arguments(whole), 0..shape.height) };
    for rows in split(shape) {
        // SAFETY: as above.
        unsafe { (kernels.depthwise_u8)(&arguments(parts), rows) };
    }
    let offset = kernels.code_offset;
    reference::depthwise_u8(&arguments(expected), &weights, offset, 0..shape.height);
    check_codes(&outputs, shape, channels, lanes);
}

proptest! {
    #![proptest_config(super::cases(200))]

    #[test]
    fn depthwise_f32_is_near_the_reference(shape in shapes()) {
        for isa in Isa::available() {
            println!("{isa}");
            check_f32(isa.kernels(), &shape);
        }
    }

    #[test]
    fn depthwise_u8_equals_the_reference(shape in shapes()) {
        for isa in Isa::available() {
            println!("{isa}");
            check_u8(isa.kernels(), &shape);
        }
    }
}
