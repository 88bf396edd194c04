//! A serial line, 8N1: survives unplugging, keeps little in the kernel, takes commands.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use neuralsmpl_packet::Kind;
use neuralsmpl_packet::frame::{DELIMITER, MAX_FRAME};
use rustix::io::Errno;
use serial2::{CharSize, FlowControl, Parity, SerialPort, Settings, StopBits};

use crate::config::SerialConfig;
use crate::control::Listener;
use crate::item::{Item, Numbering};
use crate::limits::{READ_CHUNK, SERIAL_AHEAD, SERIAL_LOAD};
use crate::sink::{Shared, Sink, Watch};
use crate::{DropCause, Fault};

/// Bits that a byte takes on an 8N1 line.
const BITS: f64 = 10.0;

/// What the warning at start says where packets fill the line; `None` where they fit.
///
/// `persons` poses come `rate_hz` times a second each, and a status every second.
///
/// ```
/// use neuralsmpl_sinks::baud_warning;
///
/// assert_eq!(baud_warning(115_200, 1, 30.0), None);
/// let said = baud_warning(57_600, 2, 30.0).unwrap();
/// assert!(said.starts_with("2 persons at 30 Hz with 222 B and 10 bits each need 133200 baud"));
/// ```
pub fn baud_warning(baud: u32, persons: usize, rate_hz: f32) -> Option<String> {
    let frame = Kind::Pose.frame_len();
    let poses = persons as f64 * f64::from(rate_hz);
    let status = Kind::Status.frame_len() as f64 * BITS;
    let subjects = persons as f64 * Kind::Subject.frame_len() as f64 * BITS / 5.0;
    let need = poses * frame as f64 * BITS;
    let load = (need + status + subjects) / f64::from(baud);
    if load <= SERIAL_LOAD {
        return None;
    }
    let room = (f64::from(baud) * SERIAL_LOAD - status - subjects) / (frame as f64 * BITS);
    let rate = (room / persons.max(1) as f64).floor().max(0.0);
    let whose = if persons == 1 { "person" } else { "persons" };
    Some(format!(
        "{persons} {whose} at {rate_hz} Hz with {frame} B and 10 bits each need {need:.0} baud, \
         with status and subjects {:.0} % of {baud} baud; the line carries {rate:.0} poses a \
         second for each: set `rate_hz = {}` or a higher `baud`",
        load * 100.0,
        rate.max(1.0),
    ))
}

/// See the head of the file.
pub(crate) struct Serial {
    config: SerialConfig,
    port: Option<SerialPort>,
    /// Bytes on their way to the kernel.
    out: [u8; MAX_FRAME],
    len: usize,
    pos: usize,
    /// Packets among them that count as sent.
    packets: u64,
    /// When the line has sent what the kernel has, by the line's speed.
    free_at: Instant,
    numbering: Numbering,
    listener: Listener,
    /// Counts how often the line was opened, so that no reply outlives its line.
    generation: u32,
}

impl Serial {
    pub fn new(config: SerialConfig) -> Self {
        Self {
            config,
            port: None,
            out: [0; MAX_FRAME],
            len: 0,
            pos: 0,
            packets: 0,
            free_at: Instant::now(),
            numbering: Numbering::default(),
            listener: Listener::default(),
            generation: 0,
        }
    }

    fn line_time(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * BITS / f64::from(self.config.baud))
    }

    fn load(&mut self, frame: &[u8], packets: u64) {
        self.out[..frame.len()].copy_from_slice(frame);
        self.len = frame.len();
        self.pos = 0;
        self.packets = packets;
    }

    fn fault(&self, doing: &str, error: impl Into<std::io::Error>) -> Fault {
        Fault::io(doing, self.config.device.display(), &error.into())
    }

    /// Writes until all is gone or the kernel's buffer is full.
    fn flush(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(port) = &self.port else {
            return Ok(());
        };
        while self.pos < self.len {
            match rustix::io::write(port, &self.out[self.pos..self.len]) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(n) => self.pos += n,
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(self.fault("write", error).losing(self.packets));
                }
            }
        }
        if self.len > 0 {
            self.free_at = self.free_at.max(Instant::now()) + self.line_time(self.len);
            shared.counters.sent(self.packets, self.len);
            self.len = 0;
            self.packets = 0;
        }
        Ok(())
    }

    /// Reads even where no commands are taken: that is how an unplugged line shows.
    fn read(&mut self, shared: &Shared) -> Result<(), Fault> {
        let Some(port) = &self.port else {
            return Ok(());
        };
        let mut chunk = [0; READ_CHUNK];
        match rustix::io::read(port, &mut chunk) {
            Ok(0) => {
                let gone = std::io::Error::from(std::io::ErrorKind::NotConnected);
                Err(self.fault("read", gone).losing(self.packets))
            }
            Ok(n) => {
                if self.config.control {
                    self.listener.feed(&chunk[..n], self.generation, shared);
                }
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(self.fault("read", error).losing(self.packets)),
        }
    }
}

impl Sink for Serial {
    fn open(&mut self, _shared: &Shared) -> Result<(), Fault> {
        let (baud, rts_cts) = (self.config.baud, self.config.rts_cts);
        let port = SerialPort::open(&self.config.device, |mut settings: Settings| {
            settings.set_raw();
            settings.set_baud_rate(baud)?;
            settings.set_char_size(CharSize::Bits8);
            settings.set_stop_bits(StopBits::One);
            settings.set_parity(Parity::None);
            settings.set_flow_control(match rts_cts {
                true => FlowControl::RtsCts,
                false => FlowControl::None,
            });
            Ok(settings)
        })
        .map_err(|error| self.fault("open", error))?;
        rustix::termios::ioctl_tiocexcl(&port).map_err(|error| self.fault("lock", error))?;
        self.port = Some(port);
        self.generation = self.generation.wrapping_add(1);
        self.numbering = Numbering::default();
        self.listener = Listener::default();
        self.free_at = Instant::now();
        self.load(&[DELIMITER], 0);
        Ok(())
    }

    fn accepts(&self) -> bool {
        let ahead = self.free_at.saturating_duration_since(Instant::now());
        self.len == 0 && ahead <= self.line_time(SERIAL_AHEAD)
    }

    fn write(&mut self, item: &Item, shared: &Shared) -> Result<(), Fault> {
        let (frame, len) = item.frame(self.numbering.of(item));
        self.load(&frame[..len], 1);
        // The worker counts this packet where the fault is.
        self.flush(shared).map_err(|fault| fault.losing(0))
    }

    fn pump(&mut self, shared: &Shared) -> Result<(), Fault> {
        self.flush(shared)?;
        while self.accepts() {
            let Some((client, reply)) = shared.desk.reply() else {
                break;
            };
            if client != self.generation {
                continue;
            }
            if let Ok(item) = Item::new(&reply) {
                let (frame, len) = item.frame(self.numbering.extra());
                self.load(&frame[..len], 1);
                self.flush(shared)?;
            }
        }
        self.read(shared)
    }

    fn watch<'a>(&'a self, watch: &mut Watch<'a>) {
        if let Some(port) = &self.port {
            watch.both(port.as_fd(), self.len > 0);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let ready = self.free_at.checked_sub(self.line_time(SERIAL_AHEAD))?;
        (ready > Instant::now()).then_some(ready)
    }

    fn idle(&self) -> bool {
        self.len == 0
    }

    fn release(&mut self) {
        self.port = None;
        self.len = 0;
        self.packets = 0;
    }

    fn finish(&mut self, shared: &Shared) {
        shared
            .counters
            .drop_packets(DropCause::Shutdown, self.packets);
        self.release();
    }
}
