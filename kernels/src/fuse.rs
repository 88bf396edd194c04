//! Fusion: a graph's nodes become as few operations as there are kernels for.
//!
//! - convolution → clip → add → clip become one, over f32;
//! - dequantize → convolution → clip → quantize become one over codes, and so does the addition of
//!   a residual that follows (dequantize → add → clip → quantize);
//! - add → clip; dequantize, add, clip, quantize likewise;
//! - what only moves numbers (max pool, nearest upsample, views, concatenation) works on codes
//!   where its inputs are codes of one coding.
//!
//! Roundings stay where the graph has them.

mod chains;

use chains::{Clips, codes, depth};

use crate::error::GraphError;
use crate::graph::{Coding, Conv, Graph, Op, Upsample, Value, Weights, Window};
use crate::kernel::{Clamp, Code, DEPTH_MOST};

/// The numbers of a value: real, or codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operand {
    pub value: Value,
    pub codes: bool,
}

/// A value's codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coded {
    pub holder: Value,
    pub coding: Coding,
}

/// What a convolution over codes gives.
#[derive(Clone, Debug)]
pub(crate) enum CodedOut {
    /// Real numbers within `pre`, then `added` (the second input), then `post`.
    Real { pre: Clamp, post: Clamp },
    /// Codes; with a residual (the second input) its coding, the sum's coding and limits.
    Code {
        coding: Coding,
        code: Code,
        added: Option<(Coding, Coding, Code)>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Real {
        conv: usize,
        window: Window,
        pre: Clamp,
        post: Clamp,
    },
    Coded {
        conv: usize,
        window: Window,
        x: Coding,
        out: CodedOut,
    },
    AddReal(Clamp),
    AddCodes {
        inputs: [Coding; 2],
        out: Coding,
        code: Code,
    },
    Clip(Clamp),
    MaxPool(Window),
    Upsample(Upsample),
    /// Bilinear, from codes to codes.
    UpsampleCodes([Coding; 2]),
    Sigmoid,
    Quantize(Coding),
    Dequantize(Coding),
    Reshape,
    Permute(Vec<usize>),
    Concat(usize),
}

/// One operation after fusion.
#[derive(Clone, Debug)]
pub(crate) struct Fused {
    pub name: String,
    pub kind: Kind,
    pub inputs: Vec<Operand>,
    pub output: Operand,
    /// Zero point of an output of codes.
    pub zero: i32,
    /// Nodes of the graph that it replaces.
    pub nodes: usize,
    order: (usize, usize),
}

pub(crate) const FREE: Clamp = Clamp {
    least: f32::NEG_INFINITY,
    most: f32::INFINITY,
};

/// The weights and geometry behind an index of [`Kind`].
pub(crate) fn conv_of(graph: &Graph, index: usize) -> Option<&Conv> {
    match &graph.nodes[index].op {
        Op::Conv(conv) => Some(conv),
        _ => None,
    }
}

/// Fuses a graph; operations come in an order in which they can run.
///
/// # Errors
/// If zeros are added for something else than a convolution.
pub(crate) fn fuse(graph: &Graph) -> Result<Vec<Fused>, GraphError> {
    let mut pass = Pass::new(graph);
    for index in 0..graph.nodes.len() {
        if !pass.done[index] {
            pass.visit(index);
        }
    }
    for output in &graph.outputs {
        pass.real(*output);
    }
    let mut fused = pass.fused;
    fused.sort_by_key(|f| f.order);
    for read in fused.iter().flat_map(|f| &f.inputs) {
        let node = &graph.nodes[read.value.0];
        if matches!(node.op, Op::Pad { .. }) {
            return Err(GraphError {
                node: node.name.clone(),
                op: node.op.label(),
                reason: "read by something else than a convolution".to_owned(),
            });
        }
    }
    Ok(fused)
}

struct Pass<'a> {
    graph: &'a Graph,
    users: Vec<Vec<usize>>,
    coded: Vec<Option<Coded>>,
    /// Absorbed by an operation, or gone.
    done: Vec<bool>,
    /// Its real numbers are made by an operation.
    real: Vec<bool>,
    fused: Vec<Fused>,
}

impl<'a> Pass<'a> {
    fn new(graph: &'a Graph) -> Self {
        let n = graph.nodes.len();
        let mut users = vec![Vec::new(); n];
        for (index, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                users[input.0].push(index);
            }
        }
        for output in &graph.outputs {
            // An output counts twice, so it is never absorbed.
            users[output.0].extend([usize::MAX; 2]);
        }
        let mut pass = Self {
            graph,
            users,
            coded: vec![None; n],
            done: vec![false; n],
            real: vec![false; n],
            fused: Vec::new(),
        };
        for index in 0..n {
            pass.coded[index] = pass.coding(index);
        }
        pass
    }

    /// Where the codes of a node's output lie, by the structure alone.
    fn coding(&self, index: usize) -> Option<Coded> {
        let node = &self.graph.nodes[index];
        let of = |i: usize| self.coded[node.inputs[i].0];
        match &node.op {
            Op::Quantize(coding) => Some(match of(0) {
                Some(input) if input.coding == *coding => input,
                _ => Coded {
                    holder: Value(index),
                    coding: *coding,
                },
            }),
            Op::Dequantize(coding) => of(0).map(|input| Coded {
                holder: input.holder,
                coding: *coding,
            }),
            Op::MaxPool(_)
            | Op::Pad { .. }
            | Op::Upsample(Upsample::Nearest)
            | Op::Reshape(_)
            | Op::Permute(_)
            | Op::Concat(_) => {
                let first = of(0)?;
                for i in 1..node.inputs.len() {
                    if of(i)?.coding != first.coding {
                        return None;
                    }
                }
                Some(Coded {
                    holder: Value(index),
                    coding: first.coding,
                })
            }
            _ => None,
        }
    }

    fn op(&self, index: usize) -> &'a Op {
        &self.graph.nodes[index].op
    }

    /// The only user of a node's output.
    fn next(&self, index: usize) -> Option<usize> {
        match self.users[index][..] {
            [user] if user != usize::MAX && !self.done[user] => Some(user),
            _ => None,
        }
    }

    /// The clips that follow a node, one after another, as one.
    fn clips(&self, index: usize) -> Clips {
        let mut clips = Clips {
            nodes: Vec::new(),
            last: index,
            clamp: FREE,
        };
        while let Some(user) = self.next(clips.last) {
            let Op::Clip { least, most } = *self.op(user) else {
                break;
            };
            let limit = |x: f32| x.max(least).min(most);
            clips.clamp = Clamp {
                least: limit(clips.clamp.least),
                most: limit(clips.clamp.most),
            };
            clips.last = user;
            clips.nodes.push(user);
        }
        clips
    }

    fn next_quantize(&self, index: usize) -> Option<(usize, Coding)> {
        let user = self.next(index)?;
        match *self.op(user) {
            Op::Quantize(coding) => Some((user, coding)),
            _ => None,
        }
    }

    /// The addition that alone uses a node's output, and what it adds.
    fn next_add(&self, index: usize) -> Option<(usize, Value)> {
        let user = self.next(index)?;
        if *self.op(user) != Op::Add {
            return None;
        }
        let inputs = &self.graph.nodes[user].inputs;
        Some((user, inputs[usize::from(inputs[0].0 == index)]))
    }

    /// Demands the real numbers of a value.
    fn real(&mut self, value: Value) -> Operand {
        let operand = Operand {
            value,
            codes: false,
        };
        let Some(Coded { holder, coding }) = self.coded[value.0] else {
            return operand;
        };
        if !self.real[value.0] {
            self.real[value.0] = true;
            self.fused.push(Fused {
                name: self.graph.nodes[value.0].name.clone(),
                kind: Kind::Dequantize(coding),
                inputs: vec![codes(holder)],
                output: operand,
                zero: 0,
                nodes: 1,
                order: (value.0, 1),
            });
        }
        operand
    }

    fn emit(&mut self, kind: Kind, inputs: Vec<Operand>, first: usize, nodes: &[usize]) {
        let last = nodes.iter().copied().max().unwrap_or(first).max(first);
        let mut whole = nodes.len() + 1;
        for &node in nodes {
            self.done[node] = true;
        }
        self.done[first] = true;
        let coded = self.coded[last].filter(|c| c.holder.0 == last);
        if matches!(
            kind,
            Kind::Coded { .. } | Kind::AddCodes { .. } | Kind::UpsampleCodes(_)
        ) {
            // The dequantize nodes in front.
            whole += 1;
        }
        self.fused.push(Fused {
            name: self.graph.nodes[first].name.clone(),
            kind,
            inputs,
            output: Operand {
                value: Value(last),
                codes: coded.is_some(),
            },
            zero: coded.map_or(0, |c| c.coding.zero),
            nodes: whole,
            order: (last, 0),
        });
    }

    fn visit(&mut self, index: usize) {
        let node = &self.graph.nodes[index];
        let inputs = node.inputs.clone();
        match &node.op {
            Op::Input | Op::Dequantize(_) | Op::Pad { .. } => {}
            Op::Quantize(coding) => {
                if self.coded[index].is_some_and(|c| c.holder.0 == index) {
                    let x = self.real(inputs[0]);
                    self.emit(Kind::Quantize(*coding), vec![x], index, &[]);
                }
            }
            Op::Conv(conv) => match (self.coded[inputs[0].0], &conv.weights) {
                (Some(x), Weights::Codes { .. }) if depth(conv) <= DEPTH_MOST => {
                    self.coded_conv(index, conv, x);
                }
                _ => self.real_conv(index, conv),
            },
            Op::Add => self.add(index),
            Op::Clip { least, most } => {
                let x = self.real(inputs[0]);
                let clips = self.clips(index);
                let limit = |x: f32| x.max(clips.clamp.least).min(clips.clamp.most);
                let clamp = Clamp {
                    least: limit(*least),
                    most: limit(*most),
                };
                self.emit(Kind::Clip(clamp), vec![x], index, &clips.nodes);
            }
            Op::Sigmoid => {
                let x = self.real(inputs[0]);
                self.emit(Kind::Sigmoid, vec![x], index, &[]);
            }
            Op::MaxPool(window) => self.moving(index, Kind::MaxPool(*window)),
            Op::Upsample(Upsample::Bilinear) => self.bilinear(index),
            Op::Upsample(how) => self.moving(index, Kind::Upsample(*how)),
            Op::Reshape(_) => self.moving(index, Kind::Reshape),
            Op::Permute(order) => self.moving(index, Kind::Permute(order.clone())),
            Op::Concat(axis) => self.moving(index, Kind::Concat(*axis)),
        }
    }

    /// What works on codes as on real numbers.
    fn moving(&mut self, index: usize, kind: Kind) {
        let inputs = self.graph.nodes[index].inputs.clone();
        let as_codes = self.coded[index].is_some();
        let operands = inputs
            .iter()
            .map(|&input| match self.coded[input.0] {
                Some(coded) if as_codes => codes(coded.holder),
                _ => self.real(input),
            })
            .collect();
        self.emit(kind, operands, index, &[]);
    }
}
