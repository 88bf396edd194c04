//! People of a stream, frame by frame: who is where, one look and one fit each within the frame's
//! budget, and what is said of them. Allocates nothing after the first frames but what the networks'
//! engine asks for.
//!
//! In: a frame with its capture time, and the camera. Out: a [`Person`] for each identity.

use std::time::{Duration, Instant};

use glam::Vec3;
use image::RgbImage;
use neuralsmpl_track::{
    Assignment, Candidate, Config as TrackConfig, ConfigError, PersonId, Reason, Refusal, Sight,
    Tracker,
};

use super::budget::{Limits, Scheduler};
use super::person::{Person, measurement, pose_of, sight};
use crate::backbone::{BackboneError, region_from_detection};
use crate::frame::{Intrinsics, Region};
use crate::limits::{MAX_JOINTS, MAX_PERSONS};
use crate::pipeline::{Budget, Estimator};
use crate::readout::Visibility;

/// Fits of an identity in which betas move; after them the shape is kept.
const SHAPE_FITS: u32 = 90;

/// What a frame has cost, and what went wrong in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameReport {
    /// Detector and looks.
    pub locate: Duration,
    /// Start poses and fits.
    pub fit: Duration,
    /// All.
    pub total: Duration,
    /// Gradient steps.
    pub steps: u32,
    /// People fitted.
    pub fitted: usize,
    /// Why the detector ran, if it did.
    pub detector: Option<Reason>,
    /// People looked at.
    pub looks: u64,
    /// People whom a look failed.
    pub failed_looks: u32,
    /// Fits with values that are not usable.
    pub failed_fits: u32,
    /// The frame ended after its deadline.
    pub late: bool,
}

/// What the follower knows of an identity beside its pose.
#[derive(Clone, Copy)]
struct Record {
    id: Option<PersonId>,
    fits: u32,
    /// Frames in a row in which there was no time for the person.
    waited: u32,
    /// Where the detector saw a person who has no pose yet.
    region: Option<Region>,
    visibility: [Visibility; MAX_JOINTS],
    square_px: [f32; 4],
}

const NOBODY: Record = Record {
    id: None,
    fits: 0,
    waited: 0,
    region: None,
    visibility: [Visibility::Visible; MAX_JOINTS],
    square_px: [0.0; 4],
};

/// Follows people through a stream with one estimator.
pub struct Follower {
    estimator: Estimator,
    tracker: Tracker,
    scheduler: Scheduler,
    records: [Record; MAX_PERSONS],
    people: [Option<Person>; MAX_PERSONS],
    /// Part of the picture that the detector searches next for new people.
    part: usize,
    /// The detector runs on the next frame whatever the tracker says.
    redetect: bool,
    last_error: Option<BackboneError>,
}

impl Follower {
    /// With nobody followed yet.
    ///
    /// # Errors
    /// When a setting of the tracker is out of range.
    pub fn new(
        estimator: Estimator,
        track: TrackConfig,
        limits: Limits,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            estimator,
            tracker: Tracker::new(track)?,
            scheduler: Scheduler::new(limits),
            records: [NOBODY; MAX_PERSONS],
            people: [None; MAX_PERSONS],
            part: 0,
            redetect: false,
            last_error: None,
        })
    }

    /// Replaces the estimator; the people stay.
    pub fn replace(&mut self, estimator: Estimator) {
        self.estimator = estimator;
    }

    /// The estimator.
    pub fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// Lets something go wrong on the device, for tests; without one nothing happens.
    pub fn inject(&mut self, fault: crate::vulkan::Fault) {
        self.estimator.inject(fault);
    }

    /// What happened to identities and filters.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// What frames spend.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Lets the detector run on the next frame.
    pub fn redetect(&mut self) {
        self.redetect = true;
    }

    /// The last fault of a network, taken away.
    pub fn take_error(&mut self) -> Option<BackboneError> {
        self.last_error.take()
    }

    /// Keypoints of a body in this pose, camera frame, metres.
    pub fn keypoints_of(&mut self, pose: &neuralsmpl_track::Pose) -> Vec<Vec3> {
        self.estimator.keypoints_of(&pose_of(pose))
    }

    /// The people of the last frame, oldest identity first.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().flatten()
    }

    /// Whether maps of what the camera sees are kept, for [`Follower::map`].
    pub fn keep_maps(&mut self, keep: bool) {
        self.estimator.keep_maps = keep;
    }

    /// What the camera sees of a person, see [`Estimator::map`]; empty where this frame gave no fit.
    pub fn map(&self, person: &Person) -> (Region, &[u8]) {
        let slot = self.records.iter().position(|r| r.id == Some(person.id));
        let (region, map) = self.estimator.map(slot.unwrap_or(0));
        match slot {
            Some(_) if !person.predicted => (region, map),
            _ => (region, &[]),
        }
    }

    /// Follows everybody into the frame that was captured at `time_us` (µs, any steady clock) and
    /// taken from the source at `taken`.
    pub fn follow(
        &mut self,
        image: &RgbImage,
        time_us: u64,
        taken: Instant,
        intrinsics: &Intrinsics,
    ) -> FrameReport {
        let mut report = FrameReport::default();
        self.people = [None; MAX_PERSONS];
        self.tracker.predict(time_us);
        let estimator = &mut self.estimator;
        self.tracker
            .project(|pose| sight(estimator, &pose_of(pose), intrinsics));
        self.detect(image, intrinsics, &mut report);
        let (served, count) = self.serve(taken);
        let looks = Instant::now();
        let mut tracked = [0usize; MAX_PERSONS];
        let mut fresh = [0usize; MAX_PERSONS];
        let (mut n, mut m) = (0, 0);
        for &k in &served[..count] {
            match self.look(k, image, intrinsics, &mut report) {
                Some(true) => {
                    tracked[n] = k;
                    n += 1;
                }
                Some(false) => {
                    fresh[m] = k;
                    m += 1;
                }
                None => {}
            }
        }
        report.locate += looks.elapsed();
        let fits = Instant::now();
        self.fit(&tracked[..n], false, m, image, taken, intrinsics);
        self.fit(&fresh[..m], true, 0, image, taken, intrinsics);
        let mut fitted = [0usize; MAX_PERSONS];
        fitted[..n].copy_from_slice(&tracked[..n]);
        fitted[n..n + m].copy_from_slice(&fresh[..m]);
        let fitted = &fitted[..n + m];
        if fitted.len() > 1 {
            self.estimator.hide_slots(fitted, intrinsics);
        }
        self.tell(fitted, intrinsics, &mut report);
        report.fit = fits.elapsed();
        if !fitted.is_empty() {
            self.scheduler
                .fitted(fitted.len(), report.steps, report.fit);
        }
        report.total = taken.elapsed();
        report.late = self.scheduler.ended(report.total);
        report
    }

    /// Searches for people where the tracker asks for it.
    fn detect(&mut self, image: &RgbImage, intrinsics: &Intrinsics, report: &mut FrameReport) {
        let asked = std::mem::take(&mut self.redetect).then_some(Reason::Refresh);
        let Some(reason) = asked.or_else(|| self.tracker.needs_detector()) else {
            return;
        };
        let clock = Instant::now();
        report.detector = Some(reason);
        // The whole picture in turn with a part of it: far people are found in parts alone.
        let part = match reason {
            Reason::Nobody | Reason::Search => {
                self.part = self.part.wrapping_add(1);
                if self.part % 2 == 1 { 0 } else { self.part / 2 }
            }
            _ => 0,
        };
        let mut candidates = [Candidate::default(); MAX_PERSONS];
        let mut regions = [None; MAX_PERSONS];
        let mut count = 0;
        match self.estimator.search(image, part) {
            Ok(found) => {
                for d in found {
                    let Some(region) = region_from_detection(d, intrinsics) else {
                        continue;
                    };
                    if count < MAX_PERSONS {
                        candidates[count] = Candidate {
                            score: d.score,
                            sight: Sight::with_points(d.body_square(), [(d.hip_center, 1.0)]),
                        };
                        regions[count] = Some(region);
                        count += 1;
                    }
                }
            }
            Err(error) => {
                report.failed_looks += 1;
                self.last_error = Some(error);
            }
        }
        let mut who = [Assignment::Refused(Refusal::Full); MAX_PERSONS];
        self.tracker
            .associate(&candidates[..count], &mut who[..count]);
        for (who, region) in who.iter().zip(regions) {
            if let Assignment::New(id) = who {
                let slot = self.slot(*id);
                self.records[slot].region = region;
            }
        }
        report.locate += clock.elapsed();
    }

    /// Place of an identity among the records; a new one takes that of somebody who has ended.
    fn slot(&mut self, id: PersonId) -> usize {
        if let Some(k) = self.records.iter().position(|r| r.id == Some(id)) {
            return k;
        }
        let tracker = &self.tracker;
        let ended = |r: &Record| r.id.is_none_or(|id| tracker.prediction(id).is_none());
        let free = self.records.iter().position(ended).unwrap_or(0);
        self.records[free] = Record {
            id: Some(id),
            ..NOBODY
        };
        free
    }

    /// Slots of the people that there is time for, who has waited longest first.
    fn serve(&mut self, taken: Instant) -> ([usize; MAX_PERSONS], usize) {
        let mut slots = [0usize; MAX_PERSONS];
        let mut count = 0;
        for k in 0..self.tracker.predictions().len().min(MAX_PERSONS) {
            let id = self.tracker.predictions()[k].id;
            slots[count] = self.slot(id);
            count += 1;
        }
        let records = &mut self.records;
        slots[..count].sort_by_key(|&k| std::cmp::Reverse(records[k].waited));
        let served = match count {
            0 => 0,
            _ => self.scheduler.people(count, taken.elapsed()),
        };
        for (rank, &k) in slots[..count].iter().enumerate() {
            records[k].waited = if rank < served {
                0
            } else {
                records[k].waited + 1
            };
        }
        (slots, served)
    }

    /// Looks at a person and settles the start; `Some(true)` where a pose was expected, `None` where
    /// nobody is seen.
    fn look(
        &mut self,
        slot: usize,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        report: &mut FrameReport,
    ) -> Option<bool> {
        let clock = Instant::now();
        let id = self.records[slot].id?;
        let expected = self
            .tracker
            .prediction(id)
            .and_then(|p| p.pose.as_ref())
            .map(pose_of);
        let from_pose = expected
            .as_ref()
            .and_then(|pose| self.estimator.region_of(pose, intrinsics));
        let region = from_pose.or(self.records[slot].region)?;
        let fresh = expected.is_none();
        report.looks += 1;
        match self.estimator.look(slot, region, image, intrinsics, fresh) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                report.failed_looks += 1;
                self.last_error = Some(error);
                return None;
            }
        }
        self.estimator.settle(slot, expected.as_ref(), intrinsics);
        if !fresh {
            self.scheduler.looked(clock.elapsed());
        }
        Some(!fresh)
    }

    /// Fits those in `slots`; `others` wait for their share of the time.
    fn fit(
        &mut self,
        slots: &[usize],
        fresh: bool,
        others: usize,
        image: &RgbImage,
        taken: Instant,
        intrinsics: &Intrinsics,
    ) {
        if slots.is_empty() {
            return;
        }
        let people = slots.len() + others;
        let share = self.scheduler.share(people, fresh, taken.elapsed());
        let on_device = self.estimator.engine().device().is_some();
        let deadline = taken + self.scheduler.limits().deadline;
        let now = Instant::now();
        let time = deadline.saturating_duration_since(now) * slots.len() as u32 / people as u32;
        let budget = Budget {
            // A device's commands are recorded for one number of steps.
            steps: if on_device {
                self.scheduler.cap(fresh)
            } else {
                share.steps
            },
            hypotheses: share.hypotheses,
            shape: slots.iter().any(|&k| self.records[k].fits < SHAPE_FITS),
            until: Some(now + time),
        };
        self.estimator
            .fit_slots(slots, &budget, image.dimensions(), intrinsics);
    }

    /// Hands the fits to the tracker, and says what is known of everybody.
    fn tell(&mut self, fitted: &[usize], intrinsics: &Intrinsics, report: &mut FrameReport) {
        for place in 0..self.tracker.predictions().len().min(MAX_PERSONS) {
            let id = self.tracker.predictions()[place].id;
            let slot = self.slot(id);
            let told = match fitted.contains(&slot) {
                true => self.update(id, slot, intrinsics, report),
                false => None,
            };
            self.people[place] = told.or_else(|| self.predicted(place, id, slot));
        }
        self.tracker.finish();
    }

    /// Hands one fit to the tracker; `None` where it has values that are not usable.
    fn update(
        &mut self,
        id: PersonId,
        slot: usize,
        intrinsics: &Intrinsics,
        report: &mut FrameReport,
    ) -> Option<Person> {
        let found = self.estimator.found(slot);
        report.steps += found.steps;
        let measured = measurement(found, &self.estimator.pack().body.parents, intrinsics);
        let Ok(estimate) = self.tracker.update(id, &measured) else {
            report.failed_fits += 1;
            return None;
        };
        let person = Person::fitted(found, estimate, measured.sight.box_px);
        report.fitted += 1;
        let record = &mut self.records[slot];
        record.fits += 1;
        record.region = None;
        record.visibility = person.visibility;
        record.square_px = person.square_px;
        Some(person)
    }

    /// Where a person without a fit is expected; `None` before the first fit.
    fn predicted(&mut self, place: usize, id: PersonId, slot: usize) -> Option<Person> {
        let record = &self.records[slot];
        // Who was left out for want of time is not being lost.
        let (raw, smooth, restarted) = if record.waited > 0 {
            let pose = self.tracker.predictions()[place].pose?;
            (pose, pose, false)
        } else {
            let missed = self.tracker.miss(id)?;
            (missed.raw, missed.smooth, missed.restarted)
        };
        Some(Person {
            id,
            raw,
            smooth,
            visibility: record.visibility,
            confidence: [0.0; MAX_JOINTS],
            quality: 0.0,
            steps: 0,
            predicted: true,
            restarted,
            late: false,
            occluded: false,
            square_px: record.square_px,
        })
    }
}

const _: () = assert!(MAX_JOINTS == neuralsmpl_track::MAX_JOINTS);
const _: () = assert!(MAX_PERSONS == neuralsmpl_track::MAX_PERSONS);
