//! Vectors of eight f32, for AVX2 and FMA.

use std::arch::x86_64::*;

use crate::kernel::after::Places;
use crate::kernel::simd::{Dense, Real};
use crate::kernel::{Code, dense_f32};

/// Values of a vector.
pub(super) const LANES: usize = 8;

/// Eight numbers. One exists only where the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct F32x8(pub __m256);

/// A method of [`F32x8`] that is one instruction.
macro_rules! instruction {
    ($name:ident($($operand:ident),*) = $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, $($operand: Self),*) -> Self {
            // SAFETY: the operands show that the processor has the instruction set.
            Self(unsafe { $intrinsic(self.0, $($operand.0),*) })
        }
    };
}

impl Real for F32x8 {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe { _mm256_storeu_ps(to, self.0) };
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let codes = _mm_loadl_epi64(from.cast());
            Self(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes)))
        }
    }

    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe {
            let wide = _mm256_cvtps_epi32(self.0);
            let halves = _mm_packus_epi32(
                _mm256_castsi256_si128(wide),
                _mm256_extracti128_si256::<1>(wide),
            );
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(halves, halves));
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
            let near = Near::of(code);
            for quad in 0..(P * V).div_ceil(4) {
                let first = 4 * quad;
                let mut four = [values[0][0].0; 4];
                for i in 0..4 {
                    let n = (first + i).min(P * V - 1);
                    four[i] = values[n / V][n % V].0;
                }
                let codes = near.codes(four);
                for i in 0..4 {
                    let (p, v) = ((first + i) / V, (first + i) % V);
                    if p < P && places.stores(p) {
                        let to = y.add(places.y[p] + v * LANES);
                        match V {
                            2 if v == 0 => store_sixteen(codes, i / 2, to),
                            2 => (),
                            _ => store_eight(codes, i, to),
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the operands show that the processor has the instruction set.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: the operand shows that the processor has the instruction set.
        Self(unsafe { _mm256_round_ps::<NEAREST>(self.0) })
    }

    instruction!(add(other) = _mm256_add_ps);
    instruction!(sub(other) = _mm256_sub_ps);
    instruction!(mul(other) = _mm256_mul_ps);
    instruction!(min(other) = _mm256_min_ps);
    instruction!(max(other) = _mm256_max_ps);
}

impl Dense for F32x8 {
    const STEP: usize = 1;
    const PANEL: usize = 2;
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
                1 => dense_f32::panel::<Self, 8, 1>(panel),
                _ => dense_f32::panel::<Self, 6, 2>(panel),
            }
        }
    }
}

/// A code's limits and zero point.
struct Near {
    /// In f32, from the zero point.
    most: __m256,
    /// In i16.
    zero: __m256i,
    /// In u8.
    least: __m256i,
}

impl Near {
    /// # Safety
    /// The processor has AVX2.
    #[inline(always)]
    unsafe fn of(code: &Code) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            Self {
                most: _mm256_set1_ps((code.most - code.zero) as f32),
                zero: _mm256_set1_epi16(code.zero as i16),
                least: _mm256_set1_epi8(code.least as i8),
            }
        }
    }

    /// The codes nearest to four vectors of steps from the zero point, one vector after another.
    /// Saturation does what limits from below would: all is exact once the greatest are limited.
    #[inline(always)]
    fn codes(&self, steps: [__m256; 4]) -> __m256i {
        // SAFETY: the vectors show that the processor has AVX2.
        unsafe {
            let [a, b, c, d] = [
                _mm256_cvtps_epi32(_mm256_min_ps(steps[0], self.most)),
                _mm256_cvtps_epi32(_mm256_min_ps(steps[1], self.most)),
                _mm256_cvtps_epi32(_mm256_min_ps(steps[2], self.most)),
                _mm256_cvtps_epi32(_mm256_min_ps(steps[3], self.most)),
            ];
            let first = _mm256_adds_epi16(_mm256_packs_epi32(a, b), self.zero);
            let second = _mm256_adds_epi16(_mm256_packs_epi32(c, d), self.zero);
            // Each half holds the fours of codes of one half of the vectors, in turn.
            let codes = _mm256_max_epu8(_mm256_packus_epi16(first, second), self.least);
            _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        }
    }
}

/// Stores eight bytes of `codes`, from byte `8 · index`.
///
/// # Safety
/// The processor has AVX2; `to` is valid for eight bytes.
#[inline(always)]
unsafe fn store_eight(codes: __m256i, index: usize, to: *mut u8) {
    // SAFETY: as the caller promises.
    unsafe {
        let half = match index < 2 {
            true => _mm256_castsi256_si128(codes),
            false => _mm256_extracti128_si256::<1>(codes),
        };
        match index.is_multiple_of(2) {
            true => _mm_storel_epi64(to.cast(), half),
            false => _mm_storeh_pd(to.cast(), _mm_castsi128_pd(half)),
        }
    }
}

/// Stores sixteen bytes of `codes`, from byte `16 · index`.
///
/// # Safety
/// The processor has AVX2; `to` is valid for sixteen bytes.
#[inline(always)]
unsafe fn store_sixteen(codes: __m256i, index: usize, to: *mut u8) {
    // SAFETY: as the caller promises.
    unsafe {
        let half = match index {
            0 => _mm256_castsi256_si128(codes),
            _ => _mm256_extracti128_si256::<1>(codes),
        };
        _mm_storeu_si128(to.cast(), half);
    }
}
