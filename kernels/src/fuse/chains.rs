//! What is fused around a convolution, an addition or an upsampling.

use super::{Coded, CodedOut, FREE, Kind, Operand, Pass};
use crate::graph::{Coding, Conv, Op, Upsample, Value, Weights, Window};
use crate::kernel::{Clamp, Code};

impl Pass<'_> {
    pub(super) fn bilinear(&mut self, index: usize) {
        let input = self.graph.nodes[index].inputs[0];
        if let (Some(x), Some((quantize, out))) = (self.coded[input.0], self.next_quantize(index)) {
            let kind = Kind::UpsampleCodes([x.coding, out]);
            self.emit(kind, vec![codes(x.holder)], index, &[quantize]);
        } else {
            let x = self.real(input);
            self.emit(Kind::Upsample(Upsample::Bilinear), vec![x], index, &[]);
        }
    }

    pub(super) fn real_conv(&mut self, index: usize, conv: &Conv) {
        let (mut input, mut window) = (self.graph.nodes[index].inputs[0], conv.window);
        while let Op::Pad { before, after } = self.op(input.0) {
            pad(&mut window, before, after);
            input = self.graph.nodes[input.0].inputs[0];
        }
        let x = self.real(input);
        let (mut inputs, mut nodes, mut last) = (vec![x], Vec::new(), index);
        let (pre, post) = self.real_tail(&mut inputs, &mut nodes, &mut last);
        let kind = Kind::Real {
            conv: index,
            window,
            pre,
            post,
        };
        self.emit(kind, inputs, index, &nodes);
    }

    /// Takes the clip, addition and clip that follow real numbers.
    fn real_tail(
        &mut self,
        inputs: &mut Vec<Operand>,
        nodes: &mut Vec<usize>,
        last: &mut usize,
    ) -> (Clamp, Clamp) {
        let clips = self.clips(*last);
        let (pre, mut post) = (clips.clamp, FREE);
        nodes.extend(&clips.nodes);
        *last = clips.last;
        if let Some((add, other)) = self.next_add(*last) {
            inputs.push(self.real(other));
            let clips = self.clips(add);
            nodes.push(add);
            nodes.extend(&clips.nodes);
            (post, *last) = (clips.clamp, clips.last);
        }
        (pre, post)
    }

    pub(super) fn coded_conv(&mut self, index: usize, conv: &Conv, mut x: Coded) {
        let mut window = conv.window;
        while let Op::Pad { before, after } = self.op(x.holder.0) {
            let input = self.graph.nodes[x.holder.0].inputs[0];
            let Some(inner) = self.coded[input.0] else {
                break;
            };
            pad(&mut window, before, after);
            x.holder = inner.holder;
        }
        let (mut inputs, mut nodes, mut last) = (vec![codes(x.holder)], Vec::new(), index);
        let clips = self.clips(index);
        let out = if let Some((quantize, coding)) = self.next_quantize(clips.last) {
            nodes.extend(&clips.nodes);
            nodes.push(quantize);
            let added = self.coded_residual(quantize).map(|sum| {
                nodes.extend(&sum.nodes);
                inputs.push(codes(sum.other.holder));
                (sum.other.coding, sum.coding, code(&sum.coding, sum.clamp))
            });
            CodedOut::Code {
                coding,
                code: code(&coding, clips.clamp),
                added,
            }
        } else {
            let (pre, post) = self.real_tail(&mut inputs, &mut nodes, &mut last);
            CodedOut::Real { pre, post }
        };
        let kind = Kind::Coded {
            conv: index,
            window,
            x: x.coding,
            out,
        };
        self.emit(kind, inputs, index, &nodes);
    }

    /// The sum of codes that alone uses the codes of a quantize node.
    fn coded_residual(&self, quantize: usize) -> Option<Sum> {
        let dequantize = self.next(quantize)?;
        let Op::Dequantize(own) = *self.op(dequantize) else {
            return None;
        };
        if self.coded[quantize]?.coding != own {
            return None;
        }
        let (add, other) = self.next_add(dequantize)?;
        let other = self.coded[other.0]?;
        let clips = self.clips(add);
        let (last, coding) = self.next_quantize(clips.last)?;
        let mut nodes = vec![dequantize, add];
        nodes.extend(&clips.nodes);
        nodes.push(last);
        Some(Sum {
            nodes,
            other,
            coding,
            clamp: clips.clamp,
        })
    }

    pub(super) fn add(&mut self, index: usize) {
        let inputs = self.graph.nodes[index].inputs.clone();
        let Clips {
            mut nodes,
            last,
            clamp,
        } = self.clips(index);
        let quantize = self.next_quantize(last);
        let coded = (self.coded[inputs[0].0], self.coded[inputs[1].0], quantize);
        if let (Some(a), Some(b), Some((quantize, out))) = coded {
            nodes.push(quantize);
            let kind = Kind::AddCodes {
                inputs: [a.coding, b.coding],
                out,
                code: code(&out, clamp),
            };
            self.emit(kind, vec![codes(a.holder), codes(b.holder)], index, &nodes);
        } else {
            let operands = inputs.iter().map(|&input| self.real(input)).collect();
            self.emit(Kind::AddReal(clamp), operands, index, &nodes);
        }
    }
}

/// Takes zeros around a picture into the window's own.
fn pad(window: &mut Window, before: &[usize; 2], after: &[usize; 2]) {
    for axis in 0..2 {
        window.before[axis] += before[axis];
        window.after[axis] += after[axis];
    }
}

/// Products in a sum, each tap's channels padded to whole groups.
pub(super) fn depth(conv: &Conv) -> usize {
    let taps: usize = conv.window.size.iter().product();
    let codes = match &conv.weights {
        Weights::Real(real) => real.len(),
        Weights::Codes { codes, .. } => codes.len(),
    };
    taps * (codes / (conv.bias.len() * taps)).next_multiple_of(8)
}

/// Clips one after another, as one.
pub(super) struct Clips {
    pub nodes: Vec<usize>,
    pub last: usize,
    pub clamp: Clamp,
}

/// A residual, and the nodes that add it.
struct Sum {
    nodes: Vec<usize>,
    other: Coded,
    coding: Coding,
    clamp: Clamp,
}

/// The codes of a value.
pub(super) fn codes(value: Value) -> Operand {
    Operand { value, codes: true }
}

/// Limits of real numbers as limits of their codes: rounding keeps order, so both ways are one.
fn code(coding: &Coding, clamp: Clamp) -> Code {
    Code {
        zero: coding.zero,
        least: coding.code(clamp.least),
        most: coding.code(clamp.most),
    }
}
