//! Who may do what: the name a browser asks for (against DNS rebinding), where a request comes from
//! (against requests forged by other sites), the token.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::config::Token;

/// In front of the token among a WebSocket's protocols: browsers let pages set no other header there.
pub(crate) const TOKEN_PROTOCOL: &str = "token.";

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Host,
    Origin,
    Token,
}

impl Refusal {
    /// Status and a sentence for whoever asked.
    pub fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Host => (
                StatusCode::FORBIDDEN,
                "this page is not served under that name; ask by address or as localhost, or add \
                 the name to web.hosts\n",
            ),
            Refusal::Origin => (
                StatusCode::FORBIDDEN,
                "the request comes from another site, or does not say where it comes from \
                 (header Origin)\n",
            ),
            Refusal::Token => (
                StatusCode::UNAUTHORIZED,
                "wrong or missing token; expected the one of web.token or web.token_file\n",
            ),
        }
    }
}

/// What is checked against.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    token: Option<Token>,
}

impl Guard {
    pub fn new(hosts: &[String], token: Option<Token>) -> Self {
        Self {
            hosts: hosts.iter().map(|h| h.to_ascii_lowercase()).collect(),
            token,
        }
    }

    /// Whether viewers need a token.
    pub fn asks_for_token(&self) -> bool {
        self.token.is_some()
    }

    /// The name must be one that no other site can point here: a numeric address, `localhost`, or
    /// a configured one.
    pub fn host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, header::HOST).ok_or(Refusal::Host)?;
        let name = name_of(host).to_ascii_lowercase();
        let numeric = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok();
        let known = numeric || name == "localhost" || self.hosts.contains(&name);
        known.then_some(()).ok_or(Refusal::Host)
    }

    /// The request must come from this page itself.
    pub fn origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = only(headers, header::HOST);
        let origin = only(headers, header::ORIGIN).and_then(|origin| {
            let rest = origin.strip_prefix("http://");
            rest.or_else(|| origin.strip_prefix("https://"))
        });
        match (host, origin) {
            (Some(host), Some(origin)) if origin.eq_ignore_ascii_case(host) => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// `Authorization: Bearer TOKEN`.
    pub fn bearer(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = only(headers, header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        self.token(given)
    }

    /// The token among the protocols that a WebSocket asks for.
    pub fn protocol(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = only(headers, header::SEC_WEBSOCKET_PROTOCOL).and_then(|all| {
            let mut each = all.split(',').map(str::trim);
            each.find_map(|one| one.strip_prefix(TOKEN_PROTOCOL))
        });
        self.token(given)
    }

    fn token(&self, given: Option<&str>) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = given.unwrap_or_default().as_bytes();
        let same = given.ct_eq(token.bytes());
        bool::from(same).then_some(()).ok_or(Refusal::Token)
    }
}

/// A header that is there once, as text.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let one = all.next().filter(|_| all.next().is_none())?;
    one.to_str().ok()
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn names_that_others_could_point_here_are_refused() {
        let guard = Guard::new(&["Robot.local".to_owned()], None);
        for (host, fine) in [
            ("127.0.0.1:8080", true),
            ("192.168.1.7", true),
            ("[::1]:8080", true),
            ("[fe80::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("robot.local:80", true),
            ("evil.example", false),
            ("localhost.evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("robot.local.evil.example", false),
            ("", false),
            (":8080", false),
        ] {
            let found = guard.host(&headers(&[("host", host)])).is_ok();
            assert_eq!(found, fine, "{host:?}");
        }
        assert_eq!(guard.host(&headers(&[])), Err(Refusal::Host));
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(guard.host(&two), Err(Refusal::Host));
    }

    #[test]
    fn requests_of_other_sites_are_refused() {
        let guard = Guard::new(&[], None);
        for (origin, fine) in [
            ("http://127.0.0.1:8080", true),
            ("https://127.0.0.1:8080", true),
            ("http://127.0.0.1:9090", false),
            ("http://127.0.0.1", false),
            ("http://evil.example", false),
            ("file://127.0.0.1:8080", false),
            ("null", false),
        ] {
            let map = headers(&[("host", "127.0.0.1:8080"), ("origin", origin)]);
            assert_eq!(guard.origin(&map).is_ok(), fine, "{origin}");
        }
        let silent = headers(&[("host", "127.0.0.1:8080")]);
        assert_eq!(guard.origin(&silent), Err(Refusal::Origin));
    }

    #[test]
    fn the_token_is_asked_for_where_there_is_one() {
        let open = Guard::new(&[], None);
        assert_eq!(open.bearer(&headers(&[])), Ok(()));
        let token = Token::new("0123456789abcdef").unwrap();
        let guard = Guard::new(&[], Some(token));
        for (given, fine) in [
            ("Bearer 0123456789abcdef", true),
            ("Bearer 0123456789abcdeF", false),
            ("Bearer 0123456789abcdef0", false),
            ("Bearer ", false),
            ("0123456789abcdef", false),
        ] {
            let map = headers(&[("authorization", given)]);
            assert_eq!(guard.bearer(&map).is_ok(), fine, "{given}");
        }
        assert_eq!(guard.bearer(&headers(&[])), Err(Refusal::Token));
        for (given, fine) in [
            ("nsmpl, token.0123456789abcdef", true),
            ("nsmpl", false),
            ("nsmpl,token.x", false),
        ] {
            let map = headers(&[("sec-websocket-protocol", given)]);
            assert_eq!(guard.protocol(&map).is_ok(), fine, "{given}");
        }
    }
}
