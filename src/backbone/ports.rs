//! What an ONNX file says about its inputs and outputs, checked before the engine sees it.

use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{ModelProto, ValueInfoProto, tensor_proto, type_proto};

use super::BackboneError;

/// An output the runtime needs: its name and shape.
pub(crate) type Port = (&'static str, Vec<usize>);

/// Checks that the file has one f32 input `[1, 3, side, side]` and every port with its shape.
/// Gives the indices of the ports among the file's outputs.
pub(super) fn check(
    network: &'static str,
    proto: &ModelProto,
    side: usize,
    ports: &[Port],
) -> Result<Vec<usize>, BackboneError> {
    let load = |message: &str| BackboneError::Load {
        network,
        message: message.to_owned(),
    };
    let graph = proto
        .graph
        .as_ref()
        .ok_or_else(|| load("not an ONNX file: it holds no graph"))?;
    // Files of older tools list their weights among the inputs.
    let mut inputs = graph
        .input
        .iter()
        .filter(|i| graph.initializer.iter().all(|w| w.name != i.name));
    let expected = describe_f32(&[1, 3, side, side]);
    let found = match (inputs.next(), inputs.next()) {
        (Some(input), None) => describe(input),
        (None, _) => "missing".to_owned(),
        _ => "several tensors".to_owned(),
    };
    if found != expected {
        return Err(BackboneError::Input {
            network,
            found,
            expected,
        });
    }
    ports
        .iter()
        .map(|port| find(network, &graph.output, port))
        .collect()
}

/// Whether the file has an output of any of these names.
pub(super) fn has_any(proto: &ModelProto, ports: &[Port]) -> bool {
    let named = |name: &str| ports.iter().any(|(port, _)| *port == name);
    proto
        .graph
        .as_ref()
        .is_some_and(|graph| graph.output.iter().any(|o| named(&o.name)))
}

fn find(
    network: &'static str,
    outputs: &[ValueInfoProto],
    (name, shape): &Port,
) -> Result<usize, BackboneError> {
    let index = outputs
        .iter()
        .position(|o| o.name == *name)
        .ok_or_else(|| BackboneError::OutputMissing {
            network,
            name,
            found: outputs
                .iter()
                .map(|o| format!("`{}`", o.name))
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    let (found, expected) = (describe(&outputs[index]), describe_f32(shape));
    if found == expected {
        return Ok(index);
    }
    Err(BackboneError::OutputShape {
        network,
        name,
        found,
        expected,
    })
}

/// Type and shape of an f32 tensor, as messages show it.
pub(super) fn describe_f32(shape: &[usize]) -> String {
    format!("FLOAT {shape:?}")
}

fn describe(info: &ValueInfoProto) -> String {
    let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return "not a tensor".to_owned();
    };
    let kind = tensor_proto::DataType::try_from(tensor.elem_type).map_or_else(
        |_| format!("type {}", tensor.elem_type),
        |kind| format!("{kind:?}").to_uppercase(),
    );
    let Some(shape) = &tensor.shape else {
        return format!("{kind} of no stated shape");
    };
    let dims = shape.dim.iter().map(|d| match &d.value {
        Some(dimension::Value::DimValue(n)) => n.to_string(),
        Some(dimension::Value::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    });
    format!("{kind} [{}]", dims.collect::<Vec<_>>().join(", "))
}
