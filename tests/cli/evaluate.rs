//! `eval run`, `merge`, `report` and `sensitivity` on two small synthetic people, and what is refused.

use std::fs;

use crate::support::{Room, repository};
use serde_json::Value;

fn records(room: &Room, folder: &str) -> Vec<Value> {
    let text = fs::read_to_string(room.path(&format!("{folder}/results.jsonl"))).unwrap();
    let lines = text.lines().skip(1);
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn two_people_from_pictures_to_a_report() {
    let room = Room::new();
    let pack = repository("models/person");
    let pack = pack.to_str().unwrap();
    let made = [
        "synth", "--out", "people", "--count", "2", "--seed", "9", "--pack", pack,
    ];
    room.succeed(&made);
    // A third line whose picture is not there is a failed record, no end of the run.
    let manifest = room.path("people/manifest.jsonl");
    let mut lines = fs::read_to_string(&manifest).unwrap();
    let lost = lines
        .lines()
        .next()
        .unwrap()
        .replace("00000.png", "lost.png");
    lines += &lost;
    fs::write(&manifest, lines).unwrap();

    let regressor = repository("tests/data/random_hmr.onnx");
    let systems = format!("smplify,neuralsmpl:steps=4,{}", regressor.display());
    let run = |more: &[&str]| {
        let fixed = [
            "eval",
            "run",
            "people",
            "--pack",
            pack,
            "--systems",
            &systems,
            "--occlusion",
            "none,advocc80",
            "--stride",
            "72",
            "--reading",
            "both",
            "--own-stride",
            "3",
        ];
        room.succeed(&[&fixed, more].concat())
    };
    run(&["--shard", "1/2", "--out", "a", "--pictures", "2"]);
    run(&["--shard", "2/2", "--out", "b", "--threads", "2"]);
    let again = run(&["--shard", "2/2", "--out", "b"]);
    assert!(again.contains("(0 new)"), "{again}");
    room.succeed(&["eval", "merge", "a", "b", "--out", "all"]);

    let all = records(&room, "all");
    // Three samples; none, worst for the start, worst for each; start and three systems.
    assert_eq!(all.len(), 3 * 3 * 4);
    let failed = |r: &&Value| r["error"].is_string();
    assert_eq!(all.iter().filter(failed).count(), 12);
    for record in all.iter().filter(|r| !failed(r)) {
        let entry = &record["entry"];
        let scores = &record["scores"]["all"];
        assert!(scores["mpjpe_mm"].as_f64().unwrap() > 1.0, "{entry}");
        assert!(
            scores["pckh"].is_number() && record["pve_mm"].is_number(),
            "{entry}"
        );
        assert_eq!(entry["patch"].is_object(), entry["occlusion"] == "advocc80");
    }
    let pictures = room.list("a/pictures").len() + usize::from(room.path("b/pictures").exists());
    assert!(pictures > 0);

    // The same patches again, from the results.
    let replay = [
        "eval",
        "run",
        "people",
        "--pack",
        pack,
        "--systems",
        "neuralsmpl:steps=4",
        "--occlusion",
        "advocc80",
        "--replay",
        "all",
        "--out",
        "again",
    ];
    room.succeed(&replay);
    let error = |records: &[Value]| {
        let this = |r: &&Value| {
            let e = &r["entry"];
            e["system"] == "neuralsmpl:steps=4"
                && e["occlusion"] == "advocc80"
                && e["reading"] == "initial"
        };
        let mut errors: Vec<f64> = records
            .iter()
            .filter(this)
            .filter_map(|r| r["scores"]["all"]["mpjpe_mm"].as_f64())
            .collect();
        errors.sort_by(f64::total_cmp);
        errors
    };
    assert_eq!(error(&records(&room, "again")), error(&all));

    room.succeed(&["eval", "report", "all", "--worst", "1"]);
    let page = fs::read_to_string(room.path("all/report.html")).unwrap();
    let table = fs::read_to_string(room.path("all/report.md")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && table.contains("smplify"));

    let mesh = [
        "eval",
        "sensitivity",
        "people",
        "--pack",
        pack,
        "--run",
        "all",
        "--systems",
        "start",
        "--out",
        "meshes",
    ];
    let said = room.succeed(&mesh);
    assert!(said.contains("2 samples, 1 systems"), "{said}");
    let files = room.list("meshes");
    assert_eq!(files.len(), 2 * 25, "{files:?}");
    assert!(
        files.contains(&"all.png".to_owned()) && files.contains(&"left_wrist-start.ply".to_owned())
    );
}

#[test]
fn wrong_words_are_refused() {
    let room = Room::new();
    room.put("manifest.jsonl", b"{\"image\": \"a.png\"}\n");
    let run = ["eval", "run", ".", "--out", "out", "--systems"];
    for (systems, words) in [
        ("spin", ["no system is called `spin`", "neuralsmpl"]),
        ("neuralsmpl:no-nose", ["`nose` is no change", "likelihood"]),
    ] {
        room.refuse(2, &[&run[..], &[systems]].concat(), &words);
    }
    let pack = repository("models/person");
    let pack = pack.to_str().unwrap();
    let start = ["neuralsmpl", "--pack", pack, "--start", "smplify"];
    room.refuse(
        1,
        &[&run[..], &start].concat(),
        &["--start is smplify", "landmarks"],
    );
    let missing = ["neuralsmpl", "--pack", pack, "--textures", "nowhere"];
    room.refuse(
        1,
        &[&run[..], &missing].concat(),
        &["nowhere", "check the path"],
    );
    let empty = ["eval", "report", "nothing"];
    room.refuse(1, &empty, &["nothing"]);
}
