use std::io::Write as _;

use glam::Vec3;
use serde_json::json;

use super::*;
use crate::record::{Entry, Found, Occlusion, Truth};
use crate::{Sample, merge};

fn header(steps: u32) -> Header {
    Header::new(Settings {
        settings: json!({"steps": steps, "systems": ["fit"]}),
        pack_sha256: "aa".to_owned(),
        manifest_sha256: "bb".to_owned(),
    })
}

fn record(i: u32, off: f32) -> Record {
    let sample = Sample {
        image: format!("{i}.png").into(),
        person: "0".to_owned(),
        ..Sample::default()
    };
    let truth = Truth {
        joints_m: [
            ("pelvis".to_owned(), Vec3::ZERO),
            ("neck".to_owned(), Vec3::Y),
        ]
        .into(),
        ..Truth::default()
    };
    let found = Found {
        joints_m: vec![("pelvis", Vec3::ZERO), ("neck", Vec3::new(off, 1.0, 0.1))],
        ..Found::default()
    };
    let entry = Entry::new(&sample, "fit", Occlusion::none());
    Record::scored(entry, &found, &truth, Some(f64::from(i)))
}

#[test]
fn a_run_goes_on_after_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &header(12)).unwrap();
    for i in 0..3 {
        store.append(&record(i, 0.2)).unwrap();
    }
    store.close().unwrap();
    let path = dir.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let line = serde_json::to_string(&record(3, 0.2)).unwrap();
    for torn in [1, line.len() / 2, line.len()] {
        std::fs::write(&path, &whole).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&line.as_bytes()[..torn]).unwrap();
        drop(file);
        assert_eq!(Results::load(dir.path()).unwrap().records.len(), 3);
        let mut store = Store::open(dir.path(), &header(12)).unwrap();
        assert_eq!(store.len(), 3);
        assert!(store.has(&record(2, 0.2).key()) && !store.has(&record(3, 0.2).key()));
        store.append(&record(3, 0.2)).unwrap();
        store.close().unwrap();
        let results = Results::load(dir.path()).unwrap();
        assert_eq!(results.records.len(), 4);
        assert_eq!(results.records[3], record(3, 0.2));
    }
    // Torn within the header: nothing was done yet.
    std::fs::write(&path, &whole[..20]).unwrap();
    assert!(Store::open(dir.path(), &header(12)).unwrap().is_empty());
}

#[test]
fn another_run_a_second_writer_and_a_bad_line_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &header(12)).unwrap();
    store.append(&record(0, 0.2)).unwrap();
    assert!(matches!(
        Store::open(dir.path(), &header(12)),
        Err(StoreError::Busy { .. })
    ));
    assert!(matches!(
        store.append(&record(0, 0.2)),
        Err(StoreError::Twice { .. })
    ));
    store.close().unwrap();
    let message = Store::open(dir.path(), &header(6)).unwrap_err().to_string();
    assert!(
        message.contains("`settings.steps` is 12, expected 6"),
        "{message}"
    );
    let shard = header(12).with_shard(Shard::new(1, 2));
    let message = Store::open(dir.path(), &shard).unwrap_err().to_string();
    assert!(
        message.contains("`shard` is all samples, expected 1/2"),
        "{message}"
    );
    let path = dir.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"frame\":0", "\"frame\":-1")).unwrap();
    let message = Store::open(dir.path(), &header(12))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 2") && message.contains("expected a record"),
        "{message}"
    );
}

#[test]
fn shards_share_everything_out_once_and_stay() {
    let keys: Vec<String> = (0..1000).map(|i| format!("set/clip#{i}.0")).collect();
    let shards: Vec<Shard> = (1..=4).map(|i| Shard::new(i, 4).unwrap()).collect();
    for key in &keys {
        assert_eq!(shards.iter().filter(|s| s.takes(key)).count(), 1);
    }
    for shard in &shards {
        let count = keys.iter().filter(|k| shard.takes(k)).count();
        assert!((200..300).contains(&count), "{count}");
    }
    // SHA-256 of "set/clip#0.0" starts with bytes that another program can check.
    let first: Vec<u32> = keys
        .iter()
        .take(8)
        .map(|k| shards.iter().find(|s| s.takes(k)).unwrap().index())
        .collect();
    assert_eq!(first, PINNED);
    for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", ""] {
        assert!(text.parse::<Shard>().is_err(), "{text}");
    }
    assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
}

/// python3 -c 'from hashlib import sha256 as h; print([int.from_bytes(h(f"set/clip#{i}.0".encode()).digest()[:8]) % 4 + 1 for i in range(8)])'
const PINNED: [u32; 8] = [3, 3, 1, 2, 1, 2, 4, 4];

#[test]
fn shards_merge_to_what_one_run_gives() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Record> = (0..20).map(|i| record(i, 0.01 * i as f32)).collect();
    let mut folders = Vec::new();
    for i in 1..=3 {
        let shard = Shard::new(i, 3).unwrap();
        let folder = dir.path().join(format!("part{i}"));
        let mut store = Store::open(&folder, &header(12).with_shard(Some(shard))).unwrap();
        for r in records.iter().filter(|r| shard.takes(&r.entry.sample)) {
            store.append(r).unwrap();
        }
        store.close().unwrap();
        folders.push(folder);
    }
    let two = merge(&folders[..2], &dir.path().join("two")).unwrap();
    assert_eq!(two.missing_shards, [3]);
    // A part twice is no conflict, even with other times.
    let again = dir.path().join("again");
    let mut store = Store::open(&again, &header(12)).unwrap();
    let slower = Record {
        milliseconds: Some(1e3),
        ..records[5].clone()
    };
    store.append(&slower).unwrap();
    store.close().unwrap();
    folders.push(again);
    let out = dir.path().join("all");
    let merged = merge(&folders, &out).unwrap();
    assert_eq!(
        (merged.records, merged.duplicates, merged.failed),
        (20, 1, 0)
    );
    let mut found = Results::load(&out).unwrap().records;
    found.sort_by_key(|r| r.milliseconds.unwrap() as u32);
    assert_eq!(found.len(), 20);
    assert!(
        found
            .iter()
            .zip(&records)
            .all(|(a, b)| a.scores == b.scores)
    );
    let message = merge(&folders, &out).unwrap_err().to_string();
    assert!(message.contains("has results already"), "{message}");
}

#[test]
fn a_conflict_names_both_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut folders = Vec::new();
    for (name, off, steps) in [("a", 0.1, 12), ("b", 0.2, 12), ("c", 0.1, 6)] {
        let folder = dir.path().join(name);
        let mut store = Store::open(&folder, &header(steps)).unwrap();
        store.append(&record(0, off)).unwrap();
        store.close().unwrap();
        folders.push(folder);
    }
    let out = dir.path().join("out");
    let message = merge(&folders[..2], &out).unwrap_err().to_string();
    assert!(
        message.contains("b/results.jsonl: 0.png#0.0, none, fit: differs"),
        "{message}"
    );
    assert!(message.contains("a/results.jsonl"), "{message}");
    let other = [folders[0].clone(), folders[2].clone()];
    let message = merge(&other, &out).unwrap_err().to_string();
    assert!(
        message.contains("`settings.steps` is 6, expected 12"),
        "{message}"
    );
    assert!(
        merge(&[], &out)
            .unwrap_err()
            .to_string()
            .contains("nothing to merge")
    );
}
