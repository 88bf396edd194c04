//! What a kernel asks of an instruction set.
//!
//! A vector comes into being through an `unsafe` load or splat alone, whose caller vouches for the
//! instruction set; arithmetic on vectors is safe. Everything is `#[inline(always)]`, so that it
//! becomes part of the one function that enables the instructions.

use super::after::{self, Places};
use super::{Code, dense_f32, dense_u8};

/// A vector of f32.
pub(super) trait Real: Copy {
    /// Values of a vector.
    const LANES: usize;
    /// # Safety
    /// The processor has the instruction set; `from` is valid for [`Self::LANES`] values.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// The processor has the instruction set.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// `to` is valid for writing [`Self::LANES`] values.
    unsafe fn store(self, to: *mut f32);

    /// Codes as numbers.
    ///
    /// # Safety
    /// The processor has the instruction set; `from` is valid for [`Self::LANES`] codes.
    unsafe fn load_codes(from: *const u8) -> Self;

    /// Stores whole numbers in 0..=255 as codes.
    ///
    /// # Safety
    /// The numbers are such; `to` is valid for writing [`Self::LANES`] codes.
    unsafe fn store_codes(self, to: *mut u8);

    /// Stores the codes nearest to `values`, which count steps from the zero point; `y` is that of
    /// the first channel.
    ///
    /// # Safety
    /// The places lie within the plane of `y`, which nobody else uses there.
    #[inline(always)]
    unsafe fn store_nearest<const P: usize, const V: usize>(
        values: &[[Self; V]; P],
        code: &Code,
        places: &Places<'_, P>,
        y: *mut u8,
    ) {
        // SAFETY: as the caller promises.
        unsafe { after::store_nearest(values, code, places, y) };
    }

    /// `self + a·b`, rounded once or twice.
    fn mul_add(self, a: Self, b: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;

    /// To the nearest whole number, halves to the even one; `self` in −255..=255.
    fn round(self) -> Self;
}

/// A vector of f32 in which dense convolutions are summed.
pub(super) trait Dense: Real {
    /// Inputs that one load takes for [`Self::spread`].
    const STEP: usize;
    /// Vectors of the widest panel of output channels.
    const PANEL: usize;
    /// [`Self::STEP`] consecutive inputs, or their address if each is best loaded by itself.
    type Inputs: Copy;

    /// # Safety
    /// The processor has the instruction set; `from` is valid for [`Self::STEP`] values.
    unsafe fn inputs(from: *const f32) -> Self::Inputs;

    /// Input `index` in every lane. `index` is a constant once the caller is unrolled.
    ///
    /// # Safety
    /// The processor has the instruction set; the address that `inputs` came from is still valid.
    unsafe fn spread(inputs: Self::Inputs, index: usize) -> Self;

    /// One panel of `vectors` ≤ [`Self::PANEL`] vectors over all pixels, as register tiles of the
    /// shape that suits the registers: [`dense_f32::panel`] with constants.
    ///
    /// # Safety
    /// As for [`dense_f32::panel`].
    unsafe fn panel(panel: &dense_f32::Panel<'_>, vectors: usize);
}

/// Exact sums of products of codes and weights.
pub(super) trait Sums {
    /// A vector of f32 with as many lanes as [`Self::Sum`].
    type Real: Real;
    /// A vector of i32.
    type Sum: Copy;

    /// # Safety
    /// The processor has the instruction set; `bias` is valid for a vector.
    unsafe fn load(bias: *const i32) -> Self::Sum;

    /// Nearest f32.
    fn real(sum: Self::Sum) -> Self::Real;
}

/// Sums over a window of all channels.
///
/// The codes of a window are first gathered one after another into scratch, in the form that the
/// product takes.
pub(super) trait Dot: Sums {
    /// Bytes of a gathered code and of a weight: 1 or 2.
    const WIDTH: usize;
    /// Codes multiplied per lane and step; weights lie `[steps][vectors of a panel][lanes][GROUP]`.
    const GROUP: usize;
    /// Vectors of the widest panel of output channels.
    const PANEL: usize;

    /// Brings `run` codes into the form of the product: `to` gets `run × WIDTH` bytes.
    ///
    /// # Safety
    /// The processor has the instruction set; both addresses are valid for `run` codes and do not
    /// overlap.
    unsafe fn gather(from: *const u8, run: usize, to: *mut u8);

    /// Adds the products of `steps` groups to the sums of `P` pixels, given their gathered codes,
    /// times `V` vectors of channels.
    ///
    /// # Safety
    /// The processor has the instruction set; each of `codes` is valid for `steps` groups,
    /// `weights` for `steps × V` vectors of groups.
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const u8,
        steps: usize,
        sums: &mut [[Self::Sum; V]; P],
    );

    /// One panel of `vectors` ≤ [`Self::PANEL`] vectors over all gathered pixels:
    /// [`dense_u8::panel`] with constants.
    ///
    /// # Safety
    /// As for [`dense_u8::panel`].
    unsafe fn panel(panel: &dense_u8::Panel<'_>, vectors: usize);
}

/// Sums over a window channel by channel, two taps at a time.
pub(super) trait Pairs: Sums {
    /// Pixels of the widest tile: 8 or 4.
    const TILE: usize;
    /// Bytes of a weight. Weights lie `[pairs of taps][vectors][lanes][2]`.
    const WIDTH: usize;
    /// The codes of two taps.
    type Codes: Copy;
    /// The weights of two taps.
    type Weights: Copy;

    /// # Safety
    /// The processor has the instruction set; both addresses are valid for a vector of codes.
    unsafe fn both(a: *const u8, b: *const u8) -> Self::Codes;

    /// The codes of one tap; what stands for the other does not matter, as its weights are zero.
    ///
    /// # Safety
    /// The processor has the instruction set; `a` is valid for a vector of codes.
    unsafe fn one(a: *const u8) -> Self::Codes;

    /// # Safety
    /// The processor has the instruction set; `from` is valid for a vector of pairs.
    unsafe fn weights(from: *const u8) -> Self::Weights;

    /// `sum` and the products of both taps.
    fn mul_add(sum: Self::Sum, codes: Self::Codes, weights: Self::Weights) -> Self::Sum;
}
