//! Status: the sender's health, about once a second.

use bitflags::bitflags;

use crate::layout::{Field, Type, check, header, write_header};
use crate::{Backend, InvalidField, Kind, ParseError};

/// Stands for a temperature that is not known.
const NO_TEMPERATURE: i16 = i16::MIN;

const UPTIME: Field = Field::after(&header::TIME, "uptime_s", Type::U32, 1);
const CAPTURED: Field = Field::after(&UPTIME, "frames_captured", Type::U32, 1);
const FITTED: Field = Field::after(&CAPTURED, "frames_fitted", Type::U32, 1);
const DROPPED: Field = Field::after(&FITTED, "drops", Type::U32, 5);
const RATE: Field = Field::after(&DROPPED, "frame_rate_hz", Type::F32, 1);
const MEMORY: Field = Field::after(&RATE, "memory_kib", Type::U32, 1);
const POOL_PEAK: Field = Field::after(&MEMORY, "pool_peak_kib", Type::U32, 1);
const POOL: Field = Field::after(&POOL_PEAK, "pool_kib", Type::U32, 1);
const FAULTS: Field = Field::after(&POOL, "faults", Type::U32, 1);
const TEMPERATURE: Field = Field::after(&FAULTS, "temperature_centi_c", Type::I16, 1);
const BACKEND: Field = Field::after(&TEMPERATURE, "backend", Type::U8, 1);
const PERSONS: Field = Field::after(&BACKEND, "persons", Type::U8, 1);

/// The fields behind the [`header`], in wire order.
pub const LAYOUT: &[Field] = &[
    UPTIME,
    CAPTURED,
    FITTED,
    DROPPED,
    RATE,
    MEMORY,
    POOL_PEAK,
    POOL,
    FAULTS,
    TEMPERATURE,
    BACKEND,
    PERSONS,
];

/// Bytes of the payload.
pub const LEN: usize = PERSONS.end();

bitflags! {
    /// What is wrong now; clear when it is over. Bits without a name are kept and have no
    /// meaning yet.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct Faults: u32 {
        /// The source gives no frames.
        const SOURCE = 1 << 0;
        /// The network could not run.
        const BACKBONE = 1 << 1;
        /// The pool of the network is exhausted.
        const POOL = 1 << 2;
        /// The fit gave no usable pose.
        const FIT = 1 << 3;
        /// An output does not take packets.
        const OUTPUT = 1 << 4;
        /// Frames take longer than the deadline.
        const DEADLINE = 1 << 5;
        /// The device throttles because it is hot.
        const THERMAL = 1 << 6;
        /// The asked-for backend is missing and another one runs.
        const FALLBACK = 1 << 7;
        /// The clock is not synchronised: times are relative to an arbitrary start.
        const CLOCK = 1 << 8;
        const _ = !0;
    }
}

/// Frames that gave no pose since the start, by cause. Counters wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Drops {
    /// A newer frame was there before this one's turn.
    pub overtaken: u32,
    /// The source delivered something broken.
    pub source: u32,
    /// The network failed, or its pool was exhausted.
    pub backbone: u32,
    /// The fit failed.
    pub fit: u32,
    /// The pose was ready, and the output did not take it.
    pub output: u32,
}

impl Drops {
    const fn to_array(self) -> [u32; 5] {
        [
            self.overtaken,
            self.source,
            self.backbone,
            self.fit,
            self.output,
        ]
    }

    const fn from_array([overtaken, source, backbone, fit, output]: [u32; 5]) -> Self {
        Drops {
            overtaken,
            source,
            backbone,
            fit,
            output,
        }
    }
}

/// A checked view of a status payload.
///
/// ```
/// use neuralsmpl_packet::{StatusPacket, StatusRepr};
///
/// let payload = StatusRepr { uptime_s: 90, ..StatusRepr::default() }.emit()?;
/// assert_eq!(StatusPacket::new_checked(payload)?.uptime_s(), 90);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks header, length and frame rate. Never panics.
    ///
    /// # Errors
    /// [`ParseError`] with the first fault.
    pub fn new_checked(buffer: T) -> Result<Self, ParseError> {
        let packet = Packet { buffer };
        check(packet.payload(), Kind::Status)?;
        Repr::parse(&packet).check()?;
        Ok(packet)
    }

    /// The bytes that the view looks at.
    pub fn payload(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// See [`Repr::sequence`].
    pub fn sequence(&self) -> u32 {
        header::SEQUENCE.u32(self.payload())
    }

    /// See [`Repr::time_us`].
    pub fn time_us(&self) -> u64 {
        header::TIME.u64(self.payload())
    }

    /// See [`Repr::uptime_s`].
    pub fn uptime_s(&self) -> u32 {
        UPTIME.u32(self.payload())
    }

    /// See [`Repr::frames_captured`].
    pub fn frames_captured(&self) -> u32 {
        CAPTURED.u32(self.payload())
    }

    /// See [`Repr::frames_fitted`].
    pub fn frames_fitted(&self) -> u32 {
        FITTED.u32(self.payload())
    }

    /// See [`Repr::drops`].
    pub fn drops(&self) -> Drops {
        let payload = self.payload();
        Drops::from_array(core::array::from_fn(|cause| {
            u32::from_le_bytes(DROPPED.read(payload, cause))
        }))
    }

    /// See [`Repr::frame_rate_hz`].
    pub fn frame_rate_hz(&self) -> f32 {
        RATE.f32(self.payload(), 0)
    }

    /// See [`Repr::memory_kib`].
    pub fn memory_kib(&self) -> u32 {
        MEMORY.u32(self.payload())
    }

    /// See [`Repr::pool_peak_kib`].
    pub fn pool_peak_kib(&self) -> u32 {
        POOL_PEAK.u32(self.payload())
    }

    /// See [`Repr::pool_kib`].
    pub fn pool_kib(&self) -> u32 {
        POOL.u32(self.payload())
    }

    /// See [`Repr::faults`].
    pub fn faults(&self) -> Faults {
        Faults::from_bits_retain(FAULTS.u32(self.payload()))
    }

    /// See [`Repr::temperature_centi_c`].
    pub fn temperature_centi_c(&self) -> Option<i16> {
        let value = i16::from_le_bytes(TEMPERATURE.read(self.payload(), 0));
        (value != NO_TEMPERATURE).then_some(value)
    }

    /// See [`Repr::backend`].
    pub fn backend(&self) -> Backend {
        Backend::from_code(BACKEND.u8(self.payload()))
    }

    /// See [`Repr::persons`].
    pub fn persons(&self) -> u8 {
        PERSONS.u8(self.payload())
    }
}

/// A status, parsed.
///
/// ```
/// use neuralsmpl_packet::{StatusPacket, StatusRepr, status::Faults};
///
/// let sent = StatusRepr {
///     frame_rate_hz: 29.97,
///     temperature_centi_c: Some(6150), // 61.5 °C
///     faults: Faults::THERMAL | Faults::DEADLINE,
///     ..StatusRepr::default()
/// };
/// assert_eq!(StatusRepr::parse(&StatusPacket::new_checked(sent.emit()?)?), sent);
/// # Ok::<(), neuralsmpl_packet::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Repr {
    /// Counts the packets of all kinds on one stream, see [`crate::PoseRepr::sequence`].
    pub sequence: u32,
    /// When the packet was written: microseconds since the Unix epoch on the sender's clock.
    pub time_us: u64,
    /// Seconds since the sender started.
    pub uptime_s: u32,
    /// Frames that the source delivered since the start; wraps.
    pub frames_captured: u32,
    /// Frames that went through the fit since the start; wraps.
    pub frames_fitted: u32,
    /// Frames that gave no pose since the start.
    pub drops: Drops,
    /// Fitted frames per second over the last second or more; finite, not negative.
    pub frame_rate_hz: f32,
    /// Resident memory of the sender, KiB.
    pub memory_kib: u32,
    /// Most that the network's pool ever held, KiB; 0 where it has no pool.
    pub pool_peak_kib: u32,
    /// Size of the network's pool, KiB; 0 where it has no pool.
    pub pool_kib: u32,
    /// What is wrong now.
    pub faults: Faults,
    /// Hottest sensor of the device in hundredths of a degree Celsius; `None` where there is no
    /// sensor. (−327.68 °C stands for `None` on the wire, and is read so.)
    pub temperature_centi_c: Option<i16>,
    /// What computes the fit.
    pub backend: Backend,
    /// Persons followed now.
    pub persons: u8,
}

impl Repr {
    /// Reads all fields of a checked view. Never panics.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Repr {
            sequence: packet.sequence(),
            time_us: packet.time_us(),
            uptime_s: packet.uptime_s(),
            frames_captured: packet.frames_captured(),
            frames_fitted: packet.frames_fitted(),
            drops: packet.drops(),
            frame_rate_hz: packet.frame_rate_hz(),
            memory_kib: packet.memory_kib(),
            pool_peak_kib: packet.pool_peak_kib(),
            pool_kib: packet.pool_kib(),
            faults: packet.faults(),
            temperature_centi_c: packet.temperature_centi_c(),
            backend: packet.backend(),
            persons: packet.persons(),
        }
    }

    /// Writes the payload.
    ///
    /// # Errors
    /// [`InvalidField`] where the frame rate is not finite or negative, or where the temperature
    /// is `Some` of the value that stands for `None`.
    pub fn emit(&self) -> Result<[u8; LEN], InvalidField> {
        self.check()?;
        let mut payload = [0; LEN];
        let out = &mut payload;
        write_header(out, Kind::Status, self.sequence, self.time_us);
        UPTIME.write(out, 0, self.uptime_s.to_le_bytes());
        CAPTURED.write(out, 0, self.frames_captured.to_le_bytes());
        FITTED.write(out, 0, self.frames_fitted.to_le_bytes());
        for (cause, count) in self.drops.to_array().iter().enumerate() {
            DROPPED.write(out, cause, count.to_le_bytes());
        }
        RATE.write(out, 0, self.frame_rate_hz.to_le_bytes());
        MEMORY.write(out, 0, self.memory_kib.to_le_bytes());
        POOL_PEAK.write(out, 0, self.pool_peak_kib.to_le_bytes());
        POOL.write(out, 0, self.pool_kib.to_le_bytes());
        FAULTS.write(out, 0, self.faults.bits().to_le_bytes());
        let temperature = self.temperature_centi_c.unwrap_or(NO_TEMPERATURE);
        TEMPERATURE.write(out, 0, temperature.to_le_bytes());
        BACKEND.write(out, 0, [self.backend.code()]);
        PERSONS.write(out, 0, [self.persons]);
        Ok(payload)
    }

    fn check(&self) -> Result<(), InvalidField> {
        let rate = self.frame_rate_hz.is_finite() && self.frame_rate_hz >= 0.0;
        InvalidField::unless(rate, RATE.name, "finite and not negative")?;
        let temperature = self.temperature_centi_c != Some(NO_TEMPERATURE);
        InvalidField::unless(temperature, TEMPERATURE.name, "above -327.68 °C")
    }
}
