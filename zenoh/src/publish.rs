//! `publish`: many cameras, one session.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use zenoh::Session;

use crate::camera::{Ended, Feed};
use crate::config::Plan;
use crate::outlet::{CameraState, Outlets};
use crate::report::Reporter;
use crate::session::{Role, SessionError, Setup, close, follow_router};
use crate::stop::Stop;

/// Why `publish` ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The session could not be opened.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The session ended, or refused a declaration.
    #[error("Zenoh: {0}")]
    Zenoh(String),
    /// A file or standard input failed.
    #[error("{camera}: {trouble}")]
    Source {
        /// The camera.
        camera: String,
        /// What happened.
        trouble: String,
    },
}

impl From<zenoh::Error> for PublishError {
    fn from(error: zenoh::Error) -> Self {
        PublishError::Zenoh(error.to_string())
    }
}

/// Publishes until told to stop, or until every source was a file and has ended. Lines for the
/// log go to `log`, at most one a second.
///
/// # Errors
/// [`PublishError`].
pub async fn publish(
    plan: Plan,
    mut stop: Stop,
    mut log: impl FnMut(&str),
) -> Result<(), PublishError> {
    let setup = Setup::new(&plan.link, Role::Client)?;
    let Some(session) = open(setup, plan.report, &mut stop, &mut log).await? else {
        return Ok(());
    };
    let result = serve(&session, plan, &mut stop, &mut log).await;
    close(session).await;
    result
}

/// Opens the session, saying now and then that it waits; `None` if told to stop meanwhile.
async fn open(
    setup: Setup,
    report: Duration,
    stop: &mut Stop,
    log: &mut impl FnMut(&str),
) -> Result<Option<Session>, PublishError> {
    let waiting = format!("waiting for a router on {}", setup.endpoints);
    let opening = setup.open();
    tokio::pin!(opening);
    let mut patience = Duration::from_secs(1);
    loop {
        tokio::select! {
            session = &mut opening => return Ok(Some(session?)),
            () = stop.requested() => return Ok(None),
            () = tokio::time::sleep(patience) => log(&waiting),
        }
        patience = report;
    }
}

async fn serve(
    session: &Session,
    plan: Plan,
    stop: &mut Stop,
    log: &mut impl FnMut(&str),
) -> Result<(), PublishError> {
    let router_up = Arc::new(AtomicBool::new(true));
    let mut states = Vec::with_capacity(plan.cameras.len());
    let mut feeds = JoinSet::new();
    for camera in plan.cameras {
        let state = Arc::new(CameraState::new(camera.camera.clone()));
        states.push(state.clone());
        let outlets = Outlets::declare(session, &camera, state.clone(), router_up.clone()).await?;
        let feed = Feed::new(
            camera,
            plan.silence,
            session.clone(),
            state.clone(),
            outlets,
        );
        feeds.spawn(async move { (state, feed.run().await) });
    }
    let mut reporter = Reporter::declare(session, &states, router_up.clone(), plan.report).await?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let router = follow_router(session, &router_up);
    tokio::pin!(router);
    let mut failed = None;
    loop {
        tokio::select! {
            () = stop.requested() => break,
            () = &mut router => {}
            _ = seconds.tick() => {
                reporter.publish()?;
                if let Some(line) = reporter.due(Instant::now()) {
                    log(&line);
                }
            }
            ended = feeds.join_next() => match ended {
                None => break,
                Some(Err(error)) => return Err(PublishError::Zenoh(error.to_string())),
                Some(Ok((_, Err(error)))) => return Err(error.into()),
                Some(Ok((_, Ok(Ended::Whole)))) => {}
                Some(Ok((state, Ok(Ended::Failed)))) => failed = failed.or(Some(state)),
            }
        }
    }
    feeds.shutdown().await;
    reporter.publish()?;
    log(&reporter.last(Instant::now()));
    match failed {
        None => Ok(()),
        Some(state) => Err(PublishError::Source {
            camera: state.camera.to_string(),
            trouble: state.trouble().unwrap_or_default(),
        }),
    }
}
