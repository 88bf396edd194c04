//! What goes in and comes out: poses, sights, measurements, estimates.

use std::fmt;
use std::num::NonZeroU16;

use glam::{Quat, Vec2, Vec3};

use crate::limits::{MAX_BETA, MAX_BETAS, MAX_JOINTS, MAX_POINTS, MAX_PX, MAX_TRANSLATION_M};

/// Name of a person for as long as the tracker follows them; from 1 up, after 65535 again from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId(pub(crate) NonZeroU16);

impl PersonId {
    pub(crate) const FIRST: PersonId = PersonId(NonZeroU16::MIN);

    /// The number, at least 1.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    pub(crate) fn next(self) -> PersonId {
        PersonId(self.0.checked_add(1).unwrap_or(NonZeroU16::MIN))
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A posed person in SMPL's form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Unit quaternions; 0 is `global_orient` (body frame to camera frame), others relative to the
    /// parent joint. Joints that the body does not have stay the identity.
    pub rotations: [Quat; MAX_JOINTS],
    /// Camera frame (x right, y down, z forward), metres.
    pub translation: Vec3,
    /// Shape, standard deviations.
    pub betas: [f32; MAX_BETAS],
}

impl Default for Pose {
    fn default() -> Self {
        Self {
            rotations: [Quat::IDENTITY; MAX_JOINTS],
            translation: Vec3::ZERO,
            betas: [0.0; MAX_BETAS],
        }
    }
}

/// Where a person is in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Box around the body: x, y, width, height, pixels.
    pub box_px: [f32; 4],
    /// Named points, pixels, always in the same order.
    pub points_px: [Vec2; MAX_POINTS],
    /// How sure each point is, 0 to 1; 0 = absent.
    pub points_weight: [f32; MAX_POINTS],
}

impl Default for Sight {
    fn default() -> Self {
        Self::of_box([0.0; 4])
    }
}

impl Sight {
    /// A box without points.
    pub fn of_box(box_px: [f32; 4]) -> Self {
        Self {
            box_px,
            points_px: [Vec2::ZERO; MAX_POINTS],
            points_weight: [0.0; MAX_POINTS],
        }
    }

    /// A box with points and their weights; points beyond [`MAX_POINTS`] are left out.
    pub fn with_points(box_px: [f32; 4], points: impl IntoIterator<Item = (Vec2, f32)>) -> Self {
        let mut sight = Self::of_box(box_px);
        for (k, (point, weight)) in points.into_iter().take(MAX_POINTS).enumerate() {
            sight.points_px[k] = point;
            sight.points_weight[k] = weight;
        }
        sight
    }

    /// A finite box with an area, and finite points where they have a weight.
    pub fn is_usable(&self) -> bool {
        let [x, y, w, h] = self.box_px;
        let good = |v: f32| v.abs() <= MAX_PX;
        let points = self.points_px.iter().zip(&self.points_weight);
        [x, y, w, h].into_iter().all(good)
            && w > 0.0
            && h > 0.0
            && points.into_iter().all(|(p, &weight)| {
                weight == 0.0 || (good(p.x) && good(p.y) && (0.0..=1.0).contains(&weight))
            })
    }

    pub(crate) fn center(&self) -> Vec2 {
        let [x, y, w, h] = self.box_px;
        Vec2::new(x + 0.5 * w, y + 0.5 * h)
    }

    /// Geometric mean of the box's sides, pixels.
    pub(crate) fn size(&self) -> f32 {
        (self.box_px[2] * self.box_px[3]).max(0.0).sqrt()
    }

    /// Moved by `shift`, then scaled around the box's centre.
    pub(crate) fn carried(&self, shift: Vec2, scale: f32) -> Sight {
        let (from, to) = (self.center(), self.center() + shift);
        let half = 0.5 * scale * Vec2::new(self.box_px[2], self.box_px[3]);
        let mut out = *self;
        out.box_px = [to.x - half.x, to.y - half.y, 2.0 * half.x, 2.0 * half.y];
        for p in &mut out.points_px {
            *p = to + scale * (*p - from);
        }
        out
    }
}

/// A person that a detector saw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The detector's score; higher ones become new identities first.
    pub score: f32,
    /// Where. The box should be of the kind that [`Measurement::sight`] holds.
    pub sight: Sight,
}

/// A fit of one person to the current frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// The fitted pose.
    pub pose: Pose,
    /// How sure the fit is of each joint, 0 to 1; 0 where nothing of it is seen.
    pub confidence: [f32; MAX_JOINTS],
    /// Quality of the whole fit, 0 to 1.
    pub quality: f32,
    /// Where the fitted body is in the picture.
    pub sight: Sight,
    /// The fit did not start from this person's previous pose: the filters begin anew, unless it has
    /// come out where the person is expected.
    pub restarted: bool,
}

impl Measurement {
    /// Checks every number and brings quaternions to unit length, confidences and quality to 0..=1.
    pub(crate) fn checked(&self) -> Result<Measurement, Fault> {
        let mut out = *self;
        for q in &mut out.pose.rotations {
            let length = q.length();
            if !(0.5..=2.0).contains(&length) {
                return Err(Fault::Rotation);
            }
            *q = q.normalize();
        }
        let within = |v: f32, most: f32| (-most..=most).contains(&v);
        let translation = out.pose.translation.to_array();
        if !translation.iter().all(|&t| within(t, MAX_TRANSLATION_M)) {
            return Err(Fault::Translation);
        }
        if !out.pose.betas.iter().all(|&b| within(b, MAX_BETA)) {
            return Err(Fault::Betas);
        }
        if !out.quality.is_finite() || out.confidence.iter().any(|c| !c.is_finite()) {
            return Err(Fault::Confidence);
        }
        if !out.sight.is_usable() {
            return Err(Fault::Sight);
        }
        out.quality = out.quality.clamp(0.0, 1.0);
        for c in &mut out.confidence {
            *c = c.clamp(0.0, 1.0);
        }
        Ok(out)
    }
}

/// What is wrong with a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A quaternion is not finite or far from unit length.
    Rotation,
    /// The translation is not finite or beyond [`MAX_TRANSLATION_M`].
    Translation,
    /// A shape component is not finite or beyond [`MAX_BETA`].
    Betas,
    /// A confidence or the quality is not finite.
    Confidence,
    /// The box has no area, or a number of the sight is not finite or beyond [`MAX_PX`].
    Sight,
}

impl Fault {
    /// Field and expectation, for messages.
    pub fn expected(self) -> &'static str {
        match self {
            Fault::Rotation => "rotations: quaternions of length 0.5 to 2",
            Fault::Translation => "translation: finite, at most 1000 m",
            Fault::Betas => "betas: finite, at most 100",
            Fault::Confidence => "confidence and quality: finite",
            Fault::Sight => {
                "sight: box of positive size, numbers finite and at most 1e6 px, weights 0 to 1"
            }
        }
    }
}

/// What is expected of a person in the current frame, before it is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Who.
    pub id: PersonId,
    /// Warm start of the fit, with the averaged shape; `None` before the first fit.
    pub pose: Option<Pose>,
    /// Where to look.
    pub sight: Sight,
    /// Time since a fit or a detector last supported this person, µs.
    pub age_us: u64,
    /// Quality of the last fit, fading to 0 as the age comes to its limit.
    pub confidence: f32,
}

/// What is said of a person in the current frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Who.
    pub id: PersonId,
    /// Capture time, µs.
    pub time_us: u64,
    /// As fitted to this frame alone; the prediction where there was no fit.
    pub raw: Pose,
    /// Smoothed over time, with the averaged shape; equal to `raw` where smoothing is off.
    pub smooth: Pose,
    /// This frame gave no fit: both poses are extrapolated.
    pub predicted: bool,
    /// The filters began anew with this frame.
    pub restarted: bool,
    /// The fit is an impossible jump away: `smooth` waits for the next frame to confirm it.
    pub held: bool,
}
