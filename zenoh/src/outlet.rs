//! One camera's side of Zenoh: its publishers, what is kept for late joiners, its counters.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use neuralsmpl_packet::{Kind, Message, ParseError, frame, layout::header};
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::Query;
use zenoh::{Session, Wait};

use crate::config::CameraPlan;
use crate::counters::{Cause, Counters, Gaps};
use crate::json;
use crate::keys::{Camera, Topic};
use crate::limits::{MAX_SUBJECTS, RETAIN};

/// What is known about one camera, shared between its task, its queryables and the reports.
#[derive(Debug)]
pub struct CameraState {
    /// Site and name.
    pub camera: Camera,
    /// What came and went.
    pub counters: Counters,
    /// Whether its liveliness token is out.
    pub alive: AtomicBool,
    trouble: Mutex<Option<String>>,
    kept: Mutex<Kept>,
}

impl CameraState {
    /// Nothing has come yet.
    pub fn new(camera: Camera) -> Self {
        CameraState {
            camera,
            counters: Counters::default(),
            alive: AtomicBool::new(false),
            trouble: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// What keeps the camera from being alive, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes what keeps the camera from being alive.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last frames of the slow topics.
#[derive(Debug, Default)]
struct Kept {
    /// By person, the longest silent first.
    subjects: Vec<(u16, Instant, Vec<u8>)>,
    status: Option<(Instant, Vec<u8>)>,
}

impl Kept {
    fn keep(&mut self, message: &Message, frame: &[u8]) {
        match message {
            Message::Subject(subject) => {
                self.subjects.retain(|(id, ..)| *id != subject.person_id);
                if self.subjects.len() >= MAX_SUBJECTS {
                    self.subjects.remove(0);
                }
                let entry = (subject.person_id, Instant::now(), frame.to_vec());
                self.subjects.push(entry);
            }
            Message::Status(_) => self.status = Some((Instant::now(), frame.to_vec())),
            _ => {}
        }
    }

    /// All frames of a topic that are not too old, one after the other.
    fn frames(&self, topic: Topic) -> Vec<u8> {
        let fresh = |at: &Instant| at.elapsed() < RETAIN;
        match topic {
            Topic::Subject => self
                .subjects
                .iter()
                .filter(|(_, at, _)| fresh(at))
                .flat_map(|(_, _, frame)| frame.iter().copied())
                .collect(),
            Topic::Status => self
                .status
                .iter()
                .filter(|(at, _)| fresh(at))
                .flat_map(|(_, frame)| frame.iter().copied())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A topic's publisher, and its JSON twin where that is wanted.
#[derive(Debug)]
struct Outlet {
    frames: Publisher<'static>,
    json: Option<(Publisher<'static>, Arc<AtomicBool>)>,
}

impl Outlet {
    async fn declare(
        session: &Session,
        plan: &CameraPlan,
        topic: Topic,
        twin: Topic,
    ) -> zenoh::Result<Self> {
        let priority = match topic {
            Topic::Pose => Priority::DataHigh,
            _ => Priority::InteractiveHigh,
        };
        let frames = declare(session, &plan.camera, topic, priority).await?;
        let json = if plan.json {
            let publisher = declare(session, &plan.camera, twin, Priority::DataLow).await?;
            // JSON is only written while somebody reads it.
            let read = Arc::new(AtomicBool::new(false));
            let flag = read.clone();
            publisher
                .matching_listener()
                .callback(move |status| flag.store(status.matching(), Relaxed))
                .background()
                .await?;
            Some((publisher, read))
        } else {
            None
        };
        Ok(Outlet { frames, json })
    }

    fn put(&self, message: &Message, frame: &[u8]) -> zenoh::Result<()> {
        if let Some((publisher, read)) = &self.json
            && read.load(Relaxed)
            && let Some(packet) = json::packet(message)
        {
            publisher.put(json::line(&packet)).wait()?;
        }
        self.frames.put(frame).wait()
    }
}

/// Declares a publisher that drops where Zenoh cannot keep up, and never waits for it.
///
/// # Errors
/// What Zenoh says.
pub async fn declare(
    session: &Session,
    camera: &Camera,
    topic: Topic,
    priority: Priority,
) -> zenoh::Result<Publisher<'static>> {
    session
        .declare_publisher(camera.key(topic))
        .encoding(topic.encoding())
        .congestion_control(CongestionControl::Drop)
        .priority(priority)
        .await
}

/// All outlets of one camera.
#[derive(Debug)]
pub struct Outlets {
    state: Arc<CameraState>,
    router_up: Arc<AtomicBool>,
    pose: Outlet,
    subject: Outlet,
    status: Outlet,
    gaps: Gaps,
    frame: [u8; frame::MAX_FRAME],
}

impl Outlets {
    /// Declares the publishers of a camera, and the queryables that answer late joiners.
    ///
    /// # Errors
    /// What Zenoh says.
    pub async fn declare(
        session: &Session,
        plan: &CameraPlan,
        state: Arc<CameraState>,
        router_up: Arc<AtomicBool>,
    ) -> zenoh::Result<Self> {
        for topic in [Topic::Subject, Topic::Status] {
            let (kept, key) = (state.clone(), plan.camera.key(topic));
            session
                .declare_queryable(plan.camera.key(topic))
                .callback(move |query| answer(&query, &key, topic, &kept))
                .background()
                .await?;
        }
        Ok(Outlets {
            pose: Outlet::declare(session, plan, Topic::Pose, Topic::PoseJson).await?,
            subject: Outlet::declare(session, plan, Topic::Subject, Topic::SubjectJson).await?,
            status: Outlet::declare(session, plan, Topic::Status, Topic::StatusJson).await?,
            state,
            router_up,
            gaps: Gaps::default(),
            frame: [0; frame::MAX_FRAME],
        })
    }

    /// Publishes one payload, or counts why not. Returns whether it was a valid packet.
    pub fn packet(&mut self, payload: &[u8]) -> bool {
        let counters = &self.state.counters;
        let parsed = Message::parse(payload);
        if matches!(parsed, Ok(_) | Err(ParseError::UnknownKind { .. })) {
            let before = self.gaps.lost();
            self.gaps.see(sequence(payload));
            counters.drop(Cause::LostBefore, self.gaps.lost().saturating_sub(before));
        }
        let message = match parsed {
            Ok(message) => message,
            Err(error) => {
                counters.drop(cause(&error), 1);
                return false;
            }
        };
        let (outlet, counter) = match message.kind() {
            Kind::Pose => (&self.pose, &counters.poses),
            Kind::Subject => (&self.subject, &counters.subjects),
            Kind::Status => (&self.status, &counters.statuses),
            _ => {
                counters.drop(Cause::UnknownKind, 1);
                return false;
            }
        };
        let Some(frame) = frame::encode(payload, &mut self.frame)
            .ok()
            .and_then(|len| self.frame.get(..len))
        else {
            counters.drop(Cause::Invalid, 1);
            return false;
        };
        self.state.kept().keep(&message, frame);
        if outlet.put(&message, frame).is_err() {
            counters.drop(Cause::Refused, 1);
        } else if !self.router_up.load(Relaxed) {
            counters.drop(Cause::NoRouter, 1);
        } else {
            counter.fetch_add(1, Relaxed);
        }
        true
    }
}

/// Answers one query with everything kept of a topic, in one sample.
fn answer(query: &Query, key: &str, topic: Topic, state: &CameraState) {
    let frames = state.kept().frames(topic);
    if !frames.is_empty() {
        // A query whose asker has gone cannot be answered, and need not be.
        let _ = query.reply(key, frames).encoding(topic.encoding()).wait();
    }
}

/// The sequence number of a payload with a valid header.
fn sequence(payload: &[u8]) -> u32 {
    header::LAYOUT
        .iter()
        .find(|field| field.name == "sequence")
        .and_then(|field| payload.get(field.offset..)?.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn cause(error: &ParseError) -> Cause {
    match error {
        ParseError::Version { .. } => Cause::Version,
        ParseError::UnknownKind { .. } => Cause::UnknownKind,
        _ => Cause::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neuralsmpl_packet::{StatusRepr, SubjectRepr};

    fn subject(person_id: u16) -> Message {
        Message::Subject(SubjectRepr {
            person_id,
            ..SubjectRepr::default()
        })
    }

    #[test]
    fn one_frame_is_kept_per_person_and_the_longest_silent_goes() {
        let mut kept = Kept::default();
        for person in 0..MAX_SUBJECTS as u16 {
            kept.keep(&subject(person), &[person as u8]);
        }
        kept.keep(&subject(0), &[100]);
        kept.keep(&subject(99), &[99]);
        let frames = kept.frames(Topic::Subject);
        assert_eq!(frames.len(), MAX_SUBJECTS);
        assert_eq!(frames.first(), Some(&2), "person 1 was silent longest");
        assert!(frames.ends_with(&[100, 99]));

        assert!(kept.frames(Topic::Status).is_empty());
        kept.keep(&Message::Status(StatusRepr::default()), &[7]);
        kept.keep(&Message::Status(StatusRepr::default()), &[8]);
        assert_eq!(kept.frames(Topic::Status), [8]);
    }

    #[test]
    fn sequence_is_where_the_layout_says() {
        let status = StatusRepr {
            sequence: 0x0102_0304,
            ..StatusRepr::default()
        };
        assert_eq!(sequence(&status.emit().unwrap()), 0x0102_0304);
        assert_eq!(sequence(&[]), 0);
    }
}
