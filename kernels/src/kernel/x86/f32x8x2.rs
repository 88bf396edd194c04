//! Vectors of sixteen f32 in two registers, for AVX2.

use std::arch::x86_64::*;

use super::f32x8::LANES;
use crate::kernel::Code;
use crate::kernel::after::Places;
use crate::kernel::simd::Real;

/// Numbers 0 to 3 and 8 to 11, then 4 to 7 and 12 to 15: the order in which the halves of sixteen
/// i16 are widened, and packed again, without crossing lanes. It exists only where the processor
/// has AVX2.
#[derive(Clone, Copy)]
pub(super) struct F32x8x2(pub __m256, pub __m256);

/// A method of [`F32x8x2`] that is one instruction per register.
macro_rules! instruction {
    ($name:ident($($operand:ident),*) = $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, $($operand: Self),*) -> Self {
            // SAFETY: the operands show that the processor has the instruction set.
            unsafe {
                Self(
                    $intrinsic(self.0, $($operand.0),*),
                    $intrinsic(self.1, $($operand.1),*),
                )
            }
        }
    };
}

impl F32x8x2 {
    /// Between this order and the natural one.
    #[inline(always)]
    fn swapped(first: __m256, second: __m256) -> (__m256, __m256) {
        // SAFETY: the operands show that the processor has the instruction set.
        unsafe {
            (
                _mm256_permute2f128_ps::<0x20>(first, second),
                _mm256_permute2f128_ps::<0x31>(first, second),
            )
        }
    }
}

impl Real for F32x8x2 {
    const LANES: usize = 2 * LANES;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        let (low, high) = unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES))) };
        let (first, second) = Self::swapped(low, high);
        Self(first, second)
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises.
        let eight = unsafe { _mm256_set1_ps(value) };
        Self(eight, eight)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        let (low, high) = Self::swapped(self.0, self.1);
        // SAFETY: as the caller promises.
        unsafe {
            _mm256_storeu_ps(to, low);
            _mm256_storeu_ps(to.add(LANES), high);
        }
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let codes = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast()));
            let zero = _mm256_setzero_si256();
            Self(
                _mm256_cvtepi32_ps(_mm256_unpacklo_epi16(codes, zero)),
                _mm256_cvtepi32_ps(_mm256_unpackhi_epi16(codes, zero)),
            )
        }
    }

    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe {
            let (first, second) = (_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1));
            let wide = _mm256_packs_epi32(first, second);
            let low = _mm256_castsi256_si128(wide);
            let codes = _mm_packus_epi16(low, _mm256_extracti128_si256::<1>(wide));
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
            let most = _mm256_set1_ps((code.most - code.zero) as f32);
            let zero = _mm256_set1_epi16(code.zero as i16);
            let least = _mm_set1_epi8(code.least as i8);
            for p in 0..P {
                if places.stores(p) {
                    for v in 0..V {
                        let first = _mm256_cvtps_epi32(_mm256_min_ps(values[p][v].0, most));
                        let second = _mm256_cvtps_epi32(_mm256_min_ps(values[p][v].1, most));
                        // Saturation does what limits from below would, up to the last of them.
                        let wide = _mm256_adds_epi16(_mm256_packs_epi32(first, second), zero);
                        let low = _mm256_castsi256_si128(wide);
                        let codes = _mm_packus_epi16(low, _mm256_extracti128_si256::<1>(wide));
                        let to = y.add(places.y[p] + v * Self::LANES);
                        _mm_storeu_si128(to.cast(), _mm_max_epu8(codes, least));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.add(a.mul(b))
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the operand shows that the processor has the instruction set.
        unsafe {
            Self(
                _mm256_round_ps::<NEAREST>(self.0),
                _mm256_round_ps::<NEAREST>(self.1),
            )
        }
    }

    instruction!(add(other) = _mm256_add_ps);
    instruction!(sub(other) = _mm256_sub_ps);
    instruction!(mul(other) = _mm256_mul_ps);
    instruction!(min(other) = _mm256_min_ps);
    instruction!(max(other) = _mm256_max_ps);
}
