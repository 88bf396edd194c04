//! The byte dot product: four products of bytes per lane.

use std::arch::aarch64::*;
use std::arch::asm;

use super::codes::{Codes, I32, Product};
use crate::kernel::dense_u8;

/// SDOT.
pub(super) struct Sdot;

/// Codes of a step.
const GROUP: usize = 4;
/// Steps that one load of codes takes.
const STEPS: usize = 4;

impl Product for Sdot {
    const GROUP: usize = GROUP;
    const PANEL: usize = 3;

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const i8,
        steps: usize,
        sums: &mut [[I32; V]; P],
    ) {
        let mut codes = codes.map(|codes| codes.cast::<i32>());
        let mut weights = weights;
        let mut left = steps;
        // SAFETY: as the caller promises.
        unsafe {
            while left >= STEPS {
                let mut x = [vdupq_n_s32(0); P];
                for p in 0..P {
                    x[p] = vld1q_s32(codes[p]);
                    codes[p] = codes[p].add(STEPS);
                }
                weights = step::<P, V, 0>(sums, x, weights);
                weights = step::<P, V, 1>(sums, x, weights);
                weights = step::<P, V, 2>(sums, x, weights);
                weights = step::<P, V, 3>(sums, x, weights);
                left -= STEPS;
            }
            while left > 0 {
                weights = step::<P, V, 0>(sums, codes.map(|codes| vld1q_dup_s32(codes)), weights);
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
                1 => dense_u8::panel::<Codes<Self>, 8, 1>(panel),
                2 => dense_u8::panel::<Codes<Self>, 5, 2>(panel),
                _ => dense_u8::panel::<Codes<Self>, 4, 3>(panel),
            }
        }
    }
}

/// Adds the products of group `LANE` of each pixel and `V` vectors of weights; what follows these.
///
/// # Safety
/// The processor has SDOT; `weights` is valid for `V` vectors of groups.
#[inline(always)]
unsafe fn step<const P: usize, const V: usize, const LANE: i32>(
    sums: &mut [[I32; V]; P],
    x: [int32x4_t; P],
    weights: *const i8,
) -> *const i8 {
    // SAFETY: as the caller promises.
    unsafe {
        for v in 0..V {
            let low = vld1q_s8(weights.add(v * 32));
            let high = vld1q_s8(weights.add(v * 32 + 16));
            for p in 0..P {
                sums[p][v].0 = sdot_lane::<LANE>(sums[p][v].0, low, x[p]);
                sums[p][v].1 = sdot_lane::<LANE>(sums[p][v].1, high, x[p]);
            }
        }
        weights.add(V * 32)
    }
}

/// Per lane, `sum` and the products of four weights with the codes of lane `LANE`.
///
/// # Safety
/// The processor has SDOT.
#[inline(always)]
unsafe fn sdot_lane<const LANE: i32>(
    mut sum: int32x4_t,
    weights: int8x16_t,
    x: int32x4_t,
) -> int32x4_t {
    // SAFETY: as the caller promises; the instruction touches registers alone.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {weights:v}.16b, {x:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            weights = in(vreg) weights,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Per lane, `sum` and the products of four weights with four codes.
///
/// # Safety
/// The processor has SDOT.
#[inline(always)]
pub(super) unsafe fn sdot(mut sum: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: as the caller promises; the instruction touches registers alone.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {weights:v}.16b, {x:v}.16b",
            sum = inout(vreg) sum,
            weights = in(vreg) weights,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
