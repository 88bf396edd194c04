//! What the publisher says about itself: a log line, at most one a second, and the `bridge` topic.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use zenoh::pubsub::Publisher;
use zenoh::qos::Priority;
use zenoh::{Session, Wait};

use crate::counters::Cause;
use crate::keys::Topic;
use crate::limits::MAX_NAMED;
use crate::outlet::{CameraState, declare};

/// The cameras of this process and their `bridge` publishers.
#[derive(Debug)]
pub struct Reporter {
    cameras: Vec<(Arc<CameraState>, Publisher<'static>)>,
    router_up: Arc<AtomicBool>,
    period: Duration,
    said: Option<Said>,
}

/// What the last line was about.
#[derive(Debug)]
struct Said {
    at: Instant,
    published: u64,
    situation: Situation,
}

/// What makes a new line when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Situation {
    router_up: bool,
    alive: Vec<bool>,
    troubles: Vec<Option<String>>,
    causes: [bool; Cause::ALL.len()],
}

impl Reporter {
    /// Declares the `bridge` publishers. A line is due at every change, and every `period`.
    ///
    /// # Errors
    /// What Zenoh says.
    pub async fn declare(
        session: &Session,
        states: &[Arc<CameraState>],
        router_up: Arc<AtomicBool>,
        period: Duration,
    ) -> zenoh::Result<Self> {
        let mut cameras = Vec::with_capacity(states.len());
        for state in states {
            let priority = Priority::InteractiveLow;
            let publisher = declare(session, &state.camera, Topic::Bridge, priority).await?;
            cameras.push((state.clone(), publisher));
        }
        Ok(Reporter {
            cameras,
            router_up,
            period,
            said: None,
        })
    }

    /// Publishes the counters of every camera.
    ///
    /// # Errors
    /// What Zenoh says where the session has ended.
    pub fn publish(&self) -> zenoh::Result<()> {
        for (state, publisher) in &self.cameras {
            let alive = state.alive.load(Relaxed);
            let counters = state.counters.to_json(alive, state.trouble().as_deref());
            publisher.put(counters.to_string()).wait()?;
        }
        Ok(())
    }

    /// The line that is due, if any. To be called once a second.
    pub fn due(&mut self, now: Instant) -> Option<String> {
        let situation = self.situation();
        let fresh = self.said.as_ref().is_none_or(|said| {
            said.situation != situation || now.duration_since(said.at) >= self.period
        });
        fresh.then(|| self.say(now, situation))
    }

    /// A last line, whatever was said before.
    pub fn last(&mut self, now: Instant) -> String {
        let situation = self.situation();
        self.say(now, situation)
    }

    fn say(&mut self, now: Instant, situation: Situation) -> String {
        let published = self.published();
        let mut line = String::with_capacity(160);
        let router = if situation.router_up { "up" } else { "DOWN" };
        let alive = situation.alive.iter().filter(|alive| **alive).count();
        let of = self.cameras.len();
        let _ = write!(line, "router {router}; {alive} of {of} cameras alive; ");
        match &self.said {
            Some(said) => {
                let seconds = now.duration_since(said.at).as_secs_f64().max(1e-3);
                let rate = published.saturating_sub(said.published) as f64 / seconds;
                let _ = write!(line, "{rate:.0} packets/s");
            }
            None => {
                let _ = write!(line, "{published} packets");
            }
        }
        let mut drops = Cause::ALL
            .into_iter()
            .map(|cause| (cause, self.dropped(cause)))
            .filter(|(_, count)| *count > 0)
            .peekable();
        if drops.peek().is_some() {
            line.push_str("; drops so far:");
            for (cause, count) in drops {
                let _ = write!(line, " {} {count}", cause.name());
            }
        }
        self.troubles(&mut line);
        self.said = Some(Said {
            at: now,
            published,
            situation,
        });
        line
    }

    fn troubles(&self, line: &mut String) {
        let mut troubled = self.cameras.iter().filter_map(|(state, _)| {
            let trouble = state.trouble()?;
            Some((&state.camera, trouble))
        });
        for (camera, trouble) in troubled.by_ref().take(MAX_NAMED) {
            let _ = write!(line, "; {camera}: {trouble}");
        }
        let more = troubled.count();
        if more > 0 {
            let _ = write!(line, "; and {more} more");
        }
    }

    fn situation(&self) -> Situation {
        let states = || self.cameras.iter().map(|(state, _)| state);
        Situation {
            router_up: self.router_up.load(Relaxed),
            alive: states().map(|state| state.alive.load(Relaxed)).collect(),
            troubles: states().map(|state| state.trouble()).collect(),
            causes: Cause::ALL.map(|cause| self.dropped(cause) > 0),
        }
    }

    fn published(&self) -> u64 {
        self.cameras
            .iter()
            .map(|(state, _)| state.counters.published())
            .sum()
    }

    fn dropped(&self, cause: Cause) -> u64 {
        self.cameras
            .iter()
            .map(|(state, _)| state.counters.dropped(cause))
            .sum()
    }
}
