//! `neuralsmpl run`: a recording to packets, commands and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use neuralsmpl_packet::Message;
use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::pose::Flags;
use serde_json::Value;

use crate::live::{LONG, Live, clip, get, listen, messages, port, poses, statuses};
use crate::support::{Room, repository, stderr};

#[test]
fn a_recording_becomes_packets_of_one_steady_person() {
    let room = Room::new();
    let output = room
        .command()
        .args(["run", "--every-frame", "--frames", "24", "--persons", "1"])
        .args(["--backend", "cpu", "--summary-json", "--source", &clip()])
        .args(["--deadline", "60000"])
        .args(["--sink", r#"{type = "file", path = "poses.bin"}"#])
        .args(["--sink", r#"{type = "jsonl", path = "poses.jsonl"}"#])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let all = messages(&fs::read(room.path("poses.bin")).unwrap());
    let poses = poses(&all);
    assert_eq!(poses.len(), 24, "one for each frame");
    assert!(poses.iter().all(|p| p.person_id == poses[0].person_id));
    assert!(poses[0].flags.contains(Flags::RESTARTED));
    for pair in poses.windows(2) {
        let step = |a: [f32; 3], b: [f32; 3]| (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f32>();
        let moved = step(pair[0].translation, pair[1].translation).sqrt();
        assert!(moved < 0.25, "{moved} m in one frame");
        assert!(pair[1].time_us > pair[0].time_us);
        assert!(!pair[1].flags.contains(Flags::PREDICTED));
    }
    assert!(
        poses
            .iter()
            .all(|p| (1.0..10.0).contains(&p.translation[2]))
    );
    assert!(all.iter().any(|m| matches!(m, Message::Subject(_))));
    assert!(!statuses(&all).is_empty());
    let lines = fs::read_to_string(room.path("poses.jsonl")).unwrap();
    let kinds: Vec<String> = lines
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["kind"].to_string())
        .collect();
    assert_eq!(kinds.len(), all.len());
    let summary: Value = serde_json::from_str(stderr(&output).lines().last().unwrap()).unwrap();
    assert_eq!(summary["frames"], 24);
    assert_eq!(summary["posed"], 24);
}

#[test]
fn without_a_sink_packets_are_lines_on_stdout() {
    let room = Room::new();
    let output = room
        .command()
        .args(["run", "--every-frame", "--frames", "2", "--backend", "cpu"])
        .args(["--source", &clip()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let first: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert!(first["kind"].is_string(), "{stdout}");
}

#[test]
fn the_memory_plan_names_owners() {
    let room = Room::new();
    let output = room
        .command()
        .args([
            "run",
            "--report-memory",
            "--backend",
            "cpu",
            "--source",
            &clip(),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = String::from_utf8(output.stdout).unwrap();
    for owner in [
        "networks: weights",
        "networks: arenas",
        "source",
        "inference pool",
        "fit",
    ] {
        assert!(plan.contains(owner), "{plan}");
    }
}

#[test]
fn a_signal_ends_it_with_everything_written() {
    let room = Room::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let live = Live::start(
        &room,
        &format!(
            "[source]\nsource = {:?}\nloop = true\n[[sink]]\ntype = \"file\"\npath = \"poses.bin\"\n[[sink]]\ntype = \"udp\"\ntarget = \"{}\"\n",
            clip(),
            socket.local_addr().unwrap()
        ),
    );
    let heard = listen(&socket, |m| matches!(m, Message::Pose(_)));
    live.signal("TERM");
    let (status, text) = live.wait();
    assert!(status.success(), "{status}: {text}");
    let written = messages(&fs::read(room.path("poses.bin")).unwrap());
    assert!(poses(&written).len() >= poses(&heard).len());
    assert!(
        matches!(written.last(), Some(Message::Status(_))),
        "the last word is a status"
    );
}

#[test]
fn commands_are_obeyed() {
    let room = Room::new();
    let (tcp, metrics) = (port(), port());
    let live = Live::start(
        &room,
        &format!(
            "[source]\nsource = {:?}\nloop = true\n[[sink]]\ntype = \"tcp\"\nlisten = \"127.0.0.1:{tcp}\"\ncontrol = true\n[health]\nlisten = \"127.0.0.1:{metrics}\"\n",
            clip()
        ),
    );
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", tcp)) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < LONG, "{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    };
    stream.set_read_timeout(Some(LONG)).unwrap();
    use neuralsmpl_packet::command::Operation;
    use neuralsmpl_packet::reply::Outcome;
    for (sequence, operation, argument, expected) in [
        (1, Operation::GetStatus, 0, Outcome::Done),
        (2, Operation::SetRate, 5_000, Outcome::Done),
        (3, Operation::SetRate, u32::MAX, Outcome::InvalidArgument),
        (4, Operation::Redetect, 0, Outcome::Done),
        (5, Operation::Unknown(200), 0, Outcome::UnknownOperation),
        (6, Operation::Pause, 0, Outcome::Done),
    ] {
        let command = Message::Command(neuralsmpl_packet::CommandRepr {
            sequence,
            operation,
            argument,
            ..Default::default()
        });
        let mut buffer = [0; neuralsmpl_packet::frame::MAX_FRAME];
        let len = command.encode(&mut buffer).unwrap();
        stream.write_all(&buffer[..len]).unwrap();
        let mut accumulator = Accumulator::new();
        let mut outcome = None;
        let mut byte = [0u8; 1];
        while outcome.is_none() {
            stream.read_exact(&mut byte).unwrap();
            if let Some(payload) = accumulator.feed(byte[0])
                && let Ok(Message::Reply(reply)) = Message::parse(payload)
            {
                assert_eq!(reply.request, sequence);
                outcome = Some(reply.outcome);
            }
        }
        assert_eq!(outcome, Some(expected), "{operation:?}");
    }
    let page = get(&format!("127.0.0.1:{metrics}"), "/metrics");
    assert!(page.contains("\nneuralsmpl_paused 1\n"), "{page}");
    live.signal("TERM");
    assert!(live.wait().0.success());
}

/// A pipe from another program; its end is the end.
#[test]
fn a_stream_on_stdin_is_followed_to_its_end() {
    let room = Room::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_neuralsmpl"))
        .args(["run", "--source", "-", "--every-frame", "--backend", "cpu"])
        .env("NEURALSMPL_PACK", repository("models/person"))
        .current_dir(room.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = fs::read(repository("samples/balance.mjpeg")).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // About six frames, the last one cut.
    let writer = thread::spawn(move || stdin.write_all(&bytes[..400_000]));
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter(|l| l.contains("\"kind\":\"pose\""))
        .count();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    assert!((4..=8).contains(&lines), "{lines} poses");
}
