//! What is not a convolution, row by row over safe slices; the compiler vectorises it.

#![allow(
    clippy::manual_clamp,
    reason = "`clamp` checks its limits and keeps NaN; these are two instructions"
)]

use multiversion::multiversion;

use crate::graph::Window;
use crate::kernel::{Clamp, Code};

/// `y = limit(x)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn clip(x: &[f32], clamp: Clamp, y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.max(clamp.least).min(clamp.most);
    }
}

/// `y = limit(a + b)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add(a: &[f32], b: &[f32], clamp: Clamp, y: &mut [f32]) {
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        *y = (a + b).max(clamp.least).min(clamp.most);
    }
}

/// `y = limit(y + a)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn add_to(y: &mut [f32], a: &[f32], clamp: Clamp) {
    for (y, &a) in y.iter_mut().zip(a) {
        *y = (*y + a).max(clamp.least).min(clamp.most);
    }
}

/// A sum of codes in one coding: `y = limit(round((a − a₀)·own + (b − b₀)·other) + zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SumCodes {
    /// Zero points of the parts.
    pub zeros: [i32; 2],
    /// Scales of the parts over that of the sum.
    pub scales: [f32; 2],
    pub code: Code,
}

/// See [`SumCodes`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn add_codes(a: &[u8], b: &[u8], sum: SumCodes, y: &mut [u8]) {
    let [own, other] = sum.scales;
    let [zero_a, zero_b] = sum.zeros;
    let (least, most) = (sum.code.least as f32, sum.code.most as f32);
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        let real = (i32::from(a) - zero_a) as f32 * own + (i32::from(b) - zero_b) as f32 * other;
        let code = round_even(real) + sum.code.zero as f32;
        *y = whole(code.max(least).min(most));
    }
}

/// 1.5 · 2²³: adding it leaves whole numbers in the lowest bits of the mantissa.
const MAGIC: f32 = 12_582_912.0;

/// A whole number of 0 to 255 as a byte.
#[inline(always)]
fn whole(code: f32) -> u8 {
    (code + MAGIC).to_bits() as u8
}

/// Rounds to the nearest even without a call; right below 2²², and beyond that far outside any code.
#[inline(always)]
fn round_even(real: f32) -> f32 {
    let bounded = real.max(-4_194_304.0).min(4_194_304.0);
    (bounded + MAGIC) - MAGIC
}

/// `y = 1 / (1 + e^−x)`, within 1e-6 relative where it is above 1e-30.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn sigmoid(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = 1.0 / (1.0 + exp(-x));
    }
}

/// e^x by powers of two and Cephes' polynomial, for |x| up to 87; beyond that as there.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "as published")]
fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_40e-4;
    let x = x.max(-87.0).min(87.0);
    let n = round_even(x * std::f32::consts::LOG2_E);
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_150_0e-4;
    for c in [
        1.398_199_950_7e-3,
        8.333_451_907_3e-3,
        4.166_579_589_4e-2,
        1.666_666_545_9e-1,
        5.000_000_120_1e-1,
    ] {
        p = p * r + c;
    }
    let e = p * r * r + r + 1.0;
    e * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

/// Real numbers to codes, `round(x / scale) + zero`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn quantize(x: &[f32], scale: f32, zero: i32, y: &mut [u8]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = quantized(x, scale, zero);
    }
}

/// One code.
#[inline(always)]
pub(crate) fn quantized(x: f32, scale: f32, zero: i32) -> u8 {
    whole((round_even(x / scale) + zero as f32).max(0.0).min(255.0))
}

/// Codes to real numbers, `(x − zero) · scale`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn dequantize(x: &[u8], scale: f32, zero: i32, y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = (i32::from(x) - zero) as f32 * scale;
    }
}

/// Lanes of [`narrow`].
pub(crate) const DEPTH_LANES: usize = 8;

/// Windows of a row, and what they are multiplied with.
pub(crate) struct Narrow<'a> {
    /// From the first window's first element on.
    pub x: &'a [f32],
    /// Elements from a window to the next.
    pub right: usize,
    /// Starts of the runs in a window.
    pub runs: &'a [usize],
    /// A multiple of [`DEPTH_LANES`].
    pub run: usize,
    /// `[channels][runs × run]`.
    pub weights: &'a [f32],
    /// At least `[channels]`.
    pub bias: &'a [f32],
    pub clamp: Clamp,
}

/// A row of a dense convolution to few channels: `out` is `[width, pitch]`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn narrow<'a>(conv: &Narrow<'a>, pitch: usize, out: &mut [f32]) {
    let depth = conv.runs.len() * conv.run;
    for (column, out) in out.chunks_exact_mut(pitch).enumerate() {
        let window = &conv.x[column * conv.right..];
        let weights = conv.weights.chunks_exact(depth).zip(conv.bias);
        for (out, (weights, bias)) in out.iter_mut().zip(weights) {
            let mut sums = [0.0; DEPTH_LANES];
            for (&start, weights) in conv.runs.iter().zip(weights.chunks_exact(conv.run)) {
                let x = &window[start..start + conv.run];
                let pairs = x
                    .chunks_exact(DEPTH_LANES)
                    .zip(weights.chunks_exact(DEPTH_LANES));
                for (x, w) in pairs {
                    for i in 0..DEPTH_LANES {
                        sums[i] += x[i] * w[i];
                    }
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let sum = ((a + e) + (c + g)) + ((b + f) + (d + h)) + bias;
            *out = sum.max(conv.clamp.least).min(conv.clamp.most);
        }
    }
}

/// A whole picture, channels last, to read from.
#[derive(Clone, Copy)]
pub(crate) struct Picture<'a, T> {
    pub elements: &'a [T],
    pub row: usize,
    pub pitch: usize,
    pub height: usize,
    pub width: usize,
}

impl<T> Picture<'_, T> {
    #[inline(always)]
    fn pixel(&self, y: usize, x: usize, channels: usize) -> &[T] {
        let at = y * self.row + x * self.pitch;
        &self.elements[at..at + channels]
    }
}

macro_rules! max_pool {
    ($name:ident, $t:ty) => {
        /// A row of a max pool: `out` is `[width, pitch]`; windows are cut at the picture's edge.
        #[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
        pub(crate) fn $name<'a>(x: Picture<'a, $t>, window: Window, row: usize, out: &mut [$t]) {
            for (column, out) in out.chunks_exact_mut(x.pitch).enumerate() {
                let mut first = true;
                for ky in 0..window.size[0] {
                    let y = (row * window.stride[0] + ky * window.dilation[0])
                        .wrapping_sub(window.before[0]);
                    if y >= x.height {
                        continue;
                    }
                    for kx in 0..window.size[1] {
                        let at = (column * window.stride[1] + kx * window.dilation[1])
                            .wrapping_sub(window.before[1]);
                        if at >= x.width {
                            continue;
                        }
                        let pixel = x.pixel(y, at, out.len());
                        if first {
                            out.copy_from_slice(pixel);
                            first = false;
                        } else {
                            for (out, &value) in out.iter_mut().zip(pixel) {
                                *out = if value > *out { value } else { *out };
                            }
                        }
                    }
                }
            }
        }
    };
}

max_pool!(max_pool_real, f32);
max_pool!(max_pool_codes, u8);

/// A row of the nearest 2× upsampling: `out` is `[2 · width, pitch]`.
#[inline(always)]
pub(crate) fn nearest<T: Copy>(x: Picture<'_, T>, row: usize, out: &mut [T]) {
    for (column, pair) in out.chunks_exact_mut(2 * x.pitch).enumerate() {
        let pixel = x.pixel(row / 2, column, x.pitch);
        let (left, right) = pair.split_at_mut(x.pitch);
        left.copy_from_slice(pixel);
        right.copy_from_slice(pixel);
    }
}

/// A row of the bilinear 2× upsampling: `out` is `[2 · width, pitch]`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub(crate) fn bilinear<'a>(x: Picture<'a, f32>, row: usize, out: &mut [f32]) {
    let near = row / 2;
    let far = if row.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(x.height - 1)
    };
    for (column, pair) in out.chunks_exact_mut(2 * x.pitch).enumerate() {
        let before = column.saturating_sub(1);
        let after = (column + 1).min(x.width - 1);
        let pixels = |y: usize| [before, column, after].map(|column| x.pixel(y, column, x.pitch));
        let ([a, b, c], [d, e, f]) = (pixels(near), pixels(far));
        let (left, right) = pair.split_at_mut(x.pitch);
        for i in 0..x.pitch {
            let middle = 0.75 * b[i] + 0.25 * e[i];
            left[i] = 0.75 * middle + 0.25 * (0.75 * a[i] + 0.25 * d[i]);
            right[i] = 0.75 * middle + 0.25 * (0.75 * c[i] + 0.25 * f[i]);
        }
    }
}

/// A change of coding: `y = round((x − zeros[0]) · scale) + zeros[1]`, within 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Recode {
    pub zeros: [i32; 2],
    /// Of the input's coding over the output's.
    pub scale: f32,
}

/// The same over codes, which become another coding's.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn bilinear_codes<'a>(x: Picture<'a, u8>, recode: Recode, row: usize, out: &mut [u8]) {
    let near = row / 2;
    let far = if row.is_multiple_of(2) {
        near.saturating_sub(1)
    } else {
        (near + 1).min(x.height - 1)
    };
    // Sums of sixteenths are exact.
    let scale = recode.scale * 0.0625;
    let shift = recode.zeros[0] * 16;
    let zero = recode.zeros[1] as f32;
    for (column, pair) in out.chunks_exact_mut(2 * x.pitch).enumerate() {
        let before = column.saturating_sub(1);
        let after = (column + 1).min(x.width - 1);
        let pixels = |y: usize| [before, column, after].map(|column| x.pixel(y, column, x.pitch));
        let ([a, b, c], [d, e, f]) = (pixels(near), pixels(far));
        let (left, right) = pair.split_at_mut(x.pitch);
        for i in 0..x.pitch {
            let side = |near: &[u8], far: &[u8]| 3 * i32::from(near[i]) + i32::from(far[i]);
            let middle = 3 * side(b, e) - shift;
            let code = |sum: i32| {
                let real = round_even(sum as f32 * scale) + zero;
                whole(real.max(0.0).min(255.0))
            };
            left[i] = code(middle + side(a, d));
            right[i] = code(middle + side(c, f));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_close_to_f64() {
        for i in -870..=870 {
            let x = i as f32 / 10.0;
            let mut y = [0.0];
            sigmoid(&[x], &mut y);
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(y[0]) - exact).abs() / exact;
            assert!(exact < 1e-30 || error < 1e-6, "{x}: {} {exact}", y[0]);
        }
    }

    #[test]
    fn rounding_is_to_even() {
        for i in -4000..4000 {
            let x = i as f32 / 8.0;
            assert_eq!(round_even(x), x.round_ties_even());
        }
        assert_eq!(quantized(1e30, 1e-3, 10), 255);
        assert_eq!(quantized(-1e30, 1e-3, 10), 0);
    }

    #[test]
    fn a_pool_ignores_what_is_outside() {
        let x = [-5.0, -2.0, -3.0, -7.0];
        let picture = Picture {
            elements: &x,
            row: 2,
            pitch: 1,
            height: 2,
            width: 2,
        };
        let window = Window {
            size: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            before: [1, 1],
            after: [1, 1],
        };
        let mut out = [0.0];
        max_pool_real(picture, window, 0, &mut out);
        assert_eq!(out, [-2.0]);
    }

    #[test]
    fn bilinear_weighs_by_quarters() {
        let x = [0.0, 16.0, 32.0, 48.0];
        let picture = Picture {
            elements: &x,
            row: 2,
            pitch: 1,
            height: 2,
            width: 2,
        };
        let mut out = [0.0; 4];
        bilinear(picture, 1, &mut out);
        assert_eq!(out, [8.0, 12.0, 20.0, 24.0]);
    }
}
