use super::*;

fn truth() -> Truth {
    let joints = [
        ("pelvis", Vec3::new(0.0, 0.0, 3.0)),
        ("left_hip", Vec3::new(0.1, 0.1, 3.0)),
        ("right_hip", Vec3::new(-0.1, 0.1, 3.0)),
        ("left_shoulder", Vec3::new(0.2, -0.5, 3.1)),
        ("right_shoulder", Vec3::new(-0.2, -0.5, 3.0)),
        ("left_foot", Vec3::new(0.1, 1.0, 2.9)),
        ("head_top", Vec3::new(0.0, -0.9, 3.0)),
        ("neck", Vec3::new(0.0, -0.6, 3.0)),
    ];
    Truth {
        joints_m: joints.map(|(n, p)| (n.to_owned(), p)).into(),
        joints_px: joints
            .map(|(n, p)| (n.to_owned(), 300.0 * p.truncate() / p.z))
            .into(),
        ..Truth::default()
    }
}

fn entry() -> Entry {
    let sample = Sample {
        image: "a/b.png".into(),
        person: "0".to_owned(),
        ..Sample::default()
    };
    Entry::new(&sample, "fit", Occlusion::none())
}

/// The truth, moved as a whole, with one joint a further 40 mm off.
fn found(truth: &Truth) -> Found<'_> {
    let place = |n: &str, p: Vec3| match n {
        "left_foot" => p + Vec3::new(1.0, 1.0, 1.04),
        _ => p + Vec3::ONE,
    };
    Found {
        joints_m: truth
            .joints_m
            .iter()
            .map(|(n, p)| (n.as_str(), place(n, *p)))
            .collect(),
        joints_px: truth
            .joints_px
            .iter()
            .map(|(n, p)| (n.as_str(), *p + 14.0))
            .collect(),
        vertices_m: None,
    }
}

#[test]
fn selections_hold_what_they_say() {
    let mut truth = truth();
    truth.hide_m(|name, _| name == "left_hip");
    let record = Record::scored(entry(), &found(&truth), &truth, Some(7.0));
    let counts: Vec<_> = record.scores.iter().map(|(s, v)| (*s, v.joints)).collect();
    assert_eq!(
        counts,
        [
            (Selection::All, 8),
            (Selection::Visible, 7),
            (Selection::Lsp, 6),
            (Selection::LspVisible, 5)
        ]
    );
    let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-3, "{a:?} {b}");
    near(record.scores[&Selection::All].mpjpe_mm, 40.0 / 8.0);
    near(record.scores[&Selection::Visible].mpjpe_mm, 40.0 / 7.0);
    near(record.scores[&Selection::Lsp].mpjpe_mm, 0.0);
    assert_eq!(record.visible_share(), Some(7.0 / 8.0));
    let off: Vec<_> = record
        .joint_errors()
        .unwrap()
        .filter(|e| e.1 > 1.0)
        .collect();
    assert_eq!(off.len(), 1);
    assert_eq!(off[0].0, "left_foot");
    // Points lie 19.8 px off: beyond half of a head of 30 px, within that of a head of 60 px.
    near(record.scores[&Selection::All].pckh, 0.0);
    truth.head_px = Some(60.0);
    let record = Record::scored(entry(), &found(&truth), &truth, None);
    near(record.scores[&Selection::All].pckh, 100.0);
    near(record.scores[&Selection::All].pck_torso, 0.0);
}

#[test]
fn vertices_are_compared_from_the_joints_roots() {
    let mut truth = truth();
    truth.vertices_m = Some(vec![Vec3::ZERO; 4]);
    let vertices = [Vec3::ONE, Vec3::ONE, Vec3::ONE, Vec3::new(1.0, 1.0, 1.1)];
    let mut found = found(&truth);
    found.vertices_m = Some(&vertices);
    let record = Record::scored(entry(), &found, &truth, None);
    assert!((record.pve_mm.unwrap() - 25.0).abs() < 1e-3);
    found.vertices_m = Some(&vertices[..3]);
    assert_eq!(Record::scored(entry(), &found, &truth, None).pve_mm, None);
}

#[test]
fn what_cannot_be_judged_is_a_failure() {
    let truth = truth();
    let mut bad = found(&truth);
    bad.joints_m[3].1.y = f32::NAN;
    let record = Record::scored(entry(), &bad, &truth, Some(1.0));
    assert!(record.error.as_deref().unwrap().contains("is not finite"));
    assert!(record.scores.is_empty() && record.joints.is_none());
    let stranger = Found {
        joints_m: vec![("tail", Vec3::ZERO)],
        ..Found::default()
    };
    let record = Record::scored(entry(), &stranger, &truth, None);
    assert!(record.error.as_deref().unwrap().contains("no joint"));
}

#[test]
fn a_line_comes_back_as_it_was() {
    let truth = truth();
    let mut entry = entry();
    entry.patch = Some(Patch {
        corner: [10, 144],
        side: 80,
        seed: u64::MAX,
    });
    for record in [
        Record::scored(entry.clone(), &found(&truth), &truth, Some(7.25)),
        Record::failed(entry, "nobody found"),
    ] {
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(
            serde_json::from_str::<Record>(&line).unwrap(),
            record,
            "{line}"
        );
    }
}
