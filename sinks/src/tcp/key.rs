//! The pre-shared key and the Noise handshake that proves it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};

use crate::SinkError;

/// Ephemeral keys from both sides and a key that both know; nothing else to manage.
pub const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// What both sides mix in first, so that no other protocol's handshake passes for ours.
pub const PROLOGUE: &[u8] = b"nsmpl1";

/// Bytes of a key.
pub const KEY: usize = 32;

/// Largest key file that is read, bytes.
const MAX_KEY_FILE: u64 = 1_024;

/// Reads a key: 64 hexadecimal digits in a file that only its owner and group may read.
pub(crate) fn read(path: &Path, index: usize) -> Result<[u8; KEY], SinkError> {
    let wrong = |found: String, expected| SinkError::Key {
        index,
        path: path.to_owned(),
        found,
        expected,
    };
    let readable = "a readable file";
    let meta = fs::metadata(path).map_err(|e| wrong(e.to_string(), readable))?;
    let digits = "64 hexadecimal digits";
    if !meta.is_file() || meta.len() > MAX_KEY_FILE {
        return Err(wrong(format!("{} bytes", meta.len()), digits));
    }
    if meta.mode() & 0o027 != 0 {
        let found = format!("mode {:03o}", meta.mode() & 0o777);
        return Err(wrong(
            found,
            "at most mode 640: nobody else may read or write it",
        ));
    }
    let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string(), digits))?;
    parse(text.trim()).ok_or_else(|| wrong(format!("{} characters", text.trim().len()), digits))
}

fn parse(text: &str) -> Option<[u8; KEY]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let mut key = [0; KEY];
    if digits.len() != 2 * KEY {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(key)
}

/// The server's side of a handshake.
pub(crate) fn responder(key: &[u8; KEY]) -> Result<HandshakeState, snow::Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::new(params)
        .prologue(PROLOGUE)?
        .psk(0, key)?
        .build_responder()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_64_digits_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let attempt = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path, 3).map_err(|e| e.to_string())
        };
        let good = "00ff".repeat(16);
        assert_eq!(
            attempt(&format!("{good}\n"), 0o600).unwrap()[..3],
            [0, 255, 0]
        );
        assert!(attempt(&good, 0o640).is_ok());
        for mode in [0o644, 0o660, 0o604, 0o602] {
            let said = attempt(&good, mode).unwrap_err();
            assert!(
                said.starts_with("sink[3].key_file ") && said.contains("640"),
                "{said}"
            );
        }
        for text in ["", "00", &good[1..], &format!("{good}0"), &"zz".repeat(32)] {
            let said = attempt(text, 0o600).unwrap_err();
            assert!(said.contains("expected 64 hexadecimal digits"), "{said}");
        }
        fs::remove_file(&path).unwrap();
        assert!(
            read(&path, 0)
                .unwrap_err()
                .to_string()
                .contains("openssl rand -hex 32")
        );
    }
}
