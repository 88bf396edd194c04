//! Messages to the service manager, sd_notify(3), over a socket that is opened once.
//!
//! The watchdog is fed by the frame loop itself, so that a loop that hangs is restarted. Nothing
//! here blocks or allocates after [`Notifier::from_env`].

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::limits::STATUS_LINE;
use crate::text::Text;

/// The watchdog is fed this often within its interval: two lost datagrams do no harm.
const FEEDS: u32 = 4;

/// The service manager's socket is named, and cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("NOTIFY_SOCKET={path}: {source}; expected a Unix datagram socket, `/path` or `@name`")]
pub struct NotifyError {
    /// As found in the environment.
    pub path: String,
    /// The system's reason.
    pub source: io::Error,
}

/// The service manager, or nobody.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    fed: Option<Instant>,
    failures: u64,
}

impl Notifier {
    /// The service manager that `NOTIFY_SOCKET` and `WATCHDOG_USEC` name; nobody without them.
    ///
    /// # Errors
    /// [`NotifyError`] where a socket is named that cannot be used.
    pub fn from_env() -> Result<Self, NotifyError> {
        match std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) {
            Some(path) => Self::connect(&path, sd_notify::watchdog_enabled()),
            None => Ok(Self::nobody()),
        }
    }

    /// Nobody listens: every call does nothing.
    pub fn nobody() -> Self {
        Notifier {
            socket: None,
            watchdog: None,
            fed: None,
            failures: 0,
        }
    }

    /// A service manager at `path` (`@name` is an abstract socket).
    ///
    /// # Errors
    /// [`NotifyError`] where the socket cannot be used.
    pub fn connect(path: &OsStr, watchdog: Option<Duration>) -> Result<Self, NotifyError> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            let address = match path.as_bytes().split_first() {
                Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
                _ => SocketAddr::from_pathname(path)?,
            };
            socket.connect_addr(&address)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Notifier {
                socket: Some(socket),
                watchdog: watchdog.filter(|interval| !interval.is_zero()),
                ..Self::nobody()
            }),
            Err(source) => Err(NotifyError {
                path: path.to_string_lossy().into_owned(),
                source,
            }),
        }
    }

    /// Whether somebody listens.
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// The manager restarts the process when it is not fed for this long.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Messages that the manager did not take.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Started: the first frame can be taken. Also ends a reload.
    pub fn ready(&mut self) {
        self.send(format_args!("{}", NotifyState::Ready));
    }

    /// A reload begins; [`Notifier::ready`] ends it.
    pub fn reloading(&mut self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                self.send(format_args!("{}\n{now}", NotifyState::Reloading));
            }
            Err(_) => self.failures += 1,
        }
    }

    /// Shutting down.
    pub fn stopping(&mut self) {
        self.send(format_args!("{}", NotifyState::Stopping));
    }

    /// A line for `systemctl status`; it is cut at 256 bytes, and at its first line's end.
    pub fn status(&mut self, text: fmt::Arguments<'_>) {
        if self.socket.is_none() {
            return;
        }
        let text: Text<STATUS_LINE> = Text::of(text);
        let line = text.as_str().lines().next().unwrap_or_default();
        self.send(format_args!("{}", NotifyState::Status(line)));
    }

    /// Feeds the watchdog: call it once a frame, or whenever the loop has come round. It sends
    /// four times within the interval, however often it is called.
    pub fn feed(&mut self, now: Instant) {
        let Some(interval) = self.watchdog else {
            return;
        };
        let due = self
            .fed
            .is_none_or(|fed| now.saturating_duration_since(fed) >= interval / FEEDS);
        if due && self.send(format_args!("{}", NotifyState::Watchdog)) {
            self.fed = Some(now);
        }
    }

    /// Sends one datagram; `false` where it was not taken.
    fn send(&mut self, message: fmt::Arguments<'_>) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        let message: Text<{ STATUS_LINE + 64 }> = Text::of(message);
        let sent = socket.send(message.as_str().as_bytes()).is_ok();
        self.failures += u64::from(!sent);
        sent
    }
}
