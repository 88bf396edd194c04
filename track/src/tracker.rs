//! The tracker: opens a frame, tells candidates apart, takes fits, closes the frame.

use crate::assign::{Costs, assign};
use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::identity::Identity;
use crate::limits::{CLOCK_JUMP_US, MAX_CANDIDATES, MAX_PERSONS, MIN_STEP_US};
use crate::math::seconds;
use crate::person::{Candidate, Estimate, Fault, Measurement, PersonId, Pose, Prediction, Sight};
use crate::places::Places;
use crate::sight::{coincide, cost, iou};

/// Why the detector should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody is followed.
    Nobody,
    /// The clock jumped: who is in the picture is not known.
    Clock,
    /// Somebody is being lost.
    Loss,
    /// Fewer people are followed than could be.
    Search,
    /// It has not run for long.
    Refresh,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// A person that is already followed.
    Known(PersonId),
    /// A new identity; it has a sight, and no pose before its first fit.
    New(PersonId),
    /// Not taken.
    Refused(Refusal),
}

impl Assignment {
    /// The person, unless refused.
    pub fn id(self) -> Option<PersonId> {
        match self {
            Assignment::Known(id) | Assignment::New(id) => Some(id),
            Assignment::Refused(_) => None,
        }
    }
}

/// Why a candidate is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All places are in use.
    Full,
    /// The same person as another candidate.
    Duplicate,
    /// A box without area, or numbers that are not finite.
    Unusable,
    /// More candidates than [`MAX_CANDIDATES`].
    Excess,
}

/// Why an identity ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Too long without a good fit or a detection.
    Age,
    /// Too many bad fits in a row.
    Fit,
    /// No good fit in its first frames.
    Unconfirmed,
    /// It had become the same person as this older one.
    Merged(PersonId),
}

/// An identity that ended in this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Who.
    pub id: PersonId,
    /// Why.
    pub end: End,
}

/// A measurement that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Nobody has this id (any more).
    #[error("person {0} is not followed, expected an id of this frame's predictions")]
    Unknown(PersonId),
    /// The measurement has a fault; the person counts as missed in this frame.
    #[error("measurement of person {id}: expected {}; it is left out", fault.expected())]
    Fault {
        /// Who.
        id: PersonId,
        /// What is wrong.
        fault: Fault,
    },
}

/// Follows up to [`MAX_PERSONS`] people. All memory is inside.
///
/// A frame goes [`predict`](Self::predict), then [`associate`](Self::associate) if
/// [`needs_detector`](Self::needs_detector) says so, then for each of
/// [`predictions`](Self::predictions) [`update`](Self::update) or [`miss`](Self::miss) (neither:
/// left out for want of time), then [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Tracker {
    config: Config,
    counters: Counters,
    identities: Places<Identity, MAX_PERSONS>, // oldest first
    predictions: Places<Prediction, MAX_PERSONS>,
    departures: Places<Departure, { 2 * MAX_PERSONS }>, // old ones by age, new ones in `finish`
    next_id: PersonId,
    time_us: Option<u64>,
    frames_since_detector: u32,
    clock_jumped: bool,
}

impl Tracker {
    /// An empty tracker.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let nobody = Identity::new(PersonId::FIRST, Sight::default());
        Ok(Self {
            config,
            counters: Counters::default(),
            identities: Places::new(nobody),
            predictions: Places::new(nobody.predict(&config)),
            departures: Places::new(Departure {
                id: PersonId::FIRST,
                end: End::Age,
            }),
            next_id: PersonId::FIRST,
            time_us: None,
            frames_since_detector: u32::MAX,
            clock_jumped: false,
        })
    }

    /// Opens the frame captured at `time_us`, in microseconds of any steady clock; says who is
    /// expected where, oldest identity first.
    pub fn predict(&mut self, time_us: u64) -> &[Prediction] {
        self.departures.clear();
        let step_us = self.step(time_us);
        self.time_us = Some(time_us);
        let max_age_us = 1_000 * u64::from(self.config.max_age_ms);
        for identity in self.identities.all_mut().iter_mut() {
            identity.begin_frame(step_us);
        }
        self.end_where(|identity| (identity.age_us > max_age_us).then_some(End::Age));
        self.predict_all();
        self.predictions.all()
    }

    fn step(&mut self, time_us: u64) -> u64 {
        self.clock_jumped = false;
        let Some(last) = self.time_us else {
            return 0;
        };
        let Some(step) = time_us.checked_sub(last) else {
            self.counters.clock_backwards += 1;
            self.clock_jumped = true;
            self.identities
                .all_mut()
                .iter_mut()
                .for_each(Identity::clock_broke);
            return 0;
        };
        if step < MIN_STEP_US {
            self.counters.duplicate_frames += 1;
        } else {
            self.frames_since_detector = self.frames_since_detector.saturating_add(1);
        }
        if step > CLOCK_JUMP_US {
            self.counters.clock_forwards += 1;
            self.clock_jumped = true;
        }
        step
    }

    fn predict_all(&mut self) {
        self.predictions.clear();
        for identity in self.identities.all_mut().iter_mut() {
            self.predictions.push(identity.predict(&self.config));
        }
    }

    /// Everybody of this frame, oldest identity first; new identities of [`Self::associate`] included.
    pub fn predictions(&self) -> &[Prediction] {
        self.predictions.all()
    }

    /// What is expected of one person in this frame.
    pub fn prediction(&self, id: PersonId) -> Option<&Prediction> {
        self.predictions.all().iter().find(|p| p.id == id)
    }

    /// Replaces the predicted sights by the caller's projections of the predicted poses; where it gives
    /// `None` or what is not usable, the sight stays as carried on in the picture.
    pub fn project(&mut self, mut sight: impl FnMut(&Pose) -> Option<Sight>) {
        for prediction in self.predictions.all_mut().iter_mut() {
            let projected = prediction.pose.as_ref().and_then(&mut sight);
            if let Some(projected) = projected.filter(Sight::is_usable) {
                prediction.sight = projected;
            }
        }
    }

    /// Whether the detector should run on this frame, and why.
    pub fn needs_detector(&self) -> Option<Reason> {
        let every = &self.config.detector;
        let due = |frames: u32| frames > 0 && self.frames_since_detector >= frames;
        let people = self.identities.all();
        if self.clock_jumped {
            return Some(Reason::Clock);
        }
        if people.is_empty() {
            return due(every.nobody_frames).then_some(Reason::Nobody);
        }
        if due(every.loss_frames) && people.iter().any(|p| !p.supported) {
            return Some(Reason::Loss);
        }
        if due(every.search_frames) && people.len() < self.config.persons {
            return Some(Reason::Search);
        }
        due(every.refresh_frames).then_some(Reason::Refresh)
    }

    /// Tells which of the detector's candidates is who; those that are nobody become new identities,
    /// the best score first. Call it with no candidates too when the detector found nobody.
    ///
    /// Writes the first `candidates.len()` entries of `out` and returns how many are known or new.
    pub fn associate(&mut self, candidates: &[Candidate], out: &mut [Assignment]) -> usize {
        self.frames_since_detector = 0;
        let n = candidates.len().min(MAX_CANDIDATES).min(out.len());
        self.counters.refused_excess += (candidates.len() - n) as u64;
        let (given, rest) = out.split_at_mut(n);
        rest.iter_mut()
            .for_each(|a| *a = Assignment::Refused(Refusal::Excess));
        let candidates = &candidates[..n];
        let pairs = self.pair(candidates);
        let mut order = [0usize; MAX_CANDIDATES];
        for (k, place) in order.iter_mut().enumerate() {
            *place = k;
        }
        order[..n].sort_unstable_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score));
        for c in 0..n {
            if let Some(p) = pairs[c] {
                let identity = &mut self.identities.all_mut()[p];
                identity.detected(&candidates[c].sight);
                given[c] = Assignment::Known(identity.id);
            }
        }
        let mut taken = pairs.map(|p| p.is_some());
        for &c in &order[..n] {
            if pairs[c].is_none() {
                given[c] = self.consider(candidates, c, &taken);
                taken[c] = given[c].id().is_some();
            }
        }
        self.predict_all();
        taken.iter().filter(|&&t| t).count()
    }

    fn pair(&self, candidates: &[Candidate]) -> [Option<usize>; MAX_CANDIDATES] {
        let config = &self.config.association;
        let mut costs: Costs = [[f32::INFINITY; MAX_PERSONS]; MAX_CANDIDATES];
        for (row, candidate) in costs.iter_mut().zip(candidates) {
            if !candidate.sight.is_usable() {
                continue;
            }
            for (entry, prediction) in row.iter_mut().zip(self.predictions.all()) {
                // A wider gate for those unseen for long: the same gate on a lower cost.
                let slack = config.gate_growth_per_s * seconds(prediction.age_us);
                *entry = cost(config, &prediction.sight, &candidate.sight) - slack;
            }
        }
        let persons = self.predictions.all().len();
        assign(&costs, candidates.len(), persons, config.gate)
    }

    fn consider(&mut self, all: &[Candidate], c: usize, taken: &[bool]) -> Assignment {
        let sight = &all[c].sight;
        if !sight.is_usable() {
            self.counters.refused_candidate += 1;
            return Assignment::Refused(Refusal::Unusable);
        }
        let least = self.config.association.duplicate_iou;
        let twice = all
            .iter()
            .zip(taken)
            .any(|(other, &taken)| taken && iou(&other.sight.box_px, &sight.box_px) >= least);
        if twice {
            self.counters.refused_duplicate += 1;
            return Assignment::Refused(Refusal::Duplicate);
        }
        if self.identities.all().len() >= self.config.persons {
            self.counters.refused_full += 1;
            return Assignment::Refused(Refusal::Full);
        }
        while self.identities.all().iter().any(|i| i.id == self.next_id) {
            self.next_id = self.next_id.next();
        }
        let id = self.next_id;
        self.next_id = id.next();
        self.identities.push(Identity::new(id, *sight));
        self.counters.born += 1;
        Assignment::New(id)
    }

    /// Takes the fit of one person to this frame; says what the pose is now, raw and smooth.
    pub fn update(
        &mut self,
        id: PersonId,
        measured: &Measurement,
    ) -> Result<&Estimate, UpdateError> {
        let time_us = self.time_us.unwrap_or(0);
        let Some(identity) = self.identities.all_mut().iter_mut().find(|i| i.id == id) else {
            return Err(UpdateError::Unknown(id));
        };
        match measured.checked() {
            Ok(measured) => {
                identity.update(&self.config, &measured, time_us, &mut self.counters);
                Ok(&identity.estimate)
            }
            Err(fault) => {
                self.counters.refused_measurement += 1;
                identity.miss(&self.config, time_us);
                Err(UpdateError::Fault { id, fault })
            }
        }
    }

    /// This frame gave no fit of the person; says where they are expected to be, or `None` before
    /// their first fit.
    pub fn miss(&mut self, id: PersonId) -> Option<&Estimate> {
        let time_us = self.time_us.unwrap_or(0);
        let identity = self.identities.all_mut().iter_mut().find(|i| i.id == id)?;
        identity.miss(&self.config, time_us);
        identity.has_pose().then_some(&identity.estimate)
    }

    /// The last estimate of a person, of whatever frame; `None` before their first fit.
    pub fn estimate(&self, id: PersonId) -> Option<&Estimate> {
        let identity = self.identities.all().iter().find(|i| i.id == id)?;
        identity.has_pose().then_some(&identity.estimate)
    }

    /// Closes the frame: ends identities with bad fits, and merges those that are one person. Says who
    /// ended since [`Self::predict`] opened it.
    pub fn finish(&mut self) -> &[Departure] {
        for identity in self.identities.all_mut().iter_mut() {
            identity.probation = identity.probation.map(|frames| frames.saturating_add(1));
        }
        self.watch_shadows();
        let config = self.config;
        self.end_where(|i| {
            let unconfirmed = i.probation.is_some_and(|f| f >= config.probation_frames);
            match i.shadow {
                Some((older, frames)) if frames >= config.merge.frames => Some(End::Merged(older)),
                _ if unconfirmed => Some(End::Unconfirmed),
                _ if i.bad_fits >= config.bad_fit_frames => Some(End::Fit),
                _ => None,
            }
        });
        self.departures.all()
    }

    fn watch_shadows(&mut self) {
        let people = self.identities.all_mut();
        for young in 1..people.len() {
            if !people[young].fitted {
                continue;
            }
            let (older, rest) = people.split_at_mut(young);
            let young = &mut rest[0];
            let mut fitted = older.iter().filter(|o| o.fitted).peekable();
            if fitted.peek().is_none() {
                continue;
            }
            let same = fitted.find(|o| coincide(&self.config.merge, &o.sight, &young.sight));
            young.shadow = same.map(|o| match young.shadow {
                Some((id, frames)) if id == o.id => (id, frames + 1),
                _ => (o.id, 1),
            });
        }
    }

    fn end_where(&mut self, end: impl Fn(&Identity) -> Option<End>) {
        let mut k = 0;
        while let Some(identity) = self.identities.all().get(k) {
            let Some(end) = end(identity) else {
                k += 1;
                continue;
            };
            let id = identity.id;
            self.identities.remove(k);
            self.departures.push(Departure { id, end });
            *match end {
                End::Age => &mut self.counters.lost_age,
                End::Fit => &mut self.counters.lost_fit,
                End::Unconfirmed => &mut self.counters.lost_unconfirmed,
                End::Merged(_) => &mut self.counters.merged,
            } += 1;
        }
    }

    /// What happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
