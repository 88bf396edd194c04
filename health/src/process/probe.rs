//! A small kernel file that is opened once and read again and again, without allocation.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Longest reading, bytes: `/proc/self/status` has about 1.5 kB.
const READING: usize = 4096;

/// An open file of `/proc` or `/sys`.
pub(super) struct Probe {
    file: File,
}

impl Probe {
    /// `None` where the file is missing or may not be read.
    pub(super) fn open(path: &Path) -> Option<Self> {
        File::open(path).ok().map(|file| Probe { file })
    }

    /// Hands the text to `read`; `None` where the kernel gives none now.
    pub(super) fn text<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let mut buffer = [0; READING];
        let len = self.file.read_at(&mut buffer, 0).ok()?;
        let bytes = buffer.get(..len)?;
        // Names in these files may be of any bytes; numbers come before or after whole lines.
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        };
        read(text)
    }

    /// The file as one number.
    pub(super) fn number(&self) -> Option<i64> {
        self.text(|text| text.trim().parse().ok())
    }

    /// The file as one hexadecimal number, with or without `0x`.
    pub(super) fn hexadecimal(&self) -> Option<u64> {
        self.text(|text| u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok())
    }
}

/// The value of a line `key: value kB`, bytes.
pub(super) fn kib_line(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line
        .trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

/// A small text file without the ends' white space and zero bytes; `None` where it is not there
/// or empty.
pub(super) fn read_line(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text
        .trim_matches(|c: char| c == '\0' || c.is_whitespace())
        .to_owned();
    (!text.is_empty()).then_some(text)
}
