//! Depthwise convolutions over codes with AVX2: two taps side by side as i16, multiplied and added
//! by one instruction or two.
//!
//! Sixteen channels at a time, in the order that in-lane unpacking gives (see [`F32x8x2`]); what is
//! left by eight.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::ops::Range;

use super::f32x8::{F32x8, LANES};
use super::f32x8x2::F32x8x2;
use crate::kernel::simd::{Pairs, Sums};
use crate::kernel::{DepthwiseU8, Packed, depthwise_u8, pack};

/// Channels of a wide vector.
const WIDE: usize = 2 * LANES;

/// # Safety
/// As for [`crate::kernel::Kernels::depthwise_u8`]; the processor has AVX2 and `M`.
#[inline(always)]
pub(super) unsafe fn depthwise<M: MulAdd>(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    let channels = convolution.bias.len();
    let by_wide = channels / WIDE * WIDE;
    // SAFETY: as the caller promises.
    unsafe {
        depthwise_u8::depthwise_u8::<Wide<M>>(convolution, rows.clone(), 0..by_wide);
        depthwise_u8::depthwise_u8::<Narrow<M>>(convolution, rows, by_wide..channels);
    }
}

/// [`crate::kernel::Kernels::pack_depthwise_u8`] for [`depthwise`].
pub(super) fn pack(weights: &[i8], taps: usize, channels: usize) -> Packed {
    let padded = channels.next_multiple_of(LANES);
    pack::depthwise_u8::<Narrow<Madd>>(weights, taps, channels, padded, |channel, padded| {
        let (block, lane) = (channel / WIDE * WIDE, channel % WIDE);
        match (block + WIDE <= padded, lane / 4) {
            (true, 1) => channel + 4,
            (true, 2) => channel - 4,
            _ => channel,
        }
    })
}

/// How pairs of i16 are multiplied and added to a sum.
pub(super) trait MulAdd {
    /// # Safety
    /// The processor has AVX2 and what `Self` needs.
    unsafe fn mul_add(sum: __m256i, codes: __m256i, weights: __m256i) -> __m256i;
}

/// By AVX2.
pub(super) struct Madd;

impl MulAdd for Madd {
    #[inline(always)]
    unsafe fn mul_add(sum: __m256i, codes: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(codes, weights)) }
    }
}

/// Eight channels.
struct Narrow<M>(PhantomData<M>);

impl<M> Sums for Narrow<M> {
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

impl<M: MulAdd> Pairs for Narrow<M> {
    const TILE: usize = 4;
    const WIDTH: usize = 2;
    type Codes = __m256i;
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn both(a: *const u8, b: *const u8) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe {
            let (a, b) = (_mm_loadl_epi64(a.cast()), _mm_loadl_epi64(b.cast()));
            _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b))
        }
    }

    #[inline(always)]
    unsafe fn one(a: *const u8) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(a.cast())) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m256i {
        // SAFETY: as the caller promises.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn mul_add(sum: __m256i, codes: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: codes come from loads, whose callers vouch for the instruction set.
        unsafe { M::mul_add(sum, codes, weights) }
    }
}

/// Sixteen channels.
struct Wide<M>(PhantomData<M>);

impl<M> Sums for Wide<M> {
    type Real = F32x8x2;
    type Sum = [__m256i; 2];

    #[inline(always)]
    unsafe fn load(bias: *const i32) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        unsafe {
            let low = _mm256_loadu_si256(bias.cast());
            let high = _mm256_loadu_si256(bias.add(LANES).cast());
            [
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            ]
        }
    }

    #[inline(always)]
    fn real([first, second]: [__m256i; 2]) -> F32x8x2 {
        // SAFETY: sums come from `load`, whose caller vouches for the instruction set.
        unsafe { F32x8x2(_mm256_cvtepi32_ps(first), _mm256_cvtepi32_ps(second)) }
    }
}

impl<M: MulAdd> Pairs for Wide<M> {
    const TILE: usize = 4;
    const WIDTH: usize = 2;
    type Codes = [__m256i; 2];
    type Weights = [__m256i; 2];

    #[inline(always)]
    unsafe fn both(a: *const u8, b: *const u8) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        unsafe { interleave(widen(a), widen(b)) }
    }

    #[inline(always)]
    unsafe fn one(a: *const u8) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        unsafe { interleave(widen(a), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> [__m256i; 2] {
        // SAFETY: as the caller promises.
        unsafe {
            [
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(32).cast()),
            ]
        }
    }

    #[inline(always)]
    fn mul_add(sum: [__m256i; 2], codes: [__m256i; 2], weights: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: codes come from loads, whose callers vouch for the instruction set.
        unsafe {
            [
                M::mul_add(sum[0], codes[0], weights[0]),
                M::mul_add(sum[1], codes[1], weights[1]),
            ]
        }
    }
}

/// Sixteen codes as i16.
///
/// # Safety
/// The processor has AVX2; `from` is valid for sixteen codes.
#[inline(always)]
unsafe fn widen(from: *const u8) -> __m256i {
    // SAFETY: as the caller promises.
    unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast())) }
}

/// Pairs of i16: of channels 0 to 3 and 8 to 11, then of the others.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn interleave(a: __m256i, b: __m256i) -> [__m256i; 2] {
    // SAFETY: as the caller promises.
    unsafe { [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)] }
}
