//! A region of the graph as one operator of tract's: its program, and per session an arena.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use neuralsmpl_kernels::{Arena, Pool, Program};
use tract_onnx::tract_hir::internal::*;

/// Threads that regions share, one run at a time.
pub(crate) type SharedPool = Arc<Mutex<Pool>>;

/// A fused region; inputs and outputs are row-major f32.
#[derive(Clone)]
pub(crate) struct Region {
    pub program: Arc<Program>,
    pub pool: SharedPool,
    pub outputs: Vec<Vec<usize>>,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Region({:?})", self.program)
    }
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program)
    }
}

impl Eq for Region {}

impl Op for Region {
    fn name(&self) -> StaticName {
        "FusedRegion".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.program)])
    }

    op_as_typed_op!();
}

impl EvalOp for Region {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        let zeros = |shape: &Vec<usize>| Ok(Arc::new(Tensor::zero::<f32>(shape)?));
        Ok(Some(Box::new(RegionState {
            arena: self.program.arena(),
            outputs: self.outputs.iter().map(zeros).collect::<TractResult<_>>()?,
            watch: None,
        })))
    }
}

impl TypedOp for Region {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.outputs.iter().map(f32::fact).collect())
    }
}

/// What a region keeps between runs: all memory that it needs.
#[derive(Clone, Debug)]
pub(crate) struct RegionState {
    arena: Arena,
    /// Lent to the session for each run; made anew only if someone still holds them.
    outputs: Vec<Arc<Tensor>>,
    /// Where set, the times of the steps, summed.
    pub watch: Option<Vec<Duration>>,
}

impl OpState for RegionState {
    fn eval(
        &mut self,
        _: &EvalContext,
        op: &dyn Op,
        inputs: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        let region = op.downcast_ref::<Region>().context("state of a region")?;
        let mut given: TVec<&[f32]> = tvec!();
        for input in &inputs {
            given.push(input.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        {
            let mut views = tvec!();
            for output in &mut self.outputs {
                views.push(Arc::make_mut(output).try_as_plain_ram_mut()?);
            }
            let mut made: TVec<&mut [f32]> = tvec!();
            for view in &mut views {
                made.push(view.as_slice_mut::<f32>()?);
            }
            let mut pool = region.pool.lock().unwrap_or_else(PoisonError::into_inner);
            let (program, arena) = (&region.program, &mut self.arena);
            match &mut self.watch {
                None => program.run(arena, &mut pool, &given, &mut made)?,
                Some(times) => {
                    program.run_timed(arena, &mut pool, &given, &mut made, &mut |i, t| {
                        times[i] += t;
                    })?
                }
            }
        }
        Ok(self
            .outputs
            .iter()
            .map(|o| o.clone().into_tvalue())
            .collect())
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
