//! MCAP recordings, read back with the format's own library.
#![allow(clippy::unwrap_used)] // helpers outside of test functions
#![cfg(feature = "mcap")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use common::*;
use mcap::MessageStream;
use mcap::read::Options;
use neuralsmpl_packet::subject::BETAS;
use neuralsmpl_packet::{Message, SubjectRepr};
use neuralsmpl_sinks::{Context, DropCause, Hub, Replay, Skeleton};
use serde_json::Value;

/// Joints on a line, each the child of the one before, 10 cm apart, longer with `betas[0]`.
fn skeleton() -> Skeleton {
    let mut skeleton = Skeleton {
        parents: std::array::from_fn(|j| j.checked_sub(1).map(|p| p as u8)),
        rest_joints: std::array::from_fn(|j| [0.1 * j as f32, 0.0, 0.0]),
        shape_directions: [[[0.0; BETAS]; 3]; 24],
    };
    for (joint, directions) in skeleton.shape_directions.iter_mut().enumerate() {
        directions[0][0] = 0.05 * joint as f32;
    }
    skeleton
}

fn recorder(path: &Path, more: &str) -> Hub {
    let toml = format!(
        "[[sink]]\ntype = \"mcap\"\npath = \"{}\"\n{more}",
        path.display()
    );
    let context = Context {
        persons: 1,
        rate_hz: 30.0,
        skeleton: Some(skeleton()),
    };
    Hub::start(&tables(&toml), context).unwrap()
}

fn close(hub: Hub) {
    let flushed = hub.close(Duration::from_secs(20));
    assert!(
        flushed.sinks[0].ended && flushed.sinks[0].lost == 0,
        "{flushed:?}"
    );
}

fn numbers(path: &Path) -> Vec<u32> {
    Replay::open(path)
        .unwrap()
        .filter_map(|packet| number(&packet.unwrap().1))
        .collect()
}

/// Messages by topic: schema's name, and data.
fn topics(bytes: &[u8], options: Option<Options>) -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let mut topics: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let stream = MessageStream::new_with_options(bytes, options.into_iter().collect());
    for message in stream.unwrap() {
        let Ok(message) = message else { break };
        let schema = message.channel.schema.as_ref();
        let name = schema.map_or(String::new(), |s| s.name.clone());
        topics
            .entry(message.channel.topic.clone())
            .or_default()
            .push((name, message.data.into_owned()));
    }
    topics
}

#[test]
fn a_recording_has_packets_frames_and_a_drawn_skeleton() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mcap");
    let mut hub = recorder(&path, "scene_hz = 1000");
    let mut betas = [0.0; BETAS];
    betas[0] = 2.0;
    let shape = SubjectRepr {
        person_id: 1,
        betas,
        ..SubjectRepr::default()
    };
    hub.send(&Message::Subject(shape)).unwrap();
    (0..10).for_each(|n| hub.send(&pose(n)).unwrap());
    hub.send(&status()).unwrap();
    close(hub);

    let bytes = fs::read(&path).unwrap();
    let topics = topics(&bytes, None);
    assert_eq!(topics["/nsmpl/packets"].len(), 12);
    assert_eq!(topics["/nsmpl/status"].len(), 1);
    let (schema, data) = &topics["/nsmpl/tf"][0];
    assert_eq!(schema, "foxglove.FrameTransforms");
    let transforms: Value = serde_json::from_slice(data).unwrap();
    let transforms = transforms["transforms"].as_array().unwrap();
    assert_eq!(transforms.len(), 25);
    assert_eq!(transforms[0]["child_frame_id"], "camera_optical");
    assert_eq!(transforms[1]["child_frame_id"], "body_1");
    assert_eq!(transforms[1]["timestamp"]["sec"], 1_767_225_600);
    let (schema, data) = &topics["/nsmpl/skeleton"][9];
    assert_eq!(schema, "foxglove.SceneUpdate");
    let scene: Value = serde_json::from_slice(data).unwrap();
    let entity = &scene["entities"][0];
    assert_eq!(entity["frame_id"], "camera_optical");
    assert_eq!(entity["spheres"].as_array().unwrap().len(), 24);
    assert_eq!(entity["lines"][0]["indices"].as_array().unwrap().len(), 46);
    // Joint 23 at rest: 23 · (0.1 + 2 · 0.05) beside the root, moved by the translation.
    let x = entity["spheres"][23]["pose"]["position"]["x"]
        .as_f64()
        .unwrap();
    assert!(
        (x - (4.6 + 0.1)).abs() < 1e-3,
        "{x}: the person's own shape"
    );

    // An index for readers that seek, and schemas that hold what is written.
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    assert!(!summary.chunk_indexes.is_empty());
    for schema in summary.schemas.values() {
        assert_eq!(schema.encoding, "jsonschema");
        let parsed: Value = serde_json::from_slice(&schema.data).unwrap();
        let written = if schema.name.ends_with("Update") {
            &scene
        } else {
            &Value::Null
        };
        for key in written.as_object().into_iter().flat_map(|o| o.keys()) {
            assert!(!parsed["properties"][key].is_null(), "{key}");
        }
        if let Some(entity) = written["entities"][0].as_object() {
            let known = &parsed["properties"]["entities"]["items"]["properties"];
            assert!(entity.keys().all(|key| !known[key].is_null()));
        }
    }
}

#[test]
fn replay_gives_the_packets_that_were_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.mcap"), folder.path().join("b.bin"));
    let mut hub = recorder(
        &first,
        &format!("[[sink]]\ntype = \"file\"\npath = \"{}\"", second.display()),
    );
    hub.send(&subject()).unwrap();
    (0..200).for_each(|n| hub.send(&pose(n)).unwrap());
    hub.send(&status()).unwrap();
    close(hub);
    let read = |path: &Path| {
        let replay = Replay::open(path).unwrap();
        replay.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(read(&first), read(&second));
    assert_eq!(read(&first).len(), 202);
}

#[test]
fn what_was_written_before_a_crash_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mcap");
    let mut hub = recorder(&path, "chunk_s = 0.1");
    (0..100).for_each(|n| hub.send(&pose(n)).unwrap());
    assert!(until(|| stats(&hub).sent == 100));
    let crashed = folder.path().join("crashed.mcap");
    fs::copy(&path, &crashed).unwrap();
    assert_eq!(numbers(&crashed), (0..100).collect::<Vec<_>>());
    let whole = fs::read(&crashed).unwrap();
    let found = topics(&whole, Some(Options::IgnoreEndMagic));
    assert_eq!(found["/nsmpl/packets"].len(), 100);
    // Cut anywhere, replay gives a beginning and no error.
    for cut in (0..whole.len()).step_by(whole.len() / 40) {
        fs::write(&crashed, &whole[..cut]).unwrap();
        let got = numbers(&crashed);
        assert_eq!(
            got,
            (0..got.len() as u32).collect::<Vec<_>>(),
            "cut at {cut}"
        );
    }
    close(hub);
}

#[test]
fn files_change_at_their_size_and_each_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mcap");
    let size = 1 << 20;
    let more = format!(
        "file_bytes = {size}\ntotal_bytes = {}\nqueue = 8192\nscene_hz = 1000",
        3 * size
    );
    let mut hub = recorder(&path, &more);
    for n in 0..600 {
        hub.send(&pose(n)).unwrap();
    }
    assert!(until(|| stats(&hub).queued == 0));
    close(hub);
    let mut all = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 1, "{files:?}");
    let mut total = 0;
    for file in &files {
        let bytes = fs::read(file).unwrap();
        total += bytes.len();
        assert!(bytes.len() <= size, "{}", bytes.len());
        assert!(
            mcap::Summary::read(&bytes).unwrap().is_some(),
            "closed properly"
        );
        all.extend(numbers(file));
    }
    assert!(total <= 3 * size);
    assert_eq!(all, (all[0]..600).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mcap");
    symlink("/dev/full", &path).unwrap();
    let mut hub = recorder(&path, "chunk_s = 0.1");
    let next = send_until(&mut hub, 0, |hub| {
        stats(hub).faults >= 2 && stats(hub).dropped.faults() > 5
    });
    assert!(dropped(&hub, DropCause::DiskFull) > 0, "{:?}", stats(&hub));
    fs::remove_file(&path).unwrap();
    send_until(&mut hub, next, |hub| stats(hub).sent > 0);
    close(hub);
    assert!(!numbers(&path).is_empty());
}

#[test]
fn without_a_skeleton_or_with_zero_hertz_only_packets_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mcap");
    let mut hub = recorder(&path, "scene_hz = 0");
    (0..10).for_each(|n| hub.send(&pose(n)).unwrap());
    close(hub);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(
        topics(&bytes, None).keys().collect::<Vec<_>>(),
        ["/nsmpl/packets"]
    );
}
