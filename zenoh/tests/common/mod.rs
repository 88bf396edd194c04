//! Real processes on loopback, and a subscriber that sees what they publish.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use neuralsmpl_packet::{Message, PoseRepr, StatusRepr, SubjectRepr, frame::MAX_FRAME};
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

/// What must happen at last; loaded machines take long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A process of the program under test, killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_neuralsmpl-zenoh"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            });
        }
        Process { child, log }
    }

    /// A router on a port, ready to be connected to.
    pub fn router(port: u16) -> Self {
        let router = Process::start(&["router", "--listen", &endpoint(port)]);
        router.wait_for_line("router listens");
        router
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn wait_for_line(&self, part: &str) -> String {
        eventually(&format!("a line with {part:?}"), || {
            self.lines().into_iter().find(|line| line.contains(part))
        })
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks for an orderly end with SIGTERM and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        self.wait()
    }

    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("process {} said: {:#?}", self.child.id(), self.lines());
        }
    }
}

/// Tries until there is a value, for at most [`PATIENCE`].
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn endpoint(port: u16) -> String {
    format!("tcp/127.0.0.1:{port}")
}

/// A port that nobody listens on. Below the range from which systems take ports for outgoing
/// connections, so that it stays free while its owner is away.
fn free_port(free: impl Fn(u16) -> bool) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(97);
    let port = || {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Relaxed).into());
        12_000 + (offset % 20_000) as u16
    };
    std::iter::repeat_with(port)
        .find(|port| free(*port))
        .unwrap()
}

pub fn free_tcp_port() -> u16 {
    free_port(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

pub fn free_udp_port() -> u16 {
    free_port(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// A client session of the test itself.
pub fn client(port: u16) -> Session {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", "\"client\"".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("connect/endpoints", format!("[{:?}]", endpoint(port))),
        ("connect/timeout_ms", "-1".to_owned()),
        ("connect/exit_on_failure", "false".to_owned()),
    ] {
        config.insert_json5(key, &value).unwrap();
    }
    zenoh::open(config).wait().unwrap()
}

/// What a subscriber has received: key, bytes, encoding; liveliness as `true` and `false`.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Sample(String, Vec<u8>, String),
    Alive(String, bool),
}

/// Everything under `nsmpl/`.
pub fn subscribe(session: &Session) -> Receiver<Seen> {
    let (sender, receiver) = channel();
    let tokens = sender.clone();
    session
        .declare_subscriber("nsmpl/**")
        .callback(move |sample: Sample| {
            let _ = sender.send(Seen::Sample(
                sample.key_expr().to_string(),
                sample.payload().to_bytes().to_vec(),
                sample.encoding().to_string(),
            ));
        })
        .background()
        .wait()
        .unwrap();
    session
        .liveliness()
        .declare_subscriber("nsmpl/**")
        .history(true)
        .callback(move |sample: Sample| {
            let alive = sample.kind() == SampleKind::Put;
            let _ = tokens.send(Seen::Alive(sample.key_expr().to_string(), alive));
        })
        .background()
        .wait()
        .unwrap();
    receiver
}

/// The frame of a message.
pub fn frame(message: Message) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME];
    let len = message.encode(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// A pose whose every field follows from its sequence number.
pub fn pose(sequence: u32) -> Vec<u8> {
    frame(Message::Pose(PoseRepr {
        sequence,
        time_us: 1_767_225_600_000_000 + u64::from(sequence) * 33_333,
        person_id: (sequence % 3) as u16,
        translation: [sequence as f32 * 1e-3, -0.25, 2.5],
        ..PoseRepr::default()
    }))
}

pub fn subject(sequence: u32, person_id: u16) -> Vec<u8> {
    frame(Message::Subject(SubjectRepr {
        sequence,
        person_id,
        image_size: [1280, 720],
        ..SubjectRepr::default()
    }))
}

pub fn status(sequence: u32) -> Vec<u8> {
    frame(Message::Status(StatusRepr {
        sequence,
        uptime_s: sequence,
        ..StatusRepr::default()
    }))
}

/// Frames of the pinned vectors whose names start with `prefix`.
pub fn vectors(prefix: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packet/vectors");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(".hex")
        })
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text: String = std::fs::read_to_string(path).unwrap();
            let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
            let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
            digits.chunks(2).map(byte).collect()
        })
        .collect()
}
