//! Signals as flags that the loop looks at; the handlers only store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// What the operator asked for by signals.
#[derive(Debug, Clone)]
pub struct Signals {
    shutdown: Arc<AtomicBool>,
    by: Arc<AtomicUsize>,
    reload: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT (shut down; a second one exits at once with 128 + its
    /// number), SIGHUP (reload) and SIGUSR1 (a line in the log). Once per process, at start.
    ///
    /// # Errors
    /// Where the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        let signals = Signals {
            shutdown: Arc::default(),
            by: Arc::default(),
            reload: Arc::default(),
            report: Arc::default(),
        };
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset, and then sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, signals.shutdown.clone())?;
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, signals.by.clone(), number)?;
            flag::register(signal, signals.shutdown.clone())?;
        }
        flag::register(SIGHUP, signals.reload.clone())?;
        flag::register(SIGUSR1, signals.report.clone())?;
        Ok(signals)
    }

    /// Whether to shut down.
    pub fn shutdown(&self) -> bool {
        self.shutdown.load(Ordering::Relaxed)
    }

    /// The name of the signal that asked for it.
    pub fn shutdown_by(&self) -> Option<&'static str> {
        let number = i32::try_from(self.by.load(Ordering::Relaxed)).ok()?;
        match number {
            SIGTERM => Some("SIGTERM"),
            SIGINT => Some("SIGINT"),
            _ => None,
        }
    }

    /// Asks for a shutdown as a signal would.
    pub fn request_shutdown(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for threads that wait.
    pub fn shutdown_flag(&self) -> Arc<AtomicBool> {
        self.shutdown.clone()
    }

    /// Whether to reload; asks once.
    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether to log the state; asks once.
    pub fn take_report(&self) -> bool {
        self.report.swap(false, Ordering::Relaxed)
    }
}
