//! One ONNX network in tract: loaded, checked by name and shape, run on a crop.

use std::sync::Arc;

use tract_onnx::prelude::*;

use super::BackboneError;
use super::error::one_line;
use super::plan::Plan;
use super::ports::{Port, check, describe_f32, has_any};
use super::workers::Workers;

/// A network with one input `[1, 3, side, side]` and named f32 outputs.
///
/// The input and what the fused regions need is kept between runs; only tract allocates while
/// running.
pub(crate) struct Network {
    name: &'static str,
    plan: Plan,
    input: Arc<Tensor>,
    ports: Vec<Port>,
}

impl Network {
    /// Loads a network and keeps the outputs of `ports`, in that order. Bytes that are handed over are
    /// let go of before the network is built.
    pub fn load(
        name: &'static str,
        bytes: impl AsRef<[u8]>,
        side: usize,
        ports: Vec<Port>,
        workers: &Workers,
    ) -> Result<Self, BackboneError> {
        Self::load_with(name, bytes, side, ports, [Vec::new(), Vec::new()], workers)
    }

    /// Like `load`; behind `ports` come all of the first choice where the file has one of them, else
    /// all of the second.
    pub fn load_with(
        name: &'static str,
        bytes: impl AsRef<[u8]>,
        side: usize,
        mut ports: Vec<Port>,
        [first, second]: [Vec<Port>; 2],
        workers: &Workers,
    ) -> Result<Self, BackboneError> {
        let load = |message: String| BackboneError::Load {
            network: name,
            message,
        };
        let proto = Plan::read(bytes.as_ref()).map_err(load)?;
        drop(bytes);
        ports.extend(if has_any(&proto, &first) {
            first
        } else {
            second
        });
        let chosen = check(name, &proto, side, &ports)?;
        let plan = Plan::new(proto, Some(&chosen), workers).map_err(load)?;
        for (i, (port, shape)) in ports.iter().enumerate() {
            let fact = plan
                .model()
                .output_fact(i)
                .map_err(|e| load(one_line(&e)))?;
            if fact.datum_type != DatumType::F32 || fact.shape.as_concrete() != Some(shape) {
                return Err(BackboneError::OutputShape {
                    network: name,
                    name: port,
                    found: format!("{:?} {:?}", fact.datum_type, fact.shape),
                    expected: describe_f32(shape),
                });
            }
        }
        let input = Tensor::zero::<f32>(&[1, 3, side, side]).map_err(|e| load(one_line(&e)))?;
        Ok(Self {
            name,
            plan,
            input: Arc::new(input),
            ports,
        })
    }

    /// Number of outputs that are kept.
    pub fn outputs(&self) -> usize {
        self.ports.len()
    }

    /// Bytes of the arenas and of the packed weights.
    pub fn memory(&self) -> [u64; 2] {
        self.plan.memory()
    }

    /// Lets `fill` write the input: planes of red, green and blue.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [f32])) -> Result<(), BackboneError> {
        // tract has given its share back when a run ends, so this copies nothing.
        let tensor = Arc::make_mut(&mut self.input);
        let mut view = tensor
            .try_as_plain_ram_mut()
            .map_err(|e| run_error(self.name, &e))?;
        fill(view.as_slice_mut().map_err(|e| run_error(self.name, &e))?);
        Ok(())
    }

    /// Runs the network on its input.
    pub fn run(&mut self) -> Result<Outputs<'_>, BackboneError> {
        let input = tvec!(self.input.clone().into_tvalue());
        let values = self.plan.run(input).map_err(|message| BackboneError::Run {
            network: self.name,
            message,
        })?;
        Ok(Outputs {
            network: self.name,
            ports: &self.ports,
            values,
        })
    }
}

fn run_error(network: &'static str, error: &TractError) -> BackboneError {
    BackboneError::Run {
        network,
        message: one_line(error),
    }
}

/// What a run gave.
pub(crate) struct Outputs<'a> {
    network: &'static str,
    ports: &'a [Port],
    values: TVec<TValue>,
}

impl Outputs<'_> {
    /// Values of an output by its index among the ports; as many as its shape says, all finite.
    pub fn get(&self, port: usize) -> Result<&[f32], BackboneError> {
        let network = self.network;
        let (name, shape) = &self.ports[port];
        let values: &[f32] = self.values[port]
            .view()
            .as_slice()
            .map_err(|e| run_error(network, &e))?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(BackboneError::OutputShape {
                network,
                name,
                found: describe_f32(self.values[port].shape()),
                expected: describe_f32(shape),
            });
        }
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(index) => Err(BackboneError::NotFinite {
                network,
                name,
                value: values[index],
                index,
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::backbone::test_onnx;

    fn ports() -> Vec<Port> {
        vec![("scores", vec![1, 2]), ("boxes", vec![1, 3])]
    }

    fn load(bytes: &[u8]) -> Result<Network, BackboneError> {
        Network::load("test", bytes, 8, ports(), &Workers::new(1).unwrap())
    }

    #[test]
    fn outputs_come_in_the_order_asked_for() {
        let mut network = load(&test_onnx::model(
            8,
            2,
            &[("boxes", 3, 1.5), ("scores", 2, 0.25)],
        ))
        .unwrap();
        network.fill(|x| x.fill(1.0)).unwrap();
        let outputs = network.run().unwrap();
        let near = |port: usize, n: usize, value: f32| {
            let found = outputs.get(port).unwrap();
            assert_eq!(found.len(), n);
            assert!(found.iter().all(|v| (v - value).abs() < 1e-5), "{found:?}");
        };
        near(0, 2, 0.25);
        near(1, 3, 1.5);
    }

    #[test]
    fn optional_outputs_come_all_or_not_at_all() {
        let load = |outputs: &[(&str, usize, f32)]| {
            let bytes = test_onnx::model(8, outputs.len(), outputs);
            let optional = vec![("pose", vec![1, 4]), ("betas", vec![1, 1])];
            let workers = Workers::new(1).unwrap();
            Network::load_with("test", &bytes, 8, ports(), [optional, Vec::new()], &workers)
        };
        let old = [("boxes", 3, 0.0), ("scores", 2, 0.0)];
        assert_eq!(load(&old).unwrap().outputs(), 2);
        let new = [old[0], old[1], ("betas", 1, 0.5), ("pose", 4, 2.0)];
        let mut network = load(&new).unwrap();
        network.fill(|x| x.fill(1.0)).unwrap();
        let outputs = network.run().unwrap();
        assert!((outputs.get(2).unwrap()[3] - 2.0).abs() < 1e-5);
        assert!((outputs.get(3).unwrap()[0] - 0.5).abs() < 1e-5);
        let message = load(&new[..3]).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("output `pose` is missing"), "{message}");
    }

    #[test]
    fn results_that_are_no_numbers_are_an_error() {
        let mut network = load(&test_onnx::model(
            8,
            2,
            &[("boxes", 3, f32::NAN), ("scores", 2, 0.25)],
        ))
        .unwrap();
        let outputs = network.run().unwrap();
        assert!(outputs.get(0).is_ok());
        let message = outputs.get(1).unwrap_err().to_string();
        assert!(
            message.contains("output `boxes` holds NaN at flat index 0"),
            "{message}"
        );
    }

    #[test]
    fn wrong_files_are_named() {
        let whole = test_onnx::model(8, 2, &[("boxes", 3, 0.0), ("scores", 2, 0.0)]);
        let cases: [(Vec<u8>, &str); 7] = [
            (
                Vec::new(),
                "test network: cannot be loaded (not an ONNX file",
            ),
            (
                b"\x89PNG not a network".to_vec(),
                "test network: cannot be loaded (",
            ),
            (
                whole[..whole.len() / 2].to_vec(),
                "test network: cannot be loaded (",
            ),
            (
                test_onnx::model(16, 2, &[("boxes", 3, 0.0), ("scores", 2, 0.0)]),
                "input is FLOAT [1, 3, 16, 16], expected FLOAT [1, 3, 8, 8]",
            ),
            (
                test_onnx::model(8, 2, &[("boxes", 3, 0.0), ("score", 2, 0.0)]),
                "output `scores` is missing, found `boxes`, `score`",
            ),
            (
                test_onnx::model(8, 2, &[("boxes", 3, 0.0), ("scores", 5, 0.0)]),
                "output `scores` is FLOAT [1, 5], expected FLOAT [1, 2]",
            ),
            // The last of the two nodes is gone.
            (
                test_onnx::model(8, 1, &[("boxes", 3, 0.0), ("scores", 2, 0.0)]),
                "test network: cannot be loaded (",
            ),
        ];
        for (bytes, expected) in cases {
            let message = load(&bytes).map(|_| ()).unwrap_err().to_string();
            assert!(
                message.contains(expected) && !message.contains('\n'),
                "{message}\nexpected: {expected}"
            );
        }
    }
}
