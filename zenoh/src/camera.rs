//! One camera's task: reads its packets, publishes them, opens the source again when it fails,
//! and says by a liveliness token whether packets come.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use neuralsmpl_packet::frame::{Accumulator, DELIMITER};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use zenoh::Session;
use zenoh::liveliness::LivelinessToken;

use crate::address::Source;
use crate::config::CameraPlan;
use crate::counters::Cause;
use crate::keys::Topic;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, MAX_PAUSE, READ_BYTES, TCP_SILENCE, TICK};
use crate::outlet::{CameraState, Outlets};
use crate::source::{Chunk, Reader};

/// How a source that cannot be opened again has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// At its end.
    Whole,
    /// With an error, see [`CameraState::trouble`].
    Failed,
}

/// A camera between its source and Zenoh.
#[derive(Debug)]
pub struct Feed {
    plan: CameraPlan,
    silence: Duration,
    session: Session,
    state: Arc<CameraState>,
    outlets: Outlets,
    accumulator: Accumulator,
    token: Option<LivelinessToken>,
    last_packet: Instant,
    /// When the next packet of a file is due; `None` for live sources.
    pace: Option<Pace>,
}

impl Feed {
    /// A camera whose source is not open yet.
    pub fn new(
        plan: CameraPlan,
        silence: Duration,
        session: Session,
        state: Arc<CameraState>,
        outlets: Outlets,
    ) -> Self {
        Feed {
            pace: matches!(plan.source, Source::File(_)).then(Pace::default),
            plan,
            silence,
            session,
            state,
            outlets,
            accumulator: Accumulator::new(),
            token: None,
            last_packet: Instant::now(),
        }
    }

    /// Publishes until the source has ended for good; live sources never do.
    ///
    /// # Errors
    /// What Zenoh says where the session has ended.
    pub async fn run(mut self) -> zenoh::Result<Ended> {
        let mut backoff = BACKOFF_MIN;
        loop {
            let published = self.state.counters.published();
            let trouble = match Reader::open(&self.plan.source).await {
                Ok(reader) => {
                    self.state.counters.opened.fetch_add(1, Relaxed);
                    self.drain(reader).await?
                }
                Err(error) => Some(format!("cannot be opened: {error}")),
            };
            self.finish_frame().await?;
            self.set_alive(false).await?;
            self.state.set_trouble(trouble.clone());
            match (&self.plan.source, trouble) {
                (Source::Udp(_) | Source::Tcp(_), _) => {}
                (_, None) => return Ok(Ended::Whole),
                (_, Some(_)) => return Ok(Ended::Failed),
            }
            if self.state.counters.published() > published {
                backoff = BACKOFF_MIN;
            }
            sleep(backoff).await;
            backoff = BACKOFF_MAX.min(backoff * 2);
        }
    }

    /// Reads until the source ends. Returns why, unless it is the end of a file.
    async fn drain(&mut self, mut reader: Reader) -> zenoh::Result<Option<String>> {
        let mut buffer = vec![0; READ_BYTES];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_bytes = Instant::now();
        self.last_packet = Instant::now();
        loop {
            let chunk = tokio::select! {
                chunk = reader.read(&mut buffer) => Some(chunk),
                _ = ticks.tick() => None,
            };
            match chunk {
                Some(Ok(Chunk::Bytes(len))) => {
                    last_bytes = Instant::now();
                    self.bytes(buffer.get(..len).unwrap_or_default()).await?;
                }
                Some(Ok(Chunk::Datagram(len, from))) => {
                    if self.plan.sender.is_some_and(|sender| sender != from) {
                        self.state.counters.drop(Cause::Foreign, 1);
                    } else {
                        self.bytes(buffer.get(..len).unwrap_or_default()).await?;
                        self.finish_frame().await?;
                    }
                }
                Some(Ok(Chunk::End)) => {
                    let live = matches!(self.plan.source, Source::Tcp(_));
                    return Ok(live.then(|| "closed by the camera".to_owned()));
                }
                // An ICMP answer to nothing we sent, or a broken stream.
                Some(Err(error)) => return Ok(Some(format!("reading failed: {error}"))),
                None => {}
            }
            if self.last_packet.elapsed() > self.silence {
                self.set_alive(false).await?;
                let seconds = self.silence.as_secs_f64();
                self.state
                    .set_trouble(Some(format!("no valid packet for {seconds} s")));
            }
            if matches!(reader, Reader::Tcp(_)) && last_bytes.elapsed() > TCP_SILENCE {
                return Ok(Some(format!("silent for {} s", TCP_SILENCE.as_secs())));
            }
        }
    }

    async fn bytes(&mut self, bytes: &[u8]) -> zenoh::Result<()> {
        let before = self.accumulator.drops();
        for byte in bytes {
            let Some(payload) = self.accumulator.feed(*byte) else {
                continue;
            };
            if let Some(pace) = &mut self.pace {
                pace.wait_for(payload).await;
            }
            if self.outlets.packet(payload) {
                self.last_packet = Instant::now();
                self.set_alive(true).await?;
            }
        }
        let counters = &self.state.counters;
        counters.damage(before, self.accumulator.drops());
        Ok(())
    }

    /// Ends a frame that was cut, so that its rest does not spoil the next one.
    async fn finish_frame(&mut self) -> zenoh::Result<()> {
        self.bytes(&[DELIMITER]).await
    }

    async fn set_alive(&mut self, alive: bool) -> zenoh::Result<()> {
        if alive && self.token.is_none() {
            let key = self.plan.camera.key(Topic::Alive);
            self.token = Some(self.session.liveliness().declare_token(key).await?);
            self.state.set_trouble(None);
        } else if !alive && let Some(token) = self.token.take() {
            token.undeclare().await?;
        }
        self.state.alive.store(alive, Relaxed);
        Ok(())
    }
}

/// The pace of a recording: packets are as far apart as their times, pauses cut to
/// [`MAX_PAUSE`].
#[derive(Debug, Default)]
struct Pace {
    /// Latest time of a packet so far, and when that packet was due.
    last: Option<(u64, Instant)>,
}

impl Pace {
    async fn wait_for(&mut self, payload: &[u8]) {
        if let Some(time_us) = time_us(payload) {
            sleep_until(self.due(time_us, Instant::now())).await;
        }
    }

    fn due(&mut self, time_us: u64, now: Instant) -> Instant {
        let (latest, due) = self.last.unwrap_or((time_us, now));
        let pause = Duration::from_micros(time_us.saturating_sub(latest)).min(MAX_PAUSE);
        let due = due + pause;
        self.last = Some((latest.max(time_us), due));
        due
    }
}

/// The time of a payload that is a packet.
fn time_us(payload: &[u8]) -> Option<u64> {
    use neuralsmpl_packet::Message;
    match Message::parse(payload).ok()? {
        Message::Pose(packet) => Some(packet.time_us),
        Message::Subject(packet) => Some(packet.time_us),
        Message::Status(packet) => Some(packet.time_us),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_its_pace_and_cuts_pauses() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let due = [1_000_000, 1_033_000, 1_020_000, 1_066_000, 90_000_000]
            .map(|time| (pace.due(time, start) - start).as_millis());
        assert_eq!(due, [0, 33, 33, 66, 1066]);
        assert_eq!(pace.due(0, start), start + Duration::from_millis(1066));
    }
}
