//! A graph evaluated node by node, in f64, as ONNX defines the operators: independent of fusion,
//! layout and kernels.

use neuralsmpl_kernels::{Coding, Conv, Op, Upsample, Weights, Window};

/// A value: row-major.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Array {
    pub fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self {
            shape: shape.to_vec(),
            values,
        }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            shape: self.shape.clone(),
            values: self.values.iter().map(|&v| f(v)).collect(),
        }
    }

    /// Channels, height and width.
    fn picture(&self) -> [usize; 3] {
        let [1, c, h, w] = self.shape[..] else {
            panic!("not a picture: {:?}", self.shape);
        };
        [c, h, w]
    }

    fn at(&self, c: usize, y: isize, x: isize) -> Option<f64> {
        let [_, h, w] = self.picture();
        let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
        inside.then(|| self.values[(c * h + y as usize) * w + x as usize])
    }
}

/// One operation.
pub fn evaluate(op: &Op, inputs: &[&Array]) -> Array {
    let x = inputs[0];
    match op {
        Op::Input => x.clone(),
        Op::Conv(conv) => convolve(conv, x),
        Op::Pad { before, after } => {
            let [c, h, w] = x.picture();
            let (rows, columns) = (h + before[0] + after[0], w + before[1] + after[1]);
            pixels([c, rows, columns], |c, row, column| {
                let y = row as isize - before[0] as isize;
                x.at(c, y, column as isize - before[1] as isize)
                    .unwrap_or(0.0)
            })
        }
        Op::Clip { least, most } => x.map(|v| v.clamp(f64::from(*least), f64::from(*most))),
        Op::Add => {
            let sums = x.values.iter().zip(&inputs[1].values).map(|(a, b)| a + b);
            Array::new(&x.shape, sums.collect())
        }
        Op::MaxPool(window) => {
            let [c, h, w] = x.picture();
            let [rows, columns] = window.output([h, w]).expect("a window that fits");
            pixels([c, rows, columns], |c, row, column| {
                let taps = taps(window, row, column);
                let inside = taps.into_iter().filter_map(|(_, y, tap)| x.at(c, y, tap));
                inside.fold(f64::NEG_INFINITY, f64::max)
            })
        }
        Op::Upsample(how) => upsample(*how, x),
        Op::Sigmoid => x.map(|v| 1.0 / (1.0 + (-v).exp())),
        Op::Quantize(coding) => x.map(|v| quantize(coding, v)),
        Op::Dequantize(coding) => x.map(|v| (v - f64::from(coding.zero)) * f64::from(coding.scale)),
        Op::Reshape(shape) => Array::new(shape, x.values.clone()),
        Op::Permute(order) => permute(x, order),
        Op::Concat(axis) => concat(inputs, *axis),
    }
}

fn quantize(coding: &Coding, value: f64) -> f64 {
    ((value / f64::from(coding.scale)).round_ties_even() + f64::from(coding.zero)).clamp(0.0, 255.0)
}

fn pixels([c, h, w]: [usize; 3], f: impl Fn(usize, usize, usize) -> f64) -> Array {
    let mut values = Vec::with_capacity(c * h * w);
    for channel in 0..c {
        for y in 0..h {
            for x in 0..w {
                values.push(f(channel, y, x));
            }
        }
    }
    Array::new(&[1, c, h, w], values)
}

/// Index, row and column of each tap of a window.
fn taps(window: &Window, row: usize, column: usize) -> Vec<(usize, isize, isize)> {
    let place = |axis: usize, at: usize, tap: usize| {
        (at * window.stride[axis] + tap * window.dilation[axis]) as isize
            - window.before[axis] as isize
    };
    let [rows, columns] = window.size;
    (0..rows * columns)
        .map(|tap| {
            let (y, x) = (tap / columns, tap % columns);
            (tap, place(0, row, y), place(1, column, x))
        })
        .collect()
}

fn convolve(conv: &Conv, x: &Array) -> Array {
    let [c, h, w] = x.picture();
    let out = conv.bias.len();
    let inner = c / conv.groups;
    let window: usize = conv.window.size.iter().product();
    let weights: Vec<f64> = match &conv.weights {
        Weights::Real(real) => real.iter().map(|&v| f64::from(v)).collect(),
        Weights::Codes { codes, scales } => codes
            .iter()
            .enumerate()
            .map(|(i, &q)| f64::from(q) * f64::from(scales[i / (inner * window)]))
            .collect(),
    };
    let [rows, columns] = conv.window.output([h, w]).expect("a window that fits");
    pixels([out, rows, columns], |o, row, column| {
        let mut sum = f64::from(conv.bias[o]);
        for i in 0..inner {
            let channel = if conv.groups > 1 { o } else { i };
            for (tap, y, at) in taps(&conv.window, row, column) {
                let weight = weights[(o * inner + i) * window + tap];
                sum += weight * x.at(channel, y, at).unwrap_or(0.0);
            }
        }
        sum
    })
}

fn upsample(how: Upsample, x: &Array) -> Array {
    let [c, h, w] = x.picture();
    pixels([c, 2 * h, 2 * w], |c, row, column| match how {
        Upsample::Nearest => x
            .at(c, row as isize / 2, column as isize / 2)
            .unwrap_or(0.0),
        Upsample::Bilinear => {
            let source = |at: usize, size: usize| {
                let real = ((at as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, (size - 1) as f64);
                let first = real.floor();
                let next = (first + 1.0).min((size - 1) as f64);
                (first as isize, next as isize, real - first)
            };
            let (top, bottom, down) = source(row, h);
            let (left, right, along) = source(column, w);
            let read = |y: isize, x2: isize| x.at(c, y, x2).unwrap_or(0.0);
            let line = |y: isize| (1.0 - along) * read(y, left) + along * read(y, right);
            (1.0 - down) * line(top) + down * line(bottom)
        }
    })
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1];
    }
    strides
}

fn permute(x: &Array, order: &[usize]) -> Array {
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape[axis]).collect();
    let (from, to) = (strides(&x.shape), strides(&shape));
    let values = (0..x.values.len()).map(|flat| {
        let source: usize = (0..shape.len())
            .map(|i| flat / to[i] % shape[i] * from[order[i]])
            .sum();
        x.values[source]
    });
    Array::new(&shape, values.collect())
}

fn concat(inputs: &[&Array], axis: usize) -> Array {
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|x| x.shape[axis]).sum();
    let outer: usize = shape[..axis].iter().product();
    let mut values = Vec::new();
    for block in 0..outer {
        for x in inputs {
            let size: usize = x.shape[axis..].iter().product();
            values.extend_from_slice(&x.values[block * size..][..size]);
        }
    }
    Array::new(&shape, values)
}
