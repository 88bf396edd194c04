//! A network as its exporter wrote it: one node an operation, one output a node, batch of one.

use crate::error::GraphError;
use crate::shapes::{conv_shape, count, picture};

/// The output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// Real numbers as 8-bit codes: `real = (code − zero) · scale`.
///
/// Codes are 0..=255. Signed codes −128..=127 are the same with 128 added to code and zero point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coding {
    /// Real numbers a code step; positive.
    pub scale: f32,
    /// Code of zero, 0..=255.
    pub zero: i32,
}

impl Coding {
    /// The code of a real number, rounded to the nearest even, saturated.
    pub fn code(&self, real: f32) -> i32 {
        ((real / self.scale).round_ties_even() + self.zero as f32).clamp(0.0, 255.0) as i32
    }
}

/// Weights of a convolution, `[out, in / groups, height, width]` row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// Real numbers.
    Real(Vec<f32>),
    /// Symmetric codes, each output channel with a scale.
    Codes {
        /// −127..=127 (−128 is accepted).
        codes: Vec<i8>,
        /// `[out]`, positive.
        scales: Vec<f32>,
    },
}

impl Weights {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Real(real) => real.len(),
            Self::Codes { codes, .. } => codes.len(),
        }
    }
}

/// Largest size, stride, dilation and padding of a window.
pub const MAX_WINDOW: usize = 1 << 12;

/// Most elements of a value.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// A window that slides over a picture, `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Steps between rows and columns of the window.
    pub dilation: [usize; 2],
    /// Rows above and columns on the left.
    pub before: [usize; 2],
    /// Rows below and columns on the right.
    pub after: [usize; 2],
}

impl Window {
    /// Height and width of what a picture of that height and width gives, if the window fits and
    /// none of its numbers is above [`MAX_WINDOW`].
    pub fn output(&self, picture: [usize; 2]) -> Option<[usize; 2]> {
        let numbers = [
            self.size,
            self.stride,
            self.dilation,
            self.before,
            self.after,
        ];
        if numbers.iter().flatten().any(|&n| n > MAX_WINDOW) {
            return None;
        }
        let mut out = [0; 2];
        for axis in 0..2 {
            let reach = self.dilation[axis] * self.size[axis].checked_sub(1)? + 1;
            let whole = picture[axis] + self.before[axis] + self.after[axis];
            out[axis] = whole.checked_sub(reach)?.checked_div(self.stride[axis])? + 1;
        }
        Some(out)
    }
}

/// A convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// See [`Weights`].
    pub weights: Weights,
    /// `[out]`, real numbers.
    pub bias: Vec<f32>,
    /// Where it looks.
    pub window: Window,
    /// 1, or the channel count of input and output (depthwise).
    pub groups: usize,
}

/// How 2× upsampling fills the new pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upsample {
    /// Each pixel four times.
    Nearest,
    /// Linear in both directions, pixel centres at halves, edges repeated.
    Bilinear,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Given by the caller, row-major.
    Input,
    /// `[1, C, H, W]` to `[1, out, H', W']`.
    Conv(Conv),
    /// Zeros around a picture; only in front of convolutions.
    Pad {
        /// Rows above and columns on the left.
        before: [usize; 2],
        /// Rows below and columns on the right.
        after: [usize; 2],
    },
    /// Limits, elementwise; infinities where there are none.
    Clip {
        /// Least.
        least: f32,
        /// Most.
        most: f32,
    },
    /// Elementwise sum of two of one shape.
    Add,
    /// Largest of a window; what is outside does not count.
    MaxPool(Window),
    /// `[1, C, H, W]` to `[1, C, 2 H, 2 W]`.
    Upsample(Upsample),
    /// `1 / (1 + e^−x)`, elementwise.
    Sigmoid,
    /// Real numbers to codes.
    Quantize(Coding),
    /// Codes to real numbers.
    Dequantize(Coding),
    /// Row-major with another shape.
    Reshape(Vec<usize>),
    /// Axis `i` of the output is axis `order[i]` of the input.
    Permute(Vec<usize>),
    /// One after another along an axis.
    Concat(usize),
}

impl Op {
    /// A word for reports.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv(_) => "convolution",
            Self::Pad { .. } => "pad",
            Self::Clip { .. } => "clip",
            Self::Add => "add",
            Self::MaxPool(_) => "max pool",
            Self::Upsample(_) => "upsample",
            Self::Sigmoid => "sigmoid",
            Self::Quantize(_) => "quantize",
            Self::Dequantize(_) => "dequantize",
            Self::Reshape(_) => "reshape",
            Self::Permute(_) => "permute",
            Self::Concat(_) => "concat",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<Value>,
    pub shape: Vec<usize>,
    pub codes: bool,
}

/// A network under construction; operations in an order in which they can run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Value>,
}

impl Graph {
    /// Lets go of what a convolution multiplies with.
    pub(crate) fn drop_weights(&mut self, node: usize) {
        if let Op::Conv(conv) = &mut self.nodes[node].op {
            conv.weights = Weights::Real(Vec::new());
        }
    }

    /// A graph of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An input of real numbers, in the order in which [`crate::Program::run`] takes them.
    ///
    /// # Errors
    /// If it is too large.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Result<Value, GraphError> {
        if count(shape).is_none() {
            return Err(GraphError {
                node: name.to_owned(),
                op: Op::Input.label(),
                reason: format!("{shape:?}, at most {MAX_ELEMENTS} elements"),
            });
        }
        let value = self.node(name, Op::Input, &[], shape.to_vec(), false);
        self.inputs.push(value);
        Ok(value)
    }

    /// Adds an operation.
    ///
    /// # Errors
    /// If it does not accept inputs of these shapes and kinds.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[Value]) -> Result<Value, GraphError> {
        let shape = self
            .output_shape(&op, inputs)
            .map_err(|reason| GraphError {
                node: name.to_owned(),
                op: op.label(),
                reason,
            })?;
        if count(&shape).is_none() {
            return Err(GraphError {
                node: name.to_owned(),
                op: op.label(),
                reason: format!("{shape:?}, at most {MAX_ELEMENTS} elements"),
            });
        }
        let codes = matches!(op, Op::Quantize(_));
        Ok(self.node(name, op, inputs, shape, codes))
    }

    /// Makes a value an output, in the order in which [`crate::Program::run`] fills them.
    ///
    /// # Errors
    /// If it holds codes.
    pub fn output(&mut self, value: Value) -> Result<(), GraphError> {
        let node = &self.nodes[value.0];
        if node.codes {
            return Err(GraphError {
                node: node.name.clone(),
                op: node.op.label(),
                reason: "an output holds real numbers, not codes".to_owned(),
            });
        }
        self.outputs.push(value);
        Ok(())
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// Shape of a value.
    pub fn shape(&self, value: Value) -> &[usize] {
        &self.nodes[value.0].shape
    }

    fn node(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[Value],
        shape: Vec<usize>,
        codes: bool,
    ) -> Value {
        self.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            shape,
            codes,
        });
        Value(self.nodes.len() - 1)
    }

    fn output_shape(&self, op: &Op, inputs: &[Value]) -> Result<Vec<usize>, String> {
        let wanted = match op {
            Op::Input => return Err("made by `Graph::input`".to_owned()),
            Op::Add => 2,
            Op::Concat(_) => inputs.len().max(1),
            _ => 1,
        };
        if inputs.len() != wanted {
            return Err(format!("{} inputs, expected {wanted}", inputs.len()));
        }
        let takes_codes = matches!(op, Op::Dequantize(_));
        for input in inputs {
            if self.nodes[input.0].codes != takes_codes {
                let holds = if takes_codes { "real numbers" } else { "codes" };
                return Err(format!("input holds {holds}"));
            }
        }
        let shape = self.shape(inputs[0]);
        match op {
            Op::Conv(conv) => conv_shape(conv, shape),
            Op::MaxPool(window) => {
                let [c, h, w] = picture(shape)?;
                let [h, w] = window.output([h, w]).ok_or("window beyond the picture")?;
                Ok(vec![1, c, h, w])
            }
            Op::Upsample(_) => {
                let [c, h, w] = picture(shape)?;
                Ok(vec![1, c, 2 * h, 2 * w])
            }
            Op::Pad { before, after } => {
                let [c, h, w] = picture(shape)?;
                if before.iter().chain(after).any(|&n| n > MAX_WINDOW) {
                    return Err(format!("{before:?} and {after:?}, at most {MAX_WINDOW}"));
                }
                let [rows, columns] = [0, 1].map(|i| before[i] + after[i]);
                Ok(vec![1, c, h + rows, w + columns])
            }
            Op::Add => {
                let other = self.shape(inputs[1]);
                if shape != other {
                    return Err(format!("shapes {shape:?} and {other:?}"));
                }
                Ok(shape.to_vec())
            }
            Op::Quantize(coding) | Op::Dequantize(coding) => {
                if !(coding.scale.is_finite() && coding.scale > 0.0) {
                    return Err(format!("scale {}, expected above 0", coding.scale));
                }
                if !(0..=255).contains(&coding.zero) {
                    return Err(format!("zero point {}, expected 0 to 255", coding.zero));
                }
                Ok(shape.to_vec())
            }
            Op::Clip { least, most } => {
                if least.is_nan() || most.is_nan() || least > most {
                    return Err(format!("limits {least} to {most}"));
                }
                Ok(shape.to_vec())
            }
            Op::Reshape(to) => {
                if count(to) != count(shape) {
                    return Err(format!("{shape:?} does not fill {to:?}"));
                }
                Ok(to.clone())
            }
            Op::Permute(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..shape.len()) {
                    return Err(format!("order {order:?} of {} axes", shape.len()));
                }
                Ok(order.iter().map(|&axis| shape[axis]).collect())
            }
            Op::Concat(axis) => {
                let mut whole = shape.to_vec();
                *whole.get_mut(*axis).ok_or("axis beyond the shape")? = 0;
                for input in inputs {
                    let part = self.shape(*input);
                    let fits = part.len() == whole.len()
                        && (0..part.len()).all(|i| i == *axis || part[i] == whole[i]);
                    if !fits {
                        return Err(format!("part {part:?} beside {shape:?}"));
                    }
                    whole[*axis] += part[*axis];
                }
                Ok(whole)
            }
            Op::Sigmoid | Op::Input => Ok(shape.to_vec()),
        }
    }
}
