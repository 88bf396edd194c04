//! Random tensors and windows for the tests.

use std::ops::Range;

use proptest::prelude::*;

use crate::kernel::{AddedCode, After, Clamp, Code, Plane, Reads};

/// What stands in outputs before a kernel runs, to see what it leaves alone.
pub const UNTOUCHED: f32 = -77.5;
pub const UNTOUCHED_CODE: u8 = 77;

pub const FREE: Clamp = Clamp {
    least: f32::NEG_INFINITY,
    most: f32::INFINITY,
};

/// Shape of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels_in: usize,
    pub channels_out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Runs cover whole rows of the window, pads between pixels included.
    pub merged: bool,
    /// Pixels of the input lie back to back.
    pub image: bool,
    pub added: bool,
    pub clamped: bool,
    pub seed: u64,
}

pub fn shapes() -> impl Strategy<Value = Shape> {
    let size = (1..8usize, 1..21usize, 1..71usize, 1..71usize);
    let window = (
        prop_oneof![Just(1usize), Just(3), Just(5)],
        1..3usize,
        1..3usize,
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (size, window, flags, any::<u64>()).prop_map(|(size, window, flags, seed)| Shape {
        height: size.0,
        width: size.1,
        channels_in: size.2,
        channels_out: size.3,
        kernel: window.0,
        stride: window.1,
        dilation: window.2,
        merged: flags.0,
        image: flags.1,
        added: flags.2,
        clamped: flags.3,
        seed,
    })
}

/// Numbers without end (splitmix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In −1..1.
    pub fn real(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }

    /// Any byte, often an extreme one.
    fn byte(&mut self) -> u8 {
        match self.next() % 4 {
            0 => [0, 255, 127, 129][self.next() as usize % 4],
            _ => self.next() as u8,
        }
    }

    pub fn codes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// Weights in −127..=127.
    pub fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.byte() as i8).max(-127)).collect()
    }

    /// A bias per channel, and zeros up to whole lanes.
    pub fn bias(&mut self, channels: usize, lanes: usize) -> Vec<f32> {
        let mut bias = self.reals(channels);
        bias.resize(channels.next_multiple_of(lanes), 0.0);
        bias
    }

    /// A bias and a scale per channel of a sum of `depth` products, and zeros up to whole lanes.
    /// Some scales make ties of rounding, some leave all codes behind.
    pub fn bias_and_scale(
        &mut self,
        depth: usize,
        channels: usize,
        lanes: usize,
    ) -> (Vec<i32>, Vec<f32>) {
        let mut bias = vec![0; channels.next_multiple_of(lanes)];
        let mut scale = vec![0.0; bias.len()];
        for channel in 0..channels {
            bias[channel] = (self.real() * 3000.0 * depth as f32) as i32;
            scale[channel] = match self.below(8) {
                0 => 1e30,
                1 => 0.5,
                2 => 1.0 / 1024.0,
                _ => self.real().abs() * 0.02 / depth as f32,
            };
        }
        (bias, scale)
    }

    /// In `0..end`.
    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn code(&mut self, clamped: bool) -> Code {
        let zero = self.below(256) as i32;
        match clamped {
            true => {
                let least = self.below(200) as i32;
                Code {
                    zero,
                    least,
                    most: least + self.below(56) as i32,
                }
            }
            false => Code {
                zero,
                least: 0,
                most: 255,
            },
        }
    }
}

/// Where the elements of an input lie.
pub struct Layout {
    pub pitch: usize,
    /// Elements of the whole tensor.
    pub len: usize,
    /// Start of each tap of a window.
    pub taps: Vec<usize>,
    pub down: usize,
    pub right: usize,
}

impl Layout {
    pub fn new(shape: &Shape, channels: usize, pitch: usize) -> Self {
        let reach = (shape.kernel - 1) * shape.dilation;
        let columns = (shape.width - 1) * shape.stride + 1 + reach;
        let lines = (shape.height - 1) * shape.stride + 1 + reach;
        let row = columns * pitch + shape.seed as usize % 3 * pitch;
        let offsets = (0..shape.kernel * shape.kernel).map(|tap| {
            let (y, x) = (tap / shape.kernel, tap % shape.kernel);
            shape.dilation * (y * row + x * pitch)
        });
        Self {
            pitch,
            len: (lines - 1) * row + (columns - 1) * pitch + channels,
            taps: offsets.collect(),
            down: shape.stride * row,
            right: shape.stride * pitch,
        }
    }

    pub fn reads<T>(&self, tensor: &[T]) -> Reads<T> {
        assert_eq!(tensor.len(), self.len);
        Reads {
            first: tensor.as_ptr(),
            down: self.down,
            right: self.right,
        }
    }
}

/// The runs of a dense window and which of their elements are no channel's.
pub struct Runs {
    pub starts: Vec<usize>,
    pub run: usize,
    pub pads: Vec<bool>,
}

impl Runs {
    pub fn new(shape: &Shape, layout: &Layout) -> Self {
        let taps = layout.taps.iter().copied();
        let mut runs = match shape.merged && shape.dilation == 1 {
            true => Self {
                starts: taps.step_by(shape.kernel).collect(),
                run: (shape.kernel - 1) * layout.pitch + shape.channels_in,
                pads: vec![],
            },
            false => Self {
                starts: taps.collect(),
                run: shape.channels_in,
                pads: vec![],
            },
        };
        let is_pad = (0..runs.run).map(|k| k % layout.pitch >= shape.channels_in);
        let of_run: Vec<bool> = is_pad.collect();
        runs.pads = of_run.repeat(runs.starts.len());
        runs
    }

    /// Zeroes the weights `[runs × run][channels]` of pads.
    pub fn clear_pads<T: Default + Clone>(&self, weights: &mut [T], channels: usize) {
        for (k, &pad) in self.pads.iter().enumerate() {
            if pad {
                weights[k * channels..][..channels].fill(T::default());
            }
        }
    }
}

/// An output, with more room in a pixel and a row than channels and columns need.
pub struct Output<T> {
    pub values: Vec<T>,
    row: usize,
    pitch: usize,
}

impl<T: Copy> Output<T> {
    pub fn new(shape: &Shape, channels: usize, lanes: usize, value: T) -> Self {
        let extra = shape.seed as usize / 3 % 2 * lanes;
        let pitch = channels.next_multiple_of(lanes) + extra;
        let row = shape.width * pitch + extra;
        Self {
            values: vec![value; shape.height * row],
            row,
            pitch,
        }
    }

    pub fn plane(&self) -> Plane<*const T> {
        Plane {
            first: self.values.as_ptr(),
            row: self.row,
            pitch: self.pitch,
        }
    }

    pub fn plane_mut(&mut self) -> Plane<*mut T> {
        Plane {
            first: self.values.as_mut_ptr(),
            row: self.row,
            pitch: self.pitch,
        }
    }

    /// Whose each element is.
    pub fn owners(&self, shape: &Shape, channels: usize, lanes: usize) -> Vec<Owner> {
        let padded = channels.next_multiple_of(lanes);
        let owner =
            |index: usize| match (index % self.row / self.pitch, index % self.row % self.pitch) {
                (column, _) if column >= shape.width => Owner::Nobody,
                (_, channel) if channel < channels => Owner::Channel,
                (_, channel) if channel < padded => Owner::Pad,
                _ => Owner::Nobody,
            };
        (0..self.values.len()).map(owner).collect()
    }
}

/// Whose an element of an output is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    Channel,
    Pad,
    Nobody,
}

/// Limits before and after the addition.
pub fn clamps(shape: &Shape) -> (Clamp, Clamp) {
    match (shape.clamped, shape.added) {
        (false, _) => (FREE, FREE),
        (true, false) => (
            Clamp {
                least: 0.0,
                most: 6.0,
            },
            FREE,
        ),
        (true, true) => (
            Clamp {
                least: -1.0,
                most: 3.0,
            },
            Clamp { least: 0.0, ..FREE },
        ),
    }
}

/// What a test of a kernel over codes writes and reads besides the input.
pub struct Codes {
    pub y: Output<u8>,
    pub y_real: Output<f32>,
    added: Output<u8>,
    added_real: Output<f32>,
}

impl Codes {
    /// Three times the same.
    pub fn three(shape: &Shape, channels: usize, lanes: usize, random: &mut Random) -> [Self; 3] {
        let seed = random.next();
        [(); 3].map(|()| Self::new(shape, channels, lanes, &mut Random(seed)))
    }

    fn new(shape: &Shape, channels: usize, lanes: usize, random: &mut Random) -> Self {
        let mut added = Output::new(shape, channels, lanes, 0);
        added.values = random.codes(added.values.len());
        let mut added_real = Output::new(shape, channels, lanes, 0.0);
        added_real.values = random.reals(added_real.values.len());
        Self {
            y: Output::new(shape, channels, lanes, UNTOUCHED_CODE),
            y_real: Output::new(shape, channels, lanes, UNTOUCHED),
            added,
            added_real,
        }
    }

    /// The epilogue of a shape.
    pub fn after(&mut self, shape: &Shape) -> After {
        let mut random = Random(!shape.seed);
        if random.below(3) == 0 {
            let (pre, post) = clamps(shape);
            let added = shape.added.then(|| self.added_real.plane());
            return After::Real {
                pre,
                added,
                post,
                y: self.y_real.plane_mut(),
            };
        }
        let code = random.code(shape.clamped);
        let added = shape.added.then(|| AddedCode {
            plane: self.added.plane(),
            zero: random.below(256) as i32,
            own: random.real().abs() * 2.0,
            other: random.real().abs() * 2.0,
            code: random.code(shape.clamped),
        });
        After::Code {
            code,
            added,
            y: self.y.plane_mut(),
        }
    }
}

/// Splits the rows of an output where one call may end and another begin.
pub fn split(shape: &Shape) -> Vec<Range<usize>> {
    let cut = shape.seed as usize % shape.height;
    let parts = [cut..shape.height, 0..cut].into_iter();
    parts.filter(|rows| !rows.is_empty()).collect()
}
