//! What runs the fit, with and without a driver. Tests that need a device say that they skip it.

use std::fs;
use std::process::Output;

use crate::support::{Room, man, nobody, stderr};
use serde_json::Value;

/// Runs the program as if no Vulkan driver were installed.
fn without_driver(room: &Room, args: &[&str]) -> Output {
    let mut command = room.command();
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        command.env(variable, "/nonexistent.json");
    }
    command.args(args).output().unwrap()
}

/// Runs `fit man.png` with few steps and the number of the first device.
fn fit_on_first(room: &Room, more: &[&str]) -> Output {
    let args = [
        "fit",
        "man.png",
        "--steps",
        "4",
        "--backend",
        "vulkan",
        "--device",
        "0",
    ];
    let mut command = room.command();
    command.env("LP_NUM_THREADS", "0");
    command.args(args).args(more).output().unwrap()
}

/// What `devices --json` says.
fn devices(room: &Room) -> Value {
    serde_json::from_str(&room.succeed(&["devices", "--json"])).unwrap()
}

fn has_device(room: &Room) -> bool {
    let listed = devices(room)["devices"].as_array().unwrap().len();
    if listed == 0 {
        eprintln!("SKIPPED: no Vulkan device");
    }
    listed > 0
}

fn backend(room: &Room, name: &str) -> Value {
    let file: Value = serde_json::from_slice(&fs::read(room.path(name)).unwrap()).unwrap();
    file["backend"].clone()
}

#[test]
fn devices_are_listed_with_reasons() {
    let room = Room::new();
    let listed = devices(&room);
    let lines = room.succeed(&["devices"]);
    for device in listed["devices"].as_array().unwrap() {
        let line = lines
            .lines()
            .find(|line| line.contains(&format!(" {}: ", device["number"])))
            .unwrap();
        for field in ["name", "type", "vulkan", "driver", "why"] {
            let value = device[field].as_str().unwrap();
            assert!(!value.is_empty() && line.contains(value), "{field}: {line}");
        }
        let default = device["number"] == listed["default"];
        assert_eq!(line.starts_with('*'), default, "{line}");
        assert_eq!(device["used"] == "by-default", default, "{line}");
        assert!(!(default && device["type"] == "cpu"), "{line}");
    }
    let on_cpu = lines.contains("By default the fit runs on the CPU.");
    assert_eq!(listed["default"].is_null(), on_cpu, "{lines}");
}

#[test]
fn without_a_driver_the_cpu_fits() {
    let room = Room::new();
    room.put_image("man.png", &man());
    let output = without_driver(&room, &["devices"]);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert!(
        said.contains("install") && said.contains("on the CPU"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
    let output = without_driver(&room, &["devices", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        json["default"].is_null() && json["fault"].is_string(),
        "{json}"
    );

    let fit = ["fit", "man.png", "--steps", "4", "--out"];
    let cases: [(&str, &[&str], usize, i64); 4] = [
        ("auto", &[], 0, 0),
        ("cpu", &["--backend", "cpu"], 0, 0),
        ("vulkan", &["--backend", "vulkan"], 1, 1),
        ("quiet", &["--backend", "vulkan", "--quiet"], 0, 1),
    ];
    for (out, options, warnings, switches) in cases {
        let output = without_driver(&room, &[&fit[..], &[out], options].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{out}: {said}");
        assert_eq!(said.lines().count(), warnings, "{out}: {said}");
        if warnings > 0 {
            for word in ["WARN", "install", "the CPU takes over"] {
                assert!(said.contains(word), "{out}: no `{word}` in: {said}");
            }
        }
        assert_eq!(room.list(out).len(), 4, "{out}");
        let backend = backend(&room, &format!("{out}/man.pose.json"));
        assert_eq!(backend["name"], "cpu", "{out}");
        assert!(backend["device"].is_null(), "{out}");
        assert_eq!(backend["switches"], switches, "{out}");
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let room = Room::new();
    if !has_device(&room) {
        return;
    }
    room.put_image("a.png", &nobody());
    for name in ["no such gpu", "99"] {
        let line = ["fit", "a.png", "--out", "out", "--device", name];
        room.refuse(1, &line, &["--device", name, "expected one of: 0 "]);
    }
}

#[test]
fn a_device_fits_and_a_damaged_cache_is_written_anew() {
    let room = Room::new();
    if !has_device(&room) {
        return;
    }
    room.put_image("man.png", &man()).put(
        "damaged.bin",
        b"this is no pipeline cache, however long it may be",
    );
    let output = fit_on_first(&room, &["--out", "a", "--pipeline-cache", "damaged.bin"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in ["WARN", "damaged.bin", "ignored", "written anew"] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
    let backend = backend(&room, "a/man.pose.json");
    assert_eq!(
        (&backend["name"], &backend["switches"]),
        (&"vulkan".into(), &0.into())
    );
    assert_eq!(backend["device"], devices(&room)["devices"][0]["name"]);

    let output = fit_on_first(&room, &["--out", "b", "--pipeline-cache", "damaged.bin"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    let output = fit_on_first(&room, &["--out", "c", "--until", "raster"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert_eq!(room.list("."), ["a", "b", "c", "damaged.bin", "man.png"]);
    for out in ["a", "b", "c"] {
        assert_eq!(room.list(out).len(), 4, "{out}");
    }
}
