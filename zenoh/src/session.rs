//! Opening a Zenoh session: quiet defaults, Zenoh's own configuration passed through.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use zenoh::{Config, Session, Wait};

use crate::address::{EndpointError, check_endpoint};
use crate::config::{DEFAULT_ROUTER, Link};
use crate::limits::{CLOSE_TIMEOUT, TICK};

/// A session that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Zenoh's own configuration cannot be read.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What Zenoh says.
        message: String,
    },
    /// A part of the configuration that Zenoh does not take.
    #[error("Zenoh refuses {key} = {value}: {message}")]
    Setting {
        /// The key within Zenoh's configuration.
        key: &'static str,
        /// The value.
        value: String,
        /// What Zenoh says.
        message: String,
    },
    /// An endpoint of Zenoh's own configuration that must not be used as it is.
    #[error("{path}: {key}: {source}")]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// The key within it.
        key: &'static str,
        /// Why.
        source: EndpointError,
    },
    /// Zenoh could not open the session.
    #[error("no Zenoh session on {endpoints}: {message}")]
    Open {
        /// Where it should connect or listen.
        endpoints: String,
        /// What Zenoh says.
        message: String,
    },
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Connects to a router and opens no port.
    Client,
    /// Listens, and passes on between those that connect.
    Router,
}

impl Role {
    const fn mode(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Router => "router",
        }
    }

    const fn endpoints_key(self) -> &'static str {
        match self {
            Role::Client => "connect/endpoints",
            Role::Router => "listen/endpoints",
        }
    }
}

/// A configuration ready to be opened, and where it connects or listens.
#[derive(Debug, Clone)]
pub struct Setup {
    config: Config,
    /// The endpoints, as JSON.
    pub endpoints: String,
}

impl Setup {
    /// Builds the configuration: the file if there is one, then what this program insists on.
    ///
    /// # Errors
    /// [`SessionError`] where the file or an endpoint cannot be used.
    pub fn new(link: &Link, role: Role) -> Result<Self, SessionError> {
        let mut config = match &link.zenoh_config {
            Some(path) => Config::from_file(path).map_err(|error| SessionError::File {
                path: path.clone(),
                message: error.to_string(),
            })?,
            None => Config::default(),
        };
        let key = role.endpoints_key();
        insert(&mut config, "mode", &quote(role.mode()))?;
        // Nothing is found, announced or asked by multicast unless the file says so.
        default(&mut config, "scouting/multicast/enabled", "false")?;
        if role == Role::Client {
            // The session waits for its router instead of giving up.
            default(&mut config, "connect/timeout_ms", "-1")?;
            default(&mut config, "connect/exit_on_failure", "false")?;
            insert(&mut config, "listen/endpoints", "[]")?;
        }
        let from_file = link.zenoh_config.is_some() && has_endpoints(&config, key, role);
        if !link.endpoints.is_empty() {
            insert(&mut config, key, &list(&link.endpoints))?;
        } else if !from_file {
            insert(&mut config, key, &list(&[DEFAULT_ROUTER.to_owned()]))?;
        }
        let endpoints = config.get_json(key).unwrap_or_default();
        if let (Some(path), true) = (&link.zenoh_config, link.endpoints.is_empty()) {
            for endpoint in strings(&endpoints) {
                check_endpoint(&endpoint, link.allow_plain).map_err(|source| {
                    SessionError::Endpoint {
                        path: path.clone(),
                        key,
                        source,
                    }
                })?;
            }
        }
        Ok(Setup { config, endpoints })
    }

    /// Opens the session. A client waits for its router as long as it takes.
    ///
    /// # Errors
    /// [`SessionError::Open`].
    pub async fn open(self) -> Result<Session, SessionError> {
        let Setup { config, endpoints } = self;
        // Zenoh's future blocks the thread that first polls it, until the session is open.
        let opened = tokio::task::spawn_blocking(|| zenoh::open(config).wait()).await;
        let message = match opened {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(SessionError::Open { endpoints, message })
    }
}

/// Whether the file names endpoints for the role; Zenoh's own default for routers is every
/// interface, which does not count.
fn has_endpoints(config: &Config, key: &str, role: Role) -> bool {
    let found = config.get_json(key).unwrap_or_default();
    let default = Config::default().get_json(key).unwrap_or_default();
    match role {
        Role::Client => !strings(&found).is_empty(),
        Role::Router => found != default && !strings(&found).is_empty(),
    }
}

/// Sets a key where nothing is said about it.
fn default(config: &mut Config, key: &'static str, value: &str) -> Result<(), SessionError> {
    match config.get_json(key) {
        Ok(found) if found != "null" => Ok(()),
        _ => insert(config, key, value),
    }
}

fn insert(config: &mut Config, key: &'static str, value: &str) -> Result<(), SessionError> {
    config
        .insert_json5(key, value)
        .map_err(|error| SessionError::Setting {
            key,
            value: value.into(),
            message: error.to_string(),
        })
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// Every string of a JSON value, however nested: endpoints may depend on the mode.
fn strings(json: &str) -> Vec<String> {
    fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|v| collect(v, into)),
            serde_json::Value::Object(fields) => fields.values().for_each(|v| collect(v, into)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str(json) {
        collect(&value, &mut found);
    }
    found
}

/// Keeps `up` true while the session has a router. Ends never; to be raced with a shutdown.
pub async fn follow_router(session: &Session, up: &Arc<AtomicBool>) {
    loop {
        up.store(session.info().routers_zid().await.next().is_some(), Relaxed);
        tokio::time::sleep(TICK).await;
    }
}

/// Closes the session, for at most [`CLOSE_TIMEOUT`].
pub async fn close(session: Session) {
    // What cannot be said in time is noticed by the router, which drops a closed link.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, session.close()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(role: Role, text: Option<&str>, endpoints: &[&str]) -> Result<Setup, SessionError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zenoh.json5");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let link = Link {
            endpoints: endpoints.iter().map(|e| (*e).to_owned()).collect(),
            zenoh_config: text.map(|_| path),
            allow_plain: false,
        };
        Setup::new(&link, role)
    }

    #[test]
    fn defaults_stay_on_loopback() {
        for role in [Role::Client, Role::Router] {
            let setup = setup(role, None, &[]).unwrap();
            assert_eq!(strings(&setup.endpoints), [DEFAULT_ROUTER], "{role:?}");
            let multicast = setup.config.get_json("scouting/multicast/enabled");
            assert_eq!(multicast.unwrap(), "false");
        }
        let client = setup(Role::Client, None, &[]).unwrap();
        assert_eq!(client.config.get_json("listen/endpoints").unwrap(), "[]");
    }

    #[test]
    fn zenoh_configuration_passes_through() {
        let text = r#"{ transport: { auth: { usrpwd: { user: "north", password: "x" } } },
                        connect: { endpoints: ["tls/router:7447"] } }"#;
        let open = setup(Role::Client, Some(text), &[]).unwrap();
        assert_eq!(strings(&open.endpoints), ["tls/router:7447"]);
        let user = open.config.get_json("transport/auth/usrpwd/user").unwrap();
        assert_eq!(user, "\"north\"");
        let flag = setup(Role::Client, Some(text), &["tcp/127.0.0.1:1"]).unwrap();
        assert_eq!(strings(&flag.endpoints), ["tcp/127.0.0.1:1"]);
        let router = setup(Role::Router, Some(text), &[]).unwrap();
        assert_eq!(strings(&router.endpoints), [DEFAULT_ROUTER]);
    }

    #[test]
    fn plain_endpoints_of_the_file_are_refused() {
        let text = r#"{ listen: { endpoints: { router: ["tcp/0.0.0.0:7447"] } } }"#;
        let error = setup(Role::Router, Some(text), &[]).unwrap_err();
        assert!(matches!(error, SessionError::Endpoint { .. }), "{error}");
        let error = setup(Role::Router, Some("{ moed: 1 }"), &[]).unwrap_err();
        assert!(matches!(error, SessionError::File { .. }), "{error}");
    }
}
