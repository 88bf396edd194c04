//! `fleet.toml`: what was written, and the plan that it makes once every value is checked.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::address::{Source, check_endpoint};
use crate::keys::{Camera, check_name};
use crate::limits::MAX_CAMERAS;

/// Where a router listens unless told otherwise.
pub const DEFAULT_ROUTER: &str = "tcp/127.0.0.1:7447";

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has keys that do not exist.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        message: String,
    },
    /// A value out of its range.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// What was found and what is allowed.
        problem: String,
    },
}

/// The Zenoh session, from the file or from flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Routers to connect to, or endpoints to listen on; empty: what `zenoh_config` says, else
    /// [`DEFAULT_ROUTER`].
    pub endpoints: Vec<String>,
    /// Zenoh's own configuration: certificates, passwords, access control.
    pub zenoh_config: Option<PathBuf>,
    /// Whether unencrypted links may leave the machine.
    pub allow_plain: bool,
}

/// `fleet.toml` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetFile {
    /// Site of the cameras that name none.
    pub site: Option<String>,
    /// Routers, the first that answers is used.
    #[serde(default)]
    pub connect: Vec<String>,
    /// Path of Zenoh's own configuration, relative to this file.
    pub zenoh_config: Option<PathBuf>,
    /// Whether unencrypted links may leave the machine.
    #[serde(default)]
    pub allow_plain: bool,
    /// Whether JSON twins are published.
    #[serde(default)]
    pub json: bool,
    /// Seconds without a valid packet after which a camera counts as gone.
    #[serde(default = "default_silence")]
    pub silence_s: f64,
    /// Seconds between log lines where nothing happens.
    #[serde(default = "default_report")]
    pub report_s: f64,
    /// The cameras.
    #[serde(default, rename = "camera")]
    pub cameras: Vec<CameraEntry>,
}

/// One `[[camera]]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraEntry {
    /// Its name within the site.
    pub name: String,
    /// Its site.
    pub site: Option<String>,
    /// Where its packets come from, see [`Source`].
    pub from: String,
    /// The only address whose datagrams count.
    pub sender: Option<IpAddr>,
    /// Overrides the fleet's `json`.
    pub json: Option<bool>,
}

/// Seconds of [`FleetFile::silence_s`] where nothing is said.
pub const fn default_silence() -> f64 {
    3.0
}

/// Seconds of [`FleetFile::report_s`] where nothing is said.
pub const fn default_report() -> f64 {
    10.0
}

/// What `publish` does, every value checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The session.
    pub link: Link,
    /// Time without a valid packet after which a camera counts as gone.
    pub silence: Duration,
    /// Time between log lines where nothing happens.
    pub report: Duration,
    /// The cameras, at least one.
    pub cameras: Vec<CameraPlan>,
}

/// What `publish` does for one camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraPlan {
    /// Site and name.
    pub camera: Camera,
    /// Where its packets come from.
    pub source: Source,
    /// The only address whose datagrams count.
    pub sender: Option<IpAddr>,
    /// Whether JSON twins are published.
    pub json: bool,
}

impl FleetFile {
    /// Reads a file. The path of `zenoh_config` becomes relative to the working folder.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Syntax`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let mut file: FleetFile = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        if let (Some(zenoh), Some(folder)) = (&file.zenoh_config, path.parent()) {
            file.zenoh_config = Some(folder.join(zenoh));
        }
        Ok(file)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the first that is out of range.
    pub fn plan(self) -> Result<Plan, ConfigError> {
        if !(1..=MAX_CAMERAS).contains(&self.cameras.len()) {
            let found = self.cameras.len();
            return value(
                "camera",
                format!("found {found} [[camera]] entries, expected 1 to {MAX_CAMERAS}"),
            );
        }
        check_links("connect", &self.connect, self.allow_plain)?;
        let silence = seconds("silence_s", self.silence_s, 0.5, 60.0)?;
        let report = seconds("report_s", self.report_s, 1.0, 3600.0)?;
        let mut cameras: Vec<CameraPlan> = Vec::with_capacity(self.cameras.len());
        let mut seen = HashSet::new();
        for (index, entry) in self.cameras.into_iter().enumerate() {
            let key = |field: &str| format!("camera[{index}].{field}");
            let camera = entry.plan(&key, self.site.as_deref(), self.json)?;
            let shared = |other: &CameraPlan| match (&camera.source, &other.source) {
                (Source::Stdin, Source::Stdin) => true,
                (Source::Udp(one), Source::Udp(two)) => one == two && one.port() != 0,
                _ => false,
            };
            if let Some(other) = cameras.iter().find(|other| shared(other)) {
                let other = &other.camera;
                return value(
                    &key("from"),
                    format!(
                        "found `{}`, which camera {other} reads already; give each camera its own",
                        entry.from
                    ),
                );
            }
            if !seen.insert(camera.camera.clone()) {
                return value(
                    &key("name"),
                    format!("found {} twice, expected each camera once", camera.camera),
                );
            }
            cameras.push(camera);
        }
        Ok(Plan {
            link: Link {
                endpoints: self.connect,
                zenoh_config: self.zenoh_config,
                allow_plain: self.allow_plain,
            },
            silence,
            report,
            cameras,
        })
    }
}

impl CameraEntry {
    fn plan(
        &self,
        key: &impl Fn(&str) -> String,
        site: Option<&str>,
        json: bool,
    ) -> Result<CameraPlan, ConfigError> {
        let Some(site) = self.site.as_deref().or(site) else {
            return value(
                &key("site"),
                "is missing; name the site here, or once for all above the cameras".into(),
            );
        };
        check_chunk(&key("site"), site)?;
        check_chunk(&key("name"), &self.name)?;
        let source: Source = self.from.parse().map_err(|problem| ConfigError::Value {
            key: key("from"),
            problem: format!("{problem}"),
        })?;
        if let (Some(sender), true) = (self.sender, !matches!(source, Source::Udp(_))) {
            return value(
                &key("sender"),
                format!("found {sender}, which only a udp:// source can check; remove it"),
            );
        }
        Ok(CameraPlan {
            camera: Camera {
                site: site.into(),
                name: self.name.clone(),
            },
            source,
            sender: self.sender,
            json: self.json.unwrap_or(json),
        })
    }
}

/// Checks a name that becomes a chunk of a key.
///
/// # Errors
/// [`ConfigError::Value`].
pub fn check_chunk(key: &str, name: &str) -> Result<(), ConfigError> {
    check_name(name).map_err(|problem| ConfigError::Value {
        key: key.into(),
        problem: format!("`{}` {problem}", name.escape_debug()),
    })
}

/// Checks a list of endpoints.
///
/// # Errors
/// [`ConfigError::Value`] with the first that cannot be used.
pub fn check_links(key: &str, links: &[String], allow_plain: bool) -> Result<(), ConfigError> {
    for link in links {
        check_endpoint(link, allow_plain).map_err(|problem| ConfigError::Value {
            key: key.into(),
            problem: format!("{problem}"),
        })?;
    }
    Ok(())
}

/// Checks a time in seconds.
///
/// # Errors
/// [`ConfigError::Value`].
fn seconds(key: &str, found: f64, least: f64, most: f64) -> Result<Duration, ConfigError> {
    if (least..=most).contains(&found) {
        Ok(Duration::from_secs_f64(found))
    } else {
        value(
            key,
            format!("found {found}, expected {least} to {most} seconds"),
        )
    }
}

fn value<T>(key: &str, problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value {
        key: key.into(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let file: FleetFile = toml::from_str(text).map_err(|e| e.to_string())?;
        file.plan().map_err(|e| e.to_string())
    }

    #[test]
    fn a_whole_file() {
        let plan = plan(
            r#"
            site = "hall"
            connect = ["tls/router:7447"]
            json = true
            silence_s = 2

            [[camera]]
            name = "north"
            from = "udp://0.0.0.0:5005"
            sender = "10.0.0.7"

            [[camera]]
            name = "south"
            site = "yard"
            from = "tcp://10.0.0.8:5006"
            json = false
            "#,
        )
        .unwrap();
        assert_eq!(plan.silence, Duration::from_secs(2));
        assert_eq!(plan.cameras[0].camera.to_string(), "hall/north");
        assert!(plan.cameras[0].json && !plan.cameras[1].json);
        assert_eq!(plan.cameras[1].camera.site, "yard");
    }

    #[test]
    fn errors_name_key_value_and_range() {
        let camera = "[[camera]]\nname = \"a\"\nsite = \"s\"\nfrom = \"-\"\n";
        let cases = [
            (
                String::new(),
                "camera: found 0 [[camera]] entries, expected 1 to 256",
            ),
            (
                format!("silence_s = 0.1\n{camera}"),
                "silence_s: found 0.1, expected 0.5 to 60",
            ),
            (
                format!("report_s = nan\n{camera}"),
                "report_s: found NaN, expected 1 to 3600",
            ),
            (
                format!("connect = [\"tcp/10.0.0.1:7447\"]\n{camera}"),
                "connect: `tcp/10.0.0.1:7447` leaves",
            ),
            (
                format!("connect = [\"7447\"]\n{camera}"),
                "connect: found `7447`, expected tcp/HOST:PORT",
            ),
            (format!("typo = 1\n{camera}"), "unknown field `typo`"),
            (
                camera.replace("\"a\"", "\"a/b\""),
                "camera[0].name: `a/b` contains '/'",
            ),
            (
                camera.replace("\"s\"", "\"*\""),
                "camera[0].site: `*` contains '*'",
            ),
            (
                camera.replace("site = \"s\"\n", ""),
                "camera[0].site: is missing",
            ),
            (
                camera.replace("\"-\"", "\"cam:1\""),
                "camera[0].from: found `cam:1`, expected udp://",
            ),
            (
                format!("{camera}sender = \"1.2.3.4\"\n"),
                "camera[0].sender: found 1.2.3.4",
            ),
            (
                format!("{camera}{camera}"),
                "camera[1].from: found `-`, which camera s/a reads",
            ),
            (
                format!("{camera}{}", camera.replace("\"-\"", "\"tcp://c:1\"")),
                "camera[1].name: found s/a twice",
            ),
        ];
        for (text, expected) in cases {
            let error = plan(&text).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }
}
