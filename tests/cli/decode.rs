//! `neuralsmpl decode`: whole, damaged and foreign streams.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::{Room, stderr};
use neuralsmpl_packet::frame::MAX_FRAME;
use neuralsmpl_packet::{Message, PoseRepr, StatusRepr};
use serde_json::Value;

fn frame(message: Message) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME];
    let len = message.encode(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn pose(sequence: u32) -> Vec<u8> {
    frame(Message::Pose(PoseRepr {
        sequence,
        translation: [0.1, -0.2, 3.0],
        ..PoseRepr::default()
    }))
}

fn sequences(stdout: &str) -> Vec<u64> {
    stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["sequence"]
                .as_u64()
                .unwrap()
        })
        .collect()
}

#[test]
fn whole_streams_come_back() {
    let room = Room::new();
    let status = frame(Message::Status(StatusRepr {
        sequence: 2,
        uptime_s: 60,
        ..StatusRepr::default()
    }));
    let stream = [vec![0], pose(1), status, pose(3)].concat();
    room.put("a.bin", &stream);
    let said = room.succeed(&["decode", "a.bin"]);
    assert_eq!(sequences(&said), [1, 2, 3]);
    assert!(
        said.contains("\"translation_m\":[0.1,-0.2,3.0]") && said.contains("\"uptime_s\":60"),
        "{said}"
    );
    let piped = room
        .command()
        .args(["decode", "-"])
        .write_stdin(stream)
        .output()
        .unwrap();
    assert_eq!(
        (
            piped.status.success(),
            String::from_utf8(piped.stdout).unwrap()
        ),
        (true, said)
    );
}

#[test]
fn damage_is_counted_and_passed_over() {
    let room = Room::new();
    let mut flipped = pose(2);
    flipped[100] ^= 0x08;
    let cut = pose(9)[..50].to_vec();
    let stream = [
        b"noise from before\0".to_vec(),
        pose(1),
        flipped,
        vec![7; 400],
        vec![0],
        pose(3),
        cut,
    ]
    .concat();
    room.put("a.bin", &stream);
    let output = room.run(&["decode", "a.bin"]);
    let line = stderr(&output);
    assert_eq!(
        (output.status.code(), line.lines().count()),
        (Some(0), 1),
        "{line}"
    );
    assert_eq!(
        sequences(&String::from_utf8(output.stdout).unwrap()),
        [1, 3]
    );
    for words in [
        "a.bin: 2 packets",
        "3 damaged frames",
        "1 too long",
        "50 bytes of an unfinished frame",
    ] {
        assert!(line.contains(words), "no `{words}` in: {line}");
    }
}

#[test]
fn what_holds_no_packet_is_refused() {
    let room = Room::new();
    room.put("text.bin", b"this is a letter\n")
        .put("noise.bin", &[0, 9, 8, 0, 7, 0])
        .put("none.bin", b"")
        .put("idle.bin", &[0; 9]);
    room.refuse(
        1,
        &["decode", "text.bin"],
        &[
            "text.bin: no valid packet in 17 bytes",
            "expected",
            "docs/packet.md",
            "check",
        ],
    );
    room.refuse(
        1,
        &["decode", "noise.bin"],
        &["noise.bin: no valid packet", "2 damaged frames"],
    );
    room.refuse(
        1,
        &["decode", "missing.bin"],
        &["missing.bin: cannot read", "expected", "check the path"],
    );
    room.refuse(1, &["decode", "."], &["is a folder", "expected"]);
    assert_eq!(room.succeed(&["decode", "none.bin"]), "");
    assert_eq!(room.succeed(&["decode", "idle.bin"]), "");
}

#[test]
fn a_reader_that_leaves_is_no_fault() {
    let room = Room::new();
    room.put("long.bin", &(0..2000).flat_map(pose).collect::<Vec<u8>>());
    let mut child = Command::new(env!("CARGO_BIN_EXE_neuralsmpl"))
        .args(["decode", room.path("long.bin").to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("{\"kind\":\"pose\""), "{first}");
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
}
