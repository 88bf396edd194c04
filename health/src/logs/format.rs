//! The journal's form of a line: its priority in front, no time, as the journal adds its own.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::AsFd;

use log::Level;

/// Whether stderr is the journal: systemd names its socket in `JOURNAL_STREAM`.
pub fn goes_to_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some_and(|stream| is_stream(&stream, io::stderr()))
}

/// Whether `stream`, as `device:inode`, is this file.
fn is_stream(stream: &OsStr, file: impl AsFd) -> bool {
    let Some((device, inode)) = stream.to_str().and_then(|text| text.split_once(':')) else {
        return false;
    };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else {
        return false;
    };
    rustix::fs::fstat(file).is_ok_and(|stat| stat.st_dev == device && stat.st_ino == inode)
}

/// Sets the journal's form: `<4>text`, every line with its priority.
pub fn for_journal(builder: &mut env_logger::Builder) {
    builder.format(|to, record| {
        let priority = priority(record.level());
        let text = record.args().to_string();
        for line in text.lines() {
            writeln!(to, "<{priority}>{line}")?;
        }
        Ok(())
    });
}

/// syslog(3)'s number.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_compared() {
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let own = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_stream(OsStr::new(&own), &file));
        for other in ["", "8", "8:x", "0:0", &format!("{own}1")] {
            assert!(!is_stream(OsStr::new(other), &file), "{other}");
        }
    }
}
