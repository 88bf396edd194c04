//! `neuralsmpl fit`: what it writes and prints.

use crate::support::{Room, man, nobody, stderr};
use serde_json::Value;

const RESULTS: [&str; 4] = [".occlusion.png", ".overlay.png", ".pose.bin", ".pose.json"];

fn results(stem: &str) -> Vec<String> {
    RESULTS
        .iter()
        .map(|ending| format!("{stem}{ending}"))
        .collect()
}

fn json(room: &Room, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(room.path(name)).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_man_gives_all_results_and_they_agree() {
    let room = Room::new();
    room.put_image("man.png", &man());
    let said = room.succeed(&["fit", "man.png", "--out", "a/b", "--steps", "8"]);
    assert!(
        said.starts_with("man.png: person 1 of 1 · ") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(room.list("a/b"), results("man"));
    for picture in ["man.overlay.png", "man.occlusion.png"] {
        let shown = image::open(room.path("a/b").join(picture)).unwrap();
        assert_eq!((shown.width(), shown.height()), (270, 480), "{picture}");
    }

    let file = json(&room, "a/b/man.pose.json");
    assert_eq!(
        (&file["format"], &file["version"]),
        (&"neuralsmpl.pose".into(), &1.into())
    );
    assert_eq!(
        (&file["image"]["width"], &file["image"]["file"]),
        (&270.into(), &"man.png".into())
    );
    let person = &file["persons"][0];
    let (joints, coco) = (
        person["joints"].as_array().unwrap(),
        person["coco17"].as_array().unwrap(),
    );
    assert_eq!((joints.len(), coco.len()), (24, 17));
    assert_eq!(
        (&joints[20]["name"], &coco[9]["name"]),
        (&"left_wrist".into(), &"left_wrist".into())
    );
    assert!(
        number(&person["energy"]["after"]["total"]) <= number(&person["energy"]["before"]["total"])
    );
    assert!(number(&person["steps"]) <= 10.0);

    let lines: Vec<Value> = room
        .succeed(&["decode", "a/b/man.pose.bin"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (subject, pose) = (&lines[0], &lines[1]);
    assert_eq!(
        (lines.len(), &subject["kind"], &pose["kind"]),
        (2, &"subject".into(), &"pose".into())
    );
    assert_eq!(
        (&pose["person_id"], &pose["model_id"]),
        (&person["id"], &file["pack"]["model_id"])
    );
    assert_eq!(
        (&pose["translation_m"], &subject["betas"]),
        (&person["translation_m"], &person["betas"])
    );
    assert_eq!(subject["focal"][0], file["intrinsics"]["fx"]);
    for (sent, written) in pose["joints"].as_array().unwrap().iter().zip(joints) {
        assert_eq!(
            (&sent["name"], &sent["visibility"]),
            (&written["name"], &written["visibility"])
        );
        let dot: f64 = (0..4)
            .map(|i| number(&sent["rotation_xyzw"][i]) * number(&written["rotation_xyzw"][i]))
            .sum();
        assert!(dot.abs() > 1.0 - 1e-6, "{sent} {written}");
        assert!((number(&sent["confidence"]) - number(&written["confidence"])).abs() < 0.003);
    }
}

#[test]
fn an_earlier_result_is_a_start() {
    let room = Room::new();
    room.put_image("man.png", &man())
        .put_image("other.png", &nobody());
    room.succeed(&["fit", "man.png", "--out", "first", "--steps", "8"]);
    let line = room.succeed(&[
        "fit",
        "man.png",
        "--out",
        "again",
        "--steps",
        "0",
        "--init",
        "first/man.pose.json",
        "--json",
    ]);
    let again: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(again, json(&room, "again/man.pose.json"));
    let (first, again) = (
        &json(&room, "first/man.pose.json")["persons"][0],
        &again["persons"][0],
    );
    let (end, start) = (
        number(&first["energy"]["after"]["total"]),
        number(&again["energy"]["before"]["total"]),
    );
    assert!((end - start).abs() < 1e-3 * end.abs(), "{end} {start}");

    let fit = |image, init| ["fit", image, "--out", "out", "--init", init];
    room.refuse(
        1,
        &fit("other.png", "first/man.pose.json"),
        &["other.png", "`image`", "270 x 480", "96 x 64", "--init"],
    );
    room.refuse(
        1,
        &fit("man.png", "none.json"),
        &["none.json", "cannot read", "check"],
    );
    let text = std::fs::read_to_string(room.path("first/man.pose.json")).unwrap();
    room.put("cut.json", &text.as_bytes()[..2000]);
    room.refuse(
        1,
        &fit("man.png", "cut.json"),
        &["cut.json", "line ", "neuralsmpl.pose version 1"],
    );
    room.put(
        "joint.json",
        text.replacen("\"left_hip\"", "\"hip\"", 1).as_bytes(),
    );
    room.refuse(
        1,
        &fit("man.png", "joint.json"),
        &["joint.json", "persons[0].joints[1].name", "\"left_hip\""],
    );
    room.put("net.onnx", b"not a network");
    room.refuse(
        1,
        &fit("man.png", "net.onnx"),
        &["net.onnx", "docs/init.md"],
    );
}

#[test]
fn nobody_is_an_empty_list_and_with_strict_an_error() {
    let room = Room::new();
    room.put_image("empty.png", &nobody());
    let said = room.succeed(&["fit", "empty.png", "--out", "out"]);
    assert!(
        said.starts_with("empty.png: nobody found") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(room.list("out"), results("empty"));
    assert_eq!(
        json(&room, "out/empty.pose.json")["persons"],
        Value::Array(Vec::new())
    );
    assert_eq!(room.succeed(&["decode", "out/empty.pose.bin"]), "");
    room.refuse(
        1,
        &["fit", "empty.png", "--out", "new", "--strict"],
        &["empty.png", "nobody found", "--strict", "--box"],
    );
    assert_eq!(
        room.succeed(&["fit", "empty.png", "--out", "quiet", "--quiet"]),
        ""
    );
}

#[test]
fn one_bad_image_does_not_stop_the_others() {
    let room = Room::new();
    room.put_image("good.png", &nobody())
        .put("bad.png", b"")
        .put_image("last.png", &nobody());
    let output = room.run(&["fit", "good.png", "bad.png", "last.png", "--out", "out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("error: bad.png: ") && stderr(&output).lines().count() == 1
    );
    assert_eq!(
        room.list("out"),
        [results("good"), results("last")].concat()
    );
}

#[test]
fn help_and_version_go_to_stdout() {
    let room = Room::new();
    assert!(room.succeed(&["--version"]).starts_with("neuralsmpl "));
    for command in [
        vec!["--help"],
        vec!["fit", "--help"],
        vec!["decode", "--help"],
        vec!["devices", "--help"],
        vec!["pack", "--help"],
    ] {
        assert!(room.succeed(&command).contains("Examples:"), "{command:?}");
    }
    for wrong in [
        vec![],
        vec!["fit"],
        vec!["fly"],
        vec!["fit", "a.png", "--fov", "60", "--intrinsics", "1,1,1,1"],
    ] {
        let output = room.run(&wrong);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{wrong:?}"
        );
    }
}
