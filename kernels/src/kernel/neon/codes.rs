//! Codes with their sign bit flipped, as i8: what the products share, and depthwise sums.

use std::arch::aarch64::*;
use std::marker::PhantomData;

use super::real::F32;
use crate::kernel::dense_u8;
use crate::kernel::simd::{Dot, Pairs, Sums};

/// What flipping the sign bit takes from a code.
pub(super) const OFFSET: i32 = 128;

/// Eight sums.
#[derive(Clone, Copy)]
pub(super) struct I32(pub int32x4_t, pub int32x4_t);

/// An instruction that multiplies and adds bytes.
pub(super) trait Product {
    /// As [`Dot::GROUP`].
    const GROUP: usize;
    /// As [`Dot::PANEL`].
    const PANEL: usize;

    /// As [`Dot::product`].
    ///
    /// # Safety
    /// As for [`Dot::product`].
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const i8,
        steps: usize,
        sums: &mut [[I32; V]; P],
    );

    /// As [`Dot::panel`].
    ///
    /// # Safety
    /// As for [`Dot::panel`].
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize);
}

/// Codes, multiplied by the instruction `P`.
pub(super) struct Codes<P>(PhantomData<P>);

impl<P> Sums for Codes<P> {
    type Real = F32;
    type Sum = I32;

    #[inline(always)]
    unsafe fn load(bias: *const i32) -> I32 {
        // SAFETY: as the caller promises.
        unsafe { I32(vld1q_s32(bias), vld1q_s32(bias.add(4))) }
    }

    #[inline(always)]
    fn real(sum: I32) -> F32 {
        // SAFETY: the vectors show that the processor has NEON.
        unsafe { F32(vcvtq_f32_s32(sum.0), vcvtq_f32_s32(sum.1)) }
    }
}

impl<I: Product> Dot for Codes<I> {
    const WIDTH: usize = 1;
    const GROUP: usize = I::GROUP;
    const PANEL: usize = I::PANEL;

    #[inline(always)]
    unsafe fn gather(from: *const u8, run: usize, to: *mut u8) {
        let mut k = 0;
        // SAFETY: every access lies within the `run` codes of both addresses.
        unsafe {
            while k + 16 <= run {
                let codes = vld1q_u8(from.add(k));
                vst1q_u8(to.add(k), veorq_u8(codes, vdupq_n_u8(0x80)));
                k += 16;
            }
            while k + 8 <= run {
                vst1_u8(to.add(k), veor_u8(vld1_u8(from.add(k)), vdup_n_u8(0x80)));
                k += 8;
            }
            while k < run {
                to.add(k).write(*from.add(k) ^ 0x80);
                k += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const u8,
        steps: usize,
        sums: &mut [[I32; V]; P],
    ) {
        // SAFETY: as the caller promises.
        unsafe { I::product(codes, weights.cast(), steps, sums) };
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe { I::panel(panel, vectors) };
    }
}

/// Eight codes of one tap and, if any, of another.
#[derive(Clone, Copy)]
pub(super) struct Taps(int16x8_t, Option<int16x8_t>);

impl<P> Pairs for Codes<P> {
    const TILE: usize = 4;
    const WIDTH: usize = 2;
    type Codes = Taps;
    type Weights = int16x8x2_t;

    #[inline(always)]
    unsafe fn both(a: *const u8, b: *const u8) -> Taps {
        // SAFETY: as the caller promises.
        unsafe { Taps(widened(a), Some(widened(b))) }
    }

    #[inline(always)]
    unsafe fn one(a: *const u8) -> Taps {
        // SAFETY: as the caller promises.
        unsafe { Taps(widened(a), None) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> int16x8x2_t {
        // SAFETY: as the caller promises.
        unsafe { vld2q_s16(from.cast()) }
    }

    #[inline(always)]
    fn mul_add(sum: I32, Taps(a, b): Taps, weights: int16x8x2_t) -> I32 {
        let sum = add_products(sum, a, weights.0);
        match b {
            Some(b) => add_products(sum, b, weights.1),
            None => sum,
        }
    }
}

/// Eight codes less [`OFFSET`].
///
/// # Safety
/// The processor has NEON; `from` is valid for eight codes.
#[inline(always)]
unsafe fn widened(from: *const u8) -> int16x8_t {
    // SAFETY: as the caller promises.
    unsafe { vreinterpretq_s16_u16(vsubl_u8(vld1_u8(from), vdup_n_u8(OFFSET as u8))) }
}

#[inline(always)]
fn add_products(sum: I32, codes: int16x8_t, weights: int16x8_t) -> I32 {
    // SAFETY: the vectors show that the processor has NEON.
    unsafe {
        I32(
            vmlal_s16(sum.0, vget_low_s16(codes), vget_low_s16(weights)),
            vmlal_high_s16(sum.1, codes, weights),
        )
    }
}
