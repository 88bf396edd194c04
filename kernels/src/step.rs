//! Steps: tasks with packed weights and addresses relative to the arena.

use crate::convolve::{coded_conv, real_conv};
use crate::error::GraphError;
use crate::fuse::{Fused, Kind};
use crate::graph::{Conv, Graph, Upsample, Window};
use crate::kernel::{Clamp, Code, Kernels, Packed};
use crate::layout::{Change, Layout, Leg, Place, Task, Tensor, Work, task_conv};
use crate::ops::{Recode, SumCodes};

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

/// Compiles all tasks; places are decided. Takes the weights out of the graph.
pub(crate) fn compile(
    graph: &mut Graph,
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
            if let Work::Fused(index) = task.work
                && let Kind::Real { conv, .. } | Kind::Coded { conv, .. } = fused[index].kind
            {
                graph.drop_weights(conv);
            }
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
