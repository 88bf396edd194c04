//! The table `[web]` of a configuration.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::WebError;
use crate::limits::{MAX_FPS, MAX_HOSTS, MAX_VIEWERS, TOKEN_CHARS, TOKEN_FILE};

/// Bits of a file's mode that let others than owner and group use it.
const OTHERS: u32 = 0o007;

/// What must be known to see and use the page. Never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token of the form that can travel in a header.
    ///
    /// # Errors
    /// [`WebError::Config`] with what is wrong with it; it is not quoted.
    pub fn new(text: &str) -> Result<Self, WebError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let (length, bad) = (text.chars().count(), text.chars().any(|c| !plain(c)));
        if TOKEN_CHARS.contains(&length) && !bad {
            return Ok(Self(text.to_owned()));
        }
        Err(WebError::Config {
            key: "web.token",
            found: match bad {
                true => "a character that may not be in a token".to_owned(),
                false => format!("{length} characters"),
            },
            expected: format!(
                "{} to {} of A–Z a–z 0–9 - . _ ~, such as the output of `openssl rand -hex 16`",
                TOKEN_CHARS.start(),
                TOKEN_CHARS.end()
            ),
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// `[web]`: the live page.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Where it is served; absent: not at all.
    pub listen: Option<SocketAddr>,
    /// What viewers must know; needed on every address that is not loopback.
    pub token: Option<Token>,
    /// A file that holds the token, instead of [`WebConfig::token`].
    pub token_file: Option<PathBuf>,
    /// Names by which browsers may ask for the page, beside `localhost` and numeric addresses.
    pub hosts: Vec<String>,
    /// Viewers at once, 1 to 16; further ones are turned away.
    pub viewers: usize,
    /// Most pictures a second, 0.1 to 30.
    pub fps: f32,
    /// Quality of the JPEG pictures, 20 to 95.
    pub quality: u8,
    /// Where recordings and snapshots are kept; absent: the page cannot record.
    pub folder: Option<PathBuf>,
    /// Size at which a recording goes on in a new file, bytes.
    pub file_bytes: u64,
    /// Size of all recordings together, bytes; the oldest goes.
    pub total_bytes: u64,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: None,
            token: None,
            token_file: None,
            hosts: Vec::new(),
            viewers: 4,
            fps: 10.0,
            quality: 70,
            folder: None,
            file_bytes: neuralsmpl_sinks::limits::FILE_BYTES,
            total_bytes: neuralsmpl_sinks::limits::TOTAL_BYTES,
        }
    }
}

impl WebConfig {
    /// Checks every range, and that a page that others can reach has a token.
    ///
    /// # Errors
    /// [`WebError::Config`] with the first value that is out of range.
    pub fn validate(&self) -> Result<(), WebError> {
        let fault = |key, found: String, expected: String| {
            Err(WebError::Config {
                key,
                found,
                expected,
            })
        };
        if let Some(token) = &self.token {
            Token::new(&token.0)?;
            if self.token_file.is_some() {
                return fault(
                    "web.token",
                    "`token` and `token_file`".to_owned(),
                    "one of them; leave the other out".to_owned(),
                );
            }
        }
        if let Some(address) = self.listen.filter(|address| !address.ip().is_loopback())
            && self.token.is_none()
            && self.token_file.is_none()
        {
            return fault(
                "web.listen",
                format!("{address} without a token"),
                "a loopback address such as 127.0.0.1:8080, which an ssh tunnel reaches; or a \
                 token: `web.token_file` (--web-token-file) or `web.token`"
                    .to_owned(),
            );
        }
        if self.hosts.len() > MAX_HOSTS {
            let found = format!("{} names", self.hosts.len());
            return fault("web.hosts", found, format!("at most {MAX_HOSTS}"));
        }
        let name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if let Some(host) = self
            .hosts
            .iter()
            .find(|host| host.is_empty() || !host.chars().all(name))
        {
            let expected = "names without scheme and port, such as robot.local".to_owned();
            return fault("web.hosts", format!("{host:?}"), expected);
        }
        in_range("web.viewers", self.viewers, 1, MAX_VIEWERS)?;
        in_range("web.fps", self.fps, 0.1, MAX_FPS)?;
        in_range("web.quality", self.quality, 20, 95)?;
        let (low, high) = (
            neuralsmpl_sinks::limits::MIN_FILE,
            neuralsmpl_sinks::limits::MAX_FILE,
        );
        in_range("web.file_bytes", self.file_bytes, low, high)?;
        in_range(
            "web.total_bytes",
            self.total_bytes,
            2 * self.file_bytes,
            u64::MAX,
        )
    }

    /// The token, from the table or its file.
    ///
    /// # Errors
    /// [`WebError`] for a file that cannot be read, that others may read, or that holds no token.
    pub fn secret(&self) -> Result<Option<Token>, WebError> {
        let Some(path) = &self.token_file else {
            return Ok(self.token.clone());
        };
        let fault = |message: String| WebError::TokenFile {
            path: path.clone(),
            message,
        };
        let unread = |e: std::io::Error| fault(format!("cannot be read ({e})"));
        let meta = std::fs::metadata(path).map_err(unread)?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(fault(format!(
                "everybody may use it (mode {mode:o}), expected 640 at most; run `chmod 640 {}`",
                path.display()
            )));
        }
        if meta.len() > TOKEN_FILE {
            return Err(fault(format!(
                "{} bytes, expected one line with the token",
                meta.len()
            )));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let token = Token::new(text.trim()).map_err(|e| fault(e.to_string()))?;
        Ok(Some(token))
    }
}

fn in_range<T: PartialOrd + fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), WebError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(WebError::Config {
        key,
        found: value.to_string(),
        expected: format!("{least} to {most}"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let config: WebConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.validate().map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_fine() {
        for text in [
            "",
            "listen = '127.0.0.1:8080'",
            "listen = '[::1]:8080'\nhosts = ['robot.local']",
            "listen = '0.0.0.0:80'\ntoken = '0123456789abcdef'",
            "listen = '0.0.0.0:80'\ntoken_file = '/etc/token'",
        ] {
            check(text).unwrap();
        }
    }

    #[test]
    fn errors_name_key_value_and_range() {
        for (text, parts) in [
            (
                "listen = '0.0.0.0:8080'",
                &["web.listen", "0.0.0.0:8080 without a token", "token_file"][..],
            ),
            (
                "token = 'short'",
                &["web.token", "5 characters", "16 to 128"],
            ),
            ("token = '0123456789 abcdef'", &["web.token", "may not be"]),
            (
                "token = '0123456789abcdef'\ntoken_file = 'x'",
                &["one of them"],
            ),
            ("hosts = ['http://robot']", &["web.hosts", "http://robot"]),
            ("viewers = 0", &["web.viewers", "found 0", "1 to 16"]),
            ("fps = nan", &["web.fps", "NaN", "0.1 to 30"]),
            ("quality = 100", &["web.quality", "100", "20 to 95"]),
            ("file_bytes = 1", &["web.file_bytes", "4096"]),
            ("total_bytes = 5", &["web.total_bytes", "134217728"]),
            ("port = 1", &["unknown field `port`"]),
        ] {
            let message = check(text).unwrap_err();
            for part in parts {
                assert!(message.contains(part), "{message}\nexpected: {part}");
            }
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let config: WebConfig = toml::from_str("token = '0123456789abcdef'").unwrap();
        assert!(!format!("{config:?}").contains("0123"));
        let wrong = check("token = '0123456789/abcdef'").unwrap_err();
        assert!(!wrong.contains("0123"), "{wrong}");
    }

    #[test]
    fn a_token_file_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let config = WebConfig {
            token_file: Some(path.clone()),
            ..WebConfig::default()
        };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let error = config.secret().unwrap_err().to_string();
        assert!(error.contains("chmod 640"), "{error}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let token = config.secret().unwrap().unwrap();
        assert_eq!(token.bytes(), b"0123456789abcdef");
        std::fs::remove_file(&path).unwrap();
        let error = config.secret().unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}
