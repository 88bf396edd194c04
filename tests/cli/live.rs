//! A live process under test, and what comes out of it.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use neuralsmpl_packet::frame::Accumulator;
use neuralsmpl_packet::{Message, PoseRepr, StatusRepr};

use crate::support::{Room, repository};

/// Longest wait for something that takes a second or two on a machine that has nothing else to do.
pub const LONG: Duration = Duration::from_secs(120);

pub fn clip() -> String {
    repository("samples/balance.mjpeg").display().to_string()
}

/// A live process that is killed if the test fails.
pub struct Live(Child);

impl Live {
    pub fn start(room: &Room, config: &str) -> Self {
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

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Exit status and stderr.
    pub fn wait(mut self) -> (ExitStatus, String) {
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
pub fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut accumulator = Accumulator::new();
    let mut out = Vec::new();
    accumulator.extend(bytes, |payload| out.push(Message::parse(payload).unwrap()));
    assert_eq!(accumulator.drops().total(), 0);
    out
}

pub fn poses(messages: &[Message]) -> Vec<PoseRepr> {
    let pose = |m: &Message| match m {
        Message::Pose(pose) => Some(*pose),
        _ => None,
    };
    messages.iter().filter_map(pose).collect()
}

pub fn statuses(messages: &[Message]) -> Vec<StatusRepr> {
    let status = |m: &Message| match m {
        Message::Status(status) => Some(*status),
        _ => None,
    };
    messages.iter().filter_map(status).collect()
}

/// Listens for packets until `done` says so.
pub fn listen(socket: &UdpSocket, mut done: impl FnMut(&Message) -> bool) -> Vec<Message> {
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

/// An HTTP answer.
pub fn get(address: &str, path: &str) -> String {
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
pub fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
