//! A router, two publishers and a subscriber, each a process or a session of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use common::{
    PATIENCE, Process, Seen, client, endpoint, eventually, free_tcp_port, free_udp_port, pose,
    status, subject, subscribe, vectors,
};
use serde_json::Value;
use zenoh::Wait;

/// Everything that has been seen, in order.
struct Log {
    from: Receiver<Seen>,
    seen: Vec<Seen>,
}

impl Log {
    fn new(from: Receiver<Seen>) -> Self {
        let seen = Vec::new();
        Log { from, seen }
    }

    /// Receives until `found` returns a value.
    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&[Seen]) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = found(&self.seen) {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "{what} did not happen");
            let next = self.from.recv_timeout(Duration::from_millis(100));
            self.seen.extend(next);
            self.seen.extend(self.from.try_iter());
        }
    }

    /// Payloads of one key so far.
    fn payloads(seen: &[Seen], key: &str) -> Vec<Vec<u8>> {
        seen.iter()
            .filter_map(|seen| match seen {
                Seen::Sample(found, payload, _) if found == key => Some(payload.clone()),
                _ => None,
            })
            .collect()
    }

    fn until_all(&mut self, key: &str, expected: &[Vec<u8>]) {
        self.until(&format!("all of {key}"), |seen| {
            let mut found = Self::payloads(seen, key);
            found.retain(|payload| *payload != wake());
            (found.len() >= expected.len()).then(|| assert_eq!(found, expected, "{key}"))
        });
    }

    fn until_alive(&mut self, key: &str, alive: bool) {
        self.until(&format!("{key} {alive}"), |seen| {
            let last = seen.iter().rev().find_map(|seen| match seen {
                Seen::Alive(found, alive) if found == key => Some(*alive),
                _ => None,
            });
            (last == Some(alive)).then_some(())
        });
    }

    /// Waits for counters of a camera's publisher that satisfy a condition.
    fn until_counted(&mut self, key: &str, enough: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("counters of {key}"), |seen| {
            let last = Self::payloads(seen, key).pop()?;
            let value: Value = serde_json::from_slice(&last).unwrap();
            enough(&value).then_some(value)
        })
    }

    fn forget(&mut self) {
        self.seen.extend(self.from.try_iter());
        self.seen.clear();
    }
}

/// A camera that sends datagrams.
struct UdpCamera {
    socket: UdpSocket,
    to: String,
}

impl UdpCamera {
    fn send(&self, bytes: &[u8]) {
        // The port may not be open yet, or no longer.
        let _ = self.socket.send_to(bytes, &self.to);
    }
}

/// What is sent until somebody listens; may arrive at any time later.
fn wake() -> Vec<u8> {
    status(9_999)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let (stream, _) = eventually("a connection", || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Sends frames a little apart, as a camera does.
fn send_all(frames: &[Vec<u8>], mut send: impl FnMut(&[u8])) {
    for frame in frames {
        send(frame);
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_cameras_and_a_router() {
    let port = free_tcp_port();
    let router_at = endpoint(port);
    let mut router = Process::router(port);
    let session = client(port);
    let mut log = Log::new(subscribe(&session));

    // North sends datagrams and is read with flags; south is a TCP server in a configuration.
    let udp = UdpCamera {
        socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
        to: format!("127.0.0.1:{}", free_udp_port()),
    };
    let from = format!("udp://{}", udp.to);
    let flags = ["--site", "hall", "--camera", "north", "--from", &from];
    let mut north = Process::start(&[&["publish", "--connect", &router_at], &flags[..]].concat());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("fleet.toml");
    let text = format!(
        "site = \"yard\"\nconnect = [\"{router_at}\"]\nsilence_s = 1.0\njson = true\n\
         [[camera]]\nname = \"south\"\nfrom = \"tcp://{}\"\n",
        listener.local_addr().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let mut south = Process::start(&["publish", "--config", config.to_str().unwrap()]);
    let mut tcp = accept(&listener);

    // Both come alive with their first packets.
    eventually("datagrams to be read", || {
        udp.send(&wake());
        log.seen.extend(log.from.try_iter());
        (!Log::payloads(&log.seen, "nsmpl/hall/north/status").is_empty()).then_some(())
    });
    tcp.write_all(&wake()).unwrap();
    log.until_alive("nsmpl/hall/north/alive", true);
    log.until_alive("nsmpl/yard/south/alive", true);

    all_packets_arrive_under_their_keys(&mut log, &udp, &mut tcp);
    late_joiners_get_what_is_kept(&session);
    garbage_is_counted_and_disturbs_nobody(&mut log, &udp, &mut tcp);

    // South's camera goes, and comes back on a new connection.
    drop(tcp);
    log.until_alive("nsmpl/yard/south/alive", false);
    let mut tcp = accept(&listener);
    tcp.write_all(&status(5000)).unwrap();
    log.until_alive("nsmpl/yard/south/alive", true);
    // It falls silent on an open connection.
    log.until_alive("nsmpl/yard/south/alive", false);

    // The router goes, and comes back on its port.
    router.kill();
    eventually("the loss of the router", || {
        udp.send(&pose(6000));
        let down = |line: &String| line.contains("router DOWN") && line.contains("no_router");
        north.lines().iter().any(down).then_some(())
    });
    let mut router = Process::router(port);
    let mut sequence = 7000;
    for key in ["nsmpl/hall/north/pose", "nsmpl/yard/south/pose"] {
        log.forget();
        eventually(key, || {
            sequence += 1;
            udp.send(&pose(sequence));
            tcp.write_all(&pose(sequence)).unwrap();
            log.seen.extend(log.from.try_iter());
            (!Log::payloads(&log.seen, key).is_empty()).then_some(())
        });
    }

    // A publisher that is killed loses its tokens; one that is asked to end does so in order.
    north.kill();
    log.until_alive("nsmpl/hall/north/alive", false);
    assert!(south.terminate().success());
    log.until_alive("nsmpl/yard/south/alive", false);
    assert!(router.terminate().success());
}

fn all_packets_arrive_under_their_keys(log: &mut Log, udp: &UdpCamera, tcp: &mut TcpStream) {
    log.forget();
    let with = |prefix: &str, more: Vec<Vec<u8>>| [vectors(prefix), more].concat();
    let poses = with("pose_", (10..160).map(pose).collect());
    let subjects = with("subject_", vec![subject(160, 1), subject(161, 2)]);
    let statuses = with("status_", vec![status(162)]);
    let others: Vec<_> = (1000..1150).map(pose).collect();
    assert!(poses.len() > 150 && subjects.len() > 2 && statuses.len() > 1);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            for frames in [&poses, &subjects, &statuses] {
                send_all(frames, |frame| udp.send(frame));
            }
        });
        scope.spawn(|| send_all(&others, |frame| tcp.write_all(frame).unwrap()));
    });
    log.until_all("nsmpl/hall/north/pose", &poses);
    log.until_all("nsmpl/hall/north/subject", &subjects);
    log.until_all("nsmpl/hall/north/status", &statuses);
    log.until_all("nsmpl/yard/south/pose", &others);

    // Twins where they were asked for, and encodings that name schema and version.
    let twin = log.until("a JSON twin", |seen| {
        Log::payloads(seen, "nsmpl/yard/south/pose/json").pop()
    });
    let twin: Value = serde_json::from_slice(&twin).unwrap();
    assert_eq!(twin["kind"], "pose");
    assert!(Log::payloads(&log.seen, "nsmpl/hall/north/pose/json").is_empty());
    let encodings = |end: &str| -> Vec<&str> {
        let mut found: Vec<_> = log
            .seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Sample(key, _, encoding) if key.ends_with(end) => Some(encoding.as_str()),
                _ => None,
            })
            .collect();
        found.dedup();
        found
    };
    assert_eq!(
        encodings("/pose"),
        ["application/octet-stream;nsmpl.pose.v1"]
    );
    assert_eq!(encodings("/pose/json"), ["application/json;nsmpl.pose.v1"]);
}

fn late_joiners_get_what_is_kept(session: &zenoh::Session) {
    let get = |key: &str| -> Vec<u8> {
        let replies = session.get(key).wait().unwrap();
        replies
            .into_iter()
            .flat_map(|reply| reply.result().unwrap().payload().to_bytes().to_vec())
            .collect()
    };
    let subjects = get("nsmpl/hall/north/subject");
    for (expected, person) in [(subject(160, 1), 1), (subject(161, 2), 2)] {
        let found = subjects
            .windows(expected.len())
            .any(|part| part == expected);
        assert!(found, "subject of person {person}");
    }
    assert_eq!(get("nsmpl/*/north/status"), status(162));
}

fn garbage_is_counted_and_disturbs_nobody(log: &mut Log, udp: &UdpCamera, tcp: &mut TcpStream) {
    log.forget();
    let clean: Vec<_> = (1150..1250).map(pose).collect();
    let mut cut = pose(170);
    cut[100] ^= 1;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..50_u8 {
                udp.send(&[round.wrapping_mul(37) | 1; 300]); // too long, without its zero
                udp.send(&cut);
                udp.send(&vectors("refused_version").concat());
                std::thread::sleep(Duration::from_millis(2));
            }
            udp.send(&pose(171));
        });
        scope.spawn(|| send_all(&clean, |frame| tcp.write_all(frame).unwrap()));
    });
    log.until_all("nsmpl/yard/south/pose", &clean);
    log.until_all("nsmpl/hall/north/pose", &[pose(171)]);
    let count = |value: &Value, cause: &str| value["drops"][cause].as_u64().unwrap();
    let north = log.until_counted("nsmpl/hall/north/bridge", |value| {
        count(value, "version") >= 50
    });
    assert_eq!(count(&north, "overlong"), 50);
    assert_eq!(count(&north, "checksum") + count(&north, "malformed"), 50);
    assert_eq!(count(&north, "version"), 50);
    let south = log.until_counted("nsmpl/yard/south/bridge", |value| {
        value["published"]["pose"].as_u64() >= Some(250)
    });
    for (cause, drops) in south["drops"].as_object().unwrap() {
        assert!(cause == "lost_before" || drops == 0, "{cause}: {drops}");
    }
    assert_eq!(south["alive"], true);
}
