use glam::Vec3;
use serde_json::json;

use super::*;
use crate::record::{Entry, Found, Occlusion, Record, Truth};
use crate::{Header, Sample, Settings};

const NAMES: [&str; 4] = ["pelvis", "left_hip", "right_hip", "neck"];

fn sample(frame: u32) -> Sample {
    Sample {
        image: format!("{frame}.png").into(),
        frame,
        clip: Some(format!("clip{}", frame / 10)),
        person: "0".to_owned(),
        ..Sample::default()
    }
}

/// The neck is `off` metres from where it should be.
fn record(frame: u32, system: &str, off: f32) -> Record {
    let place = |i: usize| Vec3::new(0.1 * i as f32, (i * i) as f32 * 0.05, 3.0);
    let points = NAMES.iter().enumerate().map(|(i, n)| (*n, place(i)));
    let truth = Truth {
        joints_m: points.clone().map(|(n, p)| (n.to_owned(), p)).collect(),
        ..Truth::default()
    };
    let moved = points.map(|(n, p)| (n, if n == "neck" { p + Vec3::Z * off } else { p }));
    let found = Found {
        joints_m: moved.collect(),
        ..Found::default()
    };
    Record::scored(
        Entry::new(&sample(frame), system, Occlusion::none()),
        &found,
        &truth,
        Some(5.0),
    )
}

fn results(records: Vec<Record>) -> Results {
    Results {
        path: "results.jsonl".into(),
        header: Header::new(Settings {
            settings: json!({"systems": ["start", "zeta", "alpha"]}),
            pack_sha256: String::new(),
            manifest_sha256: String::new(),
        }),
        records,
    }
}

#[test]
fn means_gains_and_joints_are_those_of_the_pairs() {
    let mut records = Vec::new();
    for frame in 0..30 {
        records.push(record(frame, "start", 0.10));
        records.push(record(frame, "zeta", 0.08));
        if frame % 2 == 0 {
            records.push(record(frame, "alpha", if frame == 4 { 0.2 } else { 0.05 }));
        } else {
            let entry = Entry::new(&sample(frame), "alpha", Occlusion::none());
            records.push(Record::failed(entry, "nobody found"));
        }
    }
    let summary = Summary::of(&results(records), Some("start")).unwrap();
    assert_eq!(summary.systems, ["start", "zeta", "alpha"]);
    assert_eq!((summary.samples, summary.clusters), (30, 3));
    let [start, zeta, alpha] = summary.groups.as_slice() else {
        panic!("{:?}", summary.conditions())
    };
    let mpjpe = |g: &GroupSummary| g.cell(Metric::Mpjpe, Selection::All).unwrap().mean.mean;
    assert!((mpjpe(start) - 25.0).abs() < 1e-3 && (mpjpe(zeta) - 20.0).abs() < 1e-3);
    assert!(start.gains.is_empty());
    let gain = zeta.gain(Metric::Mpjpe, Selection::All).unwrap();
    assert!((gain.gain.mean - 20.0).abs() < 1e-3 && gain.pairs == 30);
    assert_eq!((alpha.samples, alpha.failed), (30, 15));
    let gain = alpha.gain(Metric::Mpjpe, Selection::All).unwrap();
    assert_eq!(gain.pairs, 15);
    assert!((gain.gain.mean - 40.0).abs() < 1e-3, "{:?}", gain.gain);
    assert!(gain.gain.low < 40.0 && gain.gain.high > 40.0);
    let neck = start.joints.iter().find(|j| j.name == "neck").unwrap();
    assert!((neck.mean.mean - 100.0).abs() < 1e-2 && neck.count == 30);
    assert_eq!((neck.hidden, start.milliseconds), (None, Some([5.0; 3])));
    // The same error in every frame of a clip is no acceleration; every second frame still is a steady step.
    for group in [start, alpha] {
        let accel = group.cell(Metric::Acceleration, Selection::All);
        assert!(accel.is_none_or(|c| c.mean.mean < 40.0), "{accel:?}");
    }
    assert_eq!(
        start
            .cell(Metric::Acceleration, Selection::All)
            .unwrap()
            .count,
        24
    );
}

#[test]
fn a_baseline_that_is_not_there_is_refused() {
    let results = results(vec![record(0, "zeta", 0.1)]);
    let message = Summary::of(&results, Some("start"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`start`, expected one of zeta"),
        "{message}"
    );
    let empty = Results {
        records: Vec::new(),
        ..results
    };
    assert!(matches!(
        Summary::of(&empty, None),
        Err(SummaryError::Empty { .. })
    ));
}
