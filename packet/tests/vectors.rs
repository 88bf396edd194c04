//! The pinned vectors in `packet/vectors/`, which readers in other languages share.
//!
//! Write them again, after a deliberate change of the format, with
//! `NEURALSMPL_UPDATE_VECTORS=1 cargo test -p neuralsmpl-packet --test vectors`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Once};

use common::{frame, payload, samples};
use neuralsmpl_packet::frame::{self as framing, Accumulator};
use neuralsmpl_packet::layout::{Type, header};
use neuralsmpl_packet::{Kind, Message, ParseError, PoseRepr, StatusRepr};
use neuralsmpl_packet::{command, pose, reply, status, subject};
use serde_json::{Value, json};

/// The folder of the vectors, written first where that is asked for.
fn folder() -> PathBuf {
    static UPDATE: Once = Once::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    UPDATE.call_once(|| {
        if std::env::var_os("NEURALSMPL_UPDATE_VECTORS").is_some_and(|value| value == "1") {
            for (name, contents) in files() {
                fs::write(folder.join(name), contents).unwrap();
            }
        }
    });
    folder
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
}

/// 32 bytes a line.
fn hex_file(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex(line) + "\n").collect()
}

/// Fields by the names of docs/packet.md, as the integers and floats of the wire.
fn fields(message: &Message) -> Value {
    match message {
        Message::Pose(p) => json!({
            "sequence": p.sequence, "time_us": p.time_us, "person_id": p.person_id,
            "flags": p.flags.bits(), "backend": p.backend.code(), "model_id": p.model_id,
            "latency_us": p.latency_us, "translation": p.translation,
            "rotations": p.rotations.map(|r| r.to_bits()),
            "visibility": visibility_bytes(p),
            "confidence": p.confidence.map(|c| c.0),
            "fit_quality": p.fit_quality.0, "fit_steps": p.fit_steps,
        }),
        Message::Subject(s) => json!({
            "sequence": s.sequence, "time_us": s.time_us, "person_id": s.person_id,
            "flags": s.flags.bits(), "reserved": 0, "model_id": s.model_id,
            "image_size": s.image_size, "focal": s.focal, "centre": s.centre,
            "distortion": s.distortion, "betas": s.betas,
        }),
        Message::Status(s) => json!({
            "sequence": s.sequence, "time_us": s.time_us, "uptime_s": s.uptime_s,
            "frames_captured": s.frames_captured, "frames_fitted": s.frames_fitted,
            "drops": [s.drops.overtaken, s.drops.source, s.drops.backbone, s.drops.fit, s.drops.output],
            "frame_rate_hz": s.frame_rate_hz, "memory_kib": s.memory_kib,
            "pool_peak_kib": s.pool_peak_kib, "pool_kib": s.pool_kib, "faults": s.faults.bits(),
            "temperature_centi_c": s.temperature_centi_c.unwrap_or(-32768),
            "backend": s.backend.code(), "persons": s.persons,
        }),
        Message::Command(c) => json!({
            "sequence": c.sequence, "time_us": c.time_us, "operation": c.operation.code(),
            "reserved": [0, 0, 0], "argument": c.argument,
        }),
        Message::Reply(r) => json!({
            "sequence": r.sequence, "time_us": r.time_us, "request": r.request,
            "operation": r.operation.code(), "outcome": r.outcome.code(), "reserved": [0, 0],
            "value": r.value,
        }),
        _ => unreachable!("a kind without a sample"),
    }
}

fn visibility_bytes(pose: &PoseRepr) -> Vec<u32> {
    let codes = pose.visibility.map(|v| u32::from(v.code()));
    let pack = |four: &[u32]| four[0] + 4 * four[1] + 16 * four[2] + 64 * four[3];
    codes.chunks(4).map(pack).collect()
}

/// What a reader makes of the fields.
fn derived(message: &Message) -> Value {
    match message {
        Message::Pose(p) => json!({
            "rotations_wxyz": p.rotations.map(|r| r.to_quaternion()).map(|q| [q.w, q.x, q.y, q.z]),
            "visibility_by_joint": p.visibility.map(|v| v.code()),
        }),
        Message::Status(s) => json!({
            "temperature_c": s.temperature_centi_c.map(|t| f64::from(t) / 100.0),
        }),
        _ => json!({}),
    }
}

/// Frames with a right checksum whose payload must be refused, with the reason.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nan = f32::NAN.to_le_bytes();
    let cases: [(_, usize, usize, &[u8], _); 10] = [
        ("refused_magic", 1, 0, b"XX", "magic"),
        ("refused_version", 1, 2, &[2], "version"),
        ("refused_kind", 1, 3, &[200], "unknown_kind"),
        ("refused_length", 1, 3, &[2], "length"),
        ("refused_translation", 1, 36, &nan, "translation"),
        ("refused_rotation", 1, 40 + 6 * 5, &[0; 6], "rotations"),
        ("refused_image_size", 4, 24, &[0, 0], "image_size"),
        ("refused_focal", 4, 28, &[0; 4], "focal"),
        ("refused_betas", 4, 64, &nan, "betas"),
        ("refused_frame_rate", 6, 48, &nan, "frame_rate_hz"),
    ];
    let frame_of = |payload: &[u8]| {
        let mut buffer = [0; framing::MAX_FRAME];
        let len = framing::encode(payload, &mut buffer).unwrap();
        buffer[..len].to_vec()
    };
    let patch = |(name, sample, at, bytes, reason): (_, usize, usize, &[u8], _)| {
        let mut payload = payload(&samples()[sample].1);
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        (name, frame_of(&payload), reason)
    };
    let mut all: Vec<_> = cases.into_iter().map(patch).collect();
    all.push(("refused_short", frame_of(b"NS\x01\x01"), "short"));
    all
}

fn reason(error: ParseError) -> &'static str {
    match error {
        ParseError::Short { .. } => "short",
        ParseError::Magic { .. } => "magic",
        ParseError::Version { .. } => "version",
        ParseError::UnknownKind { .. } => "unknown_kind",
        ParseError::Length { .. } => "length",
        ParseError::Field(error) => error.field,
        _ => "other",
    }
}

/// A stream as a line might carry it: a late start, damage of every sort, idle line.
fn damaged_stream() -> Vec<u8> {
    let frames: Vec<_> = samples()
        .iter()
        .map(|(_, message)| frame(message))
        .collect();
    let mut flipped = frames[1].clone();
    flipped[200] ^= 0x10;
    let parts: [&[u8]; 10] = [
        &frames[1][100..], // late start: malformed or a wrong checksum
        &frames[0],
        &flipped,
        &frames[4],
        &[0, 0],
        &[4, 1, 2, 3, 0], // too short for a checksum
        &[0xee; 400],     // overlong, and swallows the frame behind it
        &frames[5],
        &frames[6],
        &frames[2][..50], // cut off at the end: not complete, so not counted
    ];
    parts.concat()
}

fn received(stream: &[u8]) -> Value {
    let mut accumulator = Accumulator::new();
    let mut names = Vec::new();
    accumulator.extend(stream, |bytes| {
        let known = samples();
        let name = known.iter().find(|(_, message)| payload(message) == bytes);
        names.push(name.map_or("unknown", |(name, _)| name));
    });
    let drops = accumulator.drops();
    json!({
        "packets": names,
        "drops": {
            "overlong": drops.overlong, "malformed": drops.malformed,
            "short": drops.short, "checksum": drops.checksum,
        },
    })
}

/// A message in plain text: a line for each field in wire order, floats by the hexadecimal digits
/// of their bits, then what a reader derives.
fn text(message: &Message) -> String {
    let kind = format!("{:?}", message.kind()).to_lowercase();
    let layout = match message.kind() {
        Kind::Pose => pose::LAYOUT,
        Kind::Subject => subject::LAYOUT,
        Kind::Status => status::LAYOUT,
        Kind::Command => command::LAYOUT,
        Kind::Reply => reply::LAYOUT,
        _ => unreachable!("a kind without a sample"),
    };
    let bits = |value: &Value| format!("{:08x}", (value.as_f64().unwrap() as f32).to_bits());
    let line = |name: &str, value: &Value, ty: Type| {
        let values = value.as_array().cloned().unwrap_or(vec![value.clone()]);
        let words = values.iter().map(|value| match ty {
            Type::F32 => bits(value),
            _ => value.to_string(),
        });
        format!("{name} {}\n", words.collect::<Vec<_>>().join(" "))
    };
    let fields = fields(message);
    let stated = header::LAYOUT.iter().skip(3).chain(layout);
    let stated = stated.filter(|field| !["kind", "reserved", "visibility"].contains(&field.name));
    let mut text = format!("kind {kind}\n");
    text.extend(stated.map(|field| line(field.name, &fields[field.name], field.ty)));
    if let Message::Pose(_) = message {
        let derived = derived(message);
        let rotations = derived["rotations_wxyz"].as_array().unwrap();
        let parts: Value = rotations
            .iter()
            .flat_map(|q| q.as_array().unwrap().clone())
            .collect();
        text += &line("rotations_wxyz", &parts, Type::F32);
        let name = "visibility_by_joint";
        text += &line(name, &derived[name], Type::U8);
    }
    text
}

/// What a reader makes of the bytes of one file.
fn transcript(name: &str, bytes: &[u8]) -> String {
    let mut accumulator = Accumulator::new();
    let mut out = format!("file {name}\n");
    accumulator.extend(bytes, |payload| match Message::parse(payload) {
        Ok(message) => out += &text(&message),
        Err(error) => out += &format!("refused {}\n", reason(error)),
    });
    let drops = accumulator.drops();
    out + &format!(
        "drops overlong {} malformed {} short {} checksum {}\n",
        drops.overlong, drops.malformed, drops.short, drops.checksum
    )
}

/// Every file of the folder, with its contents.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut transcripts = BTreeMap::new();
    let mut lines = |entries: Vec<(&str, Vec<u8>, Value)>| {
        let rows: Vec<_> = entries
            .into_iter()
            .map(|(name, bytes, mut entry)| {
                files.push((format!("{name}.hex"), hex_file(&bytes)));
                transcripts.insert(name.to_owned(), transcript(name, &bytes));
                entry["name"] = json!(name);
                entry["hex"] = json!(hex(&bytes));
                format!("    {entry}")
            })
            .collect();
        rows.join(",\n")
    };
    let packets = samples().into_iter().map(|(name, message)| {
        let kind = format!("{:?}", message.kind()).to_lowercase();
        let entry =
            json!({ "kind": kind, "fields": fields(&message), "derived": derived(&message) });
        (name, frame(&message), entry)
    });
    let packets = lines(packets.collect());
    let refused = refused().into_iter();
    let refused = lines(
        refused
            .map(|(name, bytes, why)| (name, bytes, json!({ "reason": why })))
            .collect(),
    );
    let stream = damaged_stream();
    let entry = received(&stream);
    let streams = lines(vec![("stream_damaged", stream, entry)]);
    let json = format!(
        "{{\n  \"version\": {},\n  \"packets\": [\n{packets}\n  ],\n  \"refused\": [\n{refused}\n  ],\n  \"streams\": [\n{streams}\n  ]\n}}\n",
        neuralsmpl_packet::VERSION
    );
    files.push(("vectors.json".to_owned(), json));
    let transcripts: String = transcripts.into_values().collect();
    files.push(("expected.txt".to_owned(), transcripts));
    files
}

#[test]
fn the_files_are_what_this_code_writes() {
    for (name, contents) in files() {
        let path = folder().join(&name);
        let found = fs::read_to_string(&path).unwrap();
        assert!(
            found == contents,
            "{name} differs; see the head of this test"
        );
    }
    let expected = files().len();
    assert_eq!(
        fs::read_dir(folder()).unwrap().count(),
        expected,
        "stray files"
    );
}

#[test]
fn the_files_decode_to_the_samples() {
    for (name, message) in samples() {
        let text = fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap();
        let mut bytes = unhex(&text);
        let payload = framing::decode(&mut bytes).unwrap();
        assert_eq!(Message::parse(payload), Ok(message), "{name}");
    }
    for (name, mut bytes, expected) in refused() {
        let payload = framing::decode(&mut bytes).unwrap();
        assert_eq!(
            reason(Message::parse(payload).unwrap_err()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn the_damaged_stream_gives_what_survived() {
    let expected = json!({
        "packets": ["pose_rest", "subject_full", "status_full"],
        "drops": { "overlong": 1, "malformed": 1, "short": 1, "checksum": 1 },
    });
    assert_eq!(received(&damaged_stream()), expected);
}

/// Written by hand from docs/packet.md, with the checksum of an independent program (Python's
/// zlib), so that the vectors do not rest on this code alone.
#[test]
fn a_status_written_by_hand_is_the_pinned_one() {
    let parts: [&[u8]; 4] = [
        b"NS\x01\x03", // magic, version, kind
        &[0; 64],      // sequence to faults
        &[0x00, 0x80], // no temperature
        &[0, 0],       // backend, persons
    ];
    let by_hand = parts.concat();
    assert_eq!(by_hand, StatusRepr::default().emit().unwrap());
    assert_eq!(framing::crc32(&by_hand), 0xf144_fe82);

    // COBS by hand: the four bytes up to the first zero, 64 zeros on their own, 0x80, a zero,
    // the checksum.
    let parts: [&[u8]; 5] = [
        b"\x05NS\x01\x03",
        &[1; 64],
        &[2, 0x80, 1],
        &[5, 0x82, 0xfe, 0x44, 0xf1],
        &[0],
    ];
    assert_eq!(
        parts.concat(),
        frame(&Message::Status(StatusRepr::default()))
    );
}
