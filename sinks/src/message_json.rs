//! A packet as one line of JSON: names of docs/packet.md, joints as in `pose.json`.

use neuralsmpl_packet::command::Operation;
use neuralsmpl_packet::pose::{JOINT_NAMES, Visibility};
use neuralsmpl_packet::reply::Outcome;
use neuralsmpl_packet::{
    Backend, CommandRepr, Fraction, Message, PoseRepr, ReplyRepr, StatusRepr, SubjectRepr,
};
use serde::Serialize;

/// The packet as a JSON object on one line.
///
/// # Errors
/// Never for the types here; the serialiser's interface asks for it.
pub fn message_json(message: &Message) -> Result<String, serde_json::Error> {
    let value = match message {
        Message::Pose(p) => Line::Pose(PoseLine::new(p)),
        Message::Subject(s) => Line::Subject(SubjectLine::new(s)),
        Message::Status(s) => Line::Status(StatusLine::new(s)),
        Message::Command(c) => Line::Command(CommandLine::new(c)),
        Message::Reply(r) => Line::Reply(ReplyLine::new(r)),
        _ => Line::Other,
    };
    serde_json::to_string(&value)
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Pose(PoseLine),
    Subject(SubjectLine),
    Status(StatusLine),
    Command(CommandLine),
    Reply(ReplyLine),
    Other,
}

#[derive(Serialize)]
struct PoseLine {
    sequence: u32,
    time_us: u64,
    person_id: u16,
    flags: Vec<&'static str>,
    backend: &'static str,
    model_id: u32,
    latency_us: u32,
    translation_m: [f32; 3],
    joints: Vec<JointLine>,
    fit_quality: f64,
    fit_steps: u8,
}

#[derive(Serialize)]
struct JointLine {
    name: &'static str,
    rotation_xyzw: [f32; 4],
    visibility: &'static str,
    confidence: f64,
}

#[derive(Serialize)]
struct SubjectLine {
    sequence: u32,
    time_us: u64,
    person_id: u16,
    flags: Vec<&'static str>,
    model_id: u32,
    image_size: [u16; 2],
    focal: [f32; 2],
    centre: [f32; 2],
    distortion: [f32; 5],
    betas: [f32; 10],
}

#[derive(Serialize)]
struct StatusLine {
    sequence: u32,
    time_us: u64,
    uptime_s: u32,
    frames_captured: u32,
    frames_fitted: u32,
    drops: DropsLine,
    frame_rate_hz: f32,
    memory_kib: u32,
    pool_peak_kib: u32,
    pool_kib: u32,
    faults: Vec<&'static str>,
    temperature_c: Option<f64>,
    backend: &'static str,
    persons: u8,
}

#[derive(Serialize)]
struct CommandLine {
    sequence: u32,
    time_us: u64,
    operation: &'static str,
    operation_code: u8,
    argument: u32,
}

#[derive(Serialize)]
struct ReplyLine {
    sequence: u32,
    time_us: u64,
    request: u32,
    operation: &'static str,
    operation_code: u8,
    outcome: &'static str,
    outcome_code: u8,
    value: u32,
}

#[derive(Serialize)]
struct DropsLine {
    overtaken: u32,
    source: u32,
    backbone: u32,
    fit: u32,
    output: u32,
}

impl PoseLine {
    fn new(p: &PoseRepr) -> Self {
        let joints = JOINT_NAMES
            .iter()
            .zip(p.rotations)
            .zip(p.visibility)
            .zip(p.confidence);
        Self {
            sequence: p.sequence,
            time_us: p.time_us,
            person_id: p.person_id,
            flags: names(p.flags.iter_names()),
            backend: backend(p.backend),
            model_id: p.model_id,
            latency_us: p.latency_us,
            translation_m: p.translation,
            joints: joints
                .map(|(((name, rotation), seen), confidence)| {
                    let q = rotation.to_quaternion();
                    JointLine {
                        name,
                        rotation_xyzw: [q.x, q.y, q.z, q.w],
                        visibility: visibility(seen),
                        confidence: fraction(confidence),
                    }
                })
                .collect(),
            fit_quality: fraction(p.fit_quality),
            fit_steps: p.fit_steps,
        }
    }
}

impl SubjectLine {
    fn new(s: &SubjectRepr) -> Self {
        Self {
            sequence: s.sequence,
            time_us: s.time_us,
            person_id: s.person_id,
            flags: names(s.flags.iter_names()),
            model_id: s.model_id,
            image_size: s.image_size,
            focal: s.focal,
            centre: s.centre,
            distortion: s.distortion,
            betas: s.betas,
        }
    }
}

impl StatusLine {
    fn new(s: &StatusRepr) -> Self {
        Self {
            sequence: s.sequence,
            time_us: s.time_us,
            uptime_s: s.uptime_s,
            frames_captured: s.frames_captured,
            frames_fitted: s.frames_fitted,
            drops: DropsLine {
                overtaken: s.drops.overtaken,
                source: s.drops.source,
                backbone: s.drops.backbone,
                fit: s.drops.fit,
                output: s.drops.output,
            },
            frame_rate_hz: s.frame_rate_hz,
            memory_kib: s.memory_kib,
            pool_peak_kib: s.pool_peak_kib,
            pool_kib: s.pool_kib,
            faults: names(s.faults.iter_names()),
            temperature_c: s.temperature_centi_c.map(|t| f64::from(t) / 100.0),
            backend: backend(s.backend),
            persons: s.persons,
        }
    }
}

impl CommandLine {
    fn new(c: &CommandRepr) -> Self {
        Self {
            sequence: c.sequence,
            time_us: c.time_us,
            operation: operation(c.operation),
            operation_code: c.operation.code(),
            argument: c.argument,
        }
    }
}

impl ReplyLine {
    fn new(r: &ReplyRepr) -> Self {
        Self {
            sequence: r.sequence,
            time_us: r.time_us,
            request: r.request,
            operation: operation(r.operation),
            operation_code: r.operation.code(),
            outcome: outcome(r.outcome),
            outcome_code: r.outcome.code(),
            value: r.value,
        }
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::GetStatus => "get-status",
        Operation::SetRate => "set-rate",
        Operation::Pause => "pause",
        Operation::Resume => "resume",
        Operation::Redetect => "redetect",
        _ => "unknown",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::UnknownOperation => "unknown-operation",
        Outcome::InvalidArgument => "invalid-argument",
        _ => "other",
    }
}

fn names<T>(set: impl Iterator<Item = (&'static str, T)>) -> Vec<&'static str> {
    set.map(|(name, _)| name).collect()
}

fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Cpu => "cpu",
        Backend::Vulkan => "vulkan",
        _ => "unspecified",
    }
}

fn visibility(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Visible => "visible",
        Visibility::SelfOccluded => "self-occluded",
        Visibility::Occluded => "occluded",
        Visibility::OutOfFrame => "out-of-frame",
    }
}

/// 255ths with as many digits as they carry.
fn fraction(value: Fraction) -> f64 {
    (f64::from(value.0) / 255.0 * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use neuralsmpl_packet::pose::Flags;

    use super::*;

    #[test]
    fn every_kind_is_one_line_with_its_name() {
        let pose = PoseRepr {
            flags: Flags::OCCLUDED | Flags::LATE,
            translation: [0.1, 0.2, 3.0],
            ..PoseRepr::default()
        };
        let line = message_json(&Message::Pose(pose)).unwrap();
        assert!(
            line.starts_with("{\"kind\":\"pose\",\"sequence\":0,"),
            "{line}"
        );
        assert!(
            line.contains("\"flags\":[\"OCCLUDED\",\"LATE\"]")
                && line.contains("\"translation_m\":[0.1,0.2,3.0]"),
            "{line}"
        );
        assert!(line.contains("{\"name\":\"right_hand\",\"rotation_xyzw\":[0.0,0.0,0.0,1.0],\"visibility\":\"visible\",\"confidence\":0.0}"), "{line}");
        let subject = message_json(&Message::Subject(SubjectRepr::default())).unwrap();
        assert!(
            subject.starts_with("{\"kind\":\"subject\"") && subject.contains("\"focal\":[1.0,1.0]"),
            "{subject}"
        );
        let status = message_json(&Message::Status(StatusRepr::default())).unwrap();
        assert!(status.contains("\"temperature_c\":null"), "{status}");
        let reply = message_json(&Message::Reply(ReplyRepr::default())).unwrap();
        assert!(
            reply.starts_with("{\"kind\":\"reply\"") && reply.contains("\"outcome\":\"done\""),
            "{reply}"
        );
        let command = message_json(&Message::Command(CommandRepr::default())).unwrap();
        assert!(
            command.contains("\"operation\":\"get-status\",\"operation_code\":1"),
            "{command}"
        );
        assert!(
            [line, subject, status, reply, command]
                .iter()
                .all(|l| !l.contains('\n'))
        );
    }
}
