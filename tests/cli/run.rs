//! `neuralsmpl run`: a recording to packets, and everything that may go wrong on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::pose::Flags;
use neuralsmpl_packet::{Message, PoseRepr, StatusRepr};
use serde_json::Value;

use crate::support::{Room, repository, stderr};

/// Longest wait for something that takes a second or two on a machine that has nothing else to do.
const LONG: Duration = Duration::from_secs(120);

fn clip() -> String {
    repository("samples/balance.mjpeg").display().to_string()
}

/// A live process that is killed if the test fails.
struct Live(Child);

impl Live {
    fn start(room: &Room, config: &str) -> Self {
        room.put("live.toml", config.as_bytes());
        let child = Command::new(env!("CARGO_BIN_EXE_neuralsmpl"))
            .args(["run", "--config"])
            .arg(room.path("live.toml"))
            .args(["--backend", "cpu"])
            .current_dir(room.path(""))
            .env("NEURALSMPL_PACK", repository("models/person"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Exit status and stderr.
    fn wait(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < LONG, "it does not end");
            thread::sleep(Duration::from_millis(20));
        };
        let mut text = String::new();
        if let Some(stderr) = &mut self.0.stderr {
            stderr.read_to_string(&mut text).unwrap();
        }
        (status, text)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All messages in bytes of frames, with nothing damaged between them.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut accumulator = Accumulator::new();
    let mut out = Vec::new();
    accumulator.extend(bytes, |payload| out.push(Message::parse(payload).unwrap()));
    assert_eq!(accumulator.drops().total(), 0);
    out
}

fn poses(messages: &[Message]) -> Vec<PoseRepr> {
    let pose = |m: &Message| match m {
        Message::Pose(pose) => Some(*pose),
        _ => None,
    };
    messages.iter().filter_map(pose).collect()
}

fn statuses(messages: &[Message]) -> Vec<StatusRepr> {
    let status = |m: &Message| match m {
        Message::Status(status) => Some(*status),
        _ => None,
    };
    messages.iter().filter_map(status).collect()
}

/// Listens for packets until `done` says so.
fn listen(socket: &UdpSocket, mut done: impl FnMut(&Message) -> bool) -> Vec<Message> {
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let (mut out, mut buffer, start) = (Vec::new(), [0u8; 2048], Instant::now());
    while start.elapsed() < LONG {
        let Ok(len) = socket.recv(&mut buffer) else {
            continue;
        };
        for message in messages(&buffer[..len]) {
            out.push(message);
            if done(&message) {
                return out;
            }
        }
    }
    panic!("{} packets, and not what was waited for", out.len());
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A free port, as far as that can be known.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_recording_becomes_packets_of_one_steady_person() {
    let room = Room::new();
    let output = room
        .command()
        .args(["run", "--every-frame", "--frames", "24", "--persons", "1"])
        .args(["--backend", "cpu", "--summary-json", "--source", &clip()])
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
fn faults_of_the_configuration_are_one_line() {
    let room = Room::new();
    for (config, parts) in [
        ("[budget]\nsteps = 5", &["source is missing"][..]),
        (
            "[source]\nsource = \"clip.mjpeg\"\nspeed = 2",
            &["live.toml:3", "source.speed is 2, expected no such key"],
        ),
        ("[source]\nsource = \"nowhere.mjpeg\"", &["nowhere.mjpeg"]),
        (
            "[source]\nsource = \"test:320x240@30\"\n[[sink]]\ntype = \"pigeon\"",
            &["pigeon", "serial"],
        ),
        (
            "[source]\nsource = \"test:320x240@30\"\n[[sink]]\ntype = \"tcp\"\nlisten = \"0.0.0.0:0\"",
            &["key_file"],
        ),
        (
            "[source]\nsource = \"test:320x240@30\"\n[track]\npersons = 0",
            &["live.toml:4", "track.persons is 0, expected 1 to 4"],
        ),
    ] {
        room.put("live.toml", config.as_bytes());
        let output = room
            .command()
            .args(["run", "--config", "live.toml"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{config}");
        let text = stderr(&output);
        assert!(text.starts_with("error: "), "{text}");
        for part in parts {
            assert!(text.contains(part), "{text}\nexpected: {part}");
        }
    }
    let output = room.command().arg("run").output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "neither source nor configuration"
    );
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
fn a_new_pack_is_taken_and_a_bad_one_is_not() {
    let room = Room::new();
    let pack = room.path("pack");
    fs::create_dir(&pack).unwrap();
    for entry in fs::read_dir(repository("models/person")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, pack.join(path.file_name().unwrap())).unwrap();
    }
    let (socket, metrics) = (UdpSocket::bind("127.0.0.1:0").unwrap(), port());
    let live = Live::start(
        &room,
        &format!(
            "[source]\nsource = {:?}\nloop = true\n[model]\npack = \"pack\"\n[output]\nstatus_s = 0.2\n[[sink]]\ntype = \"udp\"\ntarget = \"{}\"\n[health]\nlisten = \"127.0.0.1:{metrics}\"\n",
            clip(),
            socket.local_addr().unwrap()
        ),
    );
    let first = poses(&listen(&socket, |m| matches!(m, Message::Pose(_))))[0];
    // A body that is cut off: the old pack stays.
    let body = fs::read(pack.join("body.safetensors")).unwrap();
    fs::write(pack.join("body.safetensors"), &body[..1000]).unwrap();
    live.signal("HUP");
    let address = format!("127.0.0.1:{metrics}");
    let reloads = |result: &str| {
        let start = Instant::now();
        loop {
            let text = get(&address, "/metrics");
            let line = text
                .lines()
                .find(|l| l.contains("reload") && l.contains(result) && !l.starts_with('#'));
            if line.is_some_and(|l| l.ends_with(" 1")) {
                return;
            }
            assert!(start.elapsed() < LONG, "{text}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    reloads("refused");
    let after = poses(&listen(
        &socket,
        |m| matches!(m, Message::Pose(p) if p.time_us > first.time_us),
    ));
    assert_eq!(after.last().unwrap().model_id, first.model_id);
    // A whole one with another manifest.
    fs::write(pack.join("body.safetensors"), &body).unwrap();
    let manifest = fs::read_to_string(pack.join("pack.toml")).unwrap();
    fs::write(pack.join("pack.toml"), format!("{manifest}\n# another\n")).unwrap();
    live.signal("HUP");
    reloads("taken");
    listen(
        &socket,
        |m| matches!(m, Message::Pose(p) if p.model_id != first.model_id),
    );
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 "));
    live.signal("INT");
    let (status, text) = live.wait();
    assert!(status.success(), "{status}: {text}");
    assert!(text.contains("the pack in use stays"), "{text}");
}

#[test]
fn commands_are_obeyed() {
    let room = Room::new();
    let tcp = port();
    let live = Live::start(
        &room,
        &format!(
            "[source]\nsource = {:?}\nloop = true\n[[sink]]\ntype = \"tcp\"\nlisten = \"127.0.0.1:{tcp}\"\ncontrol = true\n",
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
    live.signal("TERM");
    assert!(live.wait().0.success());
}

/// Damaged, black and noisy frames, lost sources, clock jumps and pauses: all go by, counted.
#[test]
fn chaos_is_survived_and_counted() {
    let room = Room::new();
    let config = format!(
        "[source]\nsource = {:?}\nloop = true\npace = \"every-frame\"\n\
         [source.chaos]\nseed = 7\ncorrupt = 0.05\ndrop = 0.05\nduplicate = 0.05\nblack = 0.05\nnoise = 0.05\ndamage = 0.1\njump = 0.02\njump_s = 3600.0\n\
         [budget]\nsteps = 2\n[[sink]]\ntype = \"file\"\npath = \"poses.bin\"\n",
        clip()
    );
    room.put("live.toml", config.as_bytes());
    let output = room
        .command()
        .args([
            "run",
            "--config",
            "live.toml",
            "--frames",
            "200",
            "--backend",
            "cpu",
        ])
        .arg("--summary-json")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["frames"], 200);
    assert!(summary["corrupt"].as_u64().unwrap() > 0, "{summary}");
    let all = messages(&fs::read(room.path("poses.bin")).unwrap());
    let poses = poses(&all);
    assert!(poses.len() > 120, "{} poses of 200 frames", poses.len());
    let drops = statuses(&all).last().unwrap().drops;
    assert!(drops.source > 0, "{drops:?}");
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

/// Resident memory stays within 1 % once a tenth of the frames is done. NEURALSMPL_SOAK_FRAMES sets how
/// many there are; 100,000 take minutes.
#[test]
fn memory_stays_flat() {
    let frames: u64 = std::env::var("NEURALSMPL_SOAK_FRAMES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4_000);
    let room = Room::new();
    room.put(
        "live.toml",
        b"[source]\nsource = \"test:320x240@1000\"\npace = \"every-frame\"\n[track.detector]\nnobody_frames = 10\n\
          [output]\nstatus_s = 0.1\n[health]\nvitals_every_s = 0.1\n[[sink]]\ntype = \"file\"\npath = \"out.bin\"\n",
    );
    let output = room
        .command()
        .timeout(Duration::from_secs(7_200))
        .args(["run", "--config", "live.toml", "--backend", "cpu"])
        .args(["--frames", &frames.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let all = statuses(&messages(&fs::read(room.path("out.bin")).unwrap()));
    let memory: Vec<u32> = all
        .iter()
        .skip(all.len() / 10 + 2)
        .map(|s| s.memory_kib)
        .collect();
    let (least, most) = (memory.iter().min().unwrap(), memory.iter().max().unwrap());
    println!(
        "{frames} frames, {} readings: {least} to {most} KiB",
        memory.len()
    );
    assert!(memory.len() > 3, "{} readings", memory.len());
    assert!(
        f64::from(*most) <= 1.01 * f64::from(*least),
        "{least} to {most} KiB"
    );
}
