//! The byte matrix product: two pixels × two channels × eight products of bytes.

use std::arch::aarch64::*;
use std::arch::asm;

use super::codes::{Codes, I32, Product};
use crate::kernel::dense_u8;

/// SMMLA.
pub(super) struct Smmla;

/// Codes of a step.
const GROUP: usize = 8;

/// Sums of two pixels × eight channels: per register two channels of the first pixel, then the same
/// of the second.
type Squares = [int32x4_t; 4];

impl Product for Smmla {
    const GROUP: usize = GROUP;
    const PANEL: usize = 3;

    /// `P` is even.
    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const i8,
        steps: usize,
        sums: &mut [[I32; V]; P],
    ) {
        const { assert!(P.is_multiple_of(2)) };
        let mut codes = codes.map(|codes| codes.cast::<i64>());
        let mut weights = weights;
        // SAFETY: as the caller promises.
        unsafe {
            // The first half of the rows hold squares; the others are not used.
            let mut squares = [[[vdupq_n_s32(0); 4]; V]; P];
            for pair in 0..P / 2 {
                for v in 0..V {
                    squares[pair][v] = to_squares(sums[2 * pair][v], sums[2 * pair + 1][v]);
                }
            }
            for _ in 0..steps {
                let mut x = [vdupq_n_s8(0); P];
                for pair in 0..P / 2 {
                    let first = vld1_s64(codes[2 * pair]);
                    let both = vcombine_s64(first, vld1_s64(codes[2 * pair + 1]));
                    x[pair] = vreinterpretq_s8_s64(both);
                }
                for v in 0..V {
                    for i in 0..4 {
                        let w = vld1q_s8(weights.add((v * 4 + i) * 16));
                        for pair in 0..P / 2 {
                            squares[pair][v][i] = smmla(squares[pair][v][i], x[pair], w);
                        }
                    }
                }
                codes = codes.map(|codes| codes.add(1));
                weights = weights.add(V * 64);
            }
            for pair in 0..P / 2 {
                for v in 0..V {
                    [sums[2 * pair][v], sums[2 * pair + 1][v]] = from_squares(squares[pair][v]);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match vectors {
                1 => dense_u8::panel::<Codes<Self>, 8, 1>(panel),
                2 => dense_u8::panel::<Codes<Self>, 6, 2>(panel),
                _ => dense_u8::panel::<Codes<Self>, 4, 3>(panel),
            }
        }
    }
}

#[inline(always)]
fn to_squares(first: I32, second: I32) -> Squares {
    let zip = |first, second| {
        // SAFETY: the vectors show that the processor has NEON.
        unsafe {
            let (first, second) = (vreinterpretq_s64_s32(first), vreinterpretq_s64_s32(second));
            [vzip1q_s64(first, second), vzip2q_s64(first, second)].map(|v| vreinterpretq_s32_s64(v))
        }
    };
    let ([a, b], [c, d]) = (zip(first.0, second.0), zip(first.1, second.1));
    [a, b, c, d]
}

#[inline(always)]
fn from_squares([a, b, c, d]: Squares) -> [I32; 2] {
    let zip = |a, b| {
        // SAFETY: the vectors show that the processor has NEON.
        unsafe {
            let (a, b) = (vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b));
            [vzip1q_s64(a, b), vzip2q_s64(a, b)].map(|v| vreinterpretq_s32_s64(v))
        }
    };
    let ([first_low, second_low], [first_high, second_high]) = (zip(a, b), zip(c, d));
    [I32(first_low, first_high), I32(second_low, second_high)]
}

/// `sums` and the products of two pixels' codes with two channels' weights.
///
/// # Safety
/// The processor has SMMLA.
#[inline(always)]
unsafe fn smmla(mut sums: int32x4_t, x: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: as the caller promises; the instruction touches registers alone.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {x:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            x = in(vreg) x,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
