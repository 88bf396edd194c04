//! The backbone up to the feature vector of its pose head, and the layers behind it: for methods that adapt
//! these layers to one picture.

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto};
use tract_onnx::prelude::*;

use super::plan::Plan;
use super::workers::Workers;
use super::{BackboneError, NetworkPose};
use crate::limits::MAX_BETAS;

/// Operators that move numbers without changing them.
const MOVES: [&str; 5] = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"];

/// y = W x + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// W, row by row `[bias.len() × inputs]`.
    pub weight: Vec<f32>,
    /// b.
    pub bias: Vec<f32>,
    /// Length of x.
    pub inputs: usize,
}

/// The pose head behind the feature vector: pose, betas and camera are linear in relu(hidden).
#[derive(Clone, Debug, PartialEq)]
pub struct PoseLayers {
    /// From the feature vector.
    pub hidden: Linear,
    /// To [`NetworkPose::rotations`].
    pub pose: Linear,
    /// To [`NetworkPose::betas`].
    pub betas: Linear,
    /// To [`NetworkPose::camera`].
    pub camera: Linear,
}

/// The backbone without the layers of [`PoseLayers`].
pub struct Trunk {
    plan: Plan,
    side: usize,
    width: usize,
}

impl Trunk {
    /// Splits a backbone with an input of `side` pixels; the layers must be 1 × 1 convolutions or matrix
    /// products with f32 weights.
    ///
    /// # Errors
    /// When the file is no such network.
    pub fn split(
        onnx: &[u8],
        side: usize,
        workers: &Workers,
    ) -> Result<(Self, PoseLayers), BackboneError> {
        let fault = |message: String| BackboneError::Load {
            network: "backbone",
            message,
        };
        let mut proto = Plan::read(onnx).map_err(fault)?;
        let graph = proto
            .graph
            .as_mut()
            .ok_or_else(|| fault("not an ONNX file: it holds no graph".to_owned()))?;
        let (layers, feature) = layers(graph).map_err(fault)?;
        graph.output = vec![ValueInfoProto {
            name: feature,
            ..ValueInfoProto::default()
        }];
        let plan = Plan::new(proto, None, workers).map_err(fault)?;
        let width = layers.hidden.inputs;
        Ok((Self { plan, side, width }, layers))
    }

    /// The feature vector of a crop `[3, S, S]` in 0..=1.
    ///
    /// # Errors
    /// When the network fails or gives another number of values.
    pub fn feature(&mut self, crop: &[f32]) -> Result<Vec<f32>, BackboneError> {
        let fault = |message: String| BackboneError::Run {
            network: "backbone",
            message,
        };
        let input = Tensor::from_shape(&[1, 3, self.side, self.side], crop)
            .map_err(|e| fault(e.to_string()))?;
        let values = self.plan.run(tvec!(input.into_tvalue())).map_err(fault)?;
        let view = values[0].view();
        let found: &[f32] = view.as_slice().map_err(|e| fault(e.to_string()))?;
        if found.len() != self.width || found.iter().any(|v| !v.is_finite()) {
            return Err(fault(format!(
                "the pose head's feature has {} values, expected {} finite ones",
                found.len(),
                self.width
            )));
        }
        Ok(found.to_vec())
    }
}

/// The layers of the pose head, and the name of the feature in front of them.
fn layers(graph: &GraphProto) -> Result<(PoseLayers, String), String> {
    let (pose, shared) = linear(graph, "pose", NetworkPose::ROTATIONS)?;
    let (betas, other) = linear(graph, "betas", MAX_BETAS)?;
    let (camera, third) = linear(graph, "camera", 3)?;
    if shared != other || shared != third {
        return Err(format!(
            "`pose`, `betas` and `camera` come from `{shared}`, `{other}` and `{third}`, expected one hidden layer"
        ));
    }
    let relu = made_by(graph, &shared)?;
    if relu.op_type != "Relu" {
        return Err(format!(
            "`{shared}` is made by {}, expected Relu",
            relu.op_type
        ));
    }
    let before = first_input(relu)?;
    let (hidden, feature) = linear(graph, before, pose.inputs)?;
    let out = PoseLayers {
        hidden,
        pose,
        betas,
        camera,
    };
    Ok((out, feature))
}

/// The linear layer that makes `name`, and what it reads.
fn linear(graph: &GraphProto, name: &str, outputs: usize) -> Result<(Linear, String), String> {
    let mut node = made_by(graph, name)?;
    while MOVES.contains(&node.op_type.as_str()) {
        node = made_by(graph, first_input(node)?)?;
    }
    if node.op_type != "Conv" || node.input.len() != 3 {
        return Err(format!(
            "`{name}` is made by {} with {} inputs, expected a 1 x 1 Conv with weights and bias",
            node.op_type,
            node.input.len()
        ));
    }
    let (shape, weight) = constant(graph, &node.input[1])?;
    let (_, bias) = constant(graph, &node.input[2])?;
    let inputs = shape.get(1).copied().unwrap_or(0);
    if shape != [outputs, inputs, 1, 1] || bias.len() != outputs || inputs == 0 {
        return Err(format!(
            "`{}` has shape {shape:?}, expected [{outputs}, inputs, 1, 1]",
            node.input[1]
        ));
    }
    let out = Linear {
        weight,
        bias,
        inputs,
    };
    Ok((out, node.input[0].clone()))
}

fn first_input(node: &NodeProto) -> Result<&str, String> {
    let first = node.input.first().map(String::as_str);
    first.ok_or_else(|| format!("{} `{}` has no input", node.op_type, node.name))
}

fn made_by<'a>(graph: &'a GraphProto, name: &str) -> Result<&'a NodeProto, String> {
    let mut nodes = graph.node.iter();
    nodes
        .find(|n| n.output.iter().any(|o| o == name))
        .ok_or_else(|| format!("`{name}` is missing: the network sees no poses"))
}

fn constant(graph: &GraphProto, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    let tensor: &TensorProto = graph
        .initializer
        .iter()
        .find(|t| t.name == name)
        .ok_or_else(|| format!("`{name}` is computed, expected f32 weights; use the f32 pack"))?;
    if tensor.data_type != tensor_proto::DataType::Float as i32 {
        return Err(format!("`{name}` is not f32; use the f32 pack"));
    }
    let shape: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
    let values: Vec<f32> = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        let words = tensor.raw_data.chunks_exact(4);
        words
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    };
    if values.len() != shape.iter().product::<usize>() {
        return Err(format!(
            "`{name}` holds {} values for shape {shape:?}",
            values.len()
        ));
    }
    Ok((shape, values))
}

/// What the layers make of a feature vector.
#[derive(Clone, Debug)]
pub struct Run {
    /// relu(hidden).
    pub hidden: Vec<f32>,
    /// The answer.
    pub pose: NetworkPose,
}

impl Linear {
    /// W x + b into `out`.
    pub fn run(&self, x: &[f32], out: &mut [f32]) {
        let rows = self.weight.chunks_exact(self.inputs).zip(&self.bias);
        for (out, (row, b)) in out.iter_mut().zip(rows) {
            *out = b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        }
    }

    /// Adds Wᵀ g to `out`.
    pub fn pull(&self, g: &[f32], out: &mut [f32]) {
        for (row, g) in self.weight.chunks_exact(self.inputs).zip(g) {
            for (out, w) in out.iter_mut().zip(row) {
                *out += w * g;
            }
        }
    }
}

impl PoseLayers {
    /// The layers on a feature vector.
    pub fn run(&self, feature: &[f32]) -> Run {
        let mut hidden = vec![0.0; self.hidden.bias.len()];
        self.hidden.run(feature, &mut hidden);
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
        let mut pose = NetworkPose::default();
        self.pose.run(&hidden, &mut pose.rotations);
        self.betas.run(&hidden, &mut pose.betas);
        self.camera.run(&hidden, &mut pose.camera);
        Run { hidden, pose }
    }

    /// Gradient on the hidden layer before its ReLU, from one on the answer.
    pub fn pull(&self, run: &Run, gradient: &NetworkPose) -> Vec<f32> {
        let mut out = vec![0.0; run.hidden.len()];
        self.pose.pull(&gradient.rotations, &mut out);
        self.betas.pull(&gradient.betas, &mut out);
        self.camera.pull(&gradient.camera, &mut out);
        for (g, h) in out.iter_mut().zip(&run.hidden) {
            if *h <= 0.0 {
                *g = 0.0;
            }
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::backbone::Backbone;
    use crate::frame::Region;
    use crate::pack::Pack;

    #[test]
    fn the_layers_give_what_the_whole_network_gives() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/models/person");
        let pack = Pack::load(root.as_ref()).unwrap();
        let settings = &pack.manifest.backbone;
        let workers = Workers::new(1).unwrap();
        let side = settings.input;
        let crop: Vec<f32> = (0..3 * side * side)
            .map(|i| ((i * 2_654_435_761) % 1009) as f32 / 1009.0)
            .collect();
        let mut whole = Backbone::load(&pack.backbone, settings, &workers).unwrap();
        let mut seen = whole.observations();
        let region = Region {
            center: glam::Vec2::splat(128.0),
            side: 256.0,
            angle: 0.0,
        };
        whole.observe_crop(&crop, &region, &mut seen).unwrap();
        let (mut trunk, layers) = Trunk::split(&pack.backbone, side, &workers).unwrap();
        let feature = trunk.feature(&crop).unwrap();
        let found = layers.run(&feature).pose;
        let expected = seen.pose.unwrap();
        let pairs = found.rotations.iter().zip(&expected.rotations);
        for (a, b) in pairs.chain(found.camera.iter().zip(&expected.camera)) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn pulling_is_the_derivative() {
        let noise = |n: usize, seed: usize| -> Vec<f32> {
            (0..n)
                .map(|i| (((i + seed) * 7919 % 1013) as f32 / 1013.0 - 0.5) * 0.4)
                .collect()
        };
        let linear = |outputs: usize, inputs: usize, seed: usize| Linear {
            weight: noise(outputs * inputs, seed),
            bias: noise(outputs, seed + 5),
            inputs,
        };
        let layers = PoseLayers {
            hidden: linear(12, 9, 1),
            pose: linear(NetworkPose::ROTATIONS, 12, 2),
            betas: linear(MAX_BETAS, 12, 3),
            camera: linear(3, 12, 4),
        };
        let feature = noise(9, 77);
        let run = layers.run(&feature);
        let gradient = NetworkPose {
            rotations: std::array::from_fn(|i| (i as f32).sin()),
            betas: std::array::from_fn(|i| (i as f32).cos()),
            camera: [0.3, -0.8, 1.4],
        };
        let hidden = layers.pull(&run, &gradient);
        // The answer is linear in the hidden layer's bias as long as no unit switches.
        let value = |layers: &PoseLayers| -> f64 {
            let out = layers.run(&feature).pose;
            let all = out.rotations.iter().chain(&out.betas).chain(&out.camera);
            let g = gradient.rotations.iter().chain(&gradient.betas);
            all.zip(g.chain(&gradient.camera))
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        for i in 0..12 {
            let mut moved = layers.clone();
            moved.hidden.bias[i] += 1e-3;
            let slope = (value(&moved) - value(&layers)) / 1e-3;
            assert!(
                (slope - f64::from(hidden[i])).abs() < 2e-2,
                "{i}: {slope} {}",
                hidden[i]
            );
        }
    }

    #[test]
    fn other_networks_are_named() {
        let bytes = crate::backbone::test_onnx::model(8, 1, &[("pose", 144, 0.5)]);
        let fault = Trunk::split(&bytes, 8, &Workers::new(1).unwrap()).err();
        let message = fault.unwrap().to_string();
        assert!(
            message.contains("`pose` is made by MatMul") && !message.contains('\n'),
            "{message}"
        );
    }
}
