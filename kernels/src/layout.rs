//! Layout: which tensors there are, what reads and writes them, and how each lies in memory.
//!
//! A tensor `[1, C, H, W]` lies channels-last with a border as wide as the convolutions that read
//! it look beyond its edge; any other is a row of numbers. Views cost nothing until something
//! reads them that needs another order: then a copy is made, once.

use std::collections::HashMap;

use crate::borders::borders;
use crate::fuse::{Fused, Kind, Operand, conv_of};
use crate::graph::{Coding, Conv, Graph, Value, Window};
use crate::view::{Atom, Axis, View};

/// Where a tensor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Input(usize),
    Output(usize),
    /// Offset in bytes, decided last.
    Arena(usize),
}

/// A tensor in memory.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub name: String,
    /// u8 codes rather than f32.
    pub codes: bool,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub pitch: usize,
    /// Rows above, columns left, rows below, columns right.
    pub border: [usize; 4],
    /// What a border of codes holds.
    pub zero: i32,
    pub place: Place,
}

impl Tensor {
    /// Elements from a row to the next.
    pub fn row(&self) -> usize {
        (self.width + self.border[1] + self.border[3]) * self.pitch
    }

    /// Element `(0, 0, 0)`, from the tensor's start.
    pub fn interior(&self) -> usize {
        self.border[0] * self.row() + self.border[1] * self.pitch
    }

    pub fn elements(&self) -> usize {
        (self.height + self.border[0] + self.border[2]) * self.row()
    }

    pub fn bytes(&self) -> usize {
        self.elements() * if self.codes { 1 } else { 4 }
    }

    pub fn stride(&self, axis: Axis) -> usize {
        match axis {
            Axis::Channel => 1,
            Axis::Row => self.row(),
            Axis::Column => self.pitch,
        }
    }
}

/// What a copy does to each number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    None,
    Quantize(Coding),
    Dequantize(Coding),
}

/// Part of a copy's way: `size` steps, each along an axis of both tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub from: Atom,
    pub to: Atom,
}

/// An operation on tensors.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// As in the fused operation of this index.
    Fused(usize),
    Copy {
        change: Change,
        legs: Vec<Leg>,
        /// Steps along an axis of the target before the first.
        skip: Option<(Axis, usize)>,
    },
}

/// One step: what is done, from which tensors, to which.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub name: String,
    pub work: Work,
    pub inputs: Vec<usize>,
    pub output: usize,
    pub nodes: usize,
}

/// Everything but addresses.
pub(crate) struct Layout {
    pub tensors: Vec<Tensor>,
    pub tasks: Vec<Task>,
}

/// Lays a fused graph out for vectors of so many lanes.
pub(crate) fn layout(graph: &Graph, fused: &[Fused], lanes: usize) -> Layout {
    let mut pass = Pass {
        graph,
        lanes,
        layout: Layout {
            tensors: Vec::new(),
            tasks: Vec::new(),
        },
        views: HashMap::new(),
    };
    for (index, &input) in graph.inputs.iter().enumerate() {
        let shape = graph.shape(input);
        let tensor = pass.outside(input, Place::Input(index));
        pass.views
            .insert(real(input), View::row_major(tensor, shape));
    }
    for (index, operation) in fused.iter().enumerate() {
        pass.add(index, operation);
    }
    for (index, &output) in graph.outputs.iter().enumerate() {
        let tensor = pass.outside(output, Place::Output(index));
        let to = View::row_major(tensor, graph.shape(output));
        let from = pass.views[&real(output)].clone();
        let name = graph.nodes[output.0].name.clone();
        pass.copy(name, Change::None, &from, &to, None, 0);
    }
    let mut layout = pass.layout;
    borders(graph, fused, &mut layout, lanes);
    layout
}

fn real(value: Value) -> Operand {
    Operand {
        value,
        codes: false,
    }
}

struct Pass<'a> {
    graph: &'a Graph,
    lanes: usize,
    layout: Layout,
    views: HashMap<Operand, View>,
}

impl Pass<'_> {
    /// A row-major buffer of the caller's.
    fn outside(&mut self, value: Value, place: Place) -> usize {
        let count = self.graph.shape(value).iter().product();
        self.layout.tensors.push(Tensor {
            name: self.graph.nodes[value.0].name.clone(),
            codes: false,
            channels: count,
            height: 1,
            width: 1,
            pitch: count,
            border: [0; 4],
            zero: 0,
            place,
        });
        self.layout.tensors.len() - 1
    }

    /// A new tensor for a value, and the view of it as a whole.
    fn tensor(&mut self, operand: Operand, zero: i32) -> View {
        let node = &self.graph.nodes[operand.value.0];
        let (channels, height, width, pitch) = match node.shape[..] {
            [1, c, h, w] => (c, h, w, c.next_multiple_of(self.lanes)),
            _ => {
                let count = node.shape.iter().product();
                (count, 1, 1, count)
            }
        };
        self.layout.tensors.push(Tensor {
            name: node.name.clone(),
            codes: operand.codes,
            channels,
            height,
            width,
            pitch,
            border: [0; 4],
            zero,
            place: Place::Arena(0),
        });
        View::whole(self.layout.tensors.len() - 1, &node.shape)
    }

    fn copy(
        &mut self,
        name: String,
        change: Change,
        from: &View,
        to: &View,
        skip: Option<(Axis, usize)>,
        nodes: usize,
    ) {
        self.layout.tasks.push(Task {
            name,
            work: Work::Copy {
                change,
                legs: legs(from, to),
                skip,
            },
            inputs: vec![from.tensor],
            output: to.tensor,
            nodes,
        });
    }

    /// The tensor that holds an operand as a whole, copied into one if need be.
    fn whole(&mut self, operand: Operand, zero: i32) -> usize {
        let view = self.views[&operand].clone();
        let shape = self.graph.shape(operand.value);
        let outside = matches!(self.layout.tensors[view.tensor].place, Place::Input(_));
        let row = View::row_major(view.tensor, shape);
        let tensor = &self.layout.tensors[view.tensor];
        let same_size =
            tensor.channels * tensor.height * tensor.width == shape.iter().product::<usize>();
        let wanted = View::whole(view.tensor, shape);
        let fits = match shape {
            [1, c, h, w] => {
                !outside && (tensor.channels, tensor.height, tensor.width) == (*c, *h, *w)
            }
            _ => view == row,
        };
        if same_size && fits && view == wanted {
            return view.tensor;
        }
        let to = self.tensor(operand, zero);
        let name = self.graph.nodes[operand.value.0].name.clone();
        self.copy(name, Change::None, &view, &to, None, 0);
        let tensor = to.tensor;
        self.views.insert(operand, to);
        tensor
    }

    fn add(&mut self, index: usize, fused: &Fused) {
        let shape = self.graph.shape(fused.output.value).to_vec();
        match &fused.kind {
            Kind::Reshape => {
                let view = self.views[&fused.inputs[0]].clone();
                let reshaped = view.reshaped(&shape).or_else(|| {
                    // In order, any other shape is a view.
                    let row = self.in_order(fused.inputs[0], &view, fused.zero);
                    row.reshaped(&shape)
                });
                if let Some(view) = reshaped {
                    self.views.insert(fused.output, view);
                }
            }
            Kind::Permute(order) => {
                let view = self.views[&fused.inputs[0]].permuted(order);
                self.views.insert(fused.output, view);
            }
            Kind::Quantize(coding) => self.change(fused, Change::Quantize(*coding)),
            Kind::Dequantize(coding) => self.change(fused, Change::Dequantize(*coding)),
            Kind::Concat(axis) => self.concat(fused, &shape, *axis),
            _ => {
                let inputs = fused
                    .inputs
                    .iter()
                    .map(|&input| {
                        let held = self.views[&input].tensor;
                        let zero = self.layout.tensors[held].zero;
                        self.whole(input, zero)
                    })
                    .collect();
                let to = self.tensor(fused.output, fused.zero);
                self.layout.tasks.push(Task {
                    name: fused.name.clone(),
                    work: Work::Fused(index),
                    inputs,
                    output: to.tensor,
                    nodes: fused.nodes,
                });
                self.views.insert(fused.output, to);
            }
        }
    }

    fn change(&mut self, fused: &Fused, change: Change) {
        let from = self.views[&fused.inputs[0]].clone();
        let to = self.tensor(fused.output, fused.zero);
        self.copy(fused.name.clone(), change, &from, &to, None, fused.nodes);
        self.views.insert(fused.output, to);
    }

    /// A copy of a view as a row of numbers in its order.
    fn in_order(&mut self, operand: Operand, view: &View, zero: i32) -> View {
        let shape = self.graph.shape(operand.value).to_vec();
        let count = shape.iter().product();
        self.layout.tensors.push(Tensor {
            name: self.graph.nodes[operand.value.0].name.clone(),
            codes: operand.codes,
            channels: count,
            height: 1,
            width: 1,
            pitch: count,
            border: [0; 4],
            zero,
            place: Place::Arena(0),
        });
        let to = View::row_major(self.layout.tensors.len() - 1, &shape);
        let name = self.graph.nodes[operand.value.0].name.clone();
        self.copy(name, Change::None, view, &to, None, 0);
        to
    }

    fn concat(&mut self, fused: &Fused, shape: &[usize], axis: usize) {
        let to = self.tensor(fused.output, fused.zero);
        let steps = View::whole(to.tensor, shape).axes;
        let picture = matches!(shape, [1, _, _, _]);
        let mut start = 0;
        for &input in &fused.inputs {
            let from = self.views[&input].clone();
            let part = self.graph.shape(input.value);
            // The part's own axes, over the steps of the whole.
            let along = |i: usize| match i {
                2 if picture => Axis::Row,
                3 if picture => Axis::Column,
                _ => Axis::Channel,
            };
            let times = |i: usize| steps[i].first().map_or(1, |atom| atom.times);
            let axes = (0..part.len())
                .map(|i| match part[i] {
                    1 => Vec::new(),
                    size => vec![Atom {
                        size,
                        axis: along(i),
                        times: times(i),
                    }],
                })
                .collect();
            let tensor = to.tensor;
            let skip = Some((along(axis), start * times(axis)));
            let part_of = View { tensor, axes };
            self.copy(fused.name.clone(), Change::None, &from, &part_of, skip, 1);
            start += part[axis];
        }
        self.views.insert(fused.output, to);
    }
}

/// The way through two views of one shape, of which `to` has at most one atom an axis.
fn legs(from: &View, to: &View) -> Vec<Leg> {
    let mut legs = Vec::new();
    for (from, to) in from.axes.iter().zip(&to.axes) {
        let Some(&whole) = to.first() else { continue };
        let mut rest = whole.size;
        for &from in from {
            rest /= from.size;
            let to = Atom {
                size: from.size,
                axis: whole.axis,
                times: whole.times * rest,
            };
            legs.push(Leg { from, to });
        }
    }
    legs
}

/// The convolution of a task, and its window with the zeros around the picture.
pub(crate) fn task_conv<'a>(
    graph: &'a Graph,
    fused: &[Fused],
    task: &Task,
) -> Option<(&'a Conv, Window)> {
    let Work::Fused(index) = task.work else {
        return None;
    };
    match fused[index].kind {
        Kind::Real { conv, window, .. } | Kind::Coded { conv, window, .. } => {
            Some((conv_of(graph, conv)?, window))
        }
        _ => None,
    }
}
