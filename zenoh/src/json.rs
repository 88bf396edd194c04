//! Packets as JSON: fields by the names of `docs/packet.md`, in units a person can read.

use neuralsmpl_packet::{
    Backend, Message, PoseRepr, StatusRepr, SubjectRepr, pose::JOINTS, pose::Visibility, status,
};
use serde::Serialize;

/// One packet as it is written. Structs rather than `serde_json::Value`, which would widen each
/// `f32` and write 0.1 as 0.10000000149011612.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Packet {
    /// One person in one frame.
    Pose(Box<Pose>),
    /// Shape of one person and the camera.
    Subject(Subject),
    /// Health of the sender.
    Status(Status),
}

/// Fields of a pose packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/packet.md describes the fields")]
pub struct Pose {
    pub sequence: u32,
    pub time_us: u64,
    pub person_id: u16,
    pub flags: Vec<String>,
    pub backend: Option<&'static str>,
    pub model_id: u32,
    pub latency_us: u32,
    pub translation_m: [f32; 3],
    pub rotation_xyzw: [[f32; 4]; JOINTS],
    pub visibility: [&'static str; JOINTS],
    pub confidence: [f32; JOINTS],
    pub fit_quality: f32,
    pub fit_steps: u8,
}

/// Fields of a subject packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/packet.md describes the fields")]
pub struct Subject {
    pub sequence: u32,
    pub time_us: u64,
    pub person_id: u16,
    pub flags: Vec<String>,
    pub model_id: u32,
    pub image_size_px: [u16; 2],
    pub focal_px: [f32; 2],
    pub centre_px: [f32; 2],
    pub distortion: [f32; 5],
    pub betas: [f32; 10],
}

/// Fields of a status packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/packet.md describes the fields")]
pub struct Status {
    pub sequence: u32,
    pub time_us: u64,
    pub uptime_s: u32,
    pub frames_captured: u32,
    pub frames_fitted: u32,
    pub drops: Drops,
    pub frame_rate_hz: f32,
    pub memory_kib: u32,
    pub pool_peak_kib: u32,
    pub pool_kib: u32,
    pub faults: Vec<String>,
    pub temperature_c: Option<f32>,
    pub backend: Option<&'static str>,
    pub persons: u8,
}

/// Frames that gave no pose, by cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/packet.md describes the fields")]
pub struct Drops {
    pub overtaken: u32,
    pub source: u32,
    pub backbone: u32,
    pub fit: u32,
    pub output: u32,
}

/// One packet, ready to be written; `None` for kinds that this version does not know.
pub fn packet(message: &Message) -> Option<Packet> {
    match message {
        Message::Pose(packet) => Some(Packet::Pose(Box::new(pose(packet)))),
        Message::Subject(packet) => Some(Packet::Subject(subject(packet))),
        Message::Status(packet) => Some(Packet::Status(status(packet))),
        _ => None,
    }
}

/// One value on one line. Empty where it cannot be written, which no type of this crate does.
pub fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn pose(p: &PoseRepr) -> Pose {
    Pose {
        sequence: p.sequence,
        time_us: p.time_us,
        person_id: p.person_id,
        flags: names(p.flags.iter_names()),
        backend: backend(p.backend),
        model_id: p.model_id,
        latency_us: p.latency_us,
        translation_m: p.translation,
        rotation_xyzw: p.rotations.map(|rotation| {
            let q = rotation.to_quaternion();
            [q.x, q.y, q.z, q.w]
        }),
        visibility: p.visibility.map(visibility),
        confidence: p.confidence.map(|c| c.to_f32()),
        fit_quality: p.fit_quality.to_f32(),
        fit_steps: p.fit_steps,
    }
}

fn subject(s: &SubjectRepr) -> Subject {
    Subject {
        sequence: s.sequence,
        time_us: s.time_us,
        person_id: s.person_id,
        flags: names(s.flags.iter_names()),
        model_id: s.model_id,
        image_size_px: s.image_size,
        focal_px: s.focal,
        centre_px: s.centre,
        distortion: s.distortion,
        betas: s.betas,
    }
}

fn status(s: &StatusRepr) -> Status {
    Status {
        sequence: s.sequence,
        time_us: s.time_us,
        uptime_s: s.uptime_s,
        frames_captured: s.frames_captured,
        frames_fitted: s.frames_fitted,
        drops: Drops {
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
        faults: fault_names(s.faults),
        temperature_c: s.temperature_centi_c.map(|centi| f32::from(centi) / 100.0),
        backend: backend(s.backend),
        persons: s.persons,
    }
}

/// Names of the faults that are set, in lower case.
pub fn fault_names(faults: status::Faults) -> Vec<String> {
    names(faults.iter_names())
}

fn names<T>(set: impl Iterator<Item = (&'static str, T)>) -> Vec<String> {
    set.map(|(name, _)| name.to_ascii_lowercase()).collect()
}

fn backend(backend: Backend) -> Option<&'static str> {
    match backend {
        Backend::Cpu => Some("cpu"),
        Backend::Vulkan => Some("vulkan"),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_carry_the_names_and_units_of_the_document() {
        let text = |message: Message| line(&packet(&message).unwrap());
        let pose = text(Message::Pose(PoseRepr {
            sequence: 7,
            flags: neuralsmpl_packet::pose::Flags::SMOOTHED,
            backend: Backend::Cpu,
            translation: [0.1, -0.25, 2.5],
            ..PoseRepr::default()
        }));
        assert!(
            pose.starts_with(r#"{"kind":"pose","sequence":7,"#),
            "{pose}"
        );
        for part in [
            r#""flags":["smoothed"],"backend":"cpu""#,
            r#""translation_m":[0.1,-0.25,2.5]"#,
            r#""rotation_xyzw":[[0.0,0.0,0.0,1.0],"#,
            r#""visibility":["visible","#,
        ] {
            assert!(pose.contains(part), "{part} in {pose}");
        }
        let status = text(Message::Status(StatusRepr {
            temperature_centi_c: Some(-550),
            faults: status::Faults::CLOCK | status::Faults::POOL,
            ..StatusRepr::default()
        }));
        for part in [r#""temperature_c":-5.5"#, r#""faults":["pool","clock"]"#] {
            assert!(status.contains(part), "{part} in {status}");
        }
        let subject = text(Message::Subject(SubjectRepr::default()));
        assert!(subject.contains(r#""image_size_px":[1,1]"#), "{subject}");
    }
}
