//! Convolutions compiled: where their windows lie, and their weights in the kernels' order.

use crate::fuse::CodedOut;
use crate::graph::{Coding, Conv, Weights, Window};
use crate::kernel::{Clamp, Kernels};
use crate::layout::Tensor;
use crate::ops;
use crate::step::{CodedConv, Out, RealConv, RealWeights, Residual, Windows};

/// Most output channels of a convolution that is vectorised along its depth.
const NARROW: usize = 2;

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

/// A convolution over f32.
pub(crate) fn real_conv(
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
    } else if out <= NARROW && windows.run.is_multiple_of(ops::DEPTH_LANES) {
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

/// A convolution over codes.
pub(crate) fn coded_conv(
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
