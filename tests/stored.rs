//! The shipped networks against outputs that were stored on another processor: whatever runs them, and with
//! whichever kernels, they say the same within rounding.
//!
//! `NEURALSMPL_TEST_WRITE=1 cargo test --release --test stored` stores them anew, after the pack was made again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use neuralsmpl::backbone::{NamedArray, NetworkProbe, Workers};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// Outputs with more numbers are stored as their means over so many pieces.
const PIECES: usize = 512;

/// Largest difference that counts as the same, of the output's largest number: kernels round in another order.
const SAME: f32 = 2e-3;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A picture that every machine makes alike: rings and stripes, planar RGB in 0..=1.
fn picture(len: usize) -> Vec<f32> {
    let side = ((len / 3) as f64).sqrt() as usize;
    (0..len)
        .map(|i| {
            let (plane, at) = (i / (side * side), i % (side * side));
            let (y, x) = (at / side, at % side);
            ((x * x + y * y) / (40 + 9 * plane) + x * (plane + 1)) as u32 as f32 % 64.0 / 63.0
        })
        .collect()
}

fn outputs(network: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(repository("models/person").join(network)).unwrap();
    let mut net = NetworkProbe::load(&bytes, &Workers::new(1).unwrap()).unwrap();
    let shapes = net.inputs();
    for (index, (_, shape)) in shapes.iter().enumerate() {
        net.set_input(index, &picture(shape.iter().product()))
            .unwrap();
    }
    let named = |array: NamedArray| {
        (
            format!("{network}/{}", array.name),
            shortened(&array.values),
        )
    };
    net.run().unwrap().into_iter().map(named).collect()
}

/// The numbers, or means of neighbours where there are many.
fn shortened(values: &[f32]) -> Vec<f32> {
    if values.len() <= PIECES {
        return values.to_vec();
    }
    let piece = values.len().div_ceil(PIECES);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    values.chunks(piece).map(mean).collect()
}

#[test]
fn networks_say_what_they_said_elsewhere() {
    let path = repository("tests/data/network_outputs.safetensors");
    let mut found = outputs("detector.onnx");
    found.extend(outputs("backbone.onnx"));
    if std::env::var_os("NEURALSMPL_TEST_WRITE").is_some() {
        let raw: Vec<(String, Vec<u8>)> = found
            .iter()
            .map(|(name, values)| {
                (
                    name.clone(),
                    values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                )
            })
            .collect();
        let views = raw.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).unwrap();
            (name.clone(), view)
        });
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
    let bytes = fs::read(&path).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(stored.len(), found.len());
    for (name, values) in &found {
        let tensor = stored.tensor(name).unwrap();
        let expected: Vec<f32> = tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        assert_eq!(values.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
        let worst = values
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!(
            "{name}: {} numbers, worst {:.1e} of the largest",
            values.len(),
            worst / largest
        );
        assert!(worst <= SAME * largest, "{name}: {worst} of {largest}");
    }
}
