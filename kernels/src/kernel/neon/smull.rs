//! Plain NEON: products of bytes as i16, added in pairs.

use std::arch::aarch64::*;

use super::codes::{Codes, I32, Product};
use crate::kernel::dense_u8;

/// SMULL and SADALP.
pub(super) struct Smull;

/// Codes of a step.
const GROUP: usize = 2;
/// Steps that one load of codes takes.
const STEPS: usize = 4;

impl Product for Smull {
    const GROUP: usize = GROUP;
    const PANEL: usize = 2;

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const i8,
        steps: usize,
        sums: &mut [[I32; V]; P],
    ) {
        let mut codes = codes.map(|codes| codes.cast::<i16>());
        let mut weights = weights;
        let mut left = steps;
        // SAFETY: as the caller promises.
        unsafe {
            while left >= STEPS {
                let mut x = [vdup_n_s16(0); P];
                for p in 0..P {
                    x[p] = vld1_s16(codes[p]);
                    codes[p] = codes[p].add(STEPS);
                }
                weights = step(sums, x.map(|x| vdupq_lane_s16::<0>(x)), weights);
                weights = step(sums, x.map(|x| vdupq_lane_s16::<1>(x)), weights);
                weights = step(sums, x.map(|x| vdupq_lane_s16::<2>(x)), weights);
                weights = step(sums, x.map(|x| vdupq_lane_s16::<3>(x)), weights);
                left -= STEPS;
            }
            while left > 0 {
                weights = step(sums, codes.map(|codes| vld1q_dup_s16(codes)), weights);
                codes = codes.map(|codes| codes.add(1));
                left -= 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match vectors {
                1 => dense_u8::panel::<Codes<Self>, 6, 1>(panel),
                _ => dense_u8::panel::<Codes<Self>, 4, 2>(panel),
            }
        }
    }
}

/// Adds the products of a group of each pixel, repeated over a register, and `V` vectors of
/// weights; what follows these.
///
/// # Safety
/// `weights` is valid for `V` vectors of groups.
#[inline(always)]
unsafe fn step<const P: usize, const V: usize>(
    sums: &mut [[I32; V]; P],
    x: [int16x8_t; P],
    weights: *const i8,
) -> *const i8 {
    // SAFETY: as the caller promises.
    unsafe {
        for v in 0..V {
            let w = vld1q_s8(weights.add(v * 16));
            for p in 0..P {
                let x = vreinterpretq_s8_s16(x[p]);
                let I32(low, high) = sums[p][v];
                sums[p][v] = I32(
                    vpadalq_s16(low, vmull_s8(vget_low_s8(w), vget_low_s8(x))),
                    vpadalq_s16(high, vmull_high_s8(w, x)),
                );
            }
        }
        weights.add(V * 16)
    }
}
