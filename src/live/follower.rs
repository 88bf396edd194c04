//! People of a stream, frame by frame: who is where, one look and one fit each within the frame's
//! budget, and what is said of them. Allocates nothing after the first frames but what the networks'
//! engine asks for.
//!
//! In: a frame with its capture time, and the camera. Out: a [`Person`] for each identity.

use std::time::{Duration, Instant};

use glam::{Mat3, Quat, Vec2, Vec3};
use image::RgbImage;
use neuralsmpl_track::{
    Assignment, Candidate, Config as TrackConfig, ConfigError, Measurement, PersonId, Reason,
    Refusal, Sight, Tracker, UpdateError,
};

use super::budget::{Limits, Scheduler};
use crate::backbone::{BackboneError, region_from_detection};
use crate::body::Pose;
use crate::frame::{Intrinsics, Region};
use crate::limits::{MAX_JOINTS, MAX_PERSONS};
use crate::pipeline::{Budget, Estimator, Found, StartKind};
use crate::readout::{JointState, Visibility};

/// Fits of an identity in which betas move; after them the shape is kept.
const SHAPE_FITS: u32 = 90;

/// Half the side of the square around a body's circle, over the side of its region.
const SQUARE: f32 = 0.4;

/// What is said of one person of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Stable identity.
    pub id: PersonId,
    /// The pose: fitted to this frame or predicted.
    pub raw: neuralsmpl_track::Pose,
    /// The same, smoothed over time; equal to `raw` where smoothing is off.
    pub smooth: neuralsmpl_track::Pose,
    /// Visibility by joint; of the last fit where this frame gave none.
    pub visibility: [Visibility; MAX_JOINTS],
    /// Confidence by joint; 0 where this frame gave no fit.
    pub confidence: [f32; MAX_JOINTS],
    /// Mean P(visible) over the covered cells; 0 where this frame gave no fit.
    pub quality: f32,
    /// Gradient steps spent.
    pub steps: u32,
    /// This frame gave no fit.
    pub predicted: bool,
    /// The filters began anew.
    pub restarted: bool,
    /// Time ended the fit before its steps were used up.
    pub late: bool,
    /// At least half of what the body covers looks like something in front.
    pub occluded: bool,
    /// Square around the body in the photo: x, y, width, height.
    pub square_px: [f32; 4],
}

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
            let found = fitted.contains(&slot).then(|| self.estimator.found(slot));
            self.people[place] = match found {
                Some(found) => {
                    report.steps += found.steps;
                    let parents = &self.estimator.pack().body.parents;
                    let measured = measurement(found, parents, intrinsics);
                    let told = told(found);
                    match self.tracker.update(id, &measured) {
                        Ok(estimate) => {
                            report.fitted += 1;
                            let record = &mut self.records[slot];
                            record.fits += 1;
                            record.region = None;
                            record.visibility = told.visibility;
                            record.square_px = measured.sight.box_px;
                            Some(Person {
                                raw: estimate.raw,
                                smooth: estimate.smooth,
                                predicted: estimate.predicted,
                                restarted: estimate.restarted,
                                square_px: measured.sight.box_px,
                                ..told.person(id)
                            })
                        }
                        Err(UpdateError::Fault { .. }) => {
                            report.failed_fits += 1;
                            None
                        }
                        Err(UpdateError::Unknown(_)) => None,
                    }
                }
                None => None,
            };
            if self.people[place].is_none() {
                let record = &self.records[slot];
                // Who was left out for want of time is not being lost.
                let poses = if record.waited > 0 {
                    let prediction = self.tracker.predictions()[place].pose;
                    prediction.map(|pose| (pose, pose, false))
                } else {
                    let missed = self.tracker.miss(id);
                    missed.map(|e| (e.raw, e.smooth, e.restarted))
                };
                self.people[place] = poses.map(|(raw, smooth, restarted)| Person {
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
                });
            }
        }
        self.tracker.finish();
    }
}

/// What a fit tells of a person beside the pose.
struct Told {
    visibility: [Visibility; MAX_JOINTS],
    confidence: [f32; MAX_JOINTS],
    quality: f32,
    steps: u32,
    late: bool,
    occluded: bool,
}

impl Told {
    fn person(&self, id: PersonId) -> Person {
        Person {
            id,
            raw: neuralsmpl_track::Pose::default(),
            smooth: neuralsmpl_track::Pose::default(),
            visibility: self.visibility,
            confidence: self.confidence,
            quality: self.quality,
            steps: self.steps,
            predicted: false,
            restarted: false,
            late: self.late,
            occluded: self.occluded,
            square_px: [0.0; 4],
        }
    }
}

fn told(found: &Found) -> Told {
    Told {
        visibility: found.joints.map(|j: JointState| j.visibility),
        confidence: found.joints.map(|j| j.confidence),
        quality: found.quality,
        steps: found.steps,
        late: found.late,
        occluded: found.occluded,
    }
}

fn measurement(found: &Found, parents: &[Option<u8>], intrinsics: &Intrinsics) -> Measurement {
    Measurement {
        pose: pose_from(&found.pose),
        confidence: trust(&found.joints.map(|j| j.confidence), parents),
        quality: found.quality,
        sight: square(&found.body_region, intrinsics),
        restarted: found.start == StartKind::Landmarks,
    }
}

/// How sure the fit is of each joint: joints of which no surface is in reach, such as those inside
/// the trunk, are as sure as the surest of their neighbours.
fn trust(confidence: &[f32; MAX_JOINTS], parents: &[Option<u8>]) -> [f32; MAX_JOINTS] {
    let mut out = *confidence;
    for (j, parent) in parents.iter().enumerate().take(MAX_JOINTS) {
        let Some(p) = parent.map(usize::from).filter(|&p| p < MAX_JOINTS) else {
            continue;
        };
        for (a, b) in [(j, p), (p, j)] {
            if confidence[a] == 0.0 {
                out[a] = out[a].max(confidence[b]);
            }
        }
    }
    out
}

/// Where a body in this pose is in the photo.
fn sight(estimator: &mut Estimator, pose: &Pose, intrinsics: &Intrinsics) -> Option<Sight> {
    let region = estimator.region_of(pose, intrinsics)?;
    Some(square(&region, intrinsics))
}

/// The square around the circle of a region, as the detector's, with the middle of the hips.
fn square(region: &Region, intrinsics: &Intrinsics) -> Sight {
    let hips = intrinsics.distort(region.center);
    let half = SQUARE * region.side;
    let corner = hips - Vec2::splat(half);
    Sight::with_points([corner.x, corner.y, 2.0 * half, 2.0 * half], [(hips, 1.0)])
}

fn pose_of(pose: &neuralsmpl_track::Pose) -> Pose {
    Pose {
        rotations: pose.rotations.map(Mat3::from_quat),
        translation: pose.translation,
        betas: pose.betas,
    }
}

fn pose_from(pose: &Pose) -> neuralsmpl_track::Pose {
    neuralsmpl_track::Pose {
        rotations: pose.rotations.map(|r| Quat::from_mat3(&r).normalize()),
        translation: pose.translation,
        betas: pose.betas,
    }
}

const _: () = assert!(MAX_JOINTS == neuralsmpl_track::MAX_JOINTS);
const _: () = assert!(MAX_PERSONS == neuralsmpl_track::MAX_PERSONS);
