//! AVX-VNNI: AVX2 with the byte dot product.

use std::arch::x86_64::*;
use std::ops::Range;

use super::avx2;
use super::depthwise::{self, MulAdd};
use super::f32x8::{F32x8, LANES};
use crate::kernel::simd::{Dot, Sums};
use crate::kernel::{DenseU8, DepthwiseU8, Kernels, dense_u8, pack};

pub(super) static KERNELS: Kernels = Kernels {
    lanes: LANES,
    pack_dense_f32: pack::dense_f32::<F32x8>,
    pack_dense_u8: pack::dense_u8::<Codes>,
    code_offset: 0,
    pack_depthwise_u8: depthwise::pack,
    dense_f32: avx2::dense_f32,
    dense_u8,
    depthwise_f32: avx2::depthwise_f32,
    depthwise_u8,
};

#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn dense_u8(convolution: &DenseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_u8::dense_u8::<Codes>(convolution, rows) };
}

#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn depthwise_u8(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { depthwise::depthwise::<Vnni>(convolution, rows) };
}

/// Codes and weights as bytes, multiplied in fours.
struct Codes;

impl Sums for Codes {
    type Real = F32x8;
    type Sum = __m256i;

    #[inline(always)]
    unsafe fn load(bias: *const i32) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_loadu_si256(bias.cast()) }
    }

    #[inline(always)]
    fn real(sum: __m256i) -> F32x8 {
        // SAFETY: sums come from `load`, whose caller vouches for the instruction set.
        F32x8(unsafe { _mm256_cvtepi32_ps(sum) })
    }
}

impl Dot for Codes {
    const WIDTH: usize = 1;
    const GROUP: usize = 4;
    const PANEL: usize = 2;

    #[inline(always)]
    unsafe fn gather(from: *const u8, run: usize, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { copy(from, run, to) };
    }

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const u8,
        steps: usize,
        sums: &mut [[__m256i; V]; P],
    ) {
        let weights = weights.cast::<__m256i>();
        for step in 0..steps {
            // SAFETY: as the caller promises; packed weights are aligned.
            unsafe {
                let mut w = [_mm256_load_si256(weights.add(step * V)); V];
                for v in 1..V {
                    w[v] = _mm256_load_si256(weights.add(step * V + v));
                }
                for p in 0..P {
                    let four = _mm256_set1_epi32(codes[p].cast::<i32>().add(step).read());
                    for v in 0..V {
                        sums[p][v] = _mm256_dpbusd_avx_epi32(sums[p][v], four, w[v]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            match vectors {
                1 => dense_u8::panel::<Self, 8, 1>(panel),
                _ => dense_u8::panel::<Self, 6, 2>(panel),
            }
        }
    }
}

/// Copies codes. The last vector overlaps the one before.
///
/// # Safety
/// The processor has AVX2; both addresses are valid for `run` codes and do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, run: usize, to: *mut u8) {
    // SAFETY: as the caller promises: every vector lies within the run.
    unsafe {
        if run >= 32 {
            let mut k = 0;
            while k < run {
                let at = k.min(run - 32);
                let codes = _mm256_loadu_si256(from.add(at).cast());
                _mm256_storeu_si256(to.add(at).cast(), codes);
                k += 32;
            }
        } else if run >= 16 {
            for at in [0, run - 16] {
                _mm_storeu_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast()));
            }
        } else if run >= 8 {
            for at in [0, run - 8] {
                _mm_storel_epi64(to.add(at).cast(), _mm_loadl_epi64(from.add(at).cast()));
            }
        } else {
            for k in 0..run {
                to.add(k).write(*from.add(k));
            }
        }
    }
}

/// Pairs of i16 by one instruction.
struct Vnni;

impl MulAdd for Vnni {
    #[inline(always)]
    unsafe fn mul_add(sum: __m256i, codes: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_dpwssd_avx_epi32(sum, codes, weights) }
    }
}
