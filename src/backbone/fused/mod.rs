//! Fused regions: what tract's graph holds that our kernels can do, as few operators of our own.
//!
//! [`loader`] keeps quantization whole while tract loads; [`Fuse`] then replaces every group of
//! nodes that the kernels know by one [`Region`]. The rest stays tract's.

mod quant_ops;
mod recognise;
mod region;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use neuralsmpl_kernels::{Graph, Isa, Op as KernelOp, Program, Value};
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::transform::ModelTransform;
use tract_onnx::tract_hir::internal::*;

pub(crate) use quant_ops::loader;
use recognise::{Known, recognise};
pub(crate) use region::{Region, RegionState, SharedPool};

/// Replaces what the kernels know; run it on a typed model before tract simplifies it.
#[derive(Clone)]
pub(crate) struct Fuse {
    pub isa: Isa,
    pub pool: SharedPool,
}

impl std::fmt::Debug for Fuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fuse({})", self.isa)
    }
}

impl ModelTransform for Fuse {
    fn name(&self) -> StaticName {
        "neuralsmpl_fuse".into()
    }

    fn transform(&self, model: &mut TypedModel) -> TractResult<()> {
        let order = model.eval_order()?;
        let mut known: HashMap<usize, Known> = HashMap::new();
        for &id in &order {
            if let Some(found) = recognise(model, model.node(id)) {
                known.insert(id, found);
            }
        }
        let levels = loop {
            let levels = levels(model, &order, &known);
            let alone = outside(model, &order, &known, &levels);
            if alone.is_empty() {
                break levels;
            }
            known.retain(|id, _| !alone.contains(id));
        };
        let mut regions: Vec<Vec<usize>> = Vec::new();
        for &id in order.iter().filter(|id| known.contains_key(id)) {
            let level = levels[&id];
            if regions.len() <= level {
                regions.resize(level + 1, Vec::new());
            }
            regions[level].push(id);
        }
        let mut patch = TypedModelPatch::default();
        let mut made: HashMap<OutletId, OutletId> = HashMap::new();
        regions.retain(|ids| worthwhile(ids, &known));
        for ids in &regions {
            let mut trial = patch.clone();
            match self.region(model, ids, &mut known, &mut trial, &mut made) {
                Ok(()) => patch = trial,
                Err(e) => log::warn!("a part of the network is left to tract: {e:#}"),
            }
        }
        for (old, new) in made {
            patch.shunt_outside(model, old, new)?;
        }
        patch.apply(model)?;
        model.compact()
    }
}

impl Fuse {
    /// Builds one region. Takes its operations out of `known`, so that their weights are not held twice.
    fn region(
        &self,
        model: &TypedModel,
        ids: &[usize],
        known: &mut HashMap<usize, Known>,
        patch: &mut TypedModelPatch,
        made: &mut HashMap<OutletId, OutletId>,
    ) -> TractResult<()> {
        let inside: HashSet<usize> = ids.iter().copied().collect();
        let mut graph = Graph::new();
        let mut values: HashMap<OutletId, Value> = HashMap::new();
        let mut wires = tvec!();
        for &id in ids {
            let node = model.node(id);
            let Known {
                op,
                inputs: outlets,
            } = known
                .remove(&id)
                .context("an operation in one region only")?;
            let mut inputs = Vec::new();
            for outlet in outlets {
                let value = match values.entry(outlet) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        let fact = model.outlet_fact(outlet)?;
                        let shape = fact.shape.as_concrete().context("a shape of numbers")?;
                        let name = &model.node(outlet.node).name;
                        wires.push(patch.tap_model(model, outlet)?);
                        *new.insert(graph.input(name, shape)?)
                    }
                };
                inputs.push(value);
            }
            let value = graph.push(&node.name, op, &inputs)?;
            values.insert(id.into(), value);
        }
        let mut outputs = Vec::new();
        let mut shapes = Vec::new();
        for &id in ids {
            let outlet = OutletId::new(id, 0);
            let used = &model.node(id).outputs[0].successors;
            let leaves = model.outputs.contains(&outlet)
                || used.iter().any(|inlet| !inside.contains(&inlet.node));
            if leaves {
                let value = values[&outlet];
                graph.output(value)?;
                shapes.push(graph.shape(value).to_vec());
                outputs.push(outlet);
            }
        }
        let op = Region {
            program: Arc::new(Program::new(graph, self.isa)?),
            pool: self.pool.clone(),
            outputs: shapes,
        };
        let name = format!("{}.region", model.node(ids[0]).name);
        let new = patch.wire_node(name, op, &wires)?;
        made.extend(outputs.into_iter().zip(new));
        Ok(())
    }
}

/// How often the way from the inputs to each node enters a region: nodes of one level can be
/// computed together, because no way between them leaves the level.
fn levels(
    model: &TypedModel,
    order: &[usize],
    known: &HashMap<usize, Known>,
) -> HashMap<usize, usize> {
    let mut levels: HashMap<usize, usize> = HashMap::new();
    // Constants, and what is computed from them alone, are everywhere: they begin no new level.
    let mut fixed: HashSet<usize> = HashSet::new();
    for &id in order {
        let inputs = &model.node(id).inputs;
        let constant = model.node(id).op_is::<Const>();
        if constant || !inputs.is_empty() && inputs.iter().all(|i| fixed.contains(&i.node)) {
            fixed.insert(id);
        }
        let mine = known.contains_key(&id);
        let mut level = 0;
        for input in inputs {
            let before = levels[&input.node];
            let enters = mine && !known.contains_key(&input.node) && !fixed.contains(&input.node);
            level = level.max(before + usize::from(enters));
        }
        levels.insert(id, level);
    }
    levels
}

/// Known nodes that no region can hold, because codes would cross its border.
fn outside(
    model: &TypedModel,
    order: &[usize],
    known: &HashMap<usize, Known>,
    levels: &HashMap<usize, usize>,
) -> HashSet<usize> {
    let mut found = HashSet::new();
    for &id in order {
        let outlet = OutletId::new(id, 0);
        let is_known = known.contains_key(&id);
        let codes = match model.node(id).outputs.first() {
            Some(output) => output.fact.datum_type != f32::datum_type(),
            None => continue,
        };
        if !codes {
            continue;
        }
        let used: Vec<usize> = model.node(id).outputs[0]
            .successors
            .iter()
            .map(|inlet| inlet.node)
            .collect();
        let within = is_known
            && !model.outputs.contains(&outlet)
            && used
                .iter()
                .all(|user| known.contains_key(user) && levels[user] == levels[&id]);
        if !within {
            found.extend(is_known.then_some(id));
            let reads = |user: &usize| {
                known
                    .get(user)
                    .is_some_and(|known| known.inputs.contains(&outlet))
            };
            found.extend(used.into_iter().filter(reads));
        }
    }
    found
}

/// Whether a region does anything that tract does not do as well.
fn worthwhile(ids: &[usize], known: &HashMap<usize, Known>) -> bool {
    ids.iter().any(|id| {
        matches!(
            known[id].op,
            KernelOp::Conv(_)
                | KernelOp::MaxPool(_)
                | KernelOp::Upsample(_)
                | KernelOp::Quantize(_)
                | KernelOp::Dequantize(_)
        )
    })
}
