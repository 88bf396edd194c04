//! Steps: tasks with packed weights and addresses relative to the arena.

use crate::error::GraphError;
use crate::fuse::{CodedOut, Fused, Kind};
use crate::graph::{Coding, Conv, Graph, Upsample, Weights, Window};
use crate::kernel::{Clamp, Code, Kernels, Packed};
use crate::layout::{Change, Layout, Leg, Place, Task, Tensor, Work, task_conv};
use crate::ops::{self, Recode, SumCodes};

/// Most output channels of a convolution that is vectorised along its depth.
const NARROW: usize = 2;

/// Most legs of a copy.
pub(crate) const MAX_LEGS: usize = 6;

/// A tensor's interior: `height` rows of `width` pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub place: Place,
    /// Elements before the interior.
    pub skip: usize,
    pub row: usize,
    pub pitch: usize,
    pub height: usize,
    pub width: usize,
}

impl Area {
    fn new(tensor: &Tensor) -> Self {
        Self {
            place: tensor.place,
            skip: tensor.interior(),
            row: tensor.row(),
            pitch: tensor.pitch,
            height: tensor.height,
            width: tensor.width,
        }
    }

    /// Elements from the first of the interior to its last.
    pub fn span(&self) -> usize {
        (self.height - 1) * self.row + self.width * self.pitch
    }
}

/// Where a convolution's windows lie.
pub(crate) struct Windows {
    /// From the tensor's start to the first window.
    pub skip: usize,
    pub down: usize,
    pub right: usize,
    /// Starts of runs or taps.
    pub starts: Vec<usize>,
    pub run: usize,
}

/// A copy's loops, slowest first: size, elements to go on in the source and in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loop {
    pub size: usize,
    pub from: usize,
    pub to: usize,
}

pub(crate) enum RealWeights {
    Dense(Packed),
    /// `[taps][pitch]`.
    Depthwise(Vec<f32>),
    /// `[channels][depth]`, for so few output channels that vectors run along the depth.
    Narrow(Vec<f32>),
}

pub(crate) struct RealConv {
    pub windows: Windows,
    pub weights: RealWeights,
    pub bias: Vec<f32>,
    pub channels: usize,
    pub pre: Clamp,
    pub post: Clamp,
}

pub(crate) struct CodedConv {
    pub windows: Windows,
    pub weights: Packed,
    pub bias: Vec<i32>,
    pub scale: Vec<f32>,
    pub channels: usize,
    pub depthwise: bool,
    pub out: Out,
}

pub(crate) enum Out {
    Real { pre: Clamp, post: Clamp },
    Code { code: Code, added: Option<Residual> },
}

/// See [`crate::kernel::AddedCode`].
pub(crate) struct Residual {
    pub zero: i32,
    pub own: f32,
    pub other: f32,
    pub code: Code,
}

pub(crate) enum Action {
    Real(RealConv),
    Coded(CodedConv),
    Add(Clamp),
    AddCodes(SumCodes),
    Clip(Clamp),
    Sigmoid,
    MaxPool(Window),
    Upsample(Upsample),
    UpsampleCodes(Recode),
    Copy {
        change: Change,
        loops: Vec<Loop>,
        /// Elements of the target before the first, from the interior.
        skip: usize,
    },
}

pub(crate) struct Step {
    pub name: String,
    pub label: String,
    pub action: Action,
    pub inputs: Vec<Area>,
    pub codes: [bool; 2],
    pub output: Area,
    /// Tensor whose border the step fills, with what.
    pub border: Option<(Tensor, u8)>,
    /// Shares that threads may take.
    pub units: usize,
    pub macs: u64,
    pub nodes: usize,
}

impl Step {
    /// Bytes of weights, biases and scales.
    pub fn weight_bytes(&self) -> usize {
        match &self.action {
            Action::Real(conv) => {
                let weights = match &conv.weights {
                    RealWeights::Dense(packed) => 64 * packed.0.len(),
                    RealWeights::Depthwise(reals) | RealWeights::Narrow(reals) => 4 * reals.len(),
                };
                weights + 4 * conv.bias.len()
            }
            Action::Coded(conv) => 64 * conv.weights.0.len() + 8 * conv.bias.len(),
            _ => 0,
        }
    }
}

/// Compiles all tasks; places are decided.
pub(crate) fn compile(
    graph: &Graph,
    fused: &[Fused],
    layout: &Layout,
    kernels: &Kernels,
) -> Result<Vec<Step>, GraphError> {
    let mut bordered = vec![false; layout.tensors.len()];
    layout
        .tasks
        .iter()
        .map(|task| {
            let step = compile_one(graph, fused, layout, kernels, task, !bordered[task.output]);
            bordered[task.output] = true;
            match &step.action {
                Action::Copy { loops, .. } if loops.len() > MAX_LEGS => Err(GraphError {
                    node: step.name,
                    op: "copy",
                    reason: format!("{} loops, at most {MAX_LEGS}", loops.len()),
                }),
                _ => Ok(step),
            }
        })
        .collect()
}

fn compile_one(
    graph: &Graph,
    fused: &[Fused],
    layout: &Layout,
    kernels: &Kernels,
    task: &Task,
    first: bool,
) -> Step {
    let tensor = |index: usize| &layout.tensors[index];
    let (input, output) = (tensor(task.inputs[0]), tensor(task.output));
    let conv = task_conv(graph, fused, task);
    let (action, label) = match &task.work {
        Work::Copy { change, legs, skip } => {
            let loops = loops(legs, input, output);
            let label = match change {
                Change::None => "copy",
                Change::Quantize(_) => "quantize",
                Change::Dequantize(_) => "dequantize",
            };
            let skip = skip.map_or(0, |(axis, steps)| steps * output.stride(axis));
            let action = Action::Copy {
                change: *change,
                loops,
                skip,
            };
            (action, label.to_owned())
        }
        Work::Fused(index) => match (&fused[*index].kind, conv) {
            (Kind::Real { pre, post, .. }, Some((conv, window))) => {
                let label = conv_label("f32", conv, task.inputs.len() > 1);
                let real = real_conv(conv, &window, kernels, input, (*pre, *post));
                (Action::Real(real), label)
            }
            (Kind::Coded { x, out, .. }, Some((conv, window))) => {
                let label = conv_label("u8", conv, task.inputs.len() > 1);
                (
                    Action::Coded(coded_conv(conv, &window, kernels, input, x, out)),
                    label,
                )
            }
            (kind, _) => other(kind),
        },
    };
    let units = match &action {
        Action::Copy { loops, .. } => loops.first().map_or(1, |l| l.size),
        _ => output.height,
    };
    let has_border = output.border != [0; 4];
    Step {
        name: task.name.clone(),
        label,
        action,
        inputs: task.inputs.iter().map(|&i| Area::new(tensor(i))).collect(),
        codes: [input.codes, output.codes],
        output: Area::new(output),
        border: (first && has_border).then(|| (output.clone(), output.zero as u8)),
        units,
        macs: conv.map_or(0, |(conv, _)| {
            let window: usize = conv.window.size.iter().product();
            let depth = window * input.channels / conv.groups;
            (output.height * output.width * output.channels * depth) as u64
        }),
        nodes: task.nodes,
    }
}

fn other(kind: &Kind) -> (Action, String) {
    let (action, label) = match kind {
        Kind::AddReal(clamp) => (Action::Add(*clamp), "f32 add"),
        Kind::AddCodes { inputs, out, code } => {
            let sum = SumCodes {
                zeros: inputs.map(|c| c.zero),
                scales: inputs.map(|c| c.scale / out.scale),
                code: *code,
            };
            (Action::AddCodes(sum), "u8 add")
        }
        Kind::Clip(clamp) => (Action::Clip(*clamp), "f32 clip"),
        Kind::Sigmoid => (Action::Sigmoid, "f32 sigmoid"),
        Kind::MaxPool(window) => (Action::MaxPool(*window), "max pool"),
        Kind::Upsample(how) => match how {
            Upsample::Nearest => (Action::Upsample(*how), "nearest upsample"),
            Upsample::Bilinear => (Action::Upsample(*how), "bilinear upsample"),
        },
        Kind::UpsampleCodes([x, y]) => {
            let recode = Recode {
                zeros: [x.zero, y.zero],
                scale: x.scale / y.scale,
            };
            (Action::UpsampleCodes(recode), "u8 bilinear upsample")
        }
        // Views have no task; conversions and concatenations are copies.
        Kind::Real { .. }
        | Kind::Coded { .. }
        | Kind::Quantize(_)
        | Kind::Dequantize(_)
        | Kind::Reshape
        | Kind::Permute(_)
        | Kind::Concat(_) => unreachable!("compiled as a convolution or a copy"),
    };
    (action, label.to_owned())
}

fn conv_label(kind: &str, conv: &Conv, added: bool) -> String {
    let [h, w] = conv.window.size;
    let depthwise = if conv.groups > 1 { " depthwise" } else { "" };
    let [stride, _] = conv.window.stride;
    let stride = if stride > 1 {
        format!(" /{stride}")
    } else {
        String::new()
    };
    let added = if added { " + add" } else { "" };
    format!("{kind}{depthwise} {h}×{w}{stride}{added}")
}

fn windows(conv: &Conv, window: &Window, x: &Tensor) -> Windows {
    let (row, pitch) = (x.row(), x.pitch);
    let first = (x.border[0] - window.before[0]) * row + (x.border[1] - window.before[1]) * pitch;
    let [rows, columns] = window.size;
    // Without gaps between pixels a window's row is one run.
    let joined = conv.groups == 1
        && window.dilation[1] == 1
        && pitch == x.channels.next_multiple_of(if x.codes { 4 } else { 1 });
    let (columns, run) = if joined {
        (1, columns * pitch)
    } else {
        (columns, x.channels)
    };
    let mut starts = Vec::with_capacity(rows * columns);
    for y in 0..rows {
        for x in 0..columns {
            starts.push(y * window.dilation[0] * row + x * window.dilation[1] * pitch);
        }
    }
    Windows {
        skip: first,
        down: window.stride[0] * row,
        right: window.stride[1] * pitch,
        starts,
        run,
    }
}

/// Weights as rows of output channels, one row an element of the window: `[runs × run][out]` for
/// a dense convolution, `[taps][out]` for a depthwise one.
fn by_depth<T: Copy + Default>(conv: &Conv, weights: &[T], windows: &Windows) -> Vec<T> {
    let out = conv.bias.len();
    let [rows, columns] = conv.window.size;
    let taps = rows * columns;
    let inner = weights.len() / (out * taps);
    // Elements of a run from a tap to the next.
    let depth = if conv.groups > 1 {
        1
    } else {
        windows.run * windows.starts.len() / taps
    };
    let mut sorted = vec![T::default(); taps * depth * out];
    for o in 0..out {
        for i in 0..inner {
            for tap in 0..taps {
                sorted[(tap * depth + i) * out + o] = weights[(o * inner + i) * taps + tap];
            }
        }
    }
    sorted
}

fn real_conv(
    conv: &Conv,
    window: &Window,
    kernels: &Kernels,
    x: &Tensor,
    (pre, post): (Clamp, Clamp),
) -> RealConv {
    let out = conv.bias.len();
    let windows = windows(conv, window, x);
    let real: Vec<f32> = match &conv.weights {
        Weights::Real(real) => real.clone(),
        Weights::Codes { codes, scales } => {
            let each = codes.len() / out;
            let real = |(i, &code): (usize, &i8)| f32::from(code) * scales[i / each];
            codes.iter().enumerate().map(real).collect()
        }
    };
    let rows = by_depth(conv, &real, &windows);
    let weights = if conv.groups > 1 {
        let lanes = out.next_multiple_of(kernels.lanes);
        let mut padded = Vec::with_capacity(windows.starts.len() * lanes);
        for tap in rows.chunks_exact(out) {
            padded.extend_from_slice(tap);
            padded.resize(padded.len().next_multiple_of(lanes), 0.0);
        }
        RealWeights::Depthwise(padded)
    } else if out <= NARROW && windows.run % ops::DEPTH_LANES == 0 {
        let depth = rows.len() / out;
        let turned = (0..out).flat_map(|o| (0..depth).map(move |i| (i, o)));
        RealWeights::Narrow(turned.map(|(i, o)| rows[i * out + o]).collect())
    } else {
        RealWeights::Dense((kernels.pack_dense_f32)(&rows, rows.len() / out, out))
    };
    let mut bias = conv.bias.clone();
    bias.resize(out.next_multiple_of(kernels.lanes), 0.0);
    RealConv {
        windows,
        weights,
        bias,
        channels: out,
        pre,
        post,
    }
}

fn coded_conv(
    conv: &Conv,
    window: &Window,
    kernels: &Kernels,
    x: &Tensor,
    coding: &Coding,
    out: &CodedOut,
) -> CodedConv {
    let channels = conv.bias.len();
    let windows = windows(conv, window, x);
    let (codes, scales) = match &conv.weights {
        Weights::Codes { codes, scales } => (codes, scales),
        Weights::Real(_) => unreachable!("fused only with codes"),
    };
    let rows = by_depth(conv, codes, &windows);
    let lanes = channels.next_multiple_of(kernels.lanes);
    let each = codes.len() / channels;
    let (mut bias, mut scale) = (vec![0; lanes], vec![0.0; lanes]);
    for c in 0..channels {
        let unit = coding.scale * scales[c];
        let sum: i64 = codes[c * each..][..each]
            .iter()
            .map(|&w| i64::from(w))
            .sum();
        let own = (f64::from(conv.bias[c]) / f64::from(unit)).round_ties_even() as i64;
        let whole = own + i64::from(kernels.code_offset - coding.zero) * sum;
        bias[c] = whole.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        scale[c] = match out {
            CodedOut::Code { coding, .. } => unit / coding.scale,
            CodedOut::Real { .. } => unit,
        };
    }
    let depthwise = conv.groups > 1;
    let weights = if depthwise {
        (kernels.pack_depthwise_u8)(&rows, windows.starts.len(), channels)
    } else {
        (kernels.pack_dense_u8)(&rows, windows.starts.len(), windows.run, channels)
    };
    let out = match *out {
        CodedOut::Real { pre, post } => Out::Real { pre, post },
        CodedOut::Code {
            coding,
            code,
            added,
        } => Out::Code {
            code,
            added: added.map(|(other, sum, code)| Residual {
                zero: other.zero,
                own: coding.scale / sum.scale,
                other: other.scale / sum.scale,
                code,
            }),
        },
    };
    CodedConv {
        windows,
        weights,
        bias,
        scale,
        channels,
        depthwise,
        out,
    }
}

/// A copy's loops: the fastest in the target last, neighbours that run on into each other joined.
fn loops(legs: &[Leg], from: &Tensor, to: &Tensor) -> Vec<Loop> {
    let mut loops: Vec<Loop> = legs
        .iter()
        .map(|leg| Loop {
            size: leg.from.size,
            from: leg.from.times * from.stride(leg.from.axis),
            to: leg.to.times * to.stride(leg.to.axis),
        })
        .collect();
    loops.sort_by_key(|l| std::cmp::Reverse((l.to, l.from)));
    let mut joined: Vec<Loop> = Vec::with_capacity(loops.len());
    for next in loops {
        match joined.last_mut() {
            Some(last) if last.from == next.size * next.from && last.to == next.size * next.to => {
                last.size *= next.size;
                last.from = next.from;
                last.to = next.to;
            }
            _ => joined.push(next),
        }
    }
    // A short last loop costs more than it saves: go on in the other tensor instead.
    if let [.., long, short] = &mut joined[..]
        && short.size < 8
        && long.size > short.size
    {
        std::mem::swap(long, short);
    }
    joined
}
