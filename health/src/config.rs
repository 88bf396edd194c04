//! The tables `[health]` and `[memory]` of a configuration.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_CONNECTIONS, MAX_POOL};
use crate::process::MemoryLock;

/// A value that is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{key}` is {found}, expected {expected}")]
pub struct ConfigError {
    /// The key with its table.
    pub key: &'static str,
    /// The value.
    pub found: String,
    /// What is allowed, and the remedy where there is one.
    pub expected: String,
}

/// `[health]`: how the process shows its health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Address of `/metrics` and `/healthz`; absent: no endpoint.
    pub listen: Option<SocketAddr>,
    /// Allows an address that other machines reach. The endpoint has no password.
    pub allow_remote: bool,
    /// Connections at once, 1 to 64; further ones wait.
    pub max_connections: usize,
    /// Longest time for a request and its answer, seconds, 0.1 to 60.
    pub timeout_s: f64,
    /// `/healthz` fails when no frame was worked on for this long, seconds, 0.1 to 3,600.
    pub stale_after_s: f64,
    /// Memory, heat and clock are looked at this often, seconds, 0.1 to 60.
    pub vitals_every_s: f64,
    /// A log line is not repeated within this time, seconds, 0.1 to 3,600.
    pub log_repeat_s: f64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        HealthConfig {
            listen: None,
            allow_remote: false,
            max_connections: 8,
            timeout_s: 5.0,
            stale_after_s: 5.0,
            vitals_every_s: 1.0,
            log_repeat_s: 1.0,
        }
    }
}

impl HealthConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ConfigError`] with the first value that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(address) = self.listen.filter(|address| !address.ip().is_loopback())
            && !self.allow_remote
        {
            return Err(ConfigError {
                key: "health.listen",
                found: address.to_string(),
                expected: "a loopback address such as 127.0.0.1:9464; or set \
                           `health.allow_remote = true`, as anyone who reaches it may read it"
                    .into(),
            });
        }
        in_range(
            "health.max_connections",
            self.max_connections,
            1,
            MAX_CONNECTIONS,
        )?;
        in_range("health.timeout_s", self.timeout_s, 0.1, 60.0)?;
        in_range("health.stale_after_s", self.stale_after_s, 0.1, 3600.0)?;
        in_range("health.vitals_every_s", self.vitals_every_s, 0.1, 60.0)?;
        in_range("health.log_repeat_s", self.log_repeat_s, 0.1, 3600.0)
    }

    /// [`HealthConfig::timeout_s`].
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout_s)
    }

    /// [`HealthConfig::stale_after_s`].
    pub fn stale_after(&self) -> Duration {
        seconds(self.stale_after_s)
    }

    /// [`HealthConfig::vitals_every_s`].
    pub fn vitals_every(&self) -> Duration {
        seconds(self.vitals_every_s)
    }

    /// [`HealthConfig::log_repeat_s`].
    pub fn log_repeat(&self) -> Duration {
        seconds(self.log_repeat_s)
    }
}

/// What happens when the inference pool is exhausted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exhaustion {
    /// The system's memory serves; the frame goes on.
    Grow,
    /// The frame is dropped.
    #[default]
    Skip,
}

/// `[memory]`: what the process holds, and how firmly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Size of the inference pool, MiB, 1 to 1,023; 0: no pool.
    pub pool_mib: usize,
    /// `"skip"` drops a frame for which the pool did not suffice, `"grow"` uses other memory.
    pub exhausted: Exhaustion,
    /// Which memory of the process is never swapped out: `"off"`, `"touched"` or `"all"`.
    pub lock: MemoryLock,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        MemoryConfig {
            pool_mib: 32,
            exhausted: Exhaustion::default(),
            lock: MemoryLock::default(),
        }
    }
}

impl MemoryConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ConfigError`] with the first value that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        in_range("memory.pool_mib", self.pool_mib, 0, MAX_POOL >> 20)
    }

    /// Size of the pool, bytes.
    pub fn pool_bytes(&self) -> usize {
        self.pool_mib << 20
    }
}

/// Checked by [`HealthConfig::validate`]; what is not a time counts as the longest.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::from_secs(3600))
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(ConfigError {
        key,
        found: value.to_string(),
        expected: format!("{least} to {most}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_toml() {
        let health = HealthConfig::default();
        health.validate().unwrap();
        let text = toml::to_string(&health).unwrap();
        assert_eq!(toml::from_str::<HealthConfig>(&text).unwrap(), health);
        assert_eq!(toml::from_str::<HealthConfig>("").unwrap(), health);
        let memory = MemoryConfig::default();
        memory.validate().unwrap();
        let text = toml::to_string(&memory).unwrap();
        assert_eq!(toml::from_str::<MemoryConfig>(&text).unwrap(), memory);
        let all: MemoryConfig =
            toml::from_str("pool_mib = 64\nexhausted = \"grow\"\nlock = \"all\"").unwrap();
        assert_eq!((all.pool_bytes(), all.lock), (64 << 20, MemoryLock::All));
        assert_eq!(all.exhausted, Exhaustion::Grow);
    }

    #[test]
    fn errors_name_key_value_and_range() {
        for (text, key, value, expected) in [
            (
                "listen = '0.0.0.0:9464'",
                "health.listen",
                "0.0.0.0:9464",
                "allow_remote",
            ),
            ("listen = '[::]:80'", "health.listen", "[::]:80", "loopback"),
            (
                "max_connections = 0",
                "health.max_connections",
                "0",
                "1 to 64",
            ),
            ("timeout_s = nan", "health.timeout_s", "NaN", "0.1 to 60"),
            (
                "stale_after_s = -1",
                "health.stale_after_s",
                "-1",
                "0.1 to 3600",
            ),
            (
                "vitals_every_s = 0",
                "health.vitals_every_s",
                "0",
                "0.1 to 60",
            ),
            (
                "log_repeat_s = 1e9",
                "health.log_repeat_s",
                "1000000000",
                "0.1 to 3600",
            ),
        ] {
            let config: HealthConfig = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err();
            assert_eq!((error.key, error.found.as_str()), (key, value));
            assert!(error.to_string().contains(expected), "{error}");
        }
        let memory: MemoryConfig = toml::from_str("pool_mib = 5000").unwrap();
        let error = memory.validate().unwrap_err().to_string();
        assert_eq!(error, "`memory.pool_mib` is 5000, expected 0 to 1023");
        for text in ["port = 1", "listen = 'here'", "listen = 9464"] {
            assert!(toml::from_str::<HealthConfig>(text).is_err(), "{text}");
        }
        let open = "listen = '0.0.0.0:9464'\nallow_remote = true";
        toml::from_str::<HealthConfig>(open)
            .unwrap()
            .validate()
            .unwrap();
        let six = "listen = '[::1]:9464'";
        toml::from_str::<HealthConfig>(six)
            .unwrap()
            .validate()
            .unwrap();
    }
}
