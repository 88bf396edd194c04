//! Vectors of sixteen f32, for AVX-512.

use std::arch::x86_64::*;

use crate::kernel::after::Places;
use crate::kernel::simd::{Dense, Real};
use crate::kernel::{Code, dense_f32};

/// Values of a vector.
pub(super) const LANES: usize = 16;

/// Sixteen numbers. It exists only where the processor has AVX-512F.
#[derive(Clone, Copy)]
pub(super) struct F32x16(pub __m512);

/// A method of [`F32x16`] that is one instruction.
macro_rules! instruction {
    ($name:ident($($operand:ident),*) = $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, $($operand: Self),*) -> Self {
            // SAFETY: the operands show that the processor has the instruction set.
            Self(unsafe { $intrinsic(self.0, $($operand.0),*) })
        }
    };
}

impl Real for F32x16 {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { _mm512_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let codes = _mm_loadu_si128(from.cast());
            Self(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)))
        }
    }

    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe {
            let codes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(self.0));
            _mm_storeu_si128(to.cast(), codes);
        }
    }

    #[inline(always)]
    unsafe fn store_nearest<const P: usize, const V: usize>(
        values: &[[Self; V]; P],
        code: &Code,
        places: &Places<'_, P>,
        y: *mut u8,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let most = _mm512_set1_ps((code.most - code.zero) as f32);
            let zero = _mm512_set1_epi32(code.zero);
            let least = _mm512_set1_epi32(code.least);
            for p in 0..P {
                if places.stores(p) {
                    for v in 0..V {
                        let steps = _mm512_cvtps_epi32(_mm512_min_ps(values[p][v].0, most));
                        let codes = _mm512_max_epi32(_mm512_add_epi32(steps, zero), least);
                        let to = y.add(places.y[p] + v * LANES);
                        _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(codes));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the operands show that the processor has the instruction set.
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the operand shows that the processor has the instruction set.
        Self(unsafe { _mm512_roundscale_ps::<NEAREST>(self.0) })
    }

    instruction!(add(other) = _mm512_add_ps);
    instruction!(sub(other) = _mm512_sub_ps);
    instruction!(mul(other) = _mm512_mul_ps);
    instruction!(min(other) = _mm512_min_ps);
    instruction!(max(other) = _mm512_max_ps);
}

impl Dense for F32x16 {
    const STEP: usize = 1;
    const PANEL: usize = 3;
    type Inputs = *const f32;

    #[inline(always)]
    unsafe fn inputs(from: *const f32) -> *const f32 {
        from
    }

    #[inline(always)]
    unsafe fn spread(inputs: *const f32, _index: usize) -> Self {
        // SAFETY: as the caller promises.
        unsafe { Self::splat(*inputs) }
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_f32::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match vectors {
                1 => dense_f32::panel::<Self, 12, 1>(panel),
                2 => dense_f32::panel::<Self, 12, 2>(panel),
                _ => dense_f32::panel::<Self, 8, 3>(panel),
            }
        }
    }
}
