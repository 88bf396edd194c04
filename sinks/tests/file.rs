//! Files of frames and of JSON lines, on sound and on full disks.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::*;
use neuralsmpl_sinks::{DropCause, Hub, Replay};
use serde_json::Value;

fn file(kind: &str, path: &Path, more: &str) -> Hub {
    hub(&format!(
        "[[sink]]\ntype = \"{kind}\"\npath = \"{}\"\n{more}",
        path.display()
    ))
}

fn close(hub: Hub) {
    let flushed = hub.close(Duration::from_secs(20));
    assert!(
        flushed.sinks[0].ended && flushed.sinks[0].lost == 0,
        "{flushed:?}"
    );
}

/// The pose numbers of a recording and what was damaged in it.
fn replayed(path: &Path) -> (Vec<u32>, u64) {
    let mut replay = Replay::open(path).unwrap();
    let numbers = replay
        .by_ref()
        .filter_map(|packet| number(&packet.unwrap().1))
        .collect();
    (numbers, replay.damaged())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn frames_are_kept_in_order_and_each_start_begins_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/pose.bin");
    for start in [0, 100] {
        let mut hub = file("file", &path, "");
        (start..start + 50).for_each(|n| hub.send(&pose(n)).unwrap());
        close(hub);
    }
    assert_eq!(replayed(&path), ((100..150).collect(), 0));
    let earlier = path.with_file_name("pose.000001.bin");
    assert_eq!(replayed(&earlier), ((0..50).collect(), 0));
}

#[test]
fn files_change_at_their_size_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.bin");
    let mut hub = file(
        "file",
        &path,
        "file_bytes = 4096\ntotal_bytes = 16384\nqueue = 8192",
    );
    for n in 0..400 {
        hub.send(&pose(n)).unwrap();
        if n % 10 == 0 {
            until(|| stats(&hub).queued == 0);
            let total: u64 = files(folder.path())
                .iter()
                .filter_map(|f| fs::metadata(f).ok())
                .map(|meta| meta.len())
                .sum();
            assert!(total <= 16_384, "{total} bytes");
        }
    }
    assert!(until(|| stats(&hub).sent == 400));
    close(hub);
    let mut kept = Vec::new();
    let files = files(folder.path());
    assert!(files.len() >= 3, "{files:?}");
    // `pose.bin` sorts behind the numbered ones.
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() < 4096 + 222);
        kept.extend(replayed(file).0);
    }
    let first = kept[0];
    assert_eq!(
        kept,
        (first..400).collect::<Vec<_>>(),
        "the newest, without a gap"
    );
    assert!(first > 300);
}

#[test]
fn a_full_disk_is_counted_and_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.bin");
    symlink("/dev/full", &path).unwrap();
    let mut hub = file("file", &path, "");
    let next = send_until(&mut hub, 0, |hub| {
        stats(hub).faults >= 2 && dropped(hub, DropCause::DiskFull) > 5
    });
    assert_eq!(stats(&hub).sent, 0);
    assert!(
        hub.last_fault(0)
            .unwrap()
            .contains("pose.bin: cannot write")
    );
    fs::remove_file(&path).unwrap();
    let end = send_until(&mut hub, next, |hub| stats(hub).sent > 0);
    let stats = stats(&hub);
    let lost = stats.dropped.faults();
    close(hub);
    let (numbers, damaged) = replayed(&path);
    assert_eq!(damaged, 0);
    assert_eq!(numbers.len() as u64 + lost, u64::from(end));
}

#[test]
fn a_folder_that_vanishes_is_made_again_at_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card/pose.bin");
    let mut hub = file("file", &path, "file_bytes = 4096\ntotal_bytes = 8192");
    hub.send(&pose(0)).unwrap();
    assert!(until(|| stats(&hub).sent == 1));
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    send_until(&mut hub, 1, |_| path.exists());
    close(hub);
    assert!(replayed(&path).1 == 0);
}

#[test]
fn a_path_that_cannot_be_a_file_is_a_fault_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.bin");
    fs::create_dir(&path).unwrap();
    let mut hub = file("file", &path, "");
    assert!(!stats(&hub).connected);
    let next = send_until(&mut hub, 0, |hub| dropped(hub, DropCause::Unavailable) > 2);
    fs::remove_dir(&path).unwrap();
    send_until(&mut hub, next, |hub| stats(hub).sent > 0);
}

#[test]
fn a_pipe_that_nobody_empties_holds_its_own_thread_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no mkfifo");
        return;
    }
    let mut hub = file("jsonl", &path, "queue = 16");
    assert!(!stats(&hub).connected, "nobody reads");
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    assert!(until(|| stats(&hub).connected));
    send_until(&mut hub, 0, |hub| dropped(hub, DropCause::QueueFull) > 100);
    let start = Instant::now();
    let flushed = hub.close(Duration::from_millis(200));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert!(
        !flushed.sinks[0].ended && flushed.sinks[0].lost > 0,
        "{flushed:?}"
    );
    drop(reader);
}

#[test]
fn lines_are_json_and_a_torn_line_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.jsonl");
    let mut hub = file("jsonl", &path, "");
    for message in [subject(), pose(1), status()] {
        hub.send(&message).unwrap();
    }
    close(hub);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["subject", "pose", "status"]);
    let numbers: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64()).collect();
    assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
    assert_eq!(lines[1]["joints"].as_array().unwrap().len(), 24);
}

#[test]
fn stdout_takes_lines() {
    let test = std::env::current_exe().unwrap();
    let output = Command::new(test)
        .args(["--exact", "stdout_child", "--nocapture", "--ignored"])
        .env("NSMPL_STDOUT", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("{\"kind\":\"pose\""));
    assert_eq!(lines.count(), 5, "{text}");
}

#[test]
#[ignore = "a part of stdout_takes_lines"]
fn stdout_child() {
    if std::env::var_os("NSMPL_STDOUT").is_none() {
        return;
    }
    println!();
    let mut hub = file("jsonl", Path::new("-"), "");
    (0..5).for_each(|n| hub.send(&pose(n)).unwrap());
    close(hub);
}

#[test]
fn replay_keeps_the_pace_and_survives_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.bin");
    let mut hub = file("file", &path, "");
    (0..31).for_each(|n| hub.send(&pose(n)).unwrap());
    close(hub);
    let start = Instant::now();
    let count = Replay::open(&path).unwrap().paced(4.0).count();
    assert_eq!(count, 31);
    assert!(
        start.elapsed() >= Duration::from_micros(30 * 33_333 / 4),
        "one second, four times as fast"
    );

    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 0x10;
    bytes.truncate(bytes.len() - 40);
    fs::write(&path, &bytes).unwrap();
    let (numbers, damaged) = replayed(&path);
    assert_eq!((numbers.len(), damaged), (29, 1));
    assert!(Replay::open(&folder.path().join("none")).is_err());
    let empty = folder.path().join("empty");
    fs::write(&empty, []).unwrap();
    assert_eq!(Replay::open(&empty).unwrap().count(), 0);
}
