//! `doctor`, `check-config`, `completions` and `man`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Room, repository, stderr};

/// The files of a Jetson Orin Nano, as far as the program looks.
fn jetson(room: &Room) -> PathBuf {
    let root = room.path("jetson");
    for (path, text) in [
        (
            "proc/device-tree/model",
            "NVIDIA Jetson Orin Nano Developer Kit\0",
        ),
        ("proc/sys/kernel/osrelease", "5.15.148-tegra\n"),
        (
            "proc/meminfo",
            "MemTotal: 7802000 kB\nMemAvailable: 5000000 kB\nSwapTotal: 0 kB\n",
        ),
        (
            "proc/cpuinfo",
            "processor : 0\nprocessor : 1\nCPU part : 0xd42\n",
        ),
        (
            "etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n",
        ),
        (
            "etc/nvpmodel.conf",
            "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
        ),
        ("var/lib/nvpmodel/status", "pmode:0000\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn doctor(room: &Room, code: i32, args: &[&str]) -> Value {
    let output = room.run(&[&["doctor", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    let found = all.iter().find(|f| f["name"] == name);
    found.unwrap_or_else(|| panic!("no finding {name}: {report:#}"))
}

#[test]
fn a_doctor_on_a_jetson_names_board_mode_and_remedy() {
    let room = Room::new();
    let root = jetson(&room);
    let report = doctor(&room, 0, &["--no-speed", "--root", root.to_str().unwrap()]);
    assert_eq!(report["format"], "neuralsmpl.doctor");
    assert_eq!(report["version"], 1);
    assert_eq!(report["result"], "warn");
    assert!(
        finding(&report, "board")["found"]
            .as_str()
            .unwrap()
            .contains("Orin Nano")
    );
    assert_eq!(finding(&report, "l4t")["found"], "R36.4.3 (JetPack 6)");
    assert_eq!(
        finding(&report, "power-mode")["fix"],
        "sudo nvpmodel -m 2 && sudo jetson_clocks"
    );
    assert_eq!(finding(&report, "pack")["state"], "ok");
    assert_eq!(finding(&report, "frame_ms")["state"], "skipped");
    let states = report["counts"].as_object().unwrap().values();
    let counted: u64 = states.map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(
        counted as usize,
        report["findings"].as_array().unwrap().len()
    );
}

#[test]
fn every_stage_is_timed() {
    let room = Room::new();
    let root = jetson(&room);
    let report = doctor(&room, 0, &["--root", root.to_str().unwrap()]);
    for name in [
        "crop_ms",
        "detector_ms",
        "backbone_ms",
        "fit_step_ms",
        "frame_ms",
    ] {
        let ms = finding(&report, name)["value"].as_f64().unwrap();
        assert!(ms > 0.01 && ms < 60_000.0, "{name}: {ms}");
    }
}

#[test]
fn a_damaged_pack_and_a_wrong_configuration_fail_with_remedies() {
    let room = Room::new();
    let root = jetson(&room);
    let pack = room.path("pack");
    fs::create_dir(&pack).unwrap();
    for entry in fs::read_dir(repository("models/person")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), pack.join(entry.file_name())).unwrap();
    }
    let mut prior = fs::read(pack.join("prior.safetensors")).unwrap();
    *prior.last_mut().unwrap() ^= 1;
    fs::write(pack.join("prior.safetensors"), prior).unwrap();
    room.put(
        "bad.toml",
        b"[source]\nsource = \"nowhere.mjpeg\"\n\n[budget]\nsteps = 0\n",
    );
    let report = doctor(
        &room,
        1,
        &[
            "--root",
            root.to_str().unwrap(),
            "--pack",
            pack.to_str().unwrap(),
            "--config",
            "bad.toml",
        ],
    );
    let broken = finding(&report, "pack");
    assert_eq!(broken["state"], "fail");
    assert!(
        broken["found"]
            .as_str()
            .unwrap()
            .contains("prior.safetensors"),
        "{broken}"
    );
    assert!(broken["fix"].as_str().unwrap().contains("reinstall"));
    let config = finding(&report, "config");
    assert_eq!(
        config["found"],
        "bad.toml:5: budget.steps is 0, expected 2 to 1000"
    );
    assert_eq!(finding(&report, "frame_ms")["state"], "skipped");

    room.put(
        "good.toml",
        b"[source]\nsource = \"/dev/video7\"\n[[sink]]\ntype = \"serial\"\ndevice = \"/dev/ttyUSB3\"\n",
    );
    let args = [
        "--no-speed",
        "--root",
        root.to_str().unwrap(),
        "--config",
        "good.toml",
    ];
    let report = doctor(&room, 1, &args);
    let camera = finding(&report, "cameras");
    assert!(
        camera["found"]
            .as_str()
            .unwrap()
            .starts_with("/dev/video7 is not there")
    );
    let serial = finding(&report, "serial");
    assert_eq!(serial["state"], "warn");
    assert!(
        serial["found"]
            .as_str()
            .unwrap()
            .contains("/dev/ttyUSB3 is not there")
    );
}

#[test]
fn the_words_of_a_doctor_have_a_remedy_below_each_problem() {
    let room = Room::new();
    let root = jetson(&room);
    let text = room.succeed(&["doctor", "--no-speed", "--root", root.to_str().unwrap()]);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|l| l.contains("power-mode")).unwrap();
    assert!(lines[at].starts_with("  WARN"), "{text}");
    assert!(
        lines[at + 1]
            .trim_start()
            .starts_with("→ sudo nvpmodel -m 2"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "colours in a pipe");
}

#[test]
fn all_shipped_configurations_pass_the_real_command() {
    let room = Room::new();
    let mut files: Vec<PathBuf> = fs::read_dir(repository("firmware-config"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.push(repository("packaging/deb/neuralsmpl.toml"));
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = room.succeed(&["check-config", file.to_str().unwrap()]);
        assert!(text.trim_end().ends_with(": in order"), "{text}");
    }
}

#[test]
fn faults_have_file_line_key_value_and_range() {
    let room = Room::new();
    room.put(
        "a.toml",
        b"[source]\nsource = \"clip.mjpeg\"\n[budget]\ndeadline_ms = 1\n[output]\nstatus_s = 0.0\n",
    );
    room.put("b.toml", b"[source]\nsource = 3\n");
    let output = room.run(&["check-config", "a.toml", "b.toml", "c.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "error: a.toml:4: budget.deadline_ms is 1, expected 5 to 60000 milliseconds",
            "error: a.toml:6: output.status_s is 0, expected 0.1 to 3600 seconds",
            "error: b.toml:2: source.source is 3, expected text in quotation marks",
        ]
    );
    assert!(
        lines[3].starts_with("error: c.toml: cannot be read"),
        "{said}"
    );
}

/// Names of all commands, from the program's own help.
fn commands(room: &Room, above: &[&str]) -> Vec<String> {
    let help = room.succeed(&[above, &["--help"]].concat());
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let room = Room::new();
    room.succeed(&["man", "--out", "man"]);
    let mut names: Vec<String> = vec!["neuralsmpl".to_owned()];
    for command in commands(&room, &[]) {
        for inner in commands(&room, &[&command]) {
            names.push(format!("neuralsmpl-{command}-{inner}"));
        }
        names.push(format!("neuralsmpl-{command}"));
    }
    assert!(names.len() > 20, "{names:?}");
    let pages = room.list("man");
    assert_eq!(pages.len(), names.len(), "{pages:?} {names:?}");
    for name in &names {
        let page = fs::read_to_string(room.path(&format!("man/{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.len() > 300, "{name}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = room.succeed(&["completions", shell]);
        for command in commands(&room, &[]) {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
    let bash = room.succeed(&["completions", "bash"]);
    room.put("bash", bash.as_bytes());
    let read = Command::new("bash")
        .arg("-n")
        .arg(room.path("bash"))
        .status();
    match read {
        Ok(status) => assert!(status.success()),
        Err(_) => eprintln!("SKIPPED: bash is not installed"),
    }
}

/// A tool of this machine, where it is there.
fn tool(name: &str, args: &[&str]) -> Option<std::process::Output> {
    let found = Command::new(name).args(args).output().ok();
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

#[test]
fn units_are_sound_and_closed() {
    let room = Room::new();
    // `verify` looks for the programs: they are put where the units name them, below a folder.
    for unit in ["neuralsmpl.service", "neuralsmpl-camera.service"] {
        let text = fs::read_to_string(repository("packaging/systemd").join(unit)).unwrap();
        let program = room.path("neuralsmpl");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let here = text
            .replace("/usr/bin/neuralsmpl", program.to_str().unwrap())
            .replace("Documentation=man:neuralsmpl-run(1)\n", "");
        room.put(unit, here.as_bytes());
        let path = room.path(unit);
        let Some(output) = tool(
            "systemd-analyze",
            &["verify", "--man=no", path.to_str().unwrap()],
        ) else {
            return;
        };
        let said = stderr(&output);
        let ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("neuralsmpl"))
            .collect();
        assert!(output.status.success() && ours.is_empty(), "{said}");
        // Exposure: 0 is closed, 10 open.
        let args = [
            "security",
            "--offline=true",
            "--threshold=30",
            path.to_str().unwrap(),
        ];
        if let Some(output) = tool("systemd-analyze", &args) {
            assert!(
                output.status.success(),
                "{unit}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

#[test]
fn udev_rules_have_the_form_of_rules() {
    let rules = fs::read_to_string(repository("packaging/udev/60-neuralsmpl.rules")).unwrap();
    let labels: Vec<&str> = quoted(&rules, "LABEL=");
    for target in quoted(&rules, "GOTO=") {
        assert!(labels.contains(&target), "no label {target}");
    }
    for line in rules
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        for part in line.split(", ") {
            let (key, value) = part.split_once('=').unwrap_or_else(|| panic!("{line}"));
            let known = [
                "ACTION",
                "SUBSYSTEM",
                "SUBSYSTEMS",
                "KERNEL",
                "DRIVER",
                "ATTR",
                "ENV",
                "IMPORT",
                "SYMLINK",
                "GROUP",
                "MODE",
                "GOTO",
                "LABEL",
            ];
            let name = key
                .trim_end_matches(['=', '!', '+'])
                .split('{')
                .next()
                .unwrap();
            assert!(known.contains(&name), "{name} in {line}");
            assert!(
                value.trim_start_matches('=').starts_with('"') && value.ends_with('"'),
                "{line}"
            );
        }
    }
    if Path::new("/usr/bin/udevadm").exists() {
        let file = repository("packaging/udev/60-neuralsmpl.rules");
        let output = tool("udevadm", &["verify", file.to_str().unwrap()]);
        if let Some(output) = output {
            let said = stderr(&output);
            if said.contains("Unknown command") || said.contains("unknown command") {
                eprintln!("SKIPPED: this udevadm is older than 254 and has no verify");
            } else {
                assert!(output.status.success(), "{said}");
            }
        }
    }
}

fn quoted<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.split(key)
        .skip(1)
        .filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
        .collect()
}
