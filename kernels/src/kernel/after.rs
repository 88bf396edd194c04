//! What follows the sums: activation, residual, output codes.

use super::pixels::Pixel;
use super::simd::{Real, Sums};
use super::{AddedCode, After, Clamp, Code, Plane};

/// What follows real sums.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    pub pre: &'a Clamp,
    pub added: &'a Option<Plane<*const f32>>,
    pub post: &'a Clamp,
    pub y: &'a Plane<*mut f32>,
}

#[derive(Clone, Copy)]
struct Limits<R> {
    least: R,
    most: R,
}

impl<R: Real> Limits<R> {
    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn of(clamp: &Clamp) -> Self {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            Self {
                least: R::splat(clamp.least),
                most: R::splat(clamp.most),
            }
        }
    }

    /// Limits of a code from its zero point.
    ///
    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn from_zero(code: &Code) -> Self {
        let least = (code.least - code.zero) as f32;
        let most = (code.most - code.zero) as f32;
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            Self {
                least: R::splat(least),
                most: R::splat(most),
            }
        }
    }

    #[inline(always)]
    fn clamp(self, value: R) -> R {
        value.max(self.least).min(self.most)
    }
}

impl Finish<'_> {
    /// Finishes and stores the sums of `pixels`, at most `P`, and of `V` vectors from `channel`.
    ///
    /// # Safety
    /// The pixels and channels lie within the planes; nobody else uses those of `y`.
    #[inline(always)]
    pub(super) unsafe fn store<R: Real, const P: usize, const V: usize>(
        self,
        sums: &[[R; V]; P],
        pixels: &[Pixel],
        channel: usize,
    ) {
        // SAFETY: the vectors in `sums` show that the processor has the instruction set; pixels
        // and channels lie within the planes, by the caller's word.
        unsafe {
            let (pre, post) = (Limits::of(self.pre), Limits::of(self.post));
            let Some(added) = self.added else {
                // One pair of limits does what both do one after the other.
                let both = Limits { least: post.clamp(pre.least), most: post.clamp(pre.most) };
                for p in 0..P {
                    if p >= pixels.len() {
                        break;
                    }
                    let y = self.y.at(pixels[p]).add(channel);
                    for v in 0..V {
                        both.clamp(sums[p][v]).store(y.add(v * R::LANES));
                    }
                }
                return;
            };
            for p in 0..P {
                if p >= pixels.len() {
                    break;
                }
                let y = self.y.at(pixels[p]).add(channel);
                let added = added.at(pixels[p]).add(channel);
                for v in 0..V {
                    let sum = pre.clamp(sums[p][v]).add(R::load(added.add(v * R::LANES)));
                    post.clamp(sum).store(y.add(v * R::LANES));
                }
            }
        }
    }
}

impl After {
    /// Finishes and stores the sums of `pixels`, at most `P`, and of `V` vectors from `channel`.
    /// `scale` is that of `channel`.
    ///
    /// # Safety
    /// The pixels and channels lie within the planes; nobody else uses those of `y`; `scale` is
    /// valid for `V` vectors.
    #[inline(always)]
    pub(super) unsafe fn store<S: Sums, const P: usize, const V: usize>(
        &self,
        sums: &[[S::Sum; V]; P],
        scale: *const f32,
        pixels: &[Pixel],
        channel: usize,
    ) {
        // SAFETY: as the caller promises.
        unsafe {
            let mut scales = [S::Real::splat(0.0); V];
            for v in 0..V {
                scales[v] = S::Real::load(scale.add(v * S::Real::LANES));
            }
            let mut scaled = [[S::Real::splat(0.0); V]; P];
            for p in 0..P {
                for v in 0..V {
                    scaled[p][v] = S::real(sums[p][v]).mul(scales[v]);
                }
            }
            match self {
                After::Real {
                    pre,
                    added,
                    post,
                    y,
                } => {
                    Finish {
                        pre,
                        added,
                        post,
                        y,
                    }
                    .store(&scaled, pixels, channel);
                }
                After::Code {
                    code,
                    added: None,
                    y,
                } => {
                    store_codes(code, y, &scaled, pixels, channel);
                }
                After::Code {
                    code,
                    added: Some(added),
                    y,
                } => {
                    store_added(code, added, y, &scaled, pixels, channel);
                }
            }
        }
    }
}

/// # Safety
/// As for [`After::store`].
#[inline(always)]
unsafe fn store_codes<R: Real, const P: usize, const V: usize>(
    code: &Code,
    y: &Plane<*mut u8>,
    scaled: &[[R; V]; P],
    pixels: &[Pixel],
    channel: usize,
) {
    // SAFETY: as the caller promises; limited numbers plus the zero point lie in 0..=255.
    unsafe {
        let limits = Limits::<R>::from_zero(code);
        let zero = R::splat(code.zero as f32);
        for p in 0..P {
            if p >= pixels.len() {
                break;
            }
            let y = y.at(pixels[p]).add(channel);
            for v in 0..V {
                let steps = limits.clamp(scaled[p][v]).round();
                steps.add(zero).store_codes(y.add(v * R::LANES));
            }
        }
    }
}

/// # Safety
/// As for [`After::store`].
#[inline(always)]
unsafe fn store_added<R: Real, const P: usize, const V: usize>(
    code: &Code,
    added: &AddedCode,
    y: &Plane<*mut u8>,
    scaled: &[[R; V]; P],
    pixels: &[Pixel],
    channel: usize,
) {
    // SAFETY: as the caller promises; limited numbers plus the zero point lie in 0..=255.
    unsafe {
        let limits = Limits::<R>::from_zero(code);
        let sum_limits = Limits::<R>::from_zero(&added.code);
        let sum_zero = R::splat(added.code.zero as f32);
        let (own, other) = (R::splat(added.own), R::splat(added.other));
        let added_zero = R::splat(added.zero as f32);
        for p in 0..P {
            if p >= pixels.len() {
                break;
            }
            let y = y.at(pixels[p]).add(channel);
            let a = added.plane.at(pixels[p]).add(channel);
            for v in 0..V {
                let steps = limits.clamp(scaled[p][v]).round();
                let a = R::load_codes(a.add(v * R::LANES)).sub(added_zero);
                let sum = steps.mul(own).add(a.mul(other));
                let steps = sum_limits.clamp(sum).round();
                steps.add(sum_zero).store_codes(y.add(v * R::LANES));
            }
        }
    }
}
