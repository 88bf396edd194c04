//! AVX-512 with VNNI: vectors of sixteen; bytes multiplied in fours.

use std::arch::x86_64::*;
use std::ops::Range;

use super::f32x16::{F32x16, LANES};
use super::vnni;
use crate::kernel::simd::{Dot, Pairs, Sums};
use crate::kernel::{
    DenseF32, DenseU8, DepthwiseF32, DepthwiseU8, Kernels, dense_f32, dense_u8, depthwise_f32,
    depthwise_u8, pack,
};

pub(super) static KERNELS: Kernels = Kernels {
    lanes: LANES,
    pack_dense_f32: pack::dense_f32::<F32x16>,
    pack_dense_u8: pack::dense_u8::<Codes>,
    code_offset: 0,
    pack_depthwise_u8: |weights, taps, channels| {
        let padded = channels.next_multiple_of(LANES);
        pack::depthwise_u8::<Codes>(weights, taps, channels, padded, |channel, _| channel)
    },
    dense_f32,
    dense_u8,
    depthwise_f32,
    depthwise_u8,
};

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn dense_f32(convolution: &DenseF32<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_f32::dense_f32::<F32x16>(convolution, rows) };
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn dense_u8(convolution: &DenseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_u8::dense_u8::<Codes>(convolution, rows) };
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn depthwise_f32(convolution: &DepthwiseF32<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { depthwise_f32::depthwise_f32::<F32x16>(convolution, rows) };
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn depthwise_u8(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    let channels = 0..convolution.bias.len();
    // SAFETY: as the caller promises.
    unsafe { depthwise_u8::depthwise_u8::<Codes>(convolution, rows, channels) };
}

/// Codes and weights as bytes, multiplied in fours; for depthwise sums as i16, in pairs.
struct Codes;

impl Sums for Codes {
    type Real = F32x16;
    type Sum = __m512i;

    #[inline(always)]
    unsafe fn load(bias: *const i32) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(bias.cast()) }
    }

    #[inline(always)]
    fn real(sum: __m512i) -> F32x16 {
        // SAFETY: sums come from `load`, whose caller vouches for the instruction set.
        F32x16(unsafe { _mm512_cvtepi32_ps(sum) })
    }
}

impl Dot for Codes {
    const WIDTH: usize = 1;
    const GROUP: usize = 4;
    const PANEL: usize = 3;

    #[inline(always)]
    unsafe fn gather(from: *const u8, run: usize, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { vnni::copy(from, run, to) };
    }

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const u8,
        steps: usize,
        sums: &mut [[__m512i; V]; P],
    ) {
        let weights = weights.cast::<__m512i>();
        for step in 0..steps {
            // SAFETY: as the caller promises; packed weights are aligned.
            unsafe {
                let mut w = [_mm512_load_si512(weights.add(step * V)); V];
                for v in 1..V {
                    w[v] = _mm512_load_si512(weights.add(step * V + v));
                }
                for p in 0..P {
                    let four = _mm512_set1_epi32(codes[p].cast::<i32>().add(step).read());
                    for v in 0..V {
                        sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], four, w[v]);
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
                1 => dense_u8::panel::<Self, 12, 1>(panel),
                2 => dense_u8::panel::<Self, 12, 2>(panel),
                _ => dense_u8::panel::<Self, 8, 3>(panel),
            }
        }
    }
}

impl Pairs for Codes {
    const TILE: usize = 8;
    const WIDTH: usize = 2;
    type Codes = __m512i;
    type Weights = __m512i;

    #[inline(always)]
    unsafe fn both(a: *const u8, b: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_or_si512(Self::one(a), _mm512_slli_epi32::<16>(Self::one(b))) }
    }

    #[inline(always)]
    unsafe fn one(a: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(a.cast())) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m512i {
        // SAFETY: as the caller promises.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn mul_add(sum: __m512i, codes: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: codes come from loads, whose callers vouch for the instruction set.
        unsafe { _mm512_dpwssd_epi32(sum, codes, weights) }
    }
}
