//! A made-up run with the size and shape of a real one, through store, shards, merge, summary and report.
//! The report stays in `target/tmp/report.html`, to be looked at.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use glam::{Vec2, Vec3};
use neuralsmpl_evaluation::joints::SMPL;
use neuralsmpl_evaluation::report::{self, Options, Picture};
use neuralsmpl_evaluation::{
    Entry, Found, Header, Metric, Occlusion, Patch, Reading, Record, Results, Sample, Selection,
    Settings, Shard, Store, Summary, Truth, merge,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;

const CLIPS: u32 = 12;
const FRAMES: u32 = 6;

/// Name, error of a visible joint and of a hidden one, metres, milliseconds.
const SYSTEMS: [(&str, f32, f32, f64); 5] = [
    ("regressor", 0.060, 0.130, 8.0),
    ("smplify", 0.066, 0.115, 310.0),
    ("eft", 0.055, 0.095, 520.0),
    ("neuralsmpl-paper", 0.047, 0.082, 640.0),
    ("neuralsmpl", 0.046, 0.080, 42.0),
];

const CONDITIONS: [(&str, Reading, u32); 4] = [
    ("none", Reading::None, 0),
    ("advocc40", Reading::Initial, 40),
    ("advocc80", Reading::Initial, 80),
    ("advocc80", Reading::Own, 80),
];

fn samples() -> Vec<(Sample, Vec<Vec3>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut out = Vec::new();
    for clip in 0..CLIPS {
        let base: Vec<Vec3> = SMPL
            .iter()
            .enumerate()
            .map(|(j, _)| {
                Vec3::new(
                    normal(&mut rng, 0.3),
                    -0.9 + 0.07 * j as f32,
                    3.0 + normal(&mut rng, 0.1),
                )
            })
            .collect();
        for frame in 0..FRAMES {
            let sample = Sample {
                image: format!("clip_{clip:02}/{frame:05}.jpg").into(),
                frame,
                clip: Some(format!("clip_{clip:02}")),
                dataset: Some("made-up".to_owned()),
                person: "0".to_owned(),
                ..Sample::default()
            };
            let shift = Vec3::new(0.02 * frame as f32, 0.0, 0.0);
            out.push((sample, base.iter().map(|p| *p + shift).collect()));
        }
    }
    out
}

fn normal(rng: &mut ChaCha8Rng, sigma: f32) -> f32 {
    let x: f32 = StandardNormal.sample(rng);
    sigma * x
}

fn pixel(p: Vec3) -> Vec2 {
    600.0 * p.truncate() / p.z + 320.0
}

fn record(
    sample: &Sample,
    points: &[Vec3],
    (system, seen, hidden, ms): (&str, f32, f32, f64),
    (name, reading, side): (&str, Reading, u32),
    rng: &mut ChaCha8Rng,
) -> Record {
    let patch = (side > 0).then(|| Patch {
        corner: [rng.random_range(0..144), rng.random_range(0..144)],
        side,
        seed: 7,
    });
    let occlusion = Occlusion {
        name: name.to_owned(),
        reading,
        patch,
    };
    let entry = Entry::new(sample, system, occlusion);
    if rng.random_bool(0.01) {
        return Record::failed(
            entry,
            "nobody found: the detector's best box has a score of 0.21, expected 0.5",
        );
    }
    let named = || SMPL.iter().copied().zip(points.iter().copied());
    let mut truth = Truth {
        joints_m: named().map(|(n, p)| (n.to_owned(), p)).collect(),
        joints_px: named().map(|(n, p)| (n.to_owned(), pixel(p))).collect(),
        head_px: Some(60.0),
        vertices_m: Some(points.to_vec()),
        ..Truth::default()
    };
    let share = f64::from(side) / 160.0;
    let under: Vec<bool> = SMPL.iter().map(|_| rng.random_bool(share)).collect();
    truth.hide_m(|n, _| SMPL.iter().position(|s| *s == n).is_some_and(|j| under[j]));
    let hard = 0.5 + 1.2 * rng.random::<f32>().powi(2);
    let far = 1.0 + 0.5 * side as f32 / 80.0 + if reading == Reading::Own { 0.15 } else { 0.0 };
    let moved: Vec<Vec3> = points
        .iter()
        .zip(&under)
        .enumerate()
        .map(|(j, (p, u))| {
            let limb = 0.6 + 0.8 * (j as f32 / 23.0);
            let sigma = if *u { hidden } else { seen } * hard * far * limb / 1.6;
            *p + Vec3::new(normal(rng, sigma), normal(rng, sigma), normal(rng, sigma))
        })
        .collect();
    let found = Found {
        joints_m: SMPL.iter().copied().zip(moved.iter().copied()).collect(),
        joints_px: SMPL
            .iter()
            .copied()
            .zip(moved.iter().map(|p| pixel(*p)))
            .collect(),
        vertices_m: Some(&moved),
    };
    Record::scored(
        entry,
        &found,
        &truth,
        Some(ms * f64::from(0.9 + 0.3 * rng.random::<f32>())),
    )
}

fn results(folder: &std::path::Path) -> Results {
    let names: Vec<&str> = SYSTEMS.iter().map(|s| s.0).collect();
    let header = Header::new(Settings {
        settings: json!({"systems": names, "occlusion": "none, advocc40, advocc80", "steps": 12, "seed": 1, "stride": 10}),
        pack_sha256: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b".to_owned(),
        manifest_sha256: "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35"
            .to_owned(),
    });
    let mut folders = Vec::new();
    for i in 1..=3 {
        let shard = Shard::new(i, 3).unwrap();
        let part = folder.join(format!("part-{i}"));
        let mut store = Store::open(&part, &header.clone().with_shard(Some(shard))).unwrap();
        for (n, (sample, points)) in samples().iter().enumerate() {
            if !shard.takes(&sample.key()) {
                continue;
            }
            for (s, system) in SYSTEMS.into_iter().enumerate() {
                for (c, condition) in CONDITIONS.into_iter().enumerate() {
                    let mut rng = ChaCha8Rng::seed_from_u64((n * 100 + s * 10 + c) as u64);
                    store
                        .append(&record(sample, points, system, condition, &mut rng))
                        .unwrap();
                }
            }
        }
        store.close().unwrap();
        folders.push(part);
    }
    let merged = merge(&folders, &folder.join("all")).unwrap();
    assert_eq!(
        merged.records,
        (CLIPS * FRAMES) as usize * SYSTEMS.len() * CONDITIONS.len()
    );
    assert!(merged.missing_shards.is_empty() && merged.failed > 0);
    Results::load(&folder.join("all")).unwrap()
}

#[test]
fn a_run_becomes_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let results = results(folder.path());
    let summary = Summary::of(&results, Some("regressor")).unwrap();
    assert_eq!(summary.systems, SYSTEMS.map(|s| s.0));
    assert_eq!((summary.samples, summary.clusters), (72, 12));
    assert_eq!(summary.conditions().len(), 4);
    let mut under = summary.under("advocc80", Reading::Initial);
    let last = under.find(|g| g.group.system == "neuralsmpl").unwrap();
    let gain = last.gain(Metric::Mpjpe, Selection::Visible).unwrap();
    assert!(gain.gain.low > 0.0 && gain.gain.high < 60.0, "{gain:?}");
    assert!(
        last.cell(Metric::Acceleration, Selection::All).is_none(),
        "patches jump from frame to frame"
    );

    let options = Options {
        title: "Made-up people under adversarial occlusion".to_owned(),
        facts: vec![(
            "machine".to_owned(),
            "2 cores <made up> | and not measured".to_owned(),
        )],
        ..Options::default()
    };
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples");
    let pictures = ["balance.jpg", "balance_occluded.jpg", "walk.jpg"]
        .map(|n| std::fs::read(format!("{samples}/{n}")));
    let mut asked = 0;
    let mut draw = |record: &Record| {
        asked += 1;
        let jpeg = pictures[asked % 3].as_ref().ok()?.clone();
        let caption = record.entry.patch.map_or_else(String::new, |p| {
            format!("patch of {} px at {:?}", p.side, p.corner)
        });
        (asked % 5 != 0).then_some(Picture { jpeg, caption })
    };
    let to = |name: &str| std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (markdown, html) = (to("report.md"), to("report.html"));
    report::write(
        &results,
        &summary,
        &options,
        Some(&markdown),
        Some(&html),
        &mut draw,
    )
    .unwrap();
    assert_eq!(asked, 4 * options.worst);

    let text = std::fs::read_to_string(&markdown).unwrap();
    for words in [
        "# Made-up people",
        "| system | no occlusion: MPJPE |",
        "AdvOcc@80, worst for each system: all joints",
        "AdvOcc@40, worst for the start: visible joints",
        "## Gain over regressor",
        "nobody found",
        "whole clips of one person are drawn (12 of them; 72 samples)",
        "2 cores &lt;made up> \\| and not measured",
        "measured on 3DPW",
        "| + NeuralSMPL | 90.31 |",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let rows = text.lines().filter(|l| l.starts_with('|'));
    for row in rows {
        assert!(row.ends_with('|') && !row.contains("NaN"), "{row}");
    }

    let page = std::fs::read_to_string(&html).unwrap();
    for words in [
        "<h1>Made-up people under adversarial occlusion</h1>",
        "data:image/jpeg;base64,/9j/",
        "2 cores &lt;made up&gt; | and not measured",
        "no picture",
        "prefers-color-scheme: dark",
        "Error by joint",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // The pictures themselves may spell anything.
    let text: String = page
        .split("base64,")
        .map(|part| part.find('"').map_or(part, |end| &part[end..]))
        .collect::<String>()
        .replace("http://www.w3.org/2000/svg", "");
    for outside in [
        "<script", "http:", "https:", "src=\"/", "@import", "url(", "NaN",
    ] {
        assert!(
            !text.contains(outside),
            "the page needs nothing from elsewhere: {outside}"
        );
    }
    assert!(
        page.matches("<svg").count() >= 7,
        "{}",
        page.matches("<svg").count()
    );
}
