//! An ONNX graph as tract runs it, fused regions included, with its session's memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::error::one_line;
use super::fused::{Region, loader};
use super::workers::Workers;

/// A network that is ready to run, one run at a time.
pub(super) struct Plan {
    pub state: TypedSimpleState,
}

impl Plan {
    /// Reads an ONNX file.
    pub fn read(bytes: &[u8]) -> Result<ModelProto, String> {
        loader()
            .proto_model_for_read(&mut &*bytes)
            .map_err(|e| one_line(&e))
    }

    /// Loads a graph, keeping the outputs of these indices in this order, or all. The file's content is
    /// let go of as soon as tract has taken it over.
    pub fn new(
        proto: ModelProto,
        outputs: Option<&[usize]>,
        workers: &Workers,
    ) -> Result<Self, String> {
        // tract panics on some malformed graphs, for instance on an output that no node makes.
        match catch_unwind(AssertUnwindSafe(|| build(proto, outputs, workers))) {
            Ok(built) => built.map_err(|e| one_line(&e)),
            Err(_) => Err("the engine cannot digest its graph".to_owned()),
        }
    }

    /// Bytes of the fused regions' arenas, and of their packed weights.
    pub fn memory(&self) -> [u64; 2] {
        let nodes = self.model().nodes.iter();
        let regions = nodes.filter_map(|node| node.op_as::<Region>());
        regions.fold([0, 0], |[arena, weights], region| {
            let program = &region.program;
            [
                arena + (program.arena_bytes() + program.tensor_bytes()) as u64,
                weights + program.weight_bytes() as u64,
            ]
        })
    }

    /// The graph as it runs.
    pub fn model(&self) -> &TypedModel {
        self.state.plan().model()
    }

    /// Runs the network.
    pub fn run(&mut self, inputs: TVec<TValue>) -> Result<TVec<TValue>, String> {
        self.state.run(inputs).map_err(|e| one_line(&e))
    }
}

fn build(proto: ModelProto, outputs: Option<&[usize]>, workers: &Workers) -> TractResult<Plan> {
    let onnx = match workers.fuse() {
        Some(_) => loader(),
        None => tract_onnx::onnx(),
    };
    let mut model = onnx.model_for_proto_model(&proto)?;
    drop(proto);
    if let Some(outputs) = outputs {
        let kept: Vec<OutletId> = outputs.iter().map(|&i| model.outputs[i]).collect();
        model.select_output_outlets(&kept)?;
    }
    let mut model = model.into_typed()?;
    if let Some(fuse) = workers.fuse() {
        model.transform(&fuse)?;
    }
    let plan: Arc<TypedRunnableModel> = model.into_optimized()?.into_runnable()?;
    Ok(Plan {
        state: plan.spawn()?,
    })
}
