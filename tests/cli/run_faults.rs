//! `neuralsmpl run` when something is wrong: configuration, pack, camera, frames; and for long.

use std::io::Write;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use neuralsmpl_packet::Message;
use neuralsmpl_packet::status::Faults;
use serde_json::Value;

use crate::live::{LONG, Live, clip, get, listen, messages, port, poses, statuses};
use crate::support::{Room, repository, stderr};

/// The summary on the last line of stderr.
fn summary(output: &std::process::Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(stderr(output).lines().last().unwrap()).unwrap()
}

/// How many frames a long test takes: what the environment says, or `usual`.
fn frames(name: &str, usual: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Frames of noise, black, broken and missing ones: nothing that a camera can send ends it.
/// NEURALSMPL_POISON_FRAMES sets how many there are; 10,000 take minutes.
#[test]
fn poisoned_frames_pass_by() {
    let frames = frames("NEURALSMPL_POISON_FRAMES", 300);
    let room = Room::new();
    room.put(
        "live.toml",
        format!(
            "[source]\nsource = {:?}\nloop = true\npace = \"every-frame\"\n\
             [source.chaos]\nseed = 11\ncorrupt = 0.2\nblack = 0.2\nnoise = 0.3\ndamage = 0.3\nduplicate = 0.1\njump = 0.05\njump_s = 3600.0\n\
             [budget]\nsteps = 2\n[track.detector]\nnobody_frames = 5\n[[sink]]\ntype = \"file\"\npath = \"poses.bin\"\n",
            clip()
        )
        .as_bytes(),
    );
    let output = room
        .command()
        .timeout(Duration::from_secs(3_600))
        .args(["run", "--config", "live.toml", "--backend", "cpu"])
        .args(["--frames", &frames.to_string(), "--summary-json"])
        .output()
        .unwrap();
    let summary = summary(&output);
    println!("{summary}");
    assert_eq!(summary["frames"], frames);
    assert!(
        summary["corrupt"].as_u64().unwrap() > frames / 30,
        "{summary}"
    );
    let all = messages(&fs::read(room.path("poses.bin")).unwrap());
    for pose in poses(&all) {
        assert!(pose.translation.iter().all(|t| t.abs() < 1e3));
    }
    assert!(statuses(&all).last().unwrap().drops.source > 0);
}

/// The camera is a named pipe here: its writer goes, another comes.
#[test]
fn a_camera_that_was_gone_is_taken_up_again() {
    let room = Room::new();
    let pipe = room.path("camera");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bytes = fs::read(repository("samples/balance.mjpeg")).unwrap();
    // Writes, and closes the pipe when it is told to.
    let plug = |bytes: Vec<u8>| {
        let (pipe, (unplug, told)) = (pipe.clone(), mpsc::channel::<()>());
        let writer = thread::spawn(move || {
            let mut pipe = fs::File::create(pipe)?;
            let written = pipe.write_all(&bytes);
            // An error says that the test is over.
            let _ = told.recv();
            written
        });
        (unplug, writer)
    };
    let (unplug, first) = plug(bytes[..400_000].to_vec());
    let live = Live::start(
        &room,
        &format!(
            "[source]\nsource = \"camera\"\n[output]\nstatus_s = 0.1\n[[sink]]\ntype = \"udp\"\ntarget = \"{}\"\n",
            socket.local_addr().unwrap()
        ),
    );
    let seen = poses(&listen(&socket, |m| matches!(m, Message::Pose(_))));
    drop(unplug);
    first.join().unwrap().unwrap();
    listen(
        &socket,
        |m| matches!(m, Message::Status(s) if s.faults.contains(Faults::SOURCE)),
    );
    let last_us = seen.last().unwrap().time_us;
    let (unplug, again) = plug(bytes);
    listen(
        &socket,
        |m| matches!(m, Message::Pose(p) if p.time_us > last_us + 100_000),
    );
    live.signal("TERM");
    let (status, text) = live.wait();
    assert!(status.success(), "{status}: {text}");
    drop(unplug);
    // The reader is gone, so that the rest may not have been taken.
    let _ = again.join().unwrap();
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

/// Damaged, black and noisy frames, lost sources, clock jumps and pauses: all go by, counted.
#[test]
fn chaos_is_survived_and_counted() {
    let frames = frames("NEURALSMPL_CHAOS_FRAMES", 200);
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
        .timeout(Duration::from_secs(3_600))
        .args(["run", "--config", "live.toml", "--backend", "cpu"])
        .args(["--frames", &frames.to_string(), "--summary-json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["frames"], frames);
    assert!(summary["corrupt"].as_u64().unwrap() > 0, "{summary}");
    let all = messages(&fs::read(room.path("poses.bin")).unwrap());
    let poses = poses(&all);
    assert!(
        poses.len() as u64 > frames * 6 / 10,
        "{} poses of {frames} frames",
        poses.len()
    );
    let drops = statuses(&all).last().unwrap().drops;
    assert!(drops.source > 0, "{drops:?}");
}

/// Resident memory stays within 1 % once a tenth of the frames is done. NEURALSMPL_SOAK_FRAMES sets how
/// many there are; 100,000 take minutes.
#[test]
fn memory_stays_flat() {
    let frames = frames("NEURALSMPL_SOAK_FRAMES", 4_000);
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
