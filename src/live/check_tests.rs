#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use super::*;

const BASE: &str = "[source]\nsource = \"clip.mjpeg\"\n";

fn faults(more: &str) -> Vec<String> {
    let faults = parse(&format!("{BASE}{more}")).map(|_| ()).unwrap_err();
    let line = |f: &ConfigFault| {
        f.line
            .map_or_else(|| "-".to_owned(), |line| line.to_string())
    };
    faults.iter().map(|f| format!("{}: {f}", line(f))).collect()
}

#[test]
fn every_fault_has_line_key_value_and_range() {
    for (text, expected) in [
        (
            "[budget]\nsteps = 0",
            "4: budget.steps is 0, expected 2 to 1000",
        ),
        (
            "\n[budget]\nhypotheses = true\ndeadline_ms = 1",
            "6: budget.deadline_ms is 1, expected 5 to 60000 milliseconds",
        ),
        (
            "[budget]\ndeadline_ms = \"fast\"",
            "4: budget.deadline_ms is \"fast\", expected 5 to 60000 milliseconds",
        ),
        (
            "[budget]\nsteps = -3",
            "4: budget.steps is -3, expected 2 to 1000",
        ),
        (
            "[budget]\nhypotheses = 1",
            "4: budget.hypotheses is 1, expected true or false",
        ),
        (
            "[camera]\nfov_deg = 200.0",
            "4: camera.fov_deg is 200, expected 5 to 150 degrees along the longer side",
        ),
        (
            "[track]\npersons = 9",
            "4: track.persons is 9, expected 1 to 4; see docs/tracking.md",
        ),
        (
            "[track.smoothing]\nenabled = 3",
            "4: track.smoothing.enabled is 3, expected true or false",
        ),
        (
            "[memory]\npool_mib = 5000",
            "4: memory.pool_mib is 5000, expected 0 to 1023",
        ),
        (
            "[[sink]]\ntype = \"jsonl\"\npath = \"-\"\n[[sink]]\ntype = \"serial\"\ndevice = \"/dev/ttyS1\"\nbaud = 300",
            "9: sink[1].baud is 300, expected 1200 to 12000000",
        ),
        (
            "[[sink]]\ntype = \"serial\"\ndevice = \"/dev/ttyS1\"\nbaud = \"x\"",
            "6: sink[0].baud is \"x\", expected 1200 to 12000000",
        ),
    ] {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

#[test]
fn unknown_names_are_told_with_the_known_ones() {
    for (text, parts) in [
        (
            "[output]\nspeed = 1",
            &[
                "4: output.speed is 1, expected no such key; known here:",
                "`raw`",
            ][..],
        ),
        (
            "[model]\nbackend = \"tpu\"",
            &["4: model.backend is \"tpu\", expected", "`vulkan`"],
        ),
        (
            "[[sink]]\ntype = \"jsonl\"\npath = \"-\"\ncolour = 3",
            &["6: sink[0].colour is 3, expected no such key", "`path`"],
        ),
        (
            "[[sink]]\ntype = \"pigeon\"\npath = \"-\"",
            &["4: sink[0].type is \"pigeon\", expected", "serial"],
        ),
        (
            "[tracking]\npersons = 1",
            &["3: tracking is", "no such key", "`track`"],
        ),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1);
        for part in parts {
            assert!(found[0].contains(part), "{found:?}\nexpected: {part}");
        }
    }
}

#[test]
fn several_tables_tell_their_faults_at_once_in_the_order_of_lines() {
    let found = faults("[output]\nstatus_s = 0.0\n[track]\npersons = 0\n[budget]\nsteps = 1");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("4: output.status_s is 0, expected 0.1 to 3600 seconds"));
    assert!(found[1].starts_with("6: track.persons is 0"));
    assert!(found[2].starts_with("8: budget.steps is 1"));
}

#[test]
fn what_is_missing_and_what_is_no_toml_have_a_line_too() {
    let found = parse("\n[budget]\nsteps = 5\n").map(|_| ()).unwrap_err();
    assert_eq!(found[0].key, "source");
    assert_eq!(found[0].found, "missing");
    let found = faults("[budget\nsteps = 5");
    assert!(
        found[0].starts_with("3: the file is no TOML at `[budget`"),
        "{found:?}"
    );
}

#[test]
fn the_shipped_configurations_are_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware-config");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            parse(&text).unwrap_or_else(|faults| panic!("{}: {faults:?}", path.display()));
            read += 1;
        }
    }
    assert!(read >= 7, "{read} configurations");
}

#[test]
fn a_page_beyond_this_machine_needs_a_token() {
    let found = faults("[web]\nlisten = \"0.0.0.0:8080\"");
    assert!(
        found[0].starts_with("4: web.listen is 0.0.0.0:8080 without a token, expected a loopback")
            && found[0].contains("token_file"),
        "{found:?}"
    );
}
