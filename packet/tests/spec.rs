//! docs/packet.md says what the code does: the tables against the layouts, and the pinned
//! vectors read by the offsets and types of the tables alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use neuralsmpl_packet::layout::{Field, Type, header};
use neuralsmpl_packet::{Kind, command, pose, reply, status, subject};
use serde_json::Value;

fn spec() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packet.md");
    fs::read_to_string(path).unwrap()
}

/// Lines of one section.
fn section<'a>(spec: &'a str, title: &str) -> Vec<&'a str> {
    let lines = spec
        .lines()
        .skip_while(|line| *line != format!("## {title}"));
    lines
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .collect()
}

/// A row of a table of fields.
#[derive(Debug, PartialEq)]
struct Row {
    offset: usize,
    size: usize,
    ty: String,
    count: usize,
    name: String,
}

fn rows(spec: &str, title: &str) -> Vec<Row> {
    let cells = section(spec, title)
        .into_iter()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| {
            let offset = cells.get(1)?.parse().ok()?;
            let size = cells.get(2)?.parse().ok()?;
            let ty = cells.get(3)?.trim_matches('`');
            let (ty, count) = ty.split_once(" × ").unwrap_or((ty, "1"));
            Some(Row {
                offset,
                size,
                ty: ty.to_owned(),
                count: count.parse().unwrap(),
                name: cells.get(4)?.trim_matches('`').to_owned(),
            })
        })
        .collect()
}

fn row(field: &Field) -> Row {
    let ty = match field.ty {
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::I16 => "i16",
        Type::U32 => "u32",
        Type::U48 => "u48",
        Type::U64 => "u64",
        Type::F32 => "f32",
    };
    Row {
        offset: field.offset,
        size: field.size(),
        ty: ty.to_owned(),
        count: field.count,
        name: field.name.to_owned(),
    }
}

const SECTIONS: [(&str, Kind, &[Field]); 5] = [
    ("Pose", Kind::Pose, pose::LAYOUT),
    ("Subject", Kind::Subject, subject::LAYOUT),
    ("Status", Kind::Status, status::LAYOUT),
    ("Command", Kind::Command, command::LAYOUT),
    ("Reply", Kind::Reply, reply::LAYOUT),
];

#[test]
fn the_tables_are_the_layouts() {
    let spec = spec();
    let of = |layout: &[Field]| layout.iter().map(row).collect::<Vec<_>>();
    assert_eq!(rows(&spec, "Header"), of(header::LAYOUT));
    for (title, kind, layout) in SECTIONS {
        assert_eq!(rows(&spec, title), of(layout));
        assert_eq!(
            layout.last().map(Field::end),
            Some(kind.payload_len()),
            "{title}"
        );
    }
}

/// Rows of a section's table of named numbers.
fn numbers(spec: &str, title: &str) -> Vec<(u32, String)> {
    let lines = section(spec, title);
    let named = lines.into_iter().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.parse().ok()?;
        let name = cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((number, name.to_owned()))
    });
    named.collect()
}

#[test]
fn the_codes_are_the_operations_and_outcomes() {
    let spec = spec();
    let operations = command::Operation::ALL;
    let operations = operations.map(|one| (one.code().into(), format!("{one:?}")));
    assert_eq!(numbers(&spec, "Command"), operations);
    let outcomes = reply::Outcome::ALL.map(|one| (one.code().into(), format!("{one:?}")));
    assert_eq!(numbers(&spec, "Reply"), outcomes);
}

#[test]
fn the_bits_are_the_flags() {
    let spec = spec();
    let named = |title| {
        let bits = numbers(&spec, title).into_iter();
        bits.map(|(bit, name)| (name, 1 << bit))
            .collect::<Vec<(String, u32)>>()
    };
    let pose = pose::Flags::all().iter_names();
    let pose: Vec<_> = pose
        .map(|(name, flag)| (name.to_owned(), flag.bits().into()))
        .collect();
    assert_eq!(named("Pose"), pose);
    let subject = subject::Flags::all().iter_names();
    let subject: Vec<_> = subject
        .map(|(n, flag)| (n.to_owned(), flag.bits().into()))
        .collect();
    assert_eq!(named("Subject"), subject);
    let faults = status::Faults::all().iter_names();
    let faults: Vec<_> = faults
        .map(|(name, flag)| (name.to_owned(), flag.bits()))
        .collect();
    assert_eq!(named("Status"), faults);
}

#[test]
fn sizes_rates_and_joint_names_are_right() {
    let spec = spec();
    for (title, kind, _) in SECTIONS {
        let (payload, frame) = (kind.payload_len(), kind.frame_len());
        let row = format!("| {} | {payload} | {frame} |", title.to_lowercase());
        assert!(spec.contains(&row), "{row}");
    }
    for baud in [115_200, 230_400, 460_800, 921_600] {
        let bits = 10 * Kind::Pose.frame_len();
        let time = 1e3 * bits as f64 / baud as f64;
        let persons = baud / (30 * bits);
        let row = format!("| {baud} | {time:.1} | {} | {persons} |", baud / bits);
        assert!(spec.contains(&row), "{row}");
    }
    let words = spec.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&pose::JOINT_NAMES.join(", ")));
}

/// Reads one element by the type that a table states; integers and f32 fit an f64 exactly.
fn element(bytes: &[u8], ty: &str) -> f64 {
    let integer = bytes
        .iter()
        .rev()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    match ty {
        "f32" => f64::from(f32::from_bits(integer as u32)),
        "i16" => f64::from(integer as u16 as i16),
        _ => integer as f64,
    }
}

/// Zeros go back in where COBS took them out, by the definition in the literature.
fn uncobs(frame: &[u8]) -> Vec<u8> {
    let mut rest = frame.strip_suffix(&[0]).unwrap();
    let mut out = Vec::new();
    while let [code, tail @ ..] = rest {
        let (group, next) = tail.split_at(usize::from(*code) - 1);
        out.extend(group);
        if !next.is_empty() {
            out.push(0);
        }
        rest = next;
    }
    out
}

#[test]
fn the_tables_alone_decode_the_vectors() {
    let spec = spec();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/vectors.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let packets = vectors["packets"].as_array().unwrap();
    assert!(packets.len() >= 13);
    for packet in packets {
        let text = packet["hex"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        let frame: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
        let payload = uncobs(&frame);
        let (title, kind, _) = SECTIONS
            .into_iter()
            .find(|(title, ..)| packet["kind"] == title.to_lowercase())
            .unwrap();
        assert_eq!(
            payload.len(),
            kind.payload_len() + 4,
            "payload and checksum"
        );
        assert_eq!(payload[..4], [0x4e, 0x53, 1, kind.code()]);
        for row in rows(&spec, "Header")
            .iter()
            .skip(3)
            .chain(&rows(&spec, title))
        {
            let bytes = &payload[row.offset..row.offset + row.size];
            let elements = bytes.chunks(row.size / row.count);
            let found: Vec<_> = elements.map(|bytes| element(bytes, &row.ty)).collect();
            let expected = match &packet["fields"][&row.name] {
                Value::Array(values) => values.iter().map(|v| v.as_f64().unwrap()).collect(),
                value if row.name == "kind" && value.is_null() => vec![kind.code().into()],
                value => vec![value.as_f64().unwrap()],
            };
            assert_eq!(found, expected, "{} {}", packet["name"], row.name);
        }
    }
}
