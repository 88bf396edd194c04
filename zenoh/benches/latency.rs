//! What `publish` and a router add between a camera and a subscriber, on loopback: latency,
//! loss, memory and processor time. Each is a process of its own.
//!
//! `cargo bench --bench latency`, or with `-- CAMERAS HZ SECONDS` for one series.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Process, client, endpoint, eventually, frame, free_tcp_port, free_udp_port, status};
use neuralsmpl_packet::{Message, PoseRepr, frame::Accumulator};
use zenoh::sample::Sample;
use zenoh::{Session, Wait};

/// Cameras, packets per second of each, seconds.
const SERIES: [(usize, u32, u64); 5] = [
    (1, 30, 10),
    (2, 30, 10),
    (50, 30, 10),
    (50, 120, 10),
    (50, 400, 5),
];

fn main() {
    let given: Vec<u64> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let series = match given[..] {
        [cameras, hz, seconds] => vec![(cameras as usize, hz as u32, seconds)],
        _ => SERIES.to_vec(),
    };
    println!(
        "cameras     Hz  sent/s   p50 ms   p99 ms   max ms    lost %  publisher MiB  router MiB  publisher CPU %"
    );
    for (cameras, hz, seconds) in series {
        measure(cameras, hz, Duration::from_secs(seconds));
    }
}

fn measure(cameras: usize, hz: u32, duration: Duration) {
    let port = free_tcp_port();
    let router = Process::router(port);
    let session = client(port);
    let latencies = subscribe(&session);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("fleet.toml");
    let mut text = format!("site = \"bench\"\nconnect = [\"{}\"]\n", endpoint(port));
    let addresses: Vec<String> = (0..cameras)
        .map(|_| format!("127.0.0.1:{}", free_udp_port()))
        .collect();
    for (index, address) in addresses.iter().enumerate() {
        let _ = write!(
            text,
            "[[camera]]\nname = \"c{index}\"\nfrom = \"udp://{address}\"\n"
        );
    }
    std::fs::write(&config, text).unwrap();
    let publisher = Process::start(&["publish", "--config", config.to_str().unwrap()]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    eventually("all cameras alive", || {
        addresses.iter().for_each(|address| {
            let _ = socket.send_to(&status(0), address);
        });
        std::thread::sleep(Duration::from_millis(200));
        let all = format!("{cameras} of {cameras} cameras alive");
        publisher
            .lines()
            .iter()
            .any(|line| line.contains(&all))
            .then_some(())
    });

    // Cameras one after the other within each period, as they are out of step in life.
    let cpu_before = cpu_seconds(publisher.id());
    let start = Instant::now();
    let step = Duration::from_secs(1) / hz / cameras as u32;
    let mut sent = 0_u32;
    while start.elapsed() < duration {
        let due = start + step * sent;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        let pose = PoseRepr {
            sequence: sent / cameras as u32,
            time_us: now_us(),
            ..PoseRepr::default()
        };
        let address = &addresses[sent as usize % cameras];
        let _ = socket.send_to(&frame(Message::Pose(pose)), address);
        sent += 1;
    }
    let took = start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(publisher.id()) - cpu_before) / took;
    std::thread::sleep(Duration::from_millis(500));
    let memory = (resident_mib(publisher.id()), resident_mib(router.id()));
    let mut times: Vec<u64> = latencies.try_iter().collect();
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)] as f64 / 1e3
    };
    println!(
        "{cameras:>7} {hz:>6} {:>7.0} {:>8.3} {:>8.3} {:>8.3} {:>9.4} {:>14.1} {:>11.1} {:>16.1}",
        f64::from(sent) / took,
        at(0.5),
        at(0.99),
        at(1.0),
        100.0 * (1.0 - times.len() as f64 / f64::from(sent)),
        memory.0,
        memory.1,
        100.0 * cpu,
    );
}

/// Microseconds from a pose's time, here that of its sending, to its arrival.
fn subscribe(session: &Session) -> Receiver<u64> {
    let (sender, receiver) = channel();
    session
        .declare_subscriber("nsmpl/bench/*/pose")
        .callback(move |sample: Sample| {
            let now = now_us();
            Accumulator::new().extend(&sample.payload().to_bytes(), |payload| {
                if let Ok(Message::Pose(pose)) = Message::parse(payload) {
                    let _ = sender.send(now.saturating_sub(pose.time_us));
                }
            });
        })
        .background()
        .wait()
        .unwrap();
    receiver
}

fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as u64
}

fn resident_mib(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// User and system time; Linux counts them in hundredths of a second.
fn cpu_seconds(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = text.rsplit_once(')').unwrap().1;
    let ticks = |index: usize| -> f64 {
        fields
            .split_whitespace()
            .nth(index)
            .unwrap()
            .parse()
            .unwrap()
    };
    (ticks(11) + ticks(12)) / 100.0
}
