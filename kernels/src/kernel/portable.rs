//! Plain Rust, in vectors of eight that compilers map to what the processor has.

use std::ops::Range;

use super::simd::{Dense, Dot, Pairs, Real, Sums};
use super::{DepthwiseU8, Kernels, dense_f32, dense_u8, depthwise_f32, depthwise_u8, pack};

const LANES: usize = 8;

/// Kernels that run anywhere.
pub(crate) static KERNELS: Kernels = Kernels {
    lanes: LANES,
    pack_dense_f32: pack::dense_f32::<F32>,
    pack_dense_u8: pack::dense_u8::<Codes>,
    code_offset: 0,
    pack_depthwise_u8: |weights, taps, channels| {
        let padded = channels.next_multiple_of(LANES);
        pack::depthwise_u8::<Codes>(weights, taps, channels, padded, |channel, _| channel)
    },
    dense_f32: dense_f32::dense_f32::<F32>,
    dense_u8: dense_u8::dense_u8::<Codes>,
    depthwise_f32: depthwise_f32::depthwise_f32::<F32>,
    depthwise_u8,
};

unsafe fn depthwise_u8(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    let channels = 0..convolution.bias.len();
    // SAFETY: as the caller promises.
    unsafe { depthwise_u8::depthwise_u8::<Codes>(convolution, rows, channels) };
}

/// Adding and taking this off rounds numbers within ±2²² to whole ones, halves to even.
const ROUNDER: f32 = 12_582_912.0;

/// Eight numbers.
#[derive(Clone, Copy)]
struct F32([f32; LANES]);

impl F32 {
    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for i in 0..LANES {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }
}

impl Real for F32 {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: `from` is valid for a vector, by the caller's word.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: `to` is valid for a vector, by the caller's word.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> Self {
        // SAFETY: `from` is valid for a vector of codes, by the caller's word.
        let codes = unsafe { from.cast::<[u8; LANES]>().read() };
        let mut values = [0.0; LANES];
        for i in 0..LANES {
            values[i] = f32::from(codes[i]);
        }
        Self(values)
    }

    #[inline(always)]
    unsafe fn store_codes(self, to: *mut u8) {
        let mut codes = [0; LANES];
        for i in 0..LANES {
            codes[i] = self.0[i] as u8;
        }
        // SAFETY: `to` is valid for a vector of codes, by the caller's word.
        unsafe { to.cast::<[u8; LANES]>().write(codes) };
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.add(a.mul(b))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn round(self) -> Self {
        self.zip(Self([ROUNDER; LANES]), |a, rounder| a + rounder - rounder)
    }
}

impl Dense for F32 {
    const STEP: usize = 1;
    const PANEL: usize = 1;
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
    unsafe fn panel(panel: &dense_f32::Panel<'_>, _vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe { dense_f32::panel::<Self, 4, 1>(panel) };
    }
}

/// Codes as i16, multiplied in pairs.
struct Codes;

impl Sums for Codes {
    type Real = F32;
    type Sum = [i32; LANES];

    #[inline(always)]
    unsafe fn load(bias: *const i32) -> Self::Sum {
        // SAFETY: `bias` is valid for a vector, by the caller's word.
        unsafe { bias.cast::<Self::Sum>().read_unaligned() }
    }

    #[inline(always)]
    fn real(sum: Self::Sum) -> F32 {
        let mut values = [0.0; LANES];
        for i in 0..LANES {
            values[i] = sum[i] as f32;
        }
        F32(values)
    }
}

/// `sum` and the products of pairs of codes and weights.
#[inline(always)]
fn add_pairs(
    mut sum: [i32; LANES],
    codes: [[i16; 2]; LANES],
    weights: [[i16; 2]; LANES],
) -> [i32; LANES] {
    for i in 0..LANES {
        let a = i32::from(codes[i][0]) * i32::from(weights[i][0]);
        let b = i32::from(codes[i][1]) * i32::from(weights[i][1]);
        sum[i] += a + b;
    }
    sum
}

impl Dot for Codes {
    const WIDTH: usize = 2;
    const GROUP: usize = 2;
    const PANEL: usize = 1;

    #[inline(always)]
    unsafe fn gather(from: *const u8, run: usize, to: *mut u8) {
        let to = to.cast::<i16>();
        for k in 0..run {
            // SAFETY: both are valid for `run` codes, by the caller's word.
            unsafe { to.add(k).write(i16::from(*from.add(k))) };
        }
    }

    #[inline(always)]
    unsafe fn product<const P: usize, const V: usize>(
        codes: &[*const u8; P],
        weights: *const u8,
        steps: usize,
        sums: &mut [[Self::Sum; V]; P],
    ) {
        let weights = weights.cast::<[[i16; 2]; LANES]>();
        for step in 0..steps {
            for v in 0..V {
                // SAFETY: as the caller promises.
                let w = unsafe { weights.add(step * V + v).read() };
                for p in 0..P {
                    // SAFETY: as the caller promises.
                    let pair = unsafe { codes[p].cast::<[i16; 2]>().add(step).read() };
                    sums[p][v] = add_pairs(sums[p][v], [pair; LANES], w);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn panel(panel: &dense_u8::Panel<'_>, _vectors: usize) {
        // SAFETY: as the caller promises.
        unsafe { dense_u8::panel::<Self, 4, 1>(panel) };
    }
}

impl Pairs for Codes {
    const TILE: usize = 4;
    const WIDTH: usize = 2;
    type Codes = [[i16; 2]; LANES];
    type Weights = [[i16; 2]; LANES];

    #[inline(always)]
    unsafe fn both(a: *const u8, b: *const u8) -> Self::Codes {
        let mut codes = [[0; 2]; LANES];
        for i in 0..LANES {
            // SAFETY: both are valid for a vector of codes, by the caller's word.
            codes[i] = unsafe { [i16::from(*a.add(i)), i16::from(*b.add(i))] };
        }
        codes
    }

    #[inline(always)]
    unsafe fn one(a: *const u8) -> Self::Codes {
        let mut codes = [[0; 2]; LANES];
        for i in 0..LANES {
            // SAFETY: `a` is valid for a vector of codes, by the caller's word.
            codes[i][0] = i16::from(unsafe { *a.add(i) });
        }
        codes
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> Self::Weights {
        // SAFETY: `from` is valid for a vector of pairs, by the caller's word.
        unsafe { from.cast::<Self::Weights>().read_unaligned() }
    }

    #[inline(always)]
    fn mul_add(sum: Self::Sum, codes: Self::Codes, weights: Self::Weights) -> Self::Sum {
        add_pairs(sum, codes, weights)
    }
}
