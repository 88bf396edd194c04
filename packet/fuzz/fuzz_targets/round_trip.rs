//! Any values of the fields are sent and read back equal, or refused by the name of the field.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use neuralsmpl_packet::{
    Backend, CommandRepr, Fraction, Message, PoseRepr, Quaternion, ReplyRepr, Rotation, StatusRepr,
    SubjectRepr, command, frame, pose, reply, status, subject,
};
use neuralsmpl_packet_fuzz::emit;

#[derive(Debug, Arbitrary)]
struct Common {
    sequence: u32,
    time_us: u64,
    person_id: u16,
    flags: u8,
    backend: u8,
    model_id: u32,
}

#[derive(Debug, Arbitrary)]
enum Input {
    Pose {
        common: Common,
        latency_us: u32,
        translation: [f32; 3],
        quaternions: [[f32; 4]; 24],
        visibility: [u8; 24],
        confidence: [u8; 24],
        fit: [u8; 2],
    },
    Subject {
        common: Common,
        image_size: [u16; 2],
        camera: [f32; 4],
        distortion: [f32; 5],
        betas: [f32; 10],
    },
    Status {
        common: Common,
        counts: [u32; 3],
        drops: [u32; 5],
        frame_rate_hz: f32,
        memory: [u32; 3],
        faults: u32,
        temperature_centi_c: Option<i16>,
        persons: u8,
    },
    Command {
        common: Common,
        operation: Operation,
        argument: u32,
    },
    Reply {
        common: Common,
        operation: Operation,
        outcome: Outcome,
        request: u32,
        value: u32,
    },
}

#[derive(Debug, Arbitrary)]
enum Operation {
    Code(u8),
    Unknown(u8),
}

#[derive(Debug, Arbitrary)]
enum Outcome {
    Code(u8),
    Other(u8),
}

impl Operation {
    fn value(&self) -> command::Operation {
        match self {
            Operation::Code(code) => command::Operation::from_code(*code),
            Operation::Unknown(code) => command::Operation::Unknown(*code),
        }
    }
}

impl Outcome {
    fn value(&self) -> reply::Outcome {
        match self {
            Outcome::Code(code) => reply::Outcome::from_code(*code),
            Outcome::Other(code) => reply::Outcome::Other(*code),
        }
    }
}

fn rotation([w, x, y, z]: [f32; 4]) -> Rotation {
    let Ok(rotation) = Rotation::from_quaternion(Quaternion { w, x, y, z }) else {
        return Rotation::IDENTITY;
    };
    let Quaternion { w, x, y, z } = rotation.to_quaternion();
    let squared = w * w + x * x + y * y + z * z;
    assert!((squared - 1.0).abs() < 1e-6, "norm {squared}");
    assert_eq!(Rotation::from_bytes(rotation.to_bytes()), Some(rotation));
    rotation
}

/// The message, and whether the format allows it.
fn message(input: Input) -> (Message, bool) {
    let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
    match input {
        Input::Pose {
            common,
            latency_us,
            translation,
            quaternions,
            visibility,
            confidence,
            fit: [quality, fit_steps],
        } => {
            let repr = PoseRepr {
                sequence: common.sequence,
                time_us: common.time_us,
                person_id: common.person_id,
                flags: pose::Flags::from_bits_retain(common.flags),
                backend: Backend::from_code(common.backend),
                model_id: common.model_id,
                latency_us,
                translation,
                rotations: quaternions.map(rotation),
                visibility: visibility.map(pose::Visibility::from_code),
                confidence: confidence.map(Fraction),
                fit_quality: Fraction(quality),
                fit_steps,
            };
            (Message::Pose(repr), finite(&translation))
        }
        Input::Subject {
            common,
            image_size,
            camera: [fx, fy, cx, cy],
            distortion,
            betas,
        } => {
            let repr = SubjectRepr {
                sequence: common.sequence,
                time_us: common.time_us,
                person_id: common.person_id,
                flags: subject::Flags::from_bits_retain(common.flags),
                model_id: common.model_id,
                image_size,
                focal: [fx, fy],
                centre: [cx, cy],
                distortion,
                betas,
            };
            let allowed = image_size.iter().all(|side| *side > 0)
                && fx > 0.0
                && fy > 0.0
                && finite(&[fx, fy, cx, cy])
                && finite(&distortion)
                && finite(&betas);
            (Message::Subject(repr), allowed)
        }
        Input::Status {
            common,
            counts: [uptime_s, frames_captured, frames_fitted],
            drops: [overtaken, source, backbone, fit, output],
            frame_rate_hz,
            memory: [memory_kib, pool_peak_kib, pool_kib],
            faults,
            temperature_centi_c,
            persons,
        } => {
            let repr = StatusRepr {
                sequence: common.sequence,
                time_us: common.time_us,
                uptime_s,
                frames_captured,
                frames_fitted,
                drops: status::Drops {
                    overtaken,
                    source,
                    backbone,
                    fit,
                    output,
                },
                frame_rate_hz,
                memory_kib,
                pool_peak_kib,
                pool_kib,
                faults: status::Faults::from_bits_retain(faults),
                temperature_centi_c,
                backend: Backend::from_code(common.backend),
                persons,
            };
            let rate = frame_rate_hz.is_finite() && frame_rate_hz >= 0.0;
            (
                Message::Status(repr),
                rate && temperature_centi_c != Some(i16::MIN),
            )
        }
        Input::Command {
            common,
            operation,
            argument,
        } => {
            let operation = operation.value();
            let repr = CommandRepr {
                sequence: common.sequence,
                time_us: common.time_us,
                operation,
                argument,
            };
            (Message::Command(repr), named(operation))
        }
        Input::Reply {
            common,
            operation,
            outcome,
            request,
            value,
        } => {
            let (operation, outcome) = (operation.value(), outcome.value());
            let repr = ReplyRepr {
                sequence: common.sequence,
                time_us: common.time_us,
                request,
                operation,
                outcome,
                value,
            };
            let outcome = !matches!(outcome, reply::Outcome::Other(0..=3));
            (Message::Reply(repr), named(operation) && outcome)
        }
    }
}

fn named(operation: command::Operation) -> bool {
    !matches!(operation, command::Operation::Unknown(1..=5))
}

fuzz_target!(|input: Input| {
    let (message, allowed) = message(input);
    let payload = emit(&message);
    assert_eq!(payload.is_ok(), allowed, "{message:?}");
    let mut buffer = [0; frame::MAX_FRAME];
    let encoded = message.encode(&mut buffer);
    assert_eq!(encoded.is_ok(), allowed, "{message:?}");
    if let (Ok(payload), Ok(len)) = (payload, encoded) {
        assert_eq!(Message::parse(&payload), Ok(message));
        assert_eq!(len, message.kind().frame_len());
        assert_eq!(frame::decode(&mut buffer[..len]), Ok(payload.as_slice()));
    }
});
