//! What a video node can do, asked without starting it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Updater, ioctl, opcode};

use super::four_cc;
use super::kernel::{CAP_CAPTURE, CAP_DEVICE_CAPS, CAP_STREAMING, CAPTURE, query};

/// Most formats that are asked for: a driver that never says "no more" is left then.
const MOST_FORMATS: u32 = 64;

/// What a driver says of a video node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraInfo {
    /// The device's name.
    pub card: String,
    /// The driver's.
    pub driver: String,
    /// Whether it streams pictures at all.
    pub captures: bool,
    /// Four-character codes of its formats, such as `MJPG`.
    pub formats: Vec<String>,
}

impl CameraInfo {
    /// Whether a source can read it: it streams pictures as MJPG or YUYV.
    pub fn readable(&self) -> bool {
        let known = [four_cc(b"MJPG"), four_cc(b"YUYV")].map(u32::to_le_bytes);
        let is_known = |format: &String| known.iter().any(|k| format.as_bytes() == k);
        self.captures && self.formats.iter().any(is_known)
    }
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct FormatName {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) description: [u8; 32],
    pub(super) pixels: u32,
    pub(super) bus: u32,
    pub(super) reserved: [u32; 3],
}

/// Asks a video node for its name and formats. Nothing is started or changed.
///
/// # Errors
/// Where it cannot be opened, or is no V4L2 device.
pub fn camera_info(path: &Path) -> io::Result<CameraInfo> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let capability = query(&fd)?;
    let caps = if capability.capabilities & CAP_DEVICE_CAPS == 0 {
        capability.capabilities
    } else {
        capability.device_caps
    };
    Ok(CameraInfo {
        card: text(&capability.card),
        driver: text(&capability.driver),
        captures: caps & CAP_CAPTURE != 0 && caps & CAP_STREAMING != 0,
        formats: formats(&fd),
    })
}

fn formats(fd: &OwnedFd) -> Vec<String> {
    const CODE: rustix::ioctl::Opcode = opcode::read_write::<FormatName>(b'V', 2);
    (0..MOST_FORMATS)
        .map_while(|index| {
            let mut format = FormatName {
                index,
                kind: CAPTURE,
                flags: 0,
                description: [0; 32],
                pixels: 0,
                bus: 0,
                reserved: [0; 3],
            };
            // SAFETY: the kernel reads and writes one structure of this type for this code.
            unsafe { ioctl(fd, Updater::<CODE, FormatName>::new(&mut format)) }.ok()?;
            Some(text(&format.pixels.to_le_bytes()))
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches(['\0', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_formats_can_be_read() {
        let info = |captures, formats: &[&str]| CameraInfo {
            card: "a camera".to_owned(),
            driver: "uvcvideo".to_owned(),
            captures,
            formats: formats.iter().map(|f| (*f).to_owned()).collect(),
        };
        assert!(info(true, &["YUYV", "MJPG"]).readable());
        assert!(!info(true, &["RG10"]).readable());
        assert!(!info(false, &["MJPG"]).readable());
        // The size is part of the request's number: 64 bytes in the C header.
        assert_eq!(size_of::<FormatName>(), 64);
    }

    #[test]
    fn what_is_no_camera_is_an_error() {
        assert!(camera_info(Path::new("/dev/null")).is_err());
        assert!(camera_info(Path::new("/dev/nowhere")).is_err());
    }
}
