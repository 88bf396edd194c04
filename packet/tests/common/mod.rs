//! Messages that several tests use: named samples and proptest strategies.
#![allow(dead_code, reason = "each test binary uses its part")]

use neuralsmpl_packet::{
    Backend, CommandRepr, Fraction, Message, PoseRepr, Quaternion, ReplyRepr, Rotation, StatusRepr,
    SubjectRepr, command, pose, reply, status, subject,
};
use proptest::prelude::*;

/// Runs with proptest's own count of cases; a failing case prints its value, no file is kept.
pub fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Numbers in -1..1 from a fixed sequence (Knuth's MMIX generator).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005);
        self.0 = self.0.wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn quaternion(&mut self) -> Quaternion {
        loop {
            let [w, x, y, z] = std::array::from_fn(|_| self.next());
            let squared = w * w + x * x + y * y + z * z;
            if (0.01..=1.0).contains(&squared) {
                return Quaternion { w, x, y, z };
            }
        }
    }

    pub fn rotation(&mut self) -> Rotation {
        Rotation::from_quaternion(self.quaternion()).unwrap()
    }
}

/// The messages of the pinned vectors.
pub fn samples() -> Vec<(&'static str, Message)> {
    let mut numbers = Numbers(1);
    let full = PoseRepr {
        sequence: 0x0403_0201,
        time_us: 1_767_225_600_123_456,
        person_id: 0x0605,
        flags: pose::Flags::SMOOTHED | pose::Flags::OCCLUDED | pose::Flags::RESTARTED,
        backend: Backend::Vulkan,
        model_id: 0xdead_beef,
        latency_us: 41_250,
        translation: [-0.25, 0.375, 2.8125],
        rotations: std::array::from_fn(|_| numbers.rotation()),
        visibility: std::array::from_fn(|joint| pose::Visibility::from_code((joint * 7 / 5) as u8)),
        confidence: std::array::from_fn(|joint| Fraction((joint * 11) as u8)),
        fit_quality: Fraction::from_f32(0.87),
        fit_steps: 12,
    };
    // All components ±1/2: every choice of the one left out, and every sign.
    let corner = |joint: usize| {
        let half = |bit: usize| if joint >> bit & 1 == 1 { -0.5 } else { 0.5 };
        let nudge = |part: usize| if joint % 4 == part { 1e-3 } else { 0.0_f32 };
        Rotation::from_quaternion(Quaternion {
            w: half(0) + nudge(0).copysign(half(0)),
            x: half(1) + nudge(1).copysign(half(1)),
            y: half(2) + nudge(2).copysign(half(2)),
            z: half(3) + nudge(3).copysign(half(3)),
        })
    };
    let extreme = PoseRepr {
        sequence: u32::MAX,
        time_us: (1 << 53) - 1, // the largest that a JSON reader in JavaScript keeps exact
        person_id: u16::MAX,
        flags: pose::Flags::from_bits_retain(0xff),
        backend: Backend::Cpu,
        model_id: u32::MAX,
        latency_us: u32::MAX,
        translation: [f32::MAX, f32::MIN, f32::MIN_POSITIVE],
        rotations: std::array::from_fn(|joint| corner(joint).unwrap()),
        visibility: [pose::Visibility::OutOfFrame; pose::JOINTS],
        confidence: [Fraction(255); pose::JOINTS],
        fit_quality: Fraction(255),
        fit_steps: 255,
    };
    let subject = SubjectRepr {
        sequence: 17,
        time_us: 1_767_225_600_200_000,
        person_id: 3,
        flags: subject::Flags::CALIBRATED | subject::Flags::SETTLED,
        model_id: 0xdead_beef,
        image_size: [1920, 1080],
        focal: [1402.5, 1401.25],
        centre: [963.5, 541.75],
        distortion: [-0.125, 0.0625, 0.001, -0.002, 0.03],
        betas: [1.5, -0.75, 0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -3.25],
    };
    let status = StatusRepr {
        sequence: 18,
        time_us: 1_767_225_601_000_000,
        uptime_s: 86_400,
        frames_captured: 2_592_000,
        frames_fitted: 2_591_900,
        drops: status::Drops {
            overtaken: 61,
            source: 17,
            backbone: 13,
            fit: 7,
            output: 2,
        },
        frame_rate_hz: 29.97,
        memory_kib: 412_672,
        pool_peak_kib: 98_304,
        pool_kib: 131_072,
        faults: status::Faults::DEADLINE | status::Faults::THERMAL | status::Faults::CLOCK,
        temperature_centi_c: Some(-550),
        backend: Backend::Cpu,
        persons: 2,
    };
    let set_rate = CommandRepr {
        sequence: 2,
        time_us: 1_767_225_602_000_000,
        operation: command::Operation::SetRate,
        argument: 12_500,
    };
    let later = CommandRepr {
        sequence: u32::MAX,
        time_us: (1 << 53) - 1,
        operation: command::Operation::Unknown(0xfe),
        argument: u32::MAX,
    };
    let reply = ReplyRepr {
        sequence: 19,
        time_us: 1_767_225_602_000_900,
        request: 2,
        operation: command::Operation::SetRate,
        outcome: reply::Outcome::Done,
        value: 12_500,
    };
    let refusal = ReplyRepr {
        sequence: u32::MAX,
        time_us: (1 << 53) - 1,
        request: u32::MAX,
        operation: command::Operation::Unknown(0xfe),
        outcome: reply::Outcome::UnknownOperation,
        value: u32::MAX,
    };
    vec![
        ("pose_rest", Message::Pose(PoseRepr::default())),
        ("pose_full", Message::Pose(full)),
        ("pose_extreme", Message::Pose(extreme)),
        ("subject_default", Message::Subject(SubjectRepr::default())),
        ("subject_full", Message::Subject(subject)),
        ("status_default", Message::Status(StatusRepr::default())),
        ("status_full", Message::Status(status)),
        ("command_default", Message::Command(CommandRepr::default())),
        ("command_set_rate", Message::Command(set_rate)),
        ("command_unknown", Message::Command(later)),
        ("reply_default", Message::Reply(ReplyRepr::default())),
        ("reply_set_rate", Message::Reply(reply)),
        ("reply_unknown", Message::Reply(refusal)),
    ]
}

/// The payload of a message.
pub fn payload(message: &Message) -> Vec<u8> {
    match message {
        Message::Pose(repr) => repr.emit().unwrap().to_vec(),
        Message::Subject(repr) => repr.emit().unwrap().to_vec(),
        Message::Status(repr) => repr.emit().unwrap().to_vec(),
        Message::Command(repr) => repr.emit().unwrap().to_vec(),
        Message::Reply(repr) => repr.emit().unwrap().to_vec(),
        _ => unreachable!("a kind without a sample"),
    }
}

/// The frame of a message.
pub fn frame(message: &Message) -> Vec<u8> {
    let mut buffer = [0; neuralsmpl_packet::frame::MAX_FRAME];
    let len = message.encode(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |value| value.is_finite())
}

fn positive() -> impl Strategy<Value = f32> {
    finite()
        .prop_map(f32::abs)
        .prop_filter("positive", |v| *v > 0.0)
}

fn finites<const N: usize>() -> impl Strategy<Value = [f32; N]> {
    prop::collection::vec(finite(), N).prop_map(|values| values.try_into().unwrap())
}

fn backend() -> impl Strategy<Value = Backend> {
    any::<u8>().prop_map(Backend::from_code)
}

pub fn rotation() -> impl Strategy<Value = Rotation> {
    prop::array::uniform4(-1.0_f32..=1.0).prop_filter_map("a direction", |[w, x, y, z]| {
        Rotation::from_quaternion(Quaternion { w, x, y, z }).ok()
    })
}

pub fn pose() -> impl Strategy<Value = PoseRepr> {
    let scalars = any::<(u32, u64, u16, u8, u32, u32, u8, u8)>();
    let joints = (
        prop::array::uniform24(rotation()),
        prop::array::uniform24(any::<u8>().prop_map(pose::Visibility::from_code)),
        prop::array::uniform24(any::<u8>().prop_map(Fraction)),
    );
    (scalars, backend(), finites(), joints).prop_map(
        |(scalars, backend, translation, (rotations, visibility, confidence))| {
            let (sequence, time_us, person_id, flags, model_id, latency_us, quality, fit_steps) =
                scalars;
            PoseRepr {
                sequence,
                time_us,
                person_id,
                flags: pose::Flags::from_bits_retain(flags),
                backend,
                model_id,
                latency_us,
                translation,
                rotations,
                visibility,
                confidence,
                fit_quality: Fraction(quality),
                fit_steps,
            }
        },
    )
}

pub fn subject() -> impl Strategy<Value = SubjectRepr> {
    let scalars = any::<(u32, u64, u16, u8, u32)>();
    let camera = (
        prop::array::uniform2(1_u16..),
        prop::array::uniform2(positive()),
        finites(),
        finites(),
    );
    (scalars, camera, finites()).prop_map(
        |(
            (sequence, time_us, person_id, flags, model_id),
            (image_size, focal, centre, distortion),
            betas,
        )| SubjectRepr {
            sequence,
            time_us,
            person_id,
            flags: subject::Flags::from_bits_retain(flags),
            model_id,
            image_size,
            focal,
            centre,
            distortion,
            betas,
        },
    )
}

pub fn status() -> impl Strategy<Value = StatusRepr> {
    let scalars = any::<(u32, u64, u32, u32, u32)>();
    let health = any::<([u32; 5], u32, u32, u32, u32, u8)>();
    let temperature = prop::option::of(-32767_i16..);
    (scalars, health, finite(), temperature, backend()).prop_map(
        |(
            (sequence, time_us, uptime_s, frames_captured, frames_fitted),
            ([overtaken, source, backbone, fit, output], memory_kib, peak, pool, faults, persons),
            frame_rate_hz,
            temperature_centi_c,
            backend,
        )| StatusRepr {
            sequence,
            time_us,
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
            frame_rate_hz: frame_rate_hz.abs(),
            memory_kib,
            pool_peak_kib: peak,
            pool_kib: pool,
            faults: status::Faults::from_bits_retain(faults),
            temperature_centi_c,
            backend,
            persons,
        },
    )
}

fn operation() -> impl Strategy<Value = command::Operation> {
    prop_oneof![0_u8..8, any::<u8>()].prop_map(command::Operation::from_code)
}

pub fn command() -> impl Strategy<Value = CommandRepr> {
    (any::<(u32, u64, u32)>(), operation()).prop_map(
        |((sequence, time_us, argument), operation)| CommandRepr {
            sequence,
            time_us,
            operation,
            argument,
        },
    )
}

pub fn reply() -> impl Strategy<Value = ReplyRepr> {
    let outcome = prop_oneof![0_u8..6, any::<u8>()].prop_map(reply::Outcome::from_code);
    (any::<(u32, u64, u32, u32)>(), operation(), outcome).prop_map(
        |((sequence, time_us, request, value), operation, outcome)| ReplyRepr {
            sequence,
            time_us,
            request,
            operation,
            outcome,
            value,
        },
    )
}

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        pose().prop_map(Message::Pose),
        subject().prop_map(Message::Subject),
        status().prop_map(Message::Status),
        command().prop_map(Message::Command),
        reply().prop_map(Message::Reply),
    ]
}
