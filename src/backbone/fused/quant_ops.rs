//! ONNX QuantizeLinear and DequantizeLinear as operators of our own.
//!
//! tract lowers them to element-wise passes and folds quantized weights into f32 constants while it
//! loads. These stay whole until [`super::Fuse`] has looked at the graph, run as they are
//! where it left them, and fold afterwards where their input is constant.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// tract's ONNX loader with these two operators.
pub(crate) fn loader() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    onnx.op_register.insert("QuantizeLinear", quantize);
    onnx.op_register.insert("DequantizeLinear", dequantize);
    onnx
}

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

fn quantize(_: &ParsingContext, node: &NodeProto) -> Built {
    build(node, true)
}

fn dequantize(_: &ParsingContext, node: &NodeProto) -> Built {
    build(node, false)
}

fn build(node: &NodeProto, quantize: bool) -> Built {
    let block = node.get_attr_opt::<i64>("block_size")?.unwrap_or(0);
    ensure!(
        block == 0,
        "{}: blocked quantization is not supported",
        node.op_type
    );
    let op = Linear {
        quantize,
        zero_input: node.input.len() == 3,
        axis: node.get_attr_opt("axis")?.unwrap_or(1),
    };
    Ok((expand(op), vec![]))
}

#[derive(Clone, Debug, Hash)]
struct Linear {
    quantize: bool,
    zero_input: bool,
    axis: i64,
}

impl Expansion for Linear {
    fn name(&self) -> StaticName {
        if self.quantize {
            "QuantizeLinear".into()
        } else {
            "DequantizeLinear".into()
        }
    }

    fn runs_out_of_plan(&self) -> bool {
        false
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2 + usize::from(self.zero_input))?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[1].datum_type, f32::datum_type())?;
        let codes = if self.quantize {
            &outputs[0].datum_type
        } else {
            s.equals(&outputs[0].datum_type, f32::datum_type())?;
            &inputs[0].datum_type
        };
        if self.zero_input {
            s.equals(codes, &inputs[2].datum_type)?;
        } else if self.quantize {
            s.equals(codes, u8::datum_type())?;
        }
        s.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |input: usize, what: &str| -> TractResult<Arc<Tensor>> {
            let konst = model.outlet_fact(inputs[input])?.konst.clone();
            konst.with_context(|| format!("{what} must be constant"))
        };
        let scales: Vec<f32> = values(&*constant(1, "scale")?)?;
        let (zeros, zero_type): (Vec<i32>, _) = if self.zero_input {
            let zeros = constant(2, "zero point")?;
            (values(&zeros)?, zeros.datum_type())
        } else {
            (vec![0], u8::datum_type())
        };
        let input = model.outlet_fact(inputs[0])?;
        let codes = if self.quantize {
            zero_type
        } else {
            input.datum_type
        };
        let known = [u8::datum_type(), i8::datum_type(), i32::datum_type()];
        ensure!(
            known.contains(&codes),
            "codes of {codes:?} are not supported"
        );
        ensure!(
            scales.iter().all(|s| s.is_finite() && *s > 0.0),
            "scales must be above 0"
        );
        let rank = input.rank();
        let axis = if self.axis < 0 {
            self.axis + rank as i64
        } else {
            self.axis
        };
        let axis = if scales.len() == 1 && zeros.len() == 1 {
            0
        } else {
            ensure!((0..rank as i64).contains(&axis), "axis {axis} of {rank}");
            let size = input.shape[axis as usize].to_usize()?;
            let fits = |n: usize| n == 1 || n == size;
            ensure!(
                fits(scales.len()) && fits(zeros.len()),
                "{} scales for {size}",
                scales.len()
            );
            axis as usize
        };
        let coding = LinearCoding {
            scales,
            zeros,
            axis,
            codes,
        };
        if self.quantize {
            model.wire_node(prefix, Quantize(coding), &inputs[..1])
        } else {
            model.wire_node(prefix, Dequantize(coding), &inputs[..1])
        }
    }
}

fn values<T: Datum + Copy>(tensor: &Tensor) -> TractResult<Vec<T>> {
    Ok(tensor
        .cast_to::<T>()?
        .try_as_plain_ram()?
        .as_slice::<T>()?
        .to_vec())
}

/// `real = (code − zero) · scale`, with one scale and zero point or one along an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinearCoding {
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    pub axis: usize,
    pub codes: DatumType,
}

impl LinearCoding {
    /// Scale and zero point of each element, in order.
    fn each(&self, shape: &[usize]) -> impl Iterator<Item = (f32, i32)> + '_ {
        let inner: usize = shape.get(self.axis + 1..).map_or(1, |s| s.iter().product());
        let size = shape.get(self.axis).copied().unwrap_or(1);
        let count: usize = shape.iter().product();
        (0..count).map(move |i| {
            let along = i / inner.max(1) % size.max(1);
            let scale = self.scales[if self.scales.len() == 1 { 0 } else { along }];
            let zero = self.zeros[if self.zeros.len() == 1 { 0 } else { along }];
            (scale, zero)
        })
    }
}

/// Real numbers to codes: `saturate(round_half_to_even(x / scale) + zero)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantize(pub LinearCoding);

/// Codes to real numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dequantize(pub LinearCoding);

impl Eq for Quantize {}
impl Eq for Dequantize {}

impl Op for Quantize {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }

    op_as_typed_op!();
}

impl Op for Dequantize {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Quantize {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let reals: Vec<f32> = values(&x)?;
        let (least, most) = match self.0.codes {
            DatumType::U8 => (0.0, 255.0),
            DatumType::I8 => (-128.0, 127.0),
            _ => (i32::MIN as f32, i32::MAX as f32),
        };
        let codes: Vec<i32> = reals
            .iter()
            .zip(self.0.each(x.shape()))
            .map(|(x, (scale, zero))| {
                ((x / scale).round_ties_even() + zero as f32).clamp(least, most) as i32
            })
            .collect();
        let codes = Tensor::from_shape(x.shape(), &codes)?;
        Ok(tvec!(
            codes.cast_to_dt(self.0.codes)?.into_owned().into_tvalue()
        ))
    }
}

impl EvalOp for Dequantize {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        Ok(tvec!(self.reals(&x)?.into_tvalue()))
    }
}

impl Dequantize {
    fn reals(&self, codes: &Tensor) -> TractResult<Tensor> {
        let each: Vec<i32> = values(codes)?;
        let reals: Vec<f32> = each
            .iter()
            .zip(self.0.each(codes.shape()))
            .map(|(code, (scale, zero))| code.wrapping_sub(zero) as f32 * scale)
            .collect();
        Tensor::from_shape(codes.shape(), &reals)
    }
}

impl TypedOp for Quantize {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.0.codes.fact(inputs[0].shape.clone())))
    }
}

impl TypedOp for Dequantize {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.clone())))
    }

    fn declutter(
        &self,
        model: &TypedModel,
        node: &TypedNode,
    ) -> TractResult<Option<TypedModelPatch>> {
        let Some(codes) = model.outlet_fact(node.inputs[0])?.konst.clone() else {
            return Ok(None);
        };
        let mut patch = TypedModelPatch::default();
        let reals = patch.add_const(&*node.name, self.reals(&codes)?)?;
        patch.shunt_outside(model, node.id.into(), reals)?;
        Ok(Some(patch))
    }
}
