//! The frame thread's side: shots go out, commands come in. Nothing here waits or allocates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use neuralsmpl_packet::Message;

use crate::Poser;
use crate::limits::{BUSY_EVERY, COMMANDS, SHOTS, SPARE};
use crate::record::Recorder;
use crate::shot::Shot;

/// What a button asks of the frame thread.
#[derive(Debug)]
pub(crate) enum Command {
    Redetect,
    Record(Recorder),
    Stop,
}

/// What the frame thread shares with the page's thread.
pub(crate) struct Shared {
    /// Those who want pictures.
    pub viewers: AtomicU32,
    /// Shots handed over, and those for which no place was free.
    pub shots: AtomicU64,
    pub missed: AtomicU64,
    /// Commands that the frame thread has taken.
    pub obeyed: AtomicU64,
    pub free: ArrayQueue<Box<Shot>>,
    pub full: ArrayQueue<Box<Shot>>,
    pub commands: ArrayQueue<Command>,
    /// Recordings that have ended.
    pub ended: ArrayQueue<Recorder>,
    /// A new body.
    pub poser: ArrayQueue<Box<dyn Poser>>,
}

impl Shared {
    pub fn new() -> Arc<Self> {
        let shared = Self {
            viewers: AtomicU32::new(0),
            shots: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            obeyed: AtomicU64::new(0),
            free: ArrayQueue::new(SHOTS),
            full: ArrayQueue::new(SHOTS),
            commands: ArrayQueue::new(COMMANDS),
            // One that runs and one that takes its place.
            ended: ArrayQueue::new(2),
            poser: ArrayQueue::new(1),
        };
        for _ in 0..SHOTS {
            // The queue has room for all.
            let _ = shared.free.push(Box::new(Shot::new()));
        }
        Arc::new(shared)
    }
}

/// What the frame thread is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Look for people anew.
    Redetect,
}

/// The frame thread's side of the page.
pub struct Desk {
    shared: Arc<Shared>,
    every: Duration,
    next: Option<Instant>,
    /// Share of the frame thread's time in which it waits for frames, of late.
    spare: f32,
    recorder: Option<Recorder>,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>, fps: f32) -> Self {
        Self {
            shared,
            every: Duration::from_secs_f32(1.0 / fps),
            next: None,
            spare: 1.0,
            recorder: None,
        }
    }

    /// Whether somebody views: one atomic load.
    pub fn wanted(&self) -> bool {
        self.shared.viewers.load(Ordering::Relaxed) > 0
    }

    /// Whether a frame that is begun now is to be shown: somebody views, and it is time for a picture.
    pub fn due(&self, now: Instant) -> bool {
        self.wanted() && self.next.is_none_or(|next| now >= next)
    }

    /// How long the frame thread waited for a frame and then worked on it. Where it hardly ever waits, pictures are
    /// [`BUSY_EVERY`] apart.
    pub fn pace(&mut self, waited: Duration, worked: Duration) {
        let all = (waited + worked).as_secs_f32();
        if all > 0.0 {
            self.spare += 0.1 * (waited.as_secs_f32() / all - self.spare);
        }
    }

    /// A shot to be filled and given to [`Desk::give`]; `None` where none is [due](Desk::due), and (counted) where the
    /// page still holds all. It has the people of an earlier frame.
    pub fn shot(&mut self, now: Instant) -> Option<Box<Shot>> {
        if !self.due(now) {
            return None;
        }
        let every = if self.spare < SPARE {
            self.every.max(BUSY_EVERY)
        } else {
            self.every
        };
        // Kept in step with the clock, so that frames a little early do not halve the rate.
        let next = self.next.unwrap_or(now) + every;
        self.next = Some(if next > now { next } else { now + every });
        let shot = self.shared.free.pop();
        if shot.is_none() {
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
        }
        shot
    }

    /// Hands a shot over.
    pub fn give(&mut self, shot: Box<Shot>) {
        // There are no more shots than places.
        let _ = self.shared.full.push(shot);
        self.shared.shots.fetch_add(1, Ordering::Relaxed);
    }

    /// The next request, if there is one. Starts and ends recordings on the way.
    pub fn request(&mut self) -> Option<Request> {
        if self.shared.commands.is_empty() {
            return None;
        }
        while let Some(command) = self.shared.commands.pop() {
            let mut request = None;
            match command {
                Command::Redetect => request = Some(Request::Redetect),
                Command::Record(recorder) => {
                    if let Some(before) = self.recorder.replace(recorder) {
                        self.retire(before);
                    }
                }
                Command::Stop => {
                    if let Some(recorder) = self.recorder.take() {
                        self.retire(recorder);
                    }
                }
            }
            self.shared.obeyed.fetch_add(1, Ordering::Release);
            if request.is_some() {
                return request;
            }
        }
        None
    }

    /// The page's thread closes its file: that waits for a disk.
    fn retire(&mut self, recorder: Recorder) {
        if let Err(recorder) = self.shared.ended.push(recorder) {
            self.recorder.get_or_insert(recorder);
        }
    }

    /// Hands a packet to the recording, if one runs.
    pub fn send(&mut self, message: &Message) {
        if let Some(recorder) = &mut self.recorder {
            recorder.send(message);
        }
    }

    /// Another body from now on.
    pub fn set_poser(&mut self, poser: Box<dyn Poser>) {
        self.shared.poser.force_push(poser);
    }

    /// Shots handed over, and those that were missed.
    pub fn counts(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.shared.shots), read(&self.shared.missed))
    }

    /// The recording that runs, to be closed at the end of the process.
    pub fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_seldom_where_the_frame_thread_never_rests() {
        let ms = Duration::from_millis;
        let shared = Shared::new();
        let mut desk = Desk::new(Arc::clone(&shared), 10.0);
        let mut now = Instant::now();
        let mut shown = |desk: &mut Desk, waited: u64| {
            let mut count = 0;
            for _ in 0..200 {
                desk.pace(ms(waited), ms(20 - waited));
                now += ms(20);
                if let Some(shot) = desk.shot(now) {
                    count += 1;
                    let _ = shared.free.push(shot);
                }
            }
            count
        };
        assert_eq!(shown(&mut desk, 10), 0, "nobody views");
        desk.shared.viewers.store(1, Ordering::Relaxed);
        assert!((39..=41).contains(&shown(&mut desk, 10)));
        shown(&mut desk, 0);
        assert!((9..=11).contains(&shown(&mut desk, 0)));
        shown(&mut desk, 4);
        assert!((39..=41).contains(&shown(&mut desk, 4)));
    }
}
