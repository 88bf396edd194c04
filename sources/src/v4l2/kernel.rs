//! The ioctls of `linux/videodev2.h` that a camera needs. Layouts are those of 64-bit Linux and
//! tested against the C header.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::time::{ClockId, clock_gettime};

use super::{Driver, Filled, Format, Pixels, wishes};
use crate::error::wrong_size;
use crate::limits::{MAX_COMPRESSED, MAX_VIDEO_PIXELS, V4L2_BUFFERS, is_video_size};
use crate::{Matrix, SourceConfig, SourceError};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the feature `v4l2` is written for 64-bit Linux");

pub(super) const CAPTURE: u32 = 1;
const MMAP: u32 = 1;
pub(super) const CAP_CAPTURE: u32 = 0x1;
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
pub(super) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
const FLAG_ERROR: u32 = 0x40;
const FLAG_CLOCK: u32 = 0xe000;
const FLAG_MONOTONIC: u32 = 0x2000;
/// `V4L2_CAP_TIMEPERFRAME`.
const CAP_RATE: u32 = 0x1000;

pub(super) const fn four_cc(name: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*name)
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct FormatArg {
    pub(super) kind: u32,
    pub(super) padding: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: u32,
    pub(super) field: u32,
    pub(super) bytes_per_line: u32,
    pub(super) size_image: u32,
    pub(super) colour_space: u32,
    pub(super) private: u32,
    pub(super) flags: u32,
    pub(super) encoding: u32,
    pub(super) quantization: u32,
    pub(super) transfer: u32,
    pub(super) rest: [u32; 38],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct StreamArg {
    pub(super) kind: u32,
    pub(super) capability: u32,
    pub(super) mode: u32,
    pub(super) numerator: u32,
    pub(super) denominator: u32,
    pub(super) rest: [u32; 46],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RequestArg {
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) capabilities: u32,
    pub(super) flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct BufferArg {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) used: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    pub(super) padding: u32,
    pub(super) seconds: i64,
    pub(super) micros: i64,
    pub(super) timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) reserved: [u32; 3],
}

macro_rules! zeroed {
    ($kind:ty) => {
        // SAFETY: the structures above hold integers alone, for which all bits zero is a value.
        unsafe { std::mem::zeroed::<$kind>() }
    };
}

macro_rules! update {
    ($name:ident, $number:literal, $kind:ty) => {
        fn $name(fd: &OwnedFd, value: &mut $kind) -> rustix::io::Result<()> {
            const CODE: rustix::ioctl::Opcode = opcode::read_write::<$kind>(b'V', $number);
            // SAFETY: the kernel reads and writes one structure of this type for this code.
            unsafe { ioctl(fd, Updater::<CODE, $kind>::new(value)) }
        }
    };
}

update!(set_format, 5, FormatArg);
update!(request_buffers, 8, RequestArg);
update!(query_buffer, 9, BufferArg);
update!(queue_buffer, 15, BufferArg);
update!(dequeue_buffer, 17, BufferArg);
update!(set_stream, 22, StreamArg);

pub(super) fn query(fd: &OwnedFd) -> rustix::io::Result<Capability> {
    const CODE: rustix::ioctl::Opcode = opcode::read::<Capability>(b'V', 0);
    // SAFETY: the kernel writes one structure of this type for this code.
    unsafe { ioctl(fd, Getter::<CODE, Capability>::new()) }
}

fn stream_on(fd: &OwnedFd) -> rustix::io::Result<()> {
    const CODE: rustix::ioctl::Opcode = opcode::write::<i32>(b'V', 18);
    // SAFETY: the kernel reads one integer for this code.
    unsafe { ioctl(fd, Setter::<CODE, i32>::new(CAPTURE as i32)) }
}

fn stream_off(fd: &OwnedFd) -> rustix::io::Result<()> {
    const CODE: rustix::ioctl::Opcode = opcode::write::<i32>(b'V', 19);
    // SAFETY: the kernel reads one integer for this code.
    unsafe { ioctl(fd, Setter::<CODE, i32>::new(CAPTURE as i32)) }
}

/// One buffer of the driver, mapped.
struct Mapping {
    at: *mut std::ffi::c_void,
    len: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `Device::map`, and no slice of it outlives the device.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}

pub(super) struct Device {
    mappings: Vec<Mapping>,
    fd: OwnedFd,
}

// SAFETY: the mappings belong to this device alone and are not tied to a thread.
unsafe impl Send for Device {}

impl Device {
    /// Opens a camera, agrees on a format and starts it.
    pub(super) fn open(
        path: &Path,
        config: &SourceConfig,
    ) -> Result<(Self, Format, String), SourceError> {
        let name = config.source.as_str();
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| match e {
            Errno::ACCESS | Errno::PERM => SourceError::unusable(
                name,
                "no permission",
                "read and write access to the camera",
                "add the user to the group `video`",
            ),
            e => SourceError::lost(name, e.to_string()),
        })?;
        let capability = query(&fd).map_err(|e| match e {
            Errno::NOTTY | Errno::INVAL => not_a_camera(name, "no V4L2 device"),
            e => SourceError::lost(name, e.to_string()),
        })?;
        let caps = if capability.capabilities & CAP_DEVICE_CAPS == 0 {
            capability.capabilities
        } else {
            capability.device_caps
        };
        if caps & CAP_CAPTURE == 0 || caps & CAP_STREAMING == 0 {
            return Err(not_a_camera(
                name,
                "a V4L2 device that does not stream pictures",
            ));
        }
        let card = String::from_utf8_lossy(&capability.card)
            .trim_end_matches('\0')
            .to_owned();
        let mut format = agree(&fd, name, config)?;
        format.hertz = set_rate(&fd, config);
        let mut device = Self {
            mappings: Vec::new(),
            fd,
        };
        device
            .map()
            .and_then(|()| stream_on(&device.fd).map_err(io::Error::from))
            .map_err(|e| SourceError::lost(name, e.to_string()))?;
        Ok((device, format, card))
    }

    fn map(&mut self) -> io::Result<()> {
        let mut request = zeroed!(RequestArg);
        (request.count, request.kind, request.memory) = (V4L2_BUFFERS, CAPTURE, MMAP);
        request_buffers(&self.fd, &mut request)?;
        for index in 0..request.count.min(4 * V4L2_BUFFERS) {
            let mut buffer = capture_buffer(index);
            query_buffer(&self.fd, &mut buffer)?;
            let len = buffer.length as usize;
            if len == 0 || len > MAX_COMPRESSED + 3 * MAX_VIDEO_PIXELS as usize {
                return Err(io::Error::other(format!("buffers of {len} bytes")));
            }
            // SAFETY: a new shared mapping of a buffer that the driver has just described.
            let at = unsafe {
                mmap(
                    std::ptr::null_mut(),
                    len,
                    ProtFlags::READ,
                    MapFlags::SHARED,
                    &self.fd,
                    buffer.offset & u64::from(u32::MAX),
                )?
            };
            self.mappings.push(Mapping { at, len });
            self.enqueue(index)?;
        }
        if self.mappings.is_empty() {
            return Err(io::Error::other("the driver has no buffers"));
        }
        Ok(())
    }
}

fn capture_buffer(index: u32) -> BufferArg {
    let mut buffer = zeroed!(BufferArg);
    (buffer.index, buffer.kind, buffer.memory) = (index, CAPTURE, MMAP);
    buffer
}

fn not_a_camera(name: &str, found: &str) -> SourceError {
    SourceError::unusable(
        name,
        found,
        "a camera",
        "list cameras with: v4l2-ctl --list-devices",
    )
}

fn agree(fd: &OwnedFd, name: &str, config: &SourceConfig) -> Result<Format, SourceError> {
    for &pixels in wishes(config.format) {
        let wish = match pixels {
            Pixels::Mjpg => four_cc(b"MJPG"),
            Pixels::Yuyv => four_cc(b"YUYV"),
        };
        let mut arg = zeroed!(FormatArg);
        (arg.kind, arg.pixels) = (CAPTURE, wish);
        (arg.width, arg.height) = (config.width.unwrap_or(640), config.height.unwrap_or(480));
        match set_format(fd, &mut arg) {
            Ok(()) => {}
            Err(Errno::INVAL) => continue,
            // Another program streams from it.
            Err(e) => return Err(SourceError::lost(name, e.to_string())),
        }
        if arg.pixels != wish {
            continue;
        }
        if !is_video_size(arg.width, arg.height) {
            return Err(not_a_camera(
                name,
                &wrong_size(arg.width.into(), arg.height.into()),
            ));
        }
        return Ok(Format {
            width: arg.width,
            height: arg.height,
            stride: (arg.bytes_per_line as usize).max(2 * arg.width as usize),
            pixels,
            matrix: match arg.encoding {
                1 => Some(Matrix::Bt601),
                2 => Some(Matrix::Bt709),
                _ => None,
            },
            full_range: arg.quantization == 1,
            hertz: None,
        });
    }
    Err(SourceError::unusable(
        name,
        "a camera without the format asked for",
        "MJPG or YUYV",
        "list its formats with: v4l2-ctl --list-formats-ext; or use a gst: pipeline",
    ))
}

/// Asks for the rate, if one is configured, and returns what the driver says.
fn set_rate(fd: &OwnedFd, config: &SourceConfig) -> Option<f64> {
    let mut arg = zeroed!(StreamArg);
    arg.kind = CAPTURE;
    // With a period of zero a driver chooses its own.
    if let Some(hertz) = config.fps {
        (arg.numerator, arg.denominator) = (1_000, (1_000.0 * hertz).round() as u32);
    }
    set_stream(fd, &mut arg).ok()?;
    let stated = arg.capability & CAP_RATE != 0 && arg.numerator > 0;
    stated.then(|| f64::from(arg.denominator) / f64::from(arg.numerator))
}

impl Driver for Device {
    fn wait(&mut self, at_most: Duration) -> io::Result<bool> {
        let wait = Timespec {
            tv_sec: at_most.as_secs() as i64,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(Errno::INTR) => Ok(false),
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => Ok(true),
            Ok(_) => Err(io::Error::other("the camera is gone")),
            Err(e) => Err(e.into()),
        }
    }

    fn dequeue(&mut self) -> io::Result<Option<Filled>> {
        let mut buffer = capture_buffer(0);
        match dequeue_buffer(&self.fd, &mut buffer) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        if buffer.index as usize >= self.mappings.len() {
            return Err(io::Error::other("a buffer that was not asked for"));
        }
        let monotonic = buffer.flags & FLAG_CLOCK == FLAG_MONOTONIC;
        Ok(Some(Filled {
            index: buffer.index,
            len: buffer.used as usize,
            sequence: buffer.sequence,
            damaged: buffer.flags & FLAG_ERROR != 0,
            captured: monotonic.then(|| {
                Duration::from_secs(buffer.seconds.max(0) as u64)
                    + Duration::from_micros(buffer.micros.max(0) as u64)
            }),
        }))
    }

    fn bytes(&self, filled: &Filled) -> &[u8] {
        let Some(mapping) = self.mappings.get(filled.index as usize) else {
            return &[];
        };
        // SAFETY: the mapping is `len` bytes long and lives as long as the device; the driver
        // does not write to a buffer between dequeue and enqueue.
        unsafe { std::slice::from_raw_parts(mapping.at.cast(), filled.len.min(mapping.len)) }
    }

    fn enqueue(&mut self, index: u32) -> io::Result<()> {
        let mut buffer = capture_buffer(index);
        queue_buffer(&self.fd, &mut buffer)?;
        Ok(())
    }

    fn now(&self) -> Duration {
        let now = clock_gettime(ClockId::Monotonic);
        Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec.max(0) as u32)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // A camera that is gone cannot be stopped.
        let _ = stream_off(&self.fd);
    }
}
