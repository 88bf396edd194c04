//! The kernels again, one number at a time: what each of them must equal.
//!
//! Weights are those before packing. Real sums are taken in f64.

use std::ops::Range;

use super::{
    AddedCode, After, Clamp, Code, DenseF32, DenseU8, DepthwiseF32, DepthwiseU8, Plane, Reads,
};

#[derive(Clone, Copy)]
struct Pixel {
    row: usize,
    column: usize,
}

fn pixels(rows: Range<usize>, width: usize) -> impl Iterator<Item = Pixel> {
    rows.flat_map(move |row| (0..width).map(move |column| Pixel { row, column }))
}

/// Element `offset` of a window.
fn read<T: Copy>(x: &Reads<T>, pixel: Pixel, offset: usize) -> T {
    // SAFETY: tests give addresses that hold every window.
    unsafe {
        *x.first
            .add(x.steps().offset(pixel.row, pixel.column) + offset)
    }
}

fn get<T: Copy>(plane: &Plane<*const T>, pixel: Pixel, channel: usize) -> T {
    // SAFETY: tests give planes that hold every output.
    unsafe {
        *plane
            .first
            .add(plane.steps().offset(pixel.row, pixel.column) + channel)
    }
}

fn put<T>(plane: &Plane<*mut T>, pixel: Pixel, channel: usize, value: T) {
    // SAFETY: tests give planes that hold every output.
    unsafe {
        plane
            .first
            .add(plane.steps().offset(pixel.row, pixel.column) + channel)
            .write(value)
    }
}

/// Weights `[runs × run][channels]`.
pub(super) fn dense_f32(c: &DenseF32<'_>, weights: &[f32], rows: Range<usize>) {
    for pixel in pixels(rows, c.width) {
        for channel in 0..c.channels {
            let mut sum = f64::from(c.bias[channel]);
            for (k, offset) in offsets(c.runs, c.run).enumerate() {
                let w = weights[k * c.channels + channel];
                sum += f64::from(read(&c.x, pixel, offset)) * f64::from(w);
            }
            let y = finish(sum, &c.pre, &c.added, &c.post, pixel, channel);
            put(&c.y, pixel, channel, y);
        }
    }
}

/// Weights `[taps][channels]`.
pub(super) fn depthwise_f32(c: &DepthwiseF32<'_>, weights: &[f32], rows: Range<usize>) {
    for pixel in pixels(rows, c.width) {
        for channel in 0..c.channels {
            let mut sum = f64::from(c.bias[channel]);
            for (k, &tap) in c.taps.iter().enumerate() {
                let w = weights[k * c.channels + channel];
                sum += f64::from(read(&c.x, pixel, tap + channel)) * f64::from(w);
            }
            let y = finish(sum, &c.pre, &c.added, &c.post, pixel, channel);
            put(&c.y, pixel, channel, y);
        }
    }
}

/// Weights `[runs × run][channels]`; `code_offset` as in [`super::Kernels`].
pub(super) fn dense_u8(c: &DenseU8<'_>, weights: &[i8], code_offset: i32, rows: Range<usize>) {
    for pixel in pixels(rows, c.width) {
        for channel in 0..c.channels {
            let mut sum = c.bias[channel];
            for (k, offset) in offsets(c.runs, c.run).enumerate() {
                let code = i32::from(read(&c.x, pixel, offset)) - code_offset;
                sum += code * i32::from(weights[k * c.channels + channel]);
            }
            after(&c.after, sum, c.scale[channel], pixel, channel);
        }
    }
}

/// Weights `[taps][channels]`; `code_offset` as in [`super::Kernels`].
pub(super) fn depthwise_u8(
    c: &DepthwiseU8<'_>,
    weights: &[i8],
    code_offset: i32,
    rows: Range<usize>,
) {
    for pixel in pixels(rows, c.width) {
        for channel in 0..c.channels {
            let mut sum = c.bias[channel];
            for (k, &tap) in c.taps.iter().enumerate() {
                let code = i32::from(read(&c.x, pixel, tap + channel)) - code_offset;
                sum += code * i32::from(weights[k * c.channels + channel]);
            }
            after(&c.after, sum, c.scale[channel], pixel, channel);
        }
    }
}

fn offsets(runs: &[usize], run: usize) -> impl Iterator<Item = usize> {
    runs.iter().flat_map(move |&start| start..start + run)
}

fn finish(
    sum: f64,
    pre: &Clamp,
    added: &Option<Plane<*const f32>>,
    post: &Clamp,
    pixel: Pixel,
    channel: usize,
) -> f32 {
    let mut y = sum.max(pre.least.into()).min(pre.most.into());
    if let Some(added) = added {
        y += f64::from(get(added, pixel, channel));
    }
    y.max(post.least.into()).min(post.most.into()) as f32
}

fn after(after: &After, sum: i32, scale: f32, pixel: Pixel, channel: usize) {
    let scaled = sum as f32 * scale;
    match after {
        After::Real {
            pre,
            added,
            post,
            y,
        } => {
            let mut value = scaled.max(pre.least).min(pre.most);
            if let Some(added) = added {
                value += get(added, pixel, channel);
            }
            put(y, pixel, channel, value.max(post.least).min(post.most));
        }
        After::Code { code, added, y } => {
            let mut q = nearest(scaled, code);
            if let Some(AddedCode {
                plane,
                zero,
                own,
                other,
                code: of_sum,
            }) = added
            {
                let a = i32::from(get(plane, pixel, channel)) - zero;
                let value = (q - code.zero) as f32 * own + a as f32 * other;
                q = nearest(value, of_sum);
            }
            put(y, pixel, channel, q as u8);
        }
    }
}

/// The code nearest to `value` steps from the zero point, halves to the even step.
fn nearest(value: f32, code: &Code) -> i32 {
    let steps = f64::from(value).round_ties_even();
    let q = steps + f64::from(code.zero);
    q.clamp(code.least.into(), code.most.into()) as i32
}
