//! Whole programs against a plain evaluation of the same graph: random networks, every instruction
//! set that this processor has, several threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod reference;

use neuralsmpl_kernels::{
    Coding, Conv, Graph, Isa, Op, Pool, Program, Upsample, Value, Weights, Window,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use reference::{Array, evaluate};

/// Relative error of f32 sums over a few layers.
const REAL: f64 = 1e-4;

/// A network under construction, with the values that it should have.
struct Net {
    graph: Graph,
    values: Vec<(Value, Array)>,
    random: TestRng,
}

impl Net {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            graph: Graph::new(),
            values: Vec::new(),
            random: TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random.next_u64() % n as u64) as usize
    }

    fn between(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * (self.below(1 << 20) as f32 / (1 << 20) as f32)
    }

    fn input(&mut self, shape: &[usize]) -> Value {
        let value = self.graph.input("input", shape).unwrap();
        let count = shape.iter().product();
        let array = (0..count)
            .map(|_| f64::from(self.between(-2.0, 2.0)))
            .collect();
        self.values.push((value, Array::new(shape, array)));
        value
    }

    fn array(&self, value: Value) -> &Array {
        let found = self.values.iter().find(|(v, _)| *v == value);
        &found.expect("a value of this network").1
    }

    fn push(&mut self, op: Op, inputs: &[Value]) -> Value {
        let arrays: Vec<&Array> = inputs.iter().map(|&v| self.array(v)).collect();
        let made = evaluate(&op, &arrays);
        let value = self.graph.push(op.label(), op, inputs).unwrap();
        assert_eq!(self.graph.shape(value), made.shape);
        self.values.push((value, made));
        value
    }

    fn picture(&self, value: Value) -> [usize; 3] {
        match self.array(value).shape[..] {
            [1, c, h, w] => [c, h, w],
            _ => panic!("not a picture"),
        }
    }

    fn window(&mut self, value: Value, sizes: &[usize]) -> Window {
        let [_, h, w] = self.picture(value);
        let mut window = Window {
            size: [1; 2],
            stride: [1 + self.below(2), 1 + self.below(2)],
            dilation: [1 + self.below(2); 2],
            before: [0; 2],
            after: [0; 2],
        };
        for (axis, whole) in [h, w].into_iter().enumerate() {
            window.size[axis] = sizes[self.below(sizes.len())];
            let reach = window.dilation[axis] * (window.size[axis] - 1);
            window.before[axis] = self.below(reach / 2 + 2).min(reach);
            window.after[axis] = reach - window.before[axis];
            if whole == 1 {
                window.stride[axis] = 1;
            }
        }
        window
    }

    /// A convolution; weights are codes in units of 2⁻⁷ where `codes`, so that sums are exact.
    fn conv(&mut self, x: Value, out: usize, depthwise: bool, codes: bool) -> Value {
        let [c, _, _] = self.picture(x);
        let out = if depthwise { c } else { out };
        let window = self.window(x, &[1, 2, 3, 5]);
        let inner = if depthwise { 1 } else { c };
        let count = out * inner * window.size[0] * window.size[1];
        let weights = if codes {
            Weights::Codes {
                codes: (0..count)
                    .map(|_| (self.below(255) as i32 - 127) as i8)
                    .collect(),
                scales: (0..out)
                    .map(|_| [1.0 / 128.0, 1.0 / 64.0][self.below(2)])
                    .collect(),
            }
        } else {
            Weights::Real((0..count).map(|_| self.between(-0.5, 0.5)).collect())
        };
        let bias = (0..out)
            .map(|_| {
                if codes {
                    self.below(65) as f32 / 16.0 - 2.0
                } else {
                    self.between(-1.0, 1.0)
                }
            })
            .collect();
        let groups = if depthwise { c } else { 1 };
        let conv = Conv {
            weights,
            bias,
            window,
            groups,
        };
        self.push(Op::Conv(conv), &[x])
    }

    fn clip(&mut self, x: Value) -> Value {
        match self.below(3) {
            0 => x,
            1 => self.push(
                Op::Clip {
                    least: 0.0,
                    most: 6.0,
                },
                &[x],
            ),
            _ => {
                let least = f32::NEG_INFINITY;
                let low = self.push(
                    Op::Clip {
                        least: 0.0,
                        most: f32::INFINITY,
                    },
                    &[x],
                );
                self.push(Op::Clip { least, most: 4.0 }, &[low])
            }
        }
    }

    /// Through codes; scales are powers of two, so that nothing but the rounding itself rounds.
    fn coded(&mut self, x: Value, coding: Coding) -> Value {
        let codes = self.push(Op::Quantize(coding), &[x]);
        self.push(Op::Dequantize(coding), &[codes])
    }

    fn coding(&mut self) -> Coding {
        Coding {
            scale: [0.25, 0.5, 1.0][self.below(3)],
            zero: self.below(256) as i32,
        }
    }

    /// A residual block: expand, depthwise, project, add.
    fn block(&mut self, x: Value, codes: bool) -> Value {
        let [c, _, _] = self.picture(x);
        let expanded = c + self.below(20);
        let mut y = self.same(x, expanded, false, codes);
        y = self.clip(y);
        y = self.maybe_coded(y, codes);
        y = self.same(y, 0, true, codes);
        y = self.clip(y);
        y = self.maybe_coded(y, codes);
        y = self.same(y, c, false, codes);
        y = self.maybe_coded(y, codes);
        let terms = if self.below(2) == 0 { [x, y] } else { [y, x] };
        y = self.push(Op::Add, &terms);
        y = self.clip(y);
        self.maybe_coded(y, codes)
    }

    fn maybe_coded(&mut self, x: Value, codes: bool) -> Value {
        if codes {
            let coding = self.coding();
            self.coded(x, coding)
        } else {
            x
        }
    }

    /// A convolution that keeps the picture's size.
    fn same(&mut self, x: Value, out: usize, depthwise: bool, codes: bool) -> Value {
        loop {
            let before = self.values.len();
            let mut trial = self.graph.clone();
            let y = self.conv(x, out, depthwise, codes);
            if self.picture(y)[1..] == self.picture(x)[1..] {
                return y;
            }
            std::mem::swap(&mut self.graph, &mut trial);
            self.values.truncate(before);
        }
    }

    /// Runs the program of the graph and compares every output.
    fn check(mut self, outputs: &[Value], tolerance: f64) {
        for &output in outputs {
            self.graph.output(output).unwrap();
        }
        let inputs: Vec<Vec<f32>> = self
            .values
            .iter()
            .filter(|(value, _)| self.graph.inputs().contains(value))
            .map(|(_, array)| array.values.iter().map(|&v| v as f32).collect())
            .collect();
        let given: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        for isa in Isa::available() {
            let program = Program::new(self.graph.clone(), isa).unwrap();
            let mut first: Option<Vec<Vec<f32>>> = None;
            for threads in [1, 2, 3] {
                let mut pool = Pool::new(threads).unwrap();
                let mut arena = program.arena();
                let mut made: Vec<Vec<f32>> = outputs
                    .iter()
                    .map(|&v| vec![f32::NAN; self.array(v).values.len()])
                    .collect();
                // The second run finds what the first has left in the arena.
                for _ in 0..2 {
                    let mut taken: Vec<&mut [f32]> =
                        made.iter_mut().map(Vec::as_mut_slice).collect();
                    program
                        .run(&mut arena, &mut pool, &given, &mut taken)
                        .unwrap();
                }
                for (&output, made) in outputs.iter().zip(&made) {
                    compare(isa, &self.array(output).values, made, tolerance);
                }
                let bits = |x: &[Vec<f32>]| -> Vec<u32> {
                    x.iter().flatten().map(|v| v.to_bits()).collect()
                };
                match &first {
                    Some(first) => assert_eq!(bits(first), bits(&made), "{isa}: {threads} threads"),
                    None => first = Some(made),
                }
            }
        }
    }
}

fn compare(isa: Isa, expected: &[f64], found: &[f32], tolerance: f64) {
    let largest = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&expected, &found)) in expected.iter().zip(found).enumerate() {
        let error = (expected - f64::from(found)).abs();
        assert!(
            error <= tolerance * largest,
            "{isa}: element {i} is {found}, expected {expected} of at most {largest}"
        );
    }
}

/// Networks a test; `PROPTEST_CASES` asks for another number.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn real_networks(seed in any::<u64>(), c in 1usize..20, h in 1usize..12, w in 1usize..12) {
        let mut net = Net::new(seed);
        let input = net.input(&[1, c, h, w]);
        let channels = 1 + net.below(40);
        let mut x = net.conv(input, channels, false, false);
        x = net.clip(x);
        x = net.block(x, false);
        let outputs = tail(&mut net, x);
        net.check(&outputs, REAL);
    }

    #[test]
    fn coded_networks_are_exact(
        seed in any::<u64>(), c in 1usize..20, h in 1usize..12, w in 1usize..12
    ) {
        let mut net = Net::new(seed);
        let input = net.input(&[1, c, h, w]);
        let coding = Coding { scale: 1.0 / 32.0, zero: net.below(256) as i32 };
        let mut x = net.coded(input, coding);
        let channels = 1 + net.below(40);
        x = net.conv(x, channels, false, true);
        x = net.clip(x);
        x = net.maybe_coded(x, true);
        x = net.block(x, true);
        let outputs = tail(&mut net, x);
        net.check(&outputs, 0.0);
    }
}

/// Ends that networks have: real heads, upsampling, pooling, views, concatenation.
fn tail(net: &mut Net, x: Value) -> Vec<Value> {
    let [c, h, w] = net.picture(x);
    let mut outputs = vec![x];
    let mut pooled = net.window(x, &[1, 2, 3]);
    pooled.dilation = [1, 1];
    pooled.before = [0, 0];
    pooled.after = [0, 0];
    if pooled.output([h, w]).is_some() {
        outputs.push(net.push(Op::MaxPool(pooled), &[x]));
    }
    let near = net.push(Op::Upsample(Upsample::Nearest), &[x]);
    let smooth = net.push(Op::Upsample(Upsample::Bilinear), &[x]);
    outputs.push(net.push(Op::Add, &[near, smooth]));
    outputs.push(net.push(Op::Concat(1), &[near, smooth]));
    // Heads of a detector: channels last, a row for each anchor, levels one after another.
    let last = net.push(Op::Permute(vec![0, 2, 3, 1]), &[x]);
    let rows = net.push(Op::Reshape(vec![1, h * w, c]), &[last]);
    let near_last = net.push(Op::Permute(vec![0, 2, 3, 1]), &[near]);
    let near_rows = net.push(Op::Reshape(vec![1, 4 * h * w, c]), &[near_last]);
    outputs.push(net.push(Op::Concat(1), &[rows, near_rows]));
    if c % 4 == 0 {
        let split = net.push(Op::Reshape(vec![1, 2, 2, c / 4, h, w]), &[x]);
        let turned = net.push(Op::Permute(vec![0, 3, 4, 1, 5, 2]), &[split]);
        let deep = net.push(Op::Reshape(vec![1, c / 4, 2 * h, 2 * w]), &[turned]);
        outputs.push(net.push(
            Op::Clip {
                least: -1.0,
                most: 1.0,
            },
            &[deep],
        ));
    }
    outputs
}

#[test]
fn zeros_around_a_picture_cost_nothing() {
    for codes in [false, true] {
        let mut net = Net::new(7);
        let input = net.input(&[1, 8, 6, 5]);
        let coding = Coding {
            scale: 0.03125,
            zero: 77,
        };
        let mut x = if codes {
            net.coded(input, coding)
        } else {
            input
        };
        x = net.push(
            Op::Pad {
                before: [0, 1],
                after: [2, 1],
            },
            &[x],
        );
        if codes {
            x = net.coded(x, coding);
        }
        let y = net.conv(x, 9, false, codes);
        let z = net.conv(x, 0, true, codes);
        let shapes = [y, z].map(|v| net.array(v).values.len());
        assert!(shapes[0] > 0 && shapes[1] > 0);
        net.check(&[y, z], if codes { 0.0 } else { REAL });
    }
}

#[test]
fn few_output_channels() {
    for (c, out) in [(8, 1), (16, 2), (24, 1), (8, 3)] {
        let mut net = Net::new(11);
        let input = net.input(&[1, c, 7, 6]);
        let x = net.same(input, out, false, false);
        let y = net.same(input, out, false, false);
        let clipped = net.clip(y);
        let sum = net.push(Op::Add, &[x, clipped]);
        net.check(&[sum], REAL);
    }
}

#[test]
fn sigmoid_heads() {
    let mut net = Net::new(3);
    let input = net.input(&[1, 5, 3, 4]);
    let x = net.push(Op::Sigmoid, &[input]);
    let flat = net.push(Op::Reshape(vec![60]), &[x]);
    net.check(&[x, flat], 1e-6);
}

#[test]
fn wrong_graphs_name_the_node() {
    let mut graph = Graph::new();
    let x = graph.input("image", &[1, 3, 4, 4]).unwrap();
    let conv = |weights: usize, bias: usize| {
        let window = Window {
            size: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            before: [0, 0],
            after: [0, 0],
        };
        Op::Conv(Conv {
            weights: Weights::Real(vec![0.0; weights]),
            bias: vec![0.0; bias],
            window,
            groups: 1,
        })
    };
    let cases = [
        (conv(26, 1), "26 weights, expected 27"),
        (conv(0, 0), "1 groups over 3 channels to 0"),
        (Op::Reshape(vec![5]), "[1, 3, 4, 4] does not fill [5]"),
        (
            Op::Permute(vec![0, 0, 1, 2]),
            "order [0, 0, 1, 2] of 4 axes",
        ),
        (
            Op::Quantize(Coding {
                scale: 0.0,
                zero: 0,
            }),
            "scale 0, expected above 0",
        ),
        (
            Op::Dequantize(Coding {
                scale: 1.0,
                zero: 0,
            }),
            "input holds real numbers",
        ),
        (
            Op::Clip {
                least: 1.0,
                most: 0.0,
            },
            "limits 1 to 0",
        ),
    ];
    for (op, expected) in cases {
        let message = graph.push("node7", op, &[x]).unwrap_err().to_string();
        assert!(
            message.contains("`node7`") && message.contains(expected),
            "{message}"
        );
    }
    // Sizes that would overflow.
    let large = graph
        .input("large", &[1 << 40, 1 << 40])
        .unwrap_err()
        .to_string();
    assert!(
        large.contains("`large`") && large.contains("at most"),
        "{large}"
    );
    let wide = Window {
        size: [1, 1],
        stride: [usize::MAX, 1],
        dilation: [1, 1],
        before: [usize::MAX, 0],
        after: [0, 0],
    };
    assert!(graph.push("wide", Op::MaxPool(wide), &[x]).is_err());
    // Zeros around a picture that no convolution reads.
    let padded = graph
        .push(
            "zeros",
            Op::Pad {
                before: [1; 2],
                after: [1; 2],
            },
            &[x],
        )
        .unwrap();
    let clipped = graph
        .push(
            "clip",
            Op::Clip {
                least: 0.0,
                most: 1.0,
            },
            &[padded],
        )
        .unwrap();
    graph.output(clipped).unwrap();
    let message = Program::new(graph, Isa::best()).unwrap_err().to_string();
    assert!(message.contains("`zeros`"), "{message}");
}

#[test]
fn buffers_of_wrong_sizes_are_refused() {
    let mut graph = Graph::new();
    let x = graph.input("image", &[1, 2, 2, 2]).unwrap();
    let y = graph
        .push(
            "half",
            Op::Clip {
                least: 0.0,
                most: 0.5,
            },
            &[x],
        )
        .unwrap();
    graph.output(y).unwrap();
    let program = Program::new(graph, Isa::best()).unwrap();
    let (mut arena, mut pool) = (program.arena(), Pool::new(1).unwrap());
    let mut out = [0.0; 8];
    let error = program
        .run(&mut arena, &mut pool, &[&[0.0; 7]], &mut [&mut out])
        .unwrap_err();
    assert_eq!(error.to_string(), "input 0: 7 elements, expected 8");
    program
        .run(&mut arena, &mut pool, &[&[0.75; 8]], &mut [&mut out])
        .unwrap();
    assert_eq!(out, [0.5; 8]);
}
