//! Which of tract's operators there are kernels for, and as what.

use neuralsmpl_kernels::{Coding, Conv, Op as KernelOp, Upsample, Weights, Window};
use tract_onnx::tract_core::ops::array::{Pad, PadMode, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv as TractConv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::nn::resize::{CoordTransformer, Interpolator};
use tract_onnx::tract_hir::internal::*;
use tract_onnx_opl::resize::{CoordTransform, Nearest, Resize};

use super::quant_ops::{Dequantize, LinearCoding, Quantize};

/// A node that a region can hold.
pub(super) struct Known {
    pub op: KernelOp,
    /// What it reads, constants apart.
    pub inputs: TVec<OutletId>,
}

/// Recognises a node; `None` leaves it to tract.
pub(super) fn recognise(model: &TypedModel, node: &TypedNode) -> Option<Known> {
    let whole = |op| {
        Some(Known {
            op,
            inputs: tvec!(node.inputs[0]),
        })
    };
    let shape = |outlet: OutletId| -> Option<TVec<usize>> {
        let fact = model.outlet_fact(outlet).ok()?;
        fact.shape.as_concrete().map(|s| s.into())
    };
    if node.outputs.len() != 1 || node.inputs.is_empty() {
        return None;
    }
    let (from, to) = (shape(node.inputs[0])?, shape(node.id.into())?);
    if from.iter().chain(&to).any(|&n| n == 0) {
        return None;
    }
    if let Some(op) = node.op_as::<Quantize>() {
        return whole(KernelOp::Quantize(scalar(&op.0)?));
    }
    if let Some(op) = node.op_as::<Dequantize>() {
        // Constant codes are read by the convolutions that they belong to.
        let fact = model.outlet_fact(node.inputs[0]).ok()?;
        return if fact.konst.is_some() {
            None
        } else {
            whole(KernelOp::Dequantize(scalar(&op.0)?))
        };
    }
    if model.outlet_fact(node.inputs[0]).ok()?.datum_type != f32::datum_type() {
        return None;
    }
    if let Some(op) = node.op_as::<TractConv>() {
        return whole(KernelOp::Conv(convolution(model, node, op, &from)?));
    }
    if let Some(op) = node.op_as::<MaxPool>() {
        if op.with_index_outputs.is_some() {
            return None;
        }
        return whole(KernelOp::MaxPool(window(&op.pool_spec, &from)?));
    }
    if let Some(op) = node.op_as::<Pad>() {
        return (from.len() == 4 && for_convolutions(model, node)).then(|| whole(zeros(op)?))?;
    }
    if let Some(op) = node.op_as::<Resize>() {
        return whole(KernelOp::Upsample(upsample(op, &from, &to)?));
    }
    if let Some(op) = node.op_as::<TypedBinOp>() {
        return binary(model, node, op);
    }
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        return (op.0.name() == "Sigmoid").then(|| whole(KernelOp::Sigmoid))?;
    }
    if let Some(op) = node.op_as::<TypedConcat>() {
        return Some(Known {
            op: KernelOp::Concat(op.axis),
            inputs: node.inputs.iter().copied().collect(),
        });
    }
    if let Some(op) = node.op_as::<AxisOp>() {
        return whole(match op {
            AxisOp::Move(first, last) => {
                let mut order: Vec<usize> = (0..from.len()).collect();
                let axis = order.remove(*first);
                order.insert(*last, axis);
                KernelOp::Permute(order)
            }
            _ => KernelOp::Reshape(to.to_vec()),
        });
    }
    None
}

/// A coding with one scale and zero point, as codes from 0.
fn scalar(coding: &LinearCoding) -> Option<Coding> {
    let ([scale], [zero]) = (&coding.scales[..], &coding.zeros[..]) else {
        return None;
    };
    let zero = match coding.codes {
        DatumType::U8 => *zero,
        DatumType::I8 => zero + 128,
        _ => return None,
    };
    (0..=255).contains(&zero).then_some(Coding {
        scale: *scale,
        zero,
    })
}

/// The value of an outlet that depends on constants alone.
pub(super) fn constant(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
    let fact = model.outlet_fact(outlet).ok()?;
    if let Some(konst) = &fact.konst {
        return Some(konst.clone());
    }
    let node = model.node(outlet.node);
    if node.inputs.is_empty() {
        return None;
    }
    let mut inputs = tvec!();
    for &input in &node.inputs {
        inputs.push(constant(model, input)?.into_tvalue());
    }
    let out = match node.op_as::<Dequantize>() {
        Some(op) => op.eval(&EvalContext::out_of_plan(), inputs).ok()?,
        None => node.op.eval_out_of_plan(inputs).ok()??,
    };
    Some(out.get(outlet.slot)?.clone().into_arc_tensor())
}

fn reals(tensor: &Tensor) -> Option<Vec<f32>> {
    let cast = tensor.cast_to::<f32>().ok()?;
    Some(
        cast.try_as_plain_ram()
            .ok()?
            .as_slice::<f32>()
            .ok()?
            .to_vec(),
    )
}

fn convolution(
    model: &TypedModel,
    node: &TypedNode,
    op: &TractConv,
    from: &[usize],
) -> Option<Conv> {
    let (inputs, out) = (op.input_channels(), op.output_channels());
    let groups = op.group;
    let sound = op.q_params.is_none()
        && op.kernel_fmt == KernelFormat::OIHW
        && (groups == 1 || groups == inputs && groups == out);
    if !sound {
        return None;
    }
    let bias = reals(&*constant(model, *node.inputs.get(2)?)?)?;
    let bias = match bias[..] {
        [one] => vec![one; out],
        _ => bias,
    };
    Some(Conv {
        weights: weights(model, node.inputs[1], out)?,
        bias,
        window: window(&op.pool_spec, from)?,
        groups,
    })
}

/// Codes where they are symmetric with a scale for each output, else real numbers.
fn weights(model: &TypedModel, outlet: OutletId, out: usize) -> Option<Weights> {
    let node = model.node(outlet.node);
    if let Some(op) = node.op_as::<Dequantize>() {
        let coding = &op.0;
        let codes = constant(model, node.inputs[0])?;
        let symmetric = coding.codes == i8::datum_type()
            && coding.zeros.iter().all(|&zero| zero == 0)
            && (coding.scales.len() == 1 || coding.axis == 0 && coding.scales.len() == out);
        if symmetric {
            let mut scales = coding.scales.clone();
            if scales.len() == 1 {
                scales.resize(out, scales[0]);
            }
            let codes = codes
                .try_as_plain_ram()
                .ok()?
                .as_slice::<i8>()
                .ok()?
                .to_vec();
            return Some(Weights::Codes { codes, scales });
        }
    }
    Some(Weights::Real(reals(&*constant(model, outlet)?)?))
}

/// Whether only convolutions that we know read a node, be it as codes.
fn for_convolutions(model: &TypedModel, node: &TypedNode) -> bool {
    let users = &node.outputs[0].successors;
    !users.is_empty()
        && !model.outputs.contains(&node.id.into())
        && users.iter().all(|inlet| {
            let user = model.node(inlet.node);
            match user.op_is::<TractConv>() {
                true => inlet.slot == 0 && recognise(model, user).is_some(),
                false => {
                    (user.op_is::<Quantize>() || user.op_is::<Dequantize>())
                        && for_convolutions(model, user)
                }
            }
        })
}

/// Zeros above, below and beside a picture.
fn zeros(op: &Pad) -> Option<KernelOp> {
    let PadMode::Constant(value) = &op.mode else {
        return None;
    };
    let ([(0, 0), (0, 0), rows, columns], [0.0]) = (&op.pads[..], &reals(value)?[..]) else {
        return None;
    };
    Some(KernelOp::Pad {
        before: [rows.0, columns.0],
        after: [rows.1, columns.1],
    })
}

/// The window of a pool or convolution over `[1, C, H, W]`.
fn window(spec: &PoolSpec, from: &[usize]) -> Option<Window> {
    let (&[1, _, height, width], DataFormat::NCHW, 2) = (from, spec.data_format, spec.rank())
    else {
        return None;
    };
    let padding = spec.computed_padding(&[height, width]);
    let pair = |of: &dyn Fn(usize) -> usize| [of(0), of(1)];
    let found = Window {
        size: pair(&|i| spec.kernel_shape[i]),
        stride: pair(&|i| spec.stride(i)),
        dilation: pair(&|i| spec.dilation(i)),
        before: pair(&|i| padding[i].pad_before),
        after: pair(&|i| padding[i].pad_after),
    };
    let expected = pair(&|i| padding[i].convoluted);
    (found.output([height, width]) == Some(expected)).then_some(found)
}

fn upsample(op: &Resize, from: &[usize], to: &[usize]) -> Option<Upsample> {
    let (&[1, c, h, w], &[1, c2, h2, w2]) = (from, to) else {
        return None;
    };
    if (c2, h2, w2) != (c, 2 * h, 2 * w) || op.antialias || op.exclude_outside {
        return None;
    }
    let CoordTransform::Plain(transform) = &op.coord_transformer else {
        return None;
    };
    match (&op.interpolator, transform) {
        (
            Interpolator::Linear,
            CoordTransformer::HalfPixel | CoordTransformer::PytorchHalfPixel,
        ) if *transform == CoordTransformer::HalfPixel || h > 1 && w > 1 => {
            Some(Upsample::Bilinear)
        }
        // At twice the size these rules pick the pixel at half the index, rounded down.
        (Interpolator::Nearest, CoordTransformer::Asymmetric)
            if matches!(op.nearest, Nearest::Floor | Nearest::RoundPreferFloor) =>
        {
            Some(Upsample::Nearest)
        }
        (Interpolator::Nearest, CoordTransformer::HalfPixel)
            if matches!(
                op.nearest,
                Nearest::RoundPreferFloor | Nearest::RoundPreferCeil
            ) =>
        {
            Some(Upsample::Nearest)
        }
        _ => None,
    }
}

/// Additions of two values, and limits.
fn binary(model: &TypedModel, node: &TypedNode, op: &TypedBinOp) -> Option<Known> {
    let limit = |value: f32| -> Option<KernelOp> {
        let (least, most) = match op.0.name() {
            "Max" => (value, f32::INFINITY),
            "Min" => (f32::NEG_INFINITY, value),
            _ => return None,
        };
        (!value.is_nan()).then_some(KernelOp::Clip { least, most })
    };
    let constants = [0, 1].map(|i| constant(model, node.inputs[i]));
    match &constants {
        [None, None] => {
            let shapes = [0, 1].map(|i| model.outlet_fact(node.inputs[i]).map(|f| f.shape.clone()));
            let [Ok(a), Ok(b)] = shapes else { return None };
            (op.0.name() == "Add" && a == b).then(|| Known {
                op: KernelOp::Add,
                inputs: node.inputs.iter().copied().collect(),
            })
        }
        [Some(value), None] | [None, Some(value)] => {
            let all = reals(value)?;
            let first = *all.first()?;
            let kept = model
                .outlet_fact(node.inputs[usize::from(constants[0].is_some())])
                .ok()?;
            let same = kept.shape == node.outputs[0].fact.shape;
            (same && all.iter().all(|&v| v == first)).then_some(Known {
                op: limit(first)?,
                inputs: tvec!(node.inputs[usize::from(constants[0].is_some())]),
            })
        }
        _ => None,
    }
}
