//! Plain Rust, in vectors of eight that compilers map to what the processor has.

use std::ops::Range;
use std::slice;

use super::pixels::Tile;
use super::simd::{Dense, Dot, Real, Sums};
use super::{DepthwiseU8, Kernels, dense_f32, dense_u8, depthwise_f32, pack};

const LANES: usize = 8;

/// Kernels that run anywhere.
pub(crate) static KERNELS: Kernels = Kernels {
    lanes: LANES,
    pack_dense_f32: pack::dense_f32::<F32>,
    pack_dense_u8: pack::dense_u8::<Codes>,
    code_offset: 0,
    pack_depthwise_u8: |weights, taps, channels| {
        pack::taps_i16(weights, taps, channels, channels.next_multiple_of(LANES))
    },
    dense_f32: dense_f32::dense_f32::<F32>,
    dense_u8: dense_u8::dense_u8::<Codes>,
    depthwise_f32: depthwise_f32::depthwise_f32::<F32>,
    depthwise_u8,
};

/// Pixel by pixel, some channels at a time in a loop that compilers map to vectors.
unsafe fn depthwise_u8(c: &DepthwiseU8<'_>, rows: Range<usize>) {
    const BLOCK: usize = 64;
    let pitch = c.bias.len();
    let map = c.after.map(&c.x);
    for (row, column) in rows.flat_map(|row| (0..c.width).map(move |column| (row, column))) {
        let tile = Tile::<1>::new(row, column, c.width);
        let (y, added) = (tile.offsets(map.y), tile.offsets(map.added));
        let places = tile.places(&y, &added);
        for first in (0..pitch).step_by(BLOCK) {
            let count = BLOCK.min(pitch - first);
            let mut sums = [0; BLOCK];
            sums[..count].copy_from_slice(&c.bias[first..][..count]);
            for (tap, &offset) in c.taps.iter().enumerate() {
                // SAFETY: the window is valid for whole vectors, by the caller's word; there are
                // as many weights.
                let (codes, weights) = unsafe {
                    let x = c.x.first.add(map.x.offset(row, column) + offset + first);
                    let weights = c.weights.as_ptr::<i16>().add(tap * pitch + first);
                    (
                        slice::from_raw_parts(x, count),
                        slice::from_raw_parts(weights, count),
                    )
                };
                for ((sum, &code), &weight) in sums.iter_mut().zip(codes).zip(weights) {
                    *sum += i32::from(code) * i32::from(weight);
                }
            }
            for (v, sums) in sums[..count].as_chunks::<LANES>().0.iter().enumerate() {
                let channel = first + v * LANES;
                // SAFETY: as the caller promises.
                unsafe {
                    let scale = c.scale.as_ptr().add(channel);
                    c.after
                        .store::<Codes, 1, 1>(&[[*sums]], scale, &places, channel);
                }
            }
        }
    }
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
            // SAFETY: the numbers lie in 0..=255, by the caller's word.
            codes[i] = unsafe { self.0[i].to_int_unchecked::<i32>() } as u8;
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

/// Codes as i16.
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

/// `sum` and the products of codes and weights.
#[inline(always)]
fn add_products(mut sum: [i32; LANES], codes: [i16; LANES], weights: [i16; LANES]) -> [i32; LANES] {
    for i in 0..LANES {
        sum[i] += i32::from(codes[i]) * i32::from(weights[i]);
    }
    sum
}

impl Dot for Codes {
    const WIDTH: usize = 2;
    const GROUP: usize = 1;
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
        let weights = weights.cast::<[i16; LANES]>();
        for step in 0..steps {
            for v in 0..V {
                // SAFETY: as the caller promises.
                let w = unsafe { weights.add(step * V + v).read() };
                for p in 0..P {
                    // SAFETY: as the caller promises.
                    let code = unsafe { codes[p].cast::<i16>().add(step).read() };
                    sums[p][v] = add_products(sums[p][v], [code; LANES], w);
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
