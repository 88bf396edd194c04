//! The pack's own networks, fused, against tract's operators.

use std::path::Path;

use crate::backbone::{Isa, NamedArray, NetworkProbe, Workers};

/// Error of sums in another order after a hundred layers, on noise, over the largest value.
const SUMS: f64 = 1e-3;

/// In f32, then in int8.
const NETWORKS: [&str; 4] = [
    "person/detector.onnx",
    "person/backbone.onnx",
    "person-int8/detector.onnx",
    "person-int8/backbone.onnx",
];

fn network(name: &str) -> Vec<u8> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::read(models.join(name)).unwrap()
}

fn run(onnx: &[u8], workers: &Workers) -> Vec<NamedArray> {
    let mut probe = NetworkProbe::load(onnx, workers).unwrap();
    probe.run().unwrap();
    probe.run().unwrap()
}

#[test]
fn fused_networks_agree_with_tract() {
    for name in &NETWORKS[..2] {
        let onnx = network(name);
        let best = Isa::best();
        let expected = run(&onnx, &Workers::with(1, best, false).unwrap());
        for isa in Isa::available() {
            let found = run(&onnx, &Workers::with(1, isa, true).unwrap());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(
                    (&found.name, &found.shape),
                    (&expected.name, &expected.shape)
                );
                let what = format!("{name} {} {isa}", found.name);
                agree(&what, &found.values, &expected.values);
            }
        }
    }
}

fn agree(what: &str, found: &[f32], expected: &[f32]) {
    let pairs = || found.iter().zip(expected);
    let largest = pairs().fold(1e-3f64, |m, (_, b)| m.max(f64::from(b.abs())));
    let worst = pairs().fold(0.0f64, |m, (a, b)| m.max(f64::from((a - b).abs())));
    assert!(worst <= SUMS * largest, "{what}: {worst} of {largest}");
}

#[test]
fn threads_change_no_bit() {
    for name in NETWORKS {
        let onnx = network(name);
        let one = run(&onnx, &Workers::new(1).unwrap());
        for threads in [2, 3] {
            let more = run(&onnx, &Workers::new(threads).unwrap());
            for (a, b) in one.iter().zip(&more) {
                let same = a
                    .values
                    .iter()
                    .zip(&b.values)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{name} {} with {threads} threads", a.name);
            }
        }
    }
}

#[test]
fn the_packs_networks_are_fused_whole() {
    for name in NETWORKS {
        let mut probe = NetworkProbe::load(&network(name), &Workers::new(1).unwrap()).unwrap();
        let parts = probe.parts(1).unwrap();
        let left: Vec<_> = parts.iter().filter(|part| !part.fused).collect();
        assert!(left.is_empty(), "{name}: left to tract: {left:?}");
        let memory = probe.memory();
        assert_eq!(memory.len(), 1);
        assert!(
            memory[0].arena < memory[0].apart / 3,
            "lifetimes share the arena"
        );
        assert_eq!(memory[0].steps.len(), parts.len());
    }
}

#[test]
fn workers_are_checked() {
    let message = |workers: Result<Workers, _>| {
        workers
            .err()
            .map(|e: crate::backbone::BackboneError| e.to_string())
    };
    let none = message(Workers::new(0)).unwrap();
    assert!(
        none.contains("0 threads") && none.contains("1 to"),
        "{none}"
    );
    let foreign = Isa::ALL
        .into_iter()
        .find(|isa| !Isa::available().contains(isa))
        .unwrap();
    let refused = message(Workers::with(1, foreign, true)).unwrap();
    assert!(refused.contains(foreign.name()), "{refused}");
}
