//! A look into a network as it runs: which kernel or operator does what, and for how long.

use std::time::{Duration, Instant};

use neuralsmpl_kernels::Placed;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::BackboneError;
use super::error::one_line;
use super::fused::{Region, RegionState};
use super::plan::Plan;
use super::workers::Workers;

/// Any ONNX network of fixed shapes, to be run and timed.
pub struct NetworkProbe {
    plan: Plan,
    inputs: Vec<Tensor>,
}

/// A named array of f32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// Of the ONNX input or output.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

/// One step of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Of the first node that it does.
    pub name: String,
    /// Kernel, or tract's operator.
    pub what: String,
    /// Done by our kernels rather than tract.
    pub fused: bool,
    /// Operators of the graph that it does; 0 where it only moves numbers for others.
    pub nodes: usize,
    /// Multiplications with weights; 0 where unknown.
    pub macs: u64,
    /// Mean time of a run.
    pub time: Duration,
}

/// What a region's memory holds.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionMemory {
    /// Bytes of the arena.
    pub arena: usize,
    /// Bytes that the tensors would take without sharing.
    pub apart: usize,
    /// Bytes of packed weights.
    pub weights: usize,
    /// The arena's tensors.
    pub plan: Vec<Placed>,
    /// Names of the steps that a tensor's lifetime counts.
    pub steps: Vec<String>,
}

impl NetworkProbe {
    /// Loads a network. Its inputs hold noise between 0 and 1 until [`Self::set_input`].
    ///
    /// # Errors
    /// When it cannot be loaded, or its inputs are not f32 of fixed shapes.
    pub fn load(onnx: &[u8], workers: &Workers) -> Result<Self, BackboneError> {
        let fault = |message: String| BackboneError::Load {
            network: "given",
            message,
        };
        let proto = Plan::read(onnx).map_err(fault)?;
        let plan = Plan::new(proto, None, workers).map_err(fault)?;
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut inputs = Vec::new();
        for (i, outlet) in plan.model().inputs.iter().enumerate() {
            let fact = plan
                .model()
                .input_fact(i)
                .map_err(|e| fault(one_line(&e)))?;
            let name = &plan.model().node(outlet.node).name;
            let shape = match fact.shape.as_concrete() {
                Some(shape) if fact.datum_type == f32::datum_type() => shape.to_vec(),
                _ => {
                    return Err(fault(format!(
                        "input `{name}` is {fact:?}, expected f32 of a fixed shape"
                    )));
                }
            };
            let count = shape.iter().product();
            let noise: Vec<f32> = (0..count).map(|_| random.random()).collect();
            inputs.push(Tensor::from_shape(&shape, &noise).map_err(|e| fault(one_line(&e)))?);
        }
        Ok(Self { plan, inputs })
    }

    /// Names and shapes of the inputs, in order.
    pub fn inputs(&self) -> Vec<(String, Vec<usize>)> {
        let model = self.plan.model();
        let named = model.inputs.iter().zip(&self.inputs);
        named
            .map(|(outlet, x)| (model.node(outlet.node).name.clone(), x.shape().to_vec()))
            .collect()
    }

    /// Sets an input by its index.
    ///
    /// # Errors
    /// When there is no such input, or it has another number of elements.
    pub fn set_input(&mut self, index: usize, values: &[f32]) -> Result<(), BackboneError> {
        let fault = |message: String| BackboneError::Run {
            network: "given",
            message,
        };
        let input = self
            .inputs
            .get_mut(index)
            .ok_or_else(|| fault(format!("there is no input {index}")))?;
        let made = Tensor::from_shape(input.shape(), values);
        *input = made.map_err(|e| fault(one_line(&e)))?;
        Ok(())
    }

    /// Runs once and gives the outputs.
    ///
    /// # Errors
    /// When the run fails, or an output is not f32.
    pub fn run(&mut self) -> Result<Vec<NamedArray>, BackboneError> {
        let fault = |message: String| BackboneError::Run {
            network: "given",
            message,
        };
        let values = self.plan.run(self.given()).map_err(fault)?;
        let model = self.plan.model();
        let mut outputs = Vec::new();
        for (&outlet, value) in model.outputs.iter().zip(&values) {
            let label = model.outlet_labels.get(&outlet);
            let name = label.unwrap_or(&model.node(outlet.node).name).clone();
            let values: &[f32] = value
                .view()
                .as_slice()
                .map_err(|e| fault(format!("output `{name}`: {}", one_line(&e))))?;
            outputs.push(NamedArray {
                name,
                shape: value.shape().to_vec(),
                values: values.to_vec(),
            });
        }
        Ok(outputs)
    }

    /// Runs once and gives the time.
    ///
    /// # Errors
    /// When the run fails.
    pub fn time(&mut self) -> Result<Duration, BackboneError> {
        let given = self.given();
        let start = Instant::now();
        let ran = self.plan.run(given);
        let time = start.elapsed();
        match ran {
            Ok(_) => Ok(time),
            Err(message) => Err(BackboneError::Run {
                network: "given",
                message,
            }),
        }
    }

    /// Times every part over so many runs, after one that warms up.
    ///
    /// # Errors
    /// When a run fails.
    pub fn parts(&mut self, runs: u32) -> Result<Vec<Part>, BackboneError> {
        let fault = |e: TractError| BackboneError::Run {
            network: "given",
            message: one_line(&e),
        };
        self.time()?;
        let mut times = vec![Duration::ZERO; self.plan.model().nodes.len()];
        self.watch(true);
        for _ in 0..runs {
            let given = self.given();
            self.plan
                .state
                .run_plan_with_eval(given, |context, state, node, inputs| {
                    let start = Instant::now();
                    let made = tract_onnx::tract_core::plan::eval(context, state, node, inputs);
                    times[node.id] += start.elapsed();
                    made
                })
                .map_err(fault)?;
        }
        let steps = self.watch(false);
        let mut parts = Vec::new();
        let mut watched = steps.into_iter();
        for (node, time) in self.plan.model().nodes.iter().zip(times) {
            if let Some(region) = node.op_as::<Region>() {
                let times = watched.next().unwrap_or_default();
                for (step, time) in region.program.steps().zip(times) {
                    parts.push(Part {
                        name: step.name.to_owned(),
                        what: step.label.to_owned(),
                        fused: true,
                        nodes: step.nodes,
                        macs: step.macs,
                        time: time / runs.max(1),
                    });
                }
            } else if !node.op_is::<Const>() && !node.op_is::<TypedSource>() {
                parts.push(Part {
                    name: node.name.clone(),
                    what: node.op.name().into_owned(),
                    fused: false,
                    nodes: 1,
                    macs: 0,
                    time: time / runs.max(1),
                });
            }
        }
        Ok(parts)
    }

    /// Memory of each fused region.
    pub fn memory(&self) -> Vec<RegionMemory> {
        let nodes = self.plan.model().nodes.iter();
        nodes
            .filter_map(|node| node.op_as::<Region>())
            .map(|region| RegionMemory {
                arena: region.program.arena_bytes(),
                apart: region.program.tensor_bytes(),
                weights: region.program.weight_bytes(),
                plan: region.program.plan().to_vec(),
                steps: region.program.steps().map(|s| s.name.to_owned()).collect(),
            })
            .collect()
    }

    fn given(&self) -> TVec<TValue> {
        self.inputs
            .iter()
            .map(|x| x.clone().into_tvalue())
            .collect()
    }

    /// Starts or ends watching the regions' steps; gives the times so far, region by region.
    fn watch(&mut self, on: bool) -> Vec<Vec<Duration>> {
        let plan = self.plan.state.plan().clone();
        let nodes = &plan.model().nodes;
        let mut found = Vec::new();
        for (node, state) in nodes.iter().zip(&mut self.plan.state.op_states) {
            let region = node.op_as::<Region>();
            let state = state.as_mut().and_then(|s| s.downcast_mut::<RegionState>());
            if let (Some(region), Some(state)) = (region, state) {
                found.extend(state.watch.take());
                state.watch = on.then(|| vec![Duration::ZERO; region.program.steps().len()]);
            }
        }
        found
    }
}
