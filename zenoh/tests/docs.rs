//! `docs/fleet.md` against the program: its configurations are valid, its tables complete.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use neuralsmpl_zenoh::config::FleetFile;
use neuralsmpl_zenoh::counters::Cause;
use neuralsmpl_zenoh::keys::Topic;

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet.md");
    std::fs::read_to_string(path).unwrap()
}

/// Code blocks of a language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    document
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

#[test]
fn configurations_are_valid() {
    let document = document();
    let toml = blocks(&document, "toml");
    assert!(!toml.is_empty());
    for text in toml {
        let file: FleetFile = toml::from_str(text).unwrap();
        file.plan().unwrap();
    }
    let json5 = blocks(&document, "json5");
    assert!(json5.len() > 2);
    for text in json5 {
        zenoh::Config::from_json5(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
}

#[test]
fn every_topic_encoding_and_cause_is_described() {
    let document = document();
    for topic in Topic::ALL {
        let name = format!("`{}`", topic.suffix());
        assert!(document.contains(&name), "{name}");
    }
    for topic in [
        Topic::Pose,
        Topic::Subject,
        Topic::Status,
        Topic::PoseJson,
        Topic::Bridge,
    ] {
        let encoding = format!("`{}`", topic.encoding());
        assert!(document.contains(&encoding), "{encoding}");
    }
    for cause in Cause::ALL {
        let name = format!("`{}`", cause.name());
        assert!(document.contains(&name), "{name}");
    }
}
