//! A network ready to run: steps, packed weights, and the plan of one arena.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::arena::{Life, occupied, place};
use crate::error::{GraphError, RunError};
use crate::execute::{Bases, execute};
use crate::fuse::fuse;
use crate::graph::Graph;
use crate::isa::Isa;
use crate::kernel::Line;
use crate::layout::{Place, layout};
use crate::pool::Pool;
use crate::step::{Step, compile};

/// Largest arena, bytes.
pub const MAX_ARENA: usize = 1 << 30;

/// A compiled network. See the crate's documentation.
pub struct Program {
    isa: Isa,
    pub(crate) steps: Vec<Step>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    arena: usize,
    plan: Vec<Placed>,
    weights: usize,
}

/// A tensor of the arena's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Of the node that makes it.
    pub name: String,
    /// Bytes from the arena's start.
    pub offset: usize,
    /// Bytes, border and padding included.
    pub bytes: usize,
    /// Steps that touch it: from the one that writes it to the last that reads it.
    pub steps: Range<usize>,
    /// f32 or u8.
    pub codes: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInfo<'a> {
    /// Of the first node that it replaces.
    pub name: &'a str,
    /// Its kernel.
    pub label: &'a str,
    /// Nodes of the graph that it replaces; 0 for a copy that fusion added.
    pub nodes: usize,
    /// Multiplications with weights.
    pub macs: u64,
}

/// Memory for one run at a time: the arena and the addresses of the outputs.
#[derive(Clone)]
pub struct Arena {
    lines: Vec<Line>,
    outputs: Vec<Address>,
}

#[derive(Clone, Copy)]
pub(crate) struct Address(pub *mut f32);

// SAFETY: an address is only used within `Program::run`, which holds the arena exclusively.
unsafe impl Send for Address {}
// SAFETY: as above; nothing is reached through a shared arena.
unsafe impl Sync for Address {}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({} bytes)", self.lines.len() * 64)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({} steps, {})", self.steps.len(), self.isa)
    }
}

impl Program {
    /// Fuses, lays out and packs a network for an instruction set that this processor has. Each
    /// convolution's weights are let go of once they are packed.
    ///
    /// # Errors
    /// If it needs more than [`MAX_ARENA`], a chain of reshapes and permutations is too tangled for one copy, or zeros are added for
    /// something else than a convolution.
    pub fn new(mut graph: Graph, isa: Isa) -> Result<Self, GraphError> {
        let kernels = isa.kernels();
        let fused = fuse(&graph)?;
        let mut layout = layout(&graph, &fused, kernels.lanes);
        let mut lives = Vec::new();
        let mut owners = Vec::new();
        for (index, tensor) in layout.tensors.iter().enumerate() {
            let mut touched = (0..layout.tasks.len()).filter(|&step| {
                let task = &layout.tasks[step];
                task.output == index || task.inputs.contains(&index)
            });
            if let (Place::Arena(_), Some(first)) = (tensor.place, touched.next()) {
                lives.push(Life {
                    bytes: tensor.bytes(),
                    first,
                    last: touched.next_back().unwrap_or(first),
                });
                owners.push(index);
            }
        }
        let (offsets, arena) = place(&lives);
        if arena > MAX_ARENA {
            return Err(GraphError {
                node: graph
                    .nodes
                    .last()
                    .map_or_else(String::new, |n| n.name.clone()),
                op: "network",
                reason: format!("an arena of {arena} bytes, at most {MAX_ARENA}"),
            });
        }
        let mut plan = Vec::with_capacity(owners.len());
        for ((&owner, &offset), life) in owners.iter().zip(&offsets).zip(&lives) {
            let tensor = &mut layout.tensors[owner];
            tensor.place = Place::Arena(offset);
            plan.push(Placed {
                name: tensor.name.clone(),
                offset,
                bytes: occupied(life.bytes),
                steps: life.first..life.last + 1,
                codes: tensor.codes,
            });
        }
        let steps = compile(&mut graph, &fused, &layout, kernels)?;
        let size = |value: &crate::graph::Value| graph.shape(*value).iter().product();
        Ok(Self {
            isa,
            inputs: graph.inputs.iter().map(size).collect(),
            outputs: graph.outputs.iter().map(size).collect(),
            arena,
            plan,
            weights: steps.iter().map(Step::weight_bytes).sum(),
            steps,
        })
    }

    /// The instruction set that it was packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        self.arena
    }

    /// Bytes of packed weights, biases and scales.
    pub fn weight_bytes(&self) -> usize {
        self.weights
    }

    /// Bytes that its tensors would take if each had memory of its own.
    pub fn tensor_bytes(&self) -> usize {
        self.plan.iter().map(|placed| placed.bytes).sum()
    }

    /// The arena's tensors, in the order in which they are first written.
    pub fn plan(&self) -> &[Placed] {
        &self.plan
    }

    /// What it does, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|step| StepInfo {
            name: &step.name,
            label: &step.label,
            nodes: step.nodes,
            macs: step.macs,
        })
    }

    /// Memory for [`Self::run`].
    pub fn arena(&self) -> Arena {
        Arena {
            lines: vec![Line([0; 64]); self.arena.div_ceil(64)],
            outputs: vec![Address(std::ptr::null_mut()); self.outputs.len()],
        }
    }

    /// Runs the network: row-major inputs to row-major outputs. Allocates nothing.
    ///
    /// The results are the same bits whatever the pool's size.
    ///
    /// # Errors
    /// If an input's or output's number or length is not the graph's.
    ///
    /// # Panics
    /// If the arena is another program's.
    pub fn run(
        &self,
        arena: &mut Arena,
        pool: &mut Pool,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), RunError> {
        self.run_steps(arena, pool, inputs, outputs, &mut |_, _| {})
    }

    /// The same, telling `timed` each step's index and time.
    ///
    /// # Errors
    /// As [`Self::run`].
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_timed(
        &self,
        arena: &mut Arena,
        pool: &mut Pool,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        timed: &mut dyn FnMut(usize, Duration),
    ) -> Result<(), RunError> {
        let mut last = Instant::now();
        self.run_steps(arena, pool, inputs, outputs, &mut |index, start| {
            if start {
                last = Instant::now();
            } else {
                timed(index, last.elapsed());
            }
        })
    }

    fn run_steps(
        &self,
        arena: &mut Arena,
        pool: &mut Pool,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        watch: &mut dyn FnMut(usize, bool),
    ) -> Result<(), RunError> {
        check("input", &self.inputs, inputs.iter().map(|x| x.len()))?;
        check("output", &self.outputs, outputs.iter().map(|x| x.len()))?;
        let fits = arena.lines.len() * 64 >= self.arena && arena.outputs.len() == outputs.len();
        assert!(fits, "the arena is another program's");
        for (address, output) in arena.outputs.iter_mut().zip(outputs) {
            *address = Address(output.as_mut_ptr());
        }
        let bases = Bases {
            arena: arena.lines.as_mut_ptr().cast(),
            inputs,
            outputs: &arena.outputs,
        };
        let kernels = self.isa.kernels();
        for (index, step) in self.steps.iter().enumerate() {
            watch(index, true);
            pool.run(step.units, &|units| {
                // SAFETY: the places are within the arena, inputs and outputs, whose sizes were
                // checked; steps run one after another, the planner keeps the tensors of one
                // apart, and ranges of units write apart.
                unsafe { execute(step, kernels, &bases, units) };
            });
            watch(index, false);
        }
        Ok(())
    }
}

fn check(
    what: &'static str,
    expected: &[usize],
    found: impl ExactSizeIterator<Item = usize>,
) -> Result<(), RunError> {
    let wrong = |index, found, expected| RunError {
        what,
        index,
        found,
        expected,
    };
    if found.len() != expected.len() {
        return Err(wrong(expected.len(), found.len(), expected.len()));
    }
    for (index, (&expected, found)) in expected.iter().zip(found).enumerate() {
        if found != expected {
            return Err(wrong(index, found, expected));
        }
    }
    Ok(())
}
