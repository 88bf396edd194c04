//! `pack inspect` and `bench --net`: networks taken apart, timed, served, and what is refused.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use safetensors::SafeTensors;

use crate::support::{Room, repository, stderr};

#[test]
fn inspect_says_who_does_what() {
    let room = Room::new();
    let pack = repository("models/person");
    let pack = pack.to_str().unwrap();
    let said = room.succeed(&["pack", "inspect", pack, "--runs", "1", "--memory"]);
    for word in [
        "detector.onnx",
        "backbone.onnx",
        "our kernels",
        "tract",
        "GMAC/s",
        "memory: arena",
        "offset",
    ] {
        assert!(said.contains(word), "`{word}` is missing in:\n{said}");
    }
    let json = room.succeed(&["pack", "inspect", pack, "--runs", "1", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    let networks = read.as_array().unwrap();
    assert_eq!(networks.len(), 2);
    for network in networks {
        let parts = network["parts"].as_array().unwrap();
        assert!(parts.iter().all(|p| p["by"] == "kernels"), "{network}");
        let regions = network["regions"].as_array().unwrap();
        assert_eq!(regions.len(), 1);
        assert!(regions[0]["arena_bytes"].as_u64().unwrap() > 100_000);
    }
}

#[test]
fn a_network_is_served_line_by_line() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_neuralsmpl"))
        .args(["bench", "--serve", "--net"])
        .arg(repository("models/person/detector.onnx"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "ready");
    let mut ask = child.stdin.take().unwrap();
    for count in [1, 3] {
        writeln!(ask, "run {count}").unwrap();
        let times: Vec<f64> = next().split(' ').map(|t| t.parse().unwrap()).collect();
        assert_eq!(times.len(), count);
        assert!(times.iter().all(|&t| t > 0.0));
    }
    drop(ask);
    assert!(child.wait().unwrap().success());
}

#[test]
fn outputs_do_not_depend_on_threads_or_on_who_computes() {
    let room = Room::new();
    let network = repository("models/person/detector.onnx");
    let network = network.to_str().unwrap();
    let outputs = |name: &str, more: &[&str]| {
        let fixed = [
            "bench",
            "--frames",
            "3",
            "--net",
            network,
            "--outputs",
            name,
        ];
        room.succeed(&[&fixed, more].concat());
        fs::read(room.path(name)).unwrap()
    };
    let one = outputs("one.safetensors", &[]);
    assert_eq!(one, outputs("two.safetensors", &["--threads", "2"]));
    let tract = outputs("tract.safetensors", &["--tract-only"]);
    let (one, tract) = (
        SafeTensors::deserialize(&one).unwrap(),
        SafeTensors::deserialize(&tract).unwrap(),
    );
    assert_eq!(one.tensor("boxes").unwrap().shape(), [1, 2254, 12]);
    assert_eq!(tract.tensor("scores").unwrap().shape(), [1, 2254, 1]);
}

#[test]
fn faults_name_file_and_remedy() {
    let room = Room::new();
    let network = repository("models/person/detector.onnx");
    let network = network.to_str().unwrap();
    room.put("noise.onnx", b"not a network");
    room.put("noise.safetensors", b"12345");
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["bench", "--net", "none.onnx"],
            &["none.onnx", "cannot be read"],
        ),
        (
            &["bench", "--net", "noise.onnx"],
            &["noise.onnx", "cannot be loaded"],
        ),
        (
            &["bench", "--net", network, "--inputs", "noise.safetensors"],
            &["noise.safetensors"],
        ),
        (
            &["bench", "--net", network, "--isa", "sse9"],
            &["sse9", "portable, avx2"],
        ),
        (
            &["bench", "--net", network, "--threads", "0"],
            &["--threads", "1..=16"],
        ),
        (&["pack", "inspect", "nowhere"], &["nowhere"]),
    ];
    for (args, words) in cases {
        let said = stderr(&room.run(args));
        for word in words {
            assert!(
                said.contains(word),
                "{args:?}: `{word}` is missing in:\n{said}"
            );
        }
    }
}
