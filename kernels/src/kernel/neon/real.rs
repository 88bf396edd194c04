//! Eight numbers in two registers.

use std::arch::aarch64::*;

use super::LANES;
use crate::kernel::after::Places;
use crate::kernel::simd::{Dense, Real};
use crate::kernel::{Code, dense_f32};

/// Eight numbers.
#[derive(Clone, Copy)]
pub(super) struct F32(pub float32x4_t, pub float32x4_t);

/// Applies an intrinsic to both registers.
macro_rules! both {
    ($intrinsic:ident, $($value:expr),+) => {
        // SAFETY: the vectors show that the processor has NEON.
        unsafe { F32($intrinsic($($value.0),+), $intrinsic($($value.1),+)) }
    };
}

impl Real for F32 {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises.
        let four = unsafe { vdupq_n_f32(value) };
        Self(four, four)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let codes = vmovl_u8(vld1_u8(from));
            Self(
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(codes))),
                vcvtq_f32_u32(vmovl_high_u16(codes)),
            )
        }
    }

    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe {
            let low = vmovn_u32(vcvtq_u32_f32(self.0));
            let codes = vmovn_high_u32(low, vcvtq_u32_f32(self.1));
            vst1_u8(to, vmovn_u16(codes));
        }
    }

    #[inline(always)]
    unsafe fn store_nearest<const P: usize, const V: usize>(
        values: &[[Self; V]; P],
        code: &Code,
        places: &Places<'_, P>,
        y: *mut u8,
    ) {
        // SAFETY: as the caller promises; the limits of a code lie in 0..=255.
        unsafe {
            let zero = vdupq_n_s16(code.zero as i16);
            let least = vdupq_n_u8(code.least as u8);
            let most = vdupq_n_u8(code.most as u8);
            for p in 0..P {
                if places.stores(p) {
                    let y = y.add(places.y[p]);
                    for v in (0..V).step_by(2) {
                        let low = nearest(values[p][v], zero);
                        let high = nearest(values[p][V.min(v + 2) - 1], zero);
                        let codes = vqmovun_high_s16(vqmovun_s16(low), high);
                        let codes = vminq_u8(vmaxq_u8(codes, least), most);
                        match V - v {
                            1 => vst1_u8(y.add(v * LANES), vget_low_u8(codes)),
                            _ => vst1q_u8(y.add(v * LANES), codes),
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        both!(vfmaq_f32, self, a, b)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        both!(vaddq_f32, self, other)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        both!(vsubq_f32, self, other)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        both!(vmulq_f32, self, other)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        both!(vminq_f32, self, other)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        both!(vmaxq_f32, self, other)
    }

    #[inline(always)]
    fn round(self) -> Self {
        both!(vrndnq_f32, self)
    }
}

impl Dense for F32 {
    const STEP: usize = 4;
    const PANEL: usize = 2;
    type Inputs = float32x4_t;

    #[inline(always)]
    unsafe fn inputs(from: *const f32) -> float32x4_t {
        // SAFETY: as the caller promises.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn spread(inputs: float32x4_t, index: usize) -> Self {
        // SAFETY: as the caller promises.
        let four = unsafe {
            match index {
                0 => vdupq_laneq_f32::<0>(inputs),
                1 => vdupq_laneq_f32::<1>(inputs),
                2 => vdupq_laneq_f32::<2>(inputs),
                _ => vdupq_laneq_f32::<3>(inputs),
            }
        };
        Self(four, four)
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_f32::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match vectors {
                1 => dense_f32::panel::<Self, 8, 1>(panel),
                _ => dense_f32::panel::<Self, 5, 2>(panel),
            }
        }
    }
}

/// The codes nearest to steps from `zero`, as far as i16 holds them.
#[inline(always)]
fn nearest(steps: F32, zero: int16x8_t) -> int16x8_t {
    // SAFETY: the vectors show that the processor has NEON.
    unsafe {
        let low = vqmovn_s32(vcvtnq_s32_f32(steps.0));
        vqaddq_s16(vqmovn_high_s32(low, vcvtnq_s32_f32(steps.1)), zero)
    }
}
