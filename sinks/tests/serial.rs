//! Serial lines over pseudo-terminals.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::*;
use neuralsmpl_packet::command::Operation;
use neuralsmpl_packet::reply::Outcome;
use neuralsmpl_packet::{CommandRepr, Message};
use neuralsmpl_sinks::{DropCause, Hub};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The far end of a line; the near end is a device at `path`.
struct Line {
    master: File,
}

impl Line {
    /// Makes a line and plugs it in at `path`.
    fn plug(path: &Path) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let _ = std::fs::remove_file(path);
        symlink(name.to_str().unwrap(), path).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        let master = File::from(master);
        Self { master }
    }

    fn receive(&mut self, count: usize) -> Receiver {
        let mut receiver = Receiver::default();
        receiver.read(&mut self.master, count);
        receiver
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ttyUSB0");
    (folder, path)
}

fn serial(path: &Path, more: &str) -> Hub {
    hub(&format!(
        "[[sink]]\ntype = \"serial\"\ndevice = \"{}\"\n{more}",
        path.display()
    ))
}

#[test]
fn packets_arrive_in_order_from_zero() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "baud = 921600");
    assert!(stats(&hub).connected);
    hub.send(&subject()).unwrap();
    (0..30).for_each(|n| hub.send(&pose(n)).unwrap());
    hub.send(&status()).unwrap();
    let received = line.receive(32);
    assert_eq!(received.sequences(), (0..32).collect::<Vec<_>>());
    assert_eq!(received.numbers(), (0..30).collect::<Vec<_>>());
    assert_eq!(received.accumulator.drops().total(), 0);
    assert!(until(|| stats(&hub).sent == 32));
    let flushed = hub.close(Duration::from_secs(5));
    assert!(flushed.sinks[0].ended && flushed.sinks[0].lost == 0);
}

#[test]
fn a_line_that_is_unplugged_and_comes_back_goes_on() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "");
    hub.send(&pose(0)).unwrap();
    assert_eq!(line.receive(1).numbers(), [0]);

    drop(line);
    std::fs::remove_file(&path).unwrap();
    let next = send_until(&mut hub, 1, |hub| {
        !stats(hub).connected && dropped(hub, DropCause::Unavailable) > 3
    });
    assert!(hub.last_fault(0).unwrap().contains("ttyUSB0"), "named");

    let mut line = Line::plug(&path);
    let next = send_until(&mut hub, next, |hub| stats(hub).connected);
    let mut receiver = Receiver::default();
    hub.send(&pose(next)).unwrap();
    assert!(until(|| {
        let have = receiver.messages.len();
        let mut chunk = [0; 1024];
        if let Ok(n) = line.master.read(&mut chunk) {
            receiver.feed(&chunk[..n]);
        }
        receiver.messages.len() > have && receiver.numbers().contains(&next)
    }));
    assert_eq!(receiver.sequences()[0], 0, "a new stream");
    assert_eq!(receiver.accumulator.drops().total(), 0);
    assert!(stats(&hub).faults >= 1);
}

#[test]
fn a_line_that_comes_late_is_waited_for() {
    let (_folder, path) = place();
    let mut hub = serial(&path, "");
    assert!(!stats(&hub).connected);
    let next = send_until(&mut hub, 0, |hub| dropped(hub, DropCause::Unavailable) > 0);
    let mut line = Line::plug(&path);
    send_until(&mut hub, next, |hub| {
        stats(hub).connected && stats(hub).sent > 0
    });
    assert!(!line.receive(1).messages.is_empty());
}

#[test]
fn a_line_that_nobody_reads_keeps_the_newest_and_holds_nobody() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "queue = 8\nbaud = 12000000");
    // The stream counts from the first packet that its thread takes.
    hub.send(&pose(0)).unwrap();
    assert!(until(|| stats(&hub).sent == 1));
    let slowest = (1..3_000).map(|n| {
        let start = Instant::now();
        hub.send(&pose(n)).unwrap();
        if n % 10 == 0 {
            sleep(Duration::from_micros(200));
        }
        start.elapsed()
    });
    let slowest = slowest.max().unwrap();
    println!("slowest send to a line that nobody reads: {slowest:?}");
    let lost = dropped(&hub, DropCause::QueueFull);
    assert!(lost > 2_000, "{:?}", stats(&hub));
    let mut receiver = Receiver::default();
    assert!(until(|| {
        let mut chunk = [0; 4096];
        if let Ok(n) = line.master.read(&mut chunk) {
            receiver.feed(&chunk[..n]);
        }
        receiver.numbers().last() == Some(&2_999)
    }));
    assert_eq!(
        receiver.sequences().last(),
        Some(&2_999),
        "gaps show what was lost"
    );
    assert_eq!(receiver.numbers().len() as u64 + lost, 3_000);
}

#[test]
fn packets_leave_no_faster_than_the_line_carries_them() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let start = Instant::now();
    let mut hub = serial(&path, "baud = 57600");
    (0..60).for_each(|n| hub.send(&pose(n)).unwrap());
    let received = line.receive(60);
    let carried = Duration::from_secs_f64((60.0 * 222.0 - 460.0) * 10.0 / 57600.0);
    assert!(
        start.elapsed() + Duration::from_millis(100) > carried,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(received.numbers().len(), 60);
}

#[test]
fn commands_come_in_and_replies_go_out_on_the_same_line() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "control = true\nbaud = 921600");
    hub.send(&pose(0)).unwrap();
    line.receive(1);

    line.master.write_all(b"garbage\x00\xff\xff\x00").unwrap();
    let asked = CommandRepr {
        sequence: 41,
        operation: Operation::SetRate,
        argument: 10_000,
        ..CommandRepr::default()
    };
    line.master.write_all(&command(asked)).unwrap();
    let mut got = None;
    assert!(until(|| {
        got = hub.commands();
        got.is_some()
    }));
    let (token, received) = got.unwrap();
    assert_eq!(received, asked);
    assert_eq!(token.sink(), 0);
    let reply = hub.apply(token, &received).unwrap();
    hub.reply(token, reply);
    let answer = line.receive(1).messages[0];
    let Message::Reply(answer) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (answer.request, answer.outcome, answer.value),
        (41, Outcome::Done, 10_000)
    );
    assert_eq!(answer.sequence, 1, "counted with the poses");
    assert_eq!(stats(&hub).garbage, 2);

    // 30 Hz for two seconds at 10 Hz: a third passes, without gaps in the numbers.
    for n in 1..61 {
        hub.send(&pose(n)).unwrap();
    }
    let poses = line.receive(20);
    assert_eq!(poses.sequences(), (2..22).collect::<Vec<_>>());
}

#[test]
fn a_line_without_control_takes_no_commands() {
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "");
    line.master
        .write_all(&command(CommandRepr::default()))
        .unwrap();
    hub.send(&pose(0)).unwrap();
    line.receive(1);
    sleep(Duration::from_millis(50));
    assert_eq!((hub.commands(), stats(&hub).commands), (None, 0));
}

/// By hand: `cargo test --release -p neuralsmpl-sinks --test serial -- --ignored --nocapture`.
/// The far end takes bytes at the pace of 115200 baud; the receiver must miss nothing.
#[test]
#[ignore = "takes ten minutes; NSMPL_LINE_SECONDS changes that"]
fn thirty_hertz_on_115200_baud_without_loss() {
    let seconds: u64 =
        std::env::var("NSMPL_LINE_SECONDS").map_or(600, |text| text.parse().unwrap());
    let (_folder, path) = place();
    let mut line = Line::plug(&path);
    let mut hub = serial(&path, "baud = 115200");
    let end = Duration::from_secs(seconds);
    let start = Instant::now();
    let reader = std::thread::spawn(move || {
        let mut receiver = Receiver::default();
        let mut taken = 0.0;
        let mut delays = Vec::new();
        while start.elapsed() < end + Duration::from_secs(2) {
            let allowed = start.elapsed().as_secs_f64() * 11_520.0;
            let mut chunk = [0; 256];
            let room = ((allowed - taken).max(0.0) as usize).min(chunk.len());
            // What the line could have carried while it was idle is gone.
            taken = taken.max(allowed - 32.0);
            match line.master.read(&mut chunk[..room]) {
                Ok(n) if n > 0 => {
                    taken += n as f64;
                    let before = receiver.messages.len();
                    receiver.feed(&chunk[..n]);
                    for message in &receiver.messages[before..] {
                        if let Message::Pose(pose) = message {
                            let now = start.elapsed().as_micros() as u64;
                            delays.push(now.saturating_sub(pose.time_us));
                        }
                    }
                }
                _ => sleep(Duration::from_micros(500)),
            }
        }
        (receiver, delays)
    });
    let mut sent = 0_u32;
    while start.elapsed() < end {
        let due = Duration::from_micros(u64::from(sent) * 33_333);
        sleep(due.saturating_sub(start.elapsed()));
        let Message::Pose(mut message) = pose(sent) else {
            unreachable!("a pose");
        };
        message.time_us = start.elapsed().as_micros() as u64;
        hub.send(&Message::Pose(message)).unwrap();
        if sent.is_multiple_of(30) {
            hub.send(&status()).unwrap();
        }
        if sent.is_multiple_of(150) {
            hub.send(&subject()).unwrap();
        }
        sent += 1;
    }
    let (receiver, mut delays) = reader.join().unwrap();
    delays.sort_unstable();
    let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    let lost = stats(&hub).dropped.faults();
    println!(
        "{seconds} s at 115200 baud: {sent} poses sent, {} received, {} packets in all, {} damaged, {lost} dropped; \
         from send to the last byte read {:.1} / {:.1} / {:.1} ms (p50 / p99 / max)",
        receiver.numbers().len(),
        receiver.messages.len(),
        receiver.accumulator.drops().total(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    assert_eq!(receiver.numbers(), (0..sent).collect::<Vec<_>>());
    assert_eq!(
        receiver.sequences(),
        (0..receiver.messages.len() as u32).collect::<Vec<_>>()
    );
    assert_eq!((receiver.accumulator.drops().total(), lost), (0, 0));
}
