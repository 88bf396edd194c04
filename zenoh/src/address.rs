//! Where a camera's packets come from, and where routers are.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

/// Where a camera's packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Datagrams to this address, each with whole frames. A multicast address is joined.
    Udp(SocketAddr),
    /// A stream from this `host:port`.
    Tcp(String),
    /// A file, played once at the pace of its times.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// What a source looks like.
pub const SOURCE_FORMS: &str = "udp://ADDRESS:PORT, tcp://HOST:PORT, file:///PATH or -";

/// Not one of [`SOURCE_FORMS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected {SOURCE_FORMS}")]
pub struct SourceError {
    found: String,
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let parsed = if text == "-" {
            Some(Source::Stdin)
        } else if let Some(address) = text.strip_prefix("udp://") {
            address.parse().ok().map(Source::Udp)
        } else if let Some(address) = text.strip_prefix("tcp://") {
            host_and_port(address).map(|_| Source::Tcp(address.into()))
        } else {
            text.strip_prefix("file://")
                .filter(|path| path.starts_with('/') && path.len() > 1)
                .map(|path| Source::File(path.into()))
        };
        parsed.ok_or_else(|| SourceError { found: text.into() })
    }
}

/// Host (an IPv6 address without its brackets) and port, not 0.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let plain = !bare.is_empty() && !bare.contains(['/', ' ', '[', ']']);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (plain && (host.starts_with('[') || !bare.contains(':'))).then_some((bare, port))
}

/// What is wrong with a Zenoh endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not of the form that Zenoh's TCP and TLS links have.
    #[error("found `{found}`, expected tcp/HOST:PORT or tls/HOST:PORT")]
    Form {
        /// What was given.
        found: String,
    },
    /// In clear over a network.
    #[error(
        "`{found}` leaves this machine without encryption; use tls/, or allow it where the network is trusted (--allow-plain, or allow_plain = true)"
    )]
    Plain {
        /// What was given.
        found: String,
    },
}

/// Checks a Zenoh endpoint: its form, and that it is encrypted or on the loopback interface,
/// unless `allow_plain`.
///
/// # Errors
/// [`EndpointError`].
pub fn check_endpoint(endpoint: &str, allow_plain: bool) -> Result<(), EndpointError> {
    let form = || EndpointError::Form {
        found: endpoint.into(),
    };
    let (protocol, rest) = endpoint.split_once('/').ok_or_else(form)?;
    let address = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, _) = endpoint_host(address).ok_or_else(form)?;
    match protocol {
        "tls" => Ok(()),
        "tcp" if allow_plain || is_loopback(host) => Ok(()),
        "tcp" => Err(EndpointError::Plain {
            found: endpoint.into(),
        }),
        _ => Err(form()),
    }
}

/// As [`host_and_port`], but a listener may ask for port 0.
fn endpoint_host(address: &str) -> Option<(&str, u16)> {
    match address.strip_suffix(":0") {
        Some(host) => Some((host.trim_start_matches('[').trim_end_matches(']'), 0)),
        None => host_and_port(address),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_parse() {
        let parse = |text: &str| text.parse::<Source>();
        assert_eq!(
            parse("udp://0.0.0.0:5005"),
            Ok(Source::Udp(([0, 0, 0, 0], 5005).into()))
        );
        assert_eq!(parse("tcp://cam:5006"), Ok(Source::Tcp("cam:5006".into())));
        assert_eq!(parse("tcp://[::1]:9"), Ok(Source::Tcp("[::1]:9".into())));
        assert_eq!(parse("file:///a.bin"), Ok(Source::File("/a.bin".into())));
        assert_eq!(parse("-"), Ok(Source::Stdin));
        for bad in [
            "",
            "udp://cam:5005",
            "udp://1.2.3.4",
            "tcp://cam",
            "tcp://:5",
            "tcp://cam:0",
            "tcp://cam:70000",
            "tcp://::1:9",
            "file://a.bin",
            "file:///",
            "http://cam:1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_beyond_loopback_must_be_encrypted() {
        for good in [
            "tcp/127.0.0.1:7447",
            "tcp/[::1]:7447",
            "tcp/localhost:1",
            "tcp/127.0.0.1:0",
            "tls/router.example:7447",
            "tls/0.0.0.0:7447",
        ] {
            assert_eq!(check_endpoint(good, false), Ok(()), "{good}");
        }
        for plain in ["tcp/0.0.0.0:7447", "tcp/[::]:7447", "tcp/router:7447"] {
            let error = check_endpoint(plain, false);
            assert!(matches!(error, Err(EndpointError::Plain { .. })), "{plain}");
            assert_eq!(check_endpoint(plain, true), Ok(()));
        }
        for bad in ["", "7447", "tcp/", "tcp/host", "udp/127.0.0.1:1", "tcp/a:x"] {
            let error = check_endpoint(bad, true);
            assert!(matches!(error, Err(EndpointError::Form { .. })), "{bad}");
        }
    }
}
