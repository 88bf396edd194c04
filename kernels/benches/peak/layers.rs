//! Layers of mobile networks and pose networks, over random tensors.

use std::fmt;

use crate::isa::Isa;
use crate::kernel::{
    After, Clamp, Code, DenseF32, DenseU8, DepthwiseF32, DepthwiseU8, Plane, Reads,
};

/// What a layer computes.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Dense,
    Depthwise,
}

/// A convolution with a square output.
pub struct Layer {
    pub kind: Kind,
    kernel: usize,
    stride: usize,
    side: usize,
    inputs: usize,
    outputs: usize,
}

const fn dense(kernel: usize, stride: usize, side: usize, inputs: usize, outputs: usize) -> Layer {
    Layer {
        kind: Kind::Dense,
        kernel,
        stride,
        side,
        inputs,
        outputs,
    }
}

const fn depthwise(kernel: usize, stride: usize, side: usize, channels: usize) -> Layer {
    Layer {
        kind: Kind::Depthwise,
        kernel,
        stride,
        side,
        inputs: channels,
        outputs: channels,
    }
}

pub const LAYERS: &[Layer] = &[
    dense(1, 1, 112, 24, 64),
    dense(1, 1, 56, 144, 24),
    dense(1, 1, 28, 240, 40),
    dense(1, 1, 14, 672, 112),
    dense(1, 1, 14, 112, 672),
    dense(1, 1, 7, 1152, 320),
    dense(3, 2, 112, 3, 32),
    dense(3, 1, 64, 64, 64),
    dense(3, 1, 32, 64, 64),
    dense(3, 1, 8, 256, 256),
    depthwise(3, 1, 56, 144),
    depthwise(3, 2, 56, 64),
    depthwise(3, 1, 14, 96),
    depthwise(3, 1, 14, 480),
    depthwise(5, 1, 14, 672),
    depthwise(5, 2, 28, 240),
];

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layer {
            kernel,
            stride,
            side,
            inputs,
            outputs,
            ..
        } = self;
        match self.kind {
            Kind::Dense => write!(f, "{kernel}×{kernel} ")?,
            Kind::Depthwise => write!(f, "depthwise {kernel}×{kernel} ")?,
        }
        if *stride > 1 {
            write!(f, "/{stride} ")?;
        }
        match self.kind {
            Kind::Dense => write!(f, "{side}² × {inputs} → {outputs}"),
            Kind::Depthwise => write!(f, "{side}² × {inputs}"),
        }
    }
}

impl Layer {
    /// Products of the layer.
    pub fn macs(&self) -> usize {
        self.side * self.side * self.outputs * self.depth()
    }

    fn depth(&self) -> usize {
        let taps = self.kernel * self.kernel;
        match self.kind {
            Kind::Dense => taps * self.inputs,
            Kind::Depthwise => taps,
        }
    }

    fn pitch(&self, lanes: usize) -> usize {
        if self.inputs < 4 {
            self.inputs
        } else {
            self.inputs.next_multiple_of(lanes)
        }
    }

    fn row(&self, lanes: usize) -> usize {
        ((self.side - 1) * self.stride + self.kernel) * self.pitch(lanes)
    }

    /// Elements of the input.
    fn len(&self, lanes: usize) -> usize {
        ((self.side - 1) * self.stride + self.kernel) * self.row(lanes)
    }

    fn reads<T>(&self, x: &[T], lanes: usize) -> Reads<T> {
        let (pitch, row) = (self.pitch(lanes), self.row(lanes));
        Reads {
            first: x.as_ptr(),
            down: self.stride * row,
            right: self.stride * pitch,
        }
    }

    /// Starts of the runs of a dense window, and their length.
    fn runs(&self, lanes: usize) -> (Vec<usize>, usize) {
        let (pitch, row) = (self.pitch(lanes), self.row(lanes));
        if pitch == self.inputs {
            (
                (0..self.kernel).map(|y| y * row).collect(),
                self.kernel * pitch,
            )
        } else {
            (self.taps(lanes), self.inputs)
        }
    }

    fn taps(&self, lanes: usize) -> Vec<usize> {
        let (pitch, row) = (self.pitch(lanes), self.row(lanes));
        let taps = 0..self.kernel * self.kernel;
        taps.map(|tap| tap / self.kernel * row + tap % self.kernel * pitch)
            .collect()
    }
}

const RELU: Clamp = Clamp {
    least: 0.0,
    most: 6.0,
};
const FREE: Clamp = Clamp {
    least: f32::NEG_INFINITY,
    most: f32::INFINITY,
};

/// The layer over f32 with a ReLU6.
pub fn f32(isa: Isa, layer: &Layer) -> Box<dyn FnMut() + '_> {
    let kernels = isa.kernels();
    let lanes = kernels.lanes;
    let x = reals(layer.len(lanes));
    let padded = layer.outputs.next_multiple_of(lanes);
    let bias = reals(padded);
    let mut y = vec![0.0f32; layer.side * layer.side * padded];
    let taps = layer.taps(lanes);
    let (runs, run) = layer.runs(lanes);
    let weights = match layer.kind {
        Kind::Dense => reals(layer.depth() * layer.outputs),
        Kind::Depthwise => reals(layer.depth() * padded),
    };
    let packed = match layer.kind {
        Kind::Dense => (kernels.pack_dense_f32)(&weights, layer.depth(), layer.outputs),
        Kind::Depthwise => (kernels.pack_dense_f32)(&[], 0, 0),
    };
    Box::new(move || {
        let x = layer.reads(&x, lanes);
        let y = Plane {
            first: y.as_mut_ptr(),
            row: layer.side * padded,
            pitch: padded,
        };
        let (channels, width) = (layer.outputs, layer.side);
        match layer.kind {
            Kind::Dense => {
                let arguments = DenseF32 {
                    x,
                    runs: &runs,
                    run,
                    weights: &packed,
                    bias: &bias,
                    channels,
                    width,
                    pre: RELU,
                    added: None,
                    post: FREE,
                    y,
                };
                // SAFETY: the tensors have the sizes of the layer.
                unsafe { (kernels.dense_f32)(&arguments, 0..layer.side) };
            }
            Kind::Depthwise => {
                let arguments = DepthwiseF32 {
                    x,
                    taps: &taps,
                    weights: &weights,
                    bias: &bias,
                    channels,
                    width,
                    pre: RELU,
                    added: None,
                    post: FREE,
                    y,
                };
                // SAFETY: as above.
                unsafe { (kernels.depthwise_f32)(&arguments, 0..layer.side) };
            }
        }
    })
}

/// The layer over codes, codes out.
pub fn u8(isa: Isa, layer: &Layer) -> Box<dyn FnMut() + '_> {
    let kernels = isa.kernels();
    let lanes = kernels.lanes;
    let x = bytes(layer.len(lanes));
    let padded = layer.outputs.next_multiple_of(lanes);
    let (bias, scale) = (vec![0; padded], vec![1e-3; padded]);
    let mut y = vec![0u8; layer.side * layer.side * padded];
    let taps = layer.taps(lanes);
    let (runs, run) = layer.runs(lanes);
    let (depth, outputs) = (layer.depth(), layer.outputs);
    let weights: Vec<i8> = bytes(depth * outputs)
        .into_iter()
        .map(|w| (w as i8).max(-127))
        .collect();
    let packed = match layer.kind {
        Kind::Dense => (kernels.pack_dense_u8)(&weights, runs.len(), run, outputs),
        Kind::Depthwise => (kernels.pack_depthwise_u8)(&weights, depth, outputs),
    };
    Box::new(move || {
        let x = layer.reads(&x, lanes);
        let y = Plane {
            first: y.as_mut_ptr(),
            row: layer.side * padded,
            pitch: padded,
        };
        let code = Code {
            zero: 100,
            least: 0,
            most: 255,
        };
        let after = After::Code {
            code,
            added: None,
            y,
        };
        let (channels, width) = (layer.outputs, layer.side);
        match layer.kind {
            Kind::Dense => {
                let arguments = DenseU8 {
                    x,
                    runs: &runs,
                    run,
                    weights: &packed,
                    bias: &bias,
                    scale: &scale,
                    channels,
                    width,
                    after,
                };
                // SAFETY: the tensors have the sizes of the layer.
                unsafe { (kernels.dense_u8)(&arguments, 0..layer.side) };
            }
            Kind::Depthwise => {
                let arguments = DepthwiseU8 {
                    x,
                    taps: &taps,
                    weights: &packed,
                    bias: &bias,
                    scale: &scale,
                    channels,
                    width,
                    after,
                };
                // SAFETY: as above.
                unsafe { (kernels.depthwise_u8)(&arguments, 0..layer.side) };
            }
        }
    })
}

fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn reals(count: usize) -> Vec<f32> {
    bytes(count)
        .into_iter()
        .map(|byte| f32::from(byte) / 128.0 - 1.0)
        .collect()
}
