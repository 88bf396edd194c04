//! What follows the sums: activation, residual, output codes.

use std::ops::Range;

use super::pixels::Map;
use super::simd::{Real, Sums};
use super::{AddedCode, After, Clamp, Code, Plane, Reads};

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

/// Where the outputs of a tile go and what is added comes from: channel 0 of each pixel, from the
/// first element of the plane.
pub(super) struct Places<'a, const P: usize> {
    pub y: &'a [usize; P],
    pub added: &'a [usize; P],
    /// Which pixels are stored; the others are there to fill the tile.
    pub stored: Range<usize>,
}

impl<const P: usize> Places<'_, P> {
    #[inline(always)]
    pub(super) fn stores(&self, p: usize) -> bool {
        self.stored.start <= p && p < self.stored.end
    }
}

impl Finish<'_> {
    /// Finishes and stores the sums of `V` vectors from `channel`.
    ///
    /// # Safety
    /// The places and channels lie within the planes; nobody else uses those of `y`.
    #[inline(always)]
    pub(super) unsafe fn store<R: Real, const P: usize, const V: usize>(
        self,
        sums: &[[R; V]; P],
        places: &Places<'_, P>,
        channel: usize,
    ) {
        // SAFETY: the vectors in `sums` show that the processor has the instruction set; places
        // and channels lie within the planes, by the caller's word.
        unsafe {
            let y = self.y.first.add(channel);
            let (pre, post) = (Limits::of(self.pre), Limits::of(self.post));
            let Some(added) = self.added else {
                // One pair of limits does what both do one after the other.
                let both = Limits {
                    least: post.clamp(pre.least),
                    most: post.clamp(pre.most),
                };
                for p in 0..P {
                    if places.stores(p) {
                        for v in 0..V {
                            both.clamp(sums[p][v])
                                .store(y.add(places.y[p] + v * R::LANES));
                        }
                    }
                }
                return;
            };
            let added = added.first.add(channel);
            for p in 0..P {
                if places.stores(p) {
                    for v in 0..V {
                        let added = R::load(added.add(places.added[p] + v * R::LANES));
                        let sum = pre.clamp(sums[p][v]).add(added);
                        post.clamp(sum).store(y.add(places.y[p] + v * R::LANES));
                    }
                }
            }
        }
    }
}

impl After {
    /// How the convolution that reads `x` finds and leaves what belongs to a pixel.
    #[inline(always)]
    pub(super) fn map<X>(&self, x: &Reads<X>) -> Map {
        match self {
            After::Real { added, y, .. } => Map::new(x, y, added.as_ref()),
            After::Code { added, y, .. } => {
                Map::new(x, y, added.as_ref().map(|added| &added.plane))
            }
        }
    }

    /// Finishes and stores the sums of `V` vectors from `channel`, whose scales are at `scale`.
    ///
    /// # Safety
    /// The places and channels lie within the planes; nobody else uses those of `y`; `scale` is
    /// valid for `V` vectors.
    #[inline(always)]
    pub(super) unsafe fn store<S: Sums, const P: usize, const V: usize>(
        &self,
        sums: &[[S::Sum; V]; P],
        scale: *const f32,
        places: &Places<'_, P>,
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
                    .store(&scaled, places, channel);
                }
                After::Code { code, added, y } => {
                    let y = y.first.add(channel);
                    let mut last = code;
                    if let Some(added) = added {
                        let residual = added.plane.first.add(channel);
                        add_residual(&mut scaled, code, added, residual, places);
                        last = &added.code;
                    }
                    S::Real::store_nearest(&scaled, last, places, y);
                }
            }
        }
    }
}

/// [`Real::store_nearest`], vector by vector.
///
/// # Safety
/// As told there.
#[inline(always)]
pub(super) unsafe fn store_nearest<R: Real, const P: usize, const V: usize>(
    values: &[[R; V]; P],
    code: &Code,
    places: &Places<'_, P>,
    y: *mut u8,
) {
    // SAFETY: as the caller promises; limited numbers plus the zero point lie in 0..=255.
    unsafe {
        let limits = Limits::<R>::from_zero(code);
        let zero = R::splat(code.zero as f32);
        for p in 0..P {
            if places.stores(p) {
                for v in 0..V {
                    let steps = limits.clamp(values[p][v]).round();
                    steps
                        .add(zero)
                        .store_codes(y.add(places.y[p] + v * R::LANES));
                }
            }
        }
    }
}

/// Takes `values`, which count steps of `code`, to such codes and adds a residual to them: steps of
/// the sum's code. `residual` is that of the first channel.
///
/// # Safety
/// The places lie within the residual's plane.
#[inline(always)]
unsafe fn add_residual<R: Real, const P: usize, const V: usize>(
    values: &mut [[R; V]; P],
    code: &Code,
    added: &AddedCode,
    residual: *const u8,
    places: &Places<'_, P>,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let limits = Limits::<R>::from_zero(code);
        let (own, other) = (R::splat(added.own), R::splat(added.other));
        let added_zero = R::splat(added.zero as f32);
        for p in 0..P {
            for v in 0..V {
                let steps = limits.clamp(values[p][v]).round();
                let a = R::load_codes(residual.add(places.added[p] + v * R::LANES));
                values[p][v] = steps.mul(own).add(a.sub(added_zero).mul(other));
            }
        }
    }
}
