//! The command line: what is refused, what is read from files, what `watch` shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::{Command, Output};

use common::{Process, endpoint, eventually, free_tcp_port, pose, status, subject};
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neuralsmpl-zenoh"))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn mistakes_are_named_on_one_line_and_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let camera = "[[camera]]\nname = \"a\"\nsite = \"s\"\nfrom = \"-\"\n";
    let short = file("short.toml", &format!("silence_s = 0\n{camera}"));
    let typo = file("typo.toml", &format!("sitte = \"s\"\n{camera}"));
    let zenoh = file("zenoh.json5", "{ mode: 7 }");
    let open = file(
        "open.json5",
        "{ listen: { endpoints: [\"tcp/[::]:7447\"] } }",
    );
    let one = ["publish", "--site", "s", "--camera", "c", "--from"];
    let cases: &[(&[&str], &str)] = &[
        (&["publish", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (
            &["publish", "--config", &short],
            "silence_s: found 0, expected 0.5 to 60",
        ),
        (&["publish", "--config", &typo], "unknown field `sitte`"),
        (
            &[&one[..], &["serial"]].concat(),
            "camera[0].from: found `serial`, expected udp://",
        ),
        (&["publish", "--site", "s"], "--config"),
        (
            &["router", "--listen", "tcp/0.0.0.0:7447"],
            "leaves this machine without encryption",
        ),
        (
            &["router", "--zenoh-config", &open],
            "leaves this machine without encryption",
        ),
        (&["router", "--zenoh-config", &zenoh], "zenoh.json5"),
        (&["watch", "--site", "a/*"], "--site: `a/*` contains '/'"),
        (&["watch", "--seconds", "0"], "--seconds"),
    ];
    for (args, expected) in cases {
        let output = run(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(
            text.contains(expected),
            "{args:?}: {text:?} lacks {expected:?}"
        );
    }
}

#[test]
fn help_shows_examples() {
    let output = run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("publish --config fleet.toml") && text.contains("Exit codes"));
}

#[test]
fn a_taken_port_is_a_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = endpoint(listener.local_addr().unwrap().port());
    let output = run(&["router", "--listen", &taken]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&taken), "{text}");
}

#[test]
fn a_publisher_without_a_router_waits_and_ends_when_asked() {
    let at = endpoint(free_tcp_port());
    let mut publisher = Process::start(&[
        "publish",
        "--connect",
        &at,
        "--site",
        "s",
        "--camera",
        "c",
        "--from",
        "-",
    ]);
    publisher.wait_for_line("waiting for a router");
    assert!(publisher.terminate().success());
}

#[test]
fn a_file_is_played_and_watched() {
    let port = free_tcp_port();
    let at = endpoint(port);
    let _router = Process::router(port);
    let watch = Process::start(&["watch", "--json", "--site", "hall", "--connect", &at]);
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("poses.bin");
    let frames = [
        vec![0],
        subject(1, 7),
        status(2),
        pose(3),
        pose(4),
        b"rest".to_vec(),
    ];
    std::fs::write(&recording, frames.concat()).unwrap();
    let from = format!("file://{}", recording.display());

    // The watcher may join after the first run: what it must see, it sees in one of them.
    let packets = eventually("the recording's packets", || {
        let mut publisher = Process::start(&[
            "publish",
            "--connect",
            &at,
            "--site",
            "hall",
            "--camera",
            "file",
            "--from",
            &from,
        ]);
        assert!(publisher.wait().success());
        publisher.wait_for_line("malformed 1");
        let lines: Vec<Value> = watch
            .lines()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let kinds = ["subject", "status", "pose"];
        let seen = |kind: &&str| lines.iter().any(|line| line["packet"]["kind"] == *kind);
        kinds.iter().all(seen).then_some(lines)
    });
    let pose = packets
        .iter()
        .find(|line| line["packet"]["kind"] == "pose")
        .unwrap();
    assert_eq!(
        (&pose["site"], &pose["camera"]),
        (&"hall".into(), &"file".into())
    );
    assert_eq!(pose["packet"]["translation_m"][2], 2.5);
    let alive: Vec<_> = packets
        .iter()
        .filter_map(|line| line["alive"].as_bool())
        .collect();
    assert!(alive.contains(&true) && alive.contains(&false), "{alive:?}");
}

/// Zenoh's own configuration reaches Zenoh: only who knows the password gets in.
#[test]
fn passwords_of_zenoh_keep_others_out() {
    let port = free_tcp_port();
    let at = endpoint(port);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let users = file("users.txt", "north:secret\n");
    let users =
        format!("{{ transport: {{ auth: {{ usrpwd: {{ dictionary_file: {users:?} }} }} }} }}");
    let user = |password: &str| {
        let text = format!(
            "{{ transport: {{ auth: {{ usrpwd: {{ user: \"north\", password: {password:?} }} }} }} }}"
        );
        file(&format!("{password}.json5"), &text)
    };
    let router = Process::start(&[
        "router",
        "--listen",
        &at,
        "--zenoh-config",
        &file("router.json5", &users),
    ]);
    router.wait_for_line("router listens");
    let publisher = |password: &str| {
        Process::start(&[
            "publish",
            "--connect",
            &at,
            "--zenoh-config",
            &user(password),
            "--site",
            "s",
            "--camera",
            "c",
            "--from",
            "udp://127.0.0.1:0",
        ])
    };
    let (good, bad) = (publisher("secret"), publisher("guess"));
    good.wait_for_line("router up");
    bad.wait_for_line("waiting for a router");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let inside = bad.lines().iter().any(|line| line.contains("router up"));
    assert!(!inside, "{:?}", bad.lines());
}
