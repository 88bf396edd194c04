//! Several looks at one person: turned, and in a mirror. A network that takes a chest for a back
//! in one view often sees it right in another; agreeing looks are averaged.

use glam::{Vec2, Vec3};
use image::RgbImage;

use super::observations::LANDMARKS;
use super::{Backbone, BackboneError, Observations};
use crate::frame::{Intrinsics, Region};

/// A further look.
struct More {
    /// Share of the region's angle.
    turn: f32,
    /// Whether in a mirror.
    mirrored: bool,
    /// Weight in the average: the network is most exact on an upright trunk.
    weight: f32,
    /// Votes on left and right: a trunk turned upright misleads it most, so that turn votes once.
    votes: u32,
}

const fn more(turn: f32, mirrored: bool, weight: f32, votes: u32) -> More {
    More {
        turn,
        mirrored,
        weight,
        votes,
    }
}

const MORE_LOOKS: [More; 5] = [
    more(1.0, true, 1.0, 0),
    more(0.5, false, 0.1, 1),
    more(0.5, true, 0.1, 1),
    more(0.0, false, 0.02, 1),
    more(0.0, true, 0.02, 1),
];

/// Least score of a look that counts.
const MIN_SCORE: f32 = 0.5;

/// A further look whose shoulders and hips lie farther off than this part of the region's side shows
/// somebody else.
const ANOTHER_PERSON: f32 = 0.15;

/// For each landmark its counterpart on the other side.
pub(crate) const OTHER_SIDE: [usize; LANDMARKS] = [
    0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23, 26,
    25, 28, 27, 30, 29, 32, 31,
];

/// Landmarks that tell the sides apart: shoulders and hips.
pub(crate) const SIDED: [usize; 4] = [11, 12, 23, 24];

/// Landmarks of one opinion about a person, averaged over the looks that share it.
#[derive(Clone, Copy, Debug)]
pub struct Opinion {
    /// Positions in ideal image pixels.
    pub points: [Vec2; LANDMARKS],
    /// Hip-centred, metres: x right, y down, z away from the camera.
    pub world: [Vec3; LANDMARKS],
    /// Visibility × presence.
    pub confidence: [f32; LANDMARKS],
    /// Votes of the looks that share it; 0 for none.
    pub votes: u32,
    /// Region of a look that shares it, for features; `None` when only mirrors did.
    pub seen_in: Option<Region>,
    weight: f32,
}

impl Default for Opinion {
    fn default() -> Self {
        Self {
            points: [Vec2::ZERO; LANDMARKS],
            world: [Vec3::ZERO; LANDMARKS],
            confidence: [0.0; LANDMARKS],
            votes: 0,
            seen_in: None,
            weight: 0.0,
        }
    }
}

impl Opinion {
    /// The opinion of one look.
    fn of(seen: &Observations, region: &Region, input: usize, more: &More) -> Self {
        let mut out = Self {
            votes: more.votes,
            weight: more.weight,
            ..Self::default()
        };
        for (i, landmark) in seen.landmarks.iter().enumerate() {
            let mut point = landmark.point;
            let to = if more.mirrored { OTHER_SIDE[i] } else { i };
            if more.mirrored {
                point.x = input as f32 - point.x;
            }
            out.points[to] = region.to_image(point, input as f32);
            out.confidence[to] = landmark.visibility * landmark.presence;
            out.world[to] = seen.world[i];
        }
        if more.mirrored {
            // World points were turned by the region's angle; a mirror image turns the other way.
            let turn = Vec2::from_angle(region.angle);
            for w in &mut out.world {
                let upright = Vec2::from_angle(-region.angle).rotate(w.truncate());
                *w = turn.rotate(Vec2::new(-upright.x, upright.y)).extend(w.z);
            }
        }
        out
    }

    /// Whether `other` names left and right the other way round.
    fn disagrees(&self, other: &Self) -> bool {
        self.apart(other, true) < self.apart(other, false)
    }

    /// Mean distance of shoulders and hips, pixels; with `swap`, to the other side's.
    fn apart(&self, other: &Self, swap: bool) -> f32 {
        let to = |i: usize| other.points[if swap { OTHER_SIDE[i] } else { i }];
        let sum: f32 = SIDED.iter().map(|&i| self.points[i].distance(to(i))).sum();
        sum / SIDED.len() as f32
    }

    /// Averages another look in.
    fn join(&mut self, other: &Self) {
        let (a, b) = (self.weight, other.weight);
        for i in 0..LANDMARKS {
            let (wa, wb) = (
                a * self.confidence[i].max(1e-3),
                b * other.confidence[i].max(1e-3),
            );
            let share = wb / (wa + wb);
            self.points[i] = self.points[i].lerp(other.points[i], share);
            self.world[i] = self.world[i].lerp(other.world[i], share);
            self.confidence[i] = (a * self.confidence[i] + b * other.confidence[i]) / (a + b);
        }
        self.votes += other.votes;
        self.seen_in = self.seen_in.or(other.seen_in);
        self.weight += other.weight;
    }
}

/// The opinions about one person: the first look's, and the contrary one where a look held it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opinions {
    /// At most two.
    pub held: [Opinion; 2],
}

impl Opinions {
    /// Starts from the first look.
    pub(super) fn first(seen: &Observations, region: &Region, input: usize) -> Self {
        let mut first = Opinion::of(seen, region, input, &more(1.0, false, 1.0, 1));
        first.seen_in = Some(*region);
        Self {
            held: [first, Opinion::default()],
        }
    }

    /// Takes the further looks; `scratch` holds one look at a time.
    pub(super) fn look_again(
        &mut self,
        backbone: &mut Backbone,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        region: &Region,
        scratch: &mut Observations,
    ) -> Result<(), BackboneError> {
        for more in &MORE_LOOKS {
            let turned = Region {
                angle: region.angle * more.turn,
                ..*region
            };
            backbone.look(image, intrinsics, &turned, more.mirrored, scratch)?;
            if scratch.score < MIN_SCORE {
                continue;
            }
            let mut opinion = Opinion::of(scratch, &turned, backbone.side(), more);
            if !more.mirrored {
                opinion.seen_in = Some(turned);
            }
            let first = &self.held[0];
            let apart = first
                .apart(&opinion, false)
                .min(first.apart(&opinion, true));
            if apart > ANOTHER_PERSON * region.side {
                continue;
            }
            let slot = usize::from(self.held[0].disagrees(&opinion));
            if self.held[slot].weight == 0.0 {
                self.held[slot] = opinion;
            } else {
                self.held[slot].join(&opinion);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: usize = 256;

    fn upright() -> Region {
        Region {
            center: Vec2::new(300.0, 200.0),
            side: 400.0,
            angle: 0.0,
        }
    }

    /// A person facing the camera: the left side lies on the picture's right.
    fn facing() -> Observations {
        let mut seen = Observations::new(2, 3);
        for (i, landmark) in seen.landmarks.iter_mut().enumerate() {
            let side = match i {
                0 => 0.0,
                i if OTHER_SIDE[i] > i => 20.0,
                _ => -20.0,
            };
            landmark.point = Vec2::new(128.0 + side, 60.0 + 4.0 * i as f32);
            landmark.visibility = 0.8;
            landmark.presence = 1.0;
            seen.world[i] = Vec3::new(0.01 * side, 0.02 * i as f32, 0.3);
        }
        seen
    }

    #[test]
    fn other_sides_pair_up() {
        for (i, &o) in OTHER_SIDE.iter().enumerate() {
            assert_eq!(OTHER_SIDE[o], i);
        }
    }

    #[test]
    fn a_mirror_image_says_the_same_of_the_person() {
        let (seen, region) = (facing(), upright());
        let direct = Opinion::of(&seen, &region, INPUT, &more(1.0, false, 1.0, 1));
        // What the mirror shows: x reversed, and the network names the sides as they now appear.
        let mut reflected = seen.clone();
        for i in 0..LANDMARKS {
            let from = OTHER_SIDE[i];
            let point = seen.landmarks[from].point;
            reflected.landmarks[i].point = Vec2::new(INPUT as f32 - point.x, point.y);
            let w = seen.world[from];
            reflected.world[i] = Vec3::new(-w.x, w.y, w.z);
        }
        let mirrored = Opinion::of(&reflected, &region, INPUT, &more(1.0, true, 1.0, 1));
        for i in 0..LANDMARKS {
            assert!(
                direct.points[i].distance(mirrored.points[i]) < 1e-3,
                "point {i}"
            );
            assert!(
                direct.world[i].distance(mirrored.world[i]) < 1e-5,
                "world {i}"
            );
        }
        assert!(!direct.disagrees(&mirrored));
    }

    #[test]
    fn a_look_that_swaps_the_sides_disagrees() {
        let (seen, region) = (facing(), upright());
        let direct = Opinion::of(&seen, &region, INPUT, &more(1.0, false, 1.0, 1));
        let mut swapped = seen.clone();
        for i in 0..LANDMARKS {
            swapped.landmarks[i] = seen.landmarks[OTHER_SIDE[i]];
        }
        let contrary = Opinion::of(&swapped, &region, INPUT, &more(1.0, false, 1.0, 1));
        assert!(direct.disagrees(&contrary));
        assert_eq!(direct.apart(&contrary, true), 0.0);
    }

    #[test]
    fn joining_weighs_looks_and_counts_votes() {
        let (seen, region) = (facing(), upright());
        let mut a = Opinion::of(&seen, &region, INPUT, &more(1.0, false, 3.0, 1));
        let mut shifted = seen.clone();
        shifted.landmarks.iter_mut().for_each(|l| l.point.x += 8.0);
        let b = Opinion::of(&shifted, &region, INPUT, &more(1.0, false, 1.0, 1));
        let before = a.points[11];
        a.join(&b);
        assert_eq!(a.votes, 2);
        let moved = a.points[11].x - before.x;
        let expected = 0.25 * 8.0 * region.side / INPUT as f32;
        assert!((moved - expected).abs() < 1e-3, "{moved} {expected}");
    }
}
