//! SIGTERM and SIGINT: one asks for an orderly end, a second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit code of an end that did not wait for the session to close.
const HURRIED: u8 = 130;

/// Tells tasks that the process should end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Starts to listen for the signals. Needs a tokio runtime.
    ///
    /// # Errors
    /// What the system says where a handler cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            sender.send_replace(true);
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(HURRIED.into());
        });
        Ok(Stop(receiver))
    }

    /// Returns once the process should end.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn either(one: &mut Signal, two: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = two.recv() => {}
    }
}
