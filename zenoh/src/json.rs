//! Packets as JSON: fields by the names of `docs/packet.md`, in units a person can read.

use neuralsmpl_packet::{
    Backend, Message, PoseRepr, StatusRepr, SubjectRepr, pose::Visibility, status,
};
use serde_json::{Value, json};

/// One packet as a JSON object; `Null` for kinds that this version does not know.
pub fn packet(message: &Message) -> Value {
    match message {
        Message::Pose(packet) => pose(packet),
        Message::Subject(packet) => subject(packet),
        Message::Status(packet) => status(packet),
        _ => Value::Null,
    }
}

fn pose(p: &PoseRepr) -> Value {
    let rotations = p.rotations.map(|rotation| {
        let q = rotation.to_quaternion();
        [q.x, q.y, q.z, q.w]
    });
    json!({
        "kind": "pose",
        "sequence": p.sequence,
        "time_us": p.time_us,
        "person_id": p.person_id,
        "flags": names(p.flags.iter_names()),
        "backend": backend(p.backend),
        "model_id": p.model_id,
        "latency_us": p.latency_us,
        "translation_m": p.translation,
        "rotation_xyzw": rotations,
        "visibility": p.visibility.map(visibility),
        "confidence": p.confidence.map(|c| c.to_f32()),
        "fit_quality": p.fit_quality.to_f32(),
        "fit_steps": p.fit_steps,
    })
}

fn subject(s: &SubjectRepr) -> Value {
    json!({
        "kind": "subject",
        "sequence": s.sequence,
        "time_us": s.time_us,
        "person_id": s.person_id,
        "flags": names(s.flags.iter_names()),
        "model_id": s.model_id,
        "image_size_px": s.image_size,
        "focal_px": s.focal,
        "centre_px": s.centre,
        "distortion": s.distortion,
        "betas": s.betas,
    })
}

fn status(s: &StatusRepr) -> Value {
    json!({
        "kind": "status",
        "sequence": s.sequence,
        "time_us": s.time_us,
        "uptime_s": s.uptime_s,
        "frames_captured": s.frames_captured,
        "frames_fitted": s.frames_fitted,
        "drops": {
            "overtaken": s.drops.overtaken,
            "source": s.drops.source,
            "backbone": s.drops.backbone,
            "fit": s.drops.fit,
            "output": s.drops.output,
        },
        "frame_rate_hz": s.frame_rate_hz,
        "memory_kib": s.memory_kib,
        "pool_peak_kib": s.pool_peak_kib,
        "pool_kib": s.pool_kib,
        "faults": fault_names(s.faults),
        "temperature_c": s.temperature_centi_c.map(|centi| f64::from(centi) / 100.0),
        "backend": backend(s.backend),
        "persons": s.persons,
    })
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
        let value = packet(&Message::Pose(PoseRepr {
            sequence: 7,
            flags: neuralsmpl_packet::pose::Flags::SMOOTHED,
            backend: Backend::Cpu,
            ..PoseRepr::default()
        }));
        assert_eq!(value["sequence"], 7);
        assert_eq!(value["flags"], json!(["smoothed"]));
        assert_eq!(value["backend"], "cpu");
        assert_eq!(value["rotation_xyzw"][23], json!([0.0, 0.0, 0.0, 1.0]));

        let value = packet(&Message::Status(StatusRepr {
            temperature_centi_c: Some(-550),
            faults: status::Faults::CLOCK | status::Faults::POOL,
            ..StatusRepr::default()
        }));
        assert_eq!(value["temperature_c"], -5.5);
        assert_eq!(value["faults"], json!(["pool", "clock"]));

        let value = packet(&Message::Subject(SubjectRepr::default()));
        assert_eq!(value["image_size_px"], json!([1, 1]));
    }
}
