//! The whole way from a photo to its people: detect, look, look again, drop doubles.

use glam::Vec2;
use image::RgbImage;

use super::detector::MAX_CANDIDATES;
use super::in_box::{SLACK, agreement};
use super::region::{differs, next_region};
use super::{
    Backbone, BackboneError, Detector, Observations, Opinions, Workers, region_from_detection,
};
use crate::frame::{Intrinsics, Region};
use crate::limits::MAX_PERSONS;
use crate::pack::Pack;

/// Least score of the landmark network.
const MIN_SCORE: f32 = 0.5;

/// Two looks show one person where the landmarks of the body, or the middles of the hips, lie
/// closer than this part of a region's side (the landmarks on average). The hips count alone
/// because a false second look may see the same body the other way up.
const SAME_PERSON: f32 = 0.08;

/// The landmarks of the body: shoulders to feet, without the fingers.
const BODY: [usize; 16] = [
    11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
];

/// How to look for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocateOptions {
    /// Look again where the first look shows that the region sat badly.
    pub refine: bool,
    /// Search tiles of the photo even where the whole shows somebody: for photos of several
    /// people; costs up to four more runs of the detector.
    pub tiles: bool,
    /// Look only for the person in this box of the photo: x, y, width, height.
    pub box_px: Option<[f32; 4]>,
    /// Most people, at most [`MAX_PERSONS`].
    pub most: usize,
    /// Look at each person again, turned and in a mirror: five more runs of the backbone.
    pub looks: bool,
}

impl Default for LocateOptions {
    fn default() -> Self {
        Self {
            refine: true,
            tiles: true,
            box_px: None,
            most: MAX_PERSONS,
            looks: true,
        }
    }
}

/// A person of the photo.
#[derive(Clone, Debug)]
pub struct Person {
    /// Where the backbone looked.
    pub region: Region,
    /// What it saw.
    pub observations: Observations,
    /// What this and further looks say about the landmarks.
    pub opinions: Opinions,
}

/// Detector and backbone with the memory for all people of one photo.
pub struct Locator {
    pub(super) detector: Detector,
    pub(super) backbone: Backbone,
    pub(super) regions: Vec<Region>,
    pub(super) people: Vec<Person>,
    second: Observations,
}

impl Locator {
    /// Loads both networks of a pack, whose files it takes.
    ///
    /// # Errors
    /// When a file is not the network that the pack's manifest describes.
    pub fn load(pack: &mut Pack, workers: &Workers) -> Result<Self, BackboneError> {
        let detector = Detector::load(std::mem::take(&mut pack.detector), workers)?;
        let backbone = std::mem::take(&mut pack.backbone);
        Ok(Self::new(
            detector,
            Backbone::load(backbone, &pack.manifest.backbone, workers)?,
        ))
    }

    /// From loaded networks.
    pub fn new(detector: Detector, backbone: Backbone) -> Self {
        let nowhere = Region {
            center: Vec2::ZERO,
            side: 1.0,
            angle: 0.0,
        };
        let second = backbone.observations();
        let person = Person {
            region: nowhere,
            observations: second.clone(),
            opinions: Opinions::default(),
        };
        Self {
            detector,
            backbone,
            regions: Vec::with_capacity(MAX_CANDIDATES),
            people: vec![person; MAX_PERSONS],
            second,
        }
    }

    /// The people of a photo, surest first. Empty where there is nobody.
    ///
    /// # Errors
    /// When the box holds no part of the photo, or a network fails.
    pub fn locate(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        options: &LocateOptions,
    ) -> Result<&[Person], BackboneError> {
        let count = match options.box_px {
            Some(box_px) => usize::from(self.look_in_box(box_px, image, intrinsics, options)?),
            None => self.look_everywhere(image, intrinsics, options)?,
        };
        for person in &mut self.people[..count] {
            person.opinions =
                Opinions::first(&person.observations, &person.region, self.backbone.side());
            if options.looks {
                person.opinions.look_again(
                    &mut self.backbone,
                    image,
                    intrinsics,
                    &person.region,
                    &mut self.second,
                )?;
            }
        }
        let people = &mut self.people[..count];
        people.sort_unstable_by(|a, b| b.observations.score.total_cmp(&a.observations.score));
        Ok(people)
    }

    /// Looks at everybody whom the detector finds; returns how many were there.
    fn look_everywhere(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        options: &LocateOptions,
    ) -> Result<usize, BackboneError> {
        let found = self.detector.detect(image, options.tiles)?;
        self.regions.clear();
        self.regions.extend(
            found
                .iter()
                .filter_map(|d| region_from_detection(d, intrinsics)),
        );
        let mut count = 0;
        for i in 0..self.regions.len() {
            if count == options.most.min(MAX_PERSONS) {
                break;
            }
            if !self.look(count, self.regions[i], image, intrinsics, options)? {
                continue;
            }
            let (before, new) = self.people.split_at(count);
            let side = self.backbone.side();
            if !before.iter().any(|p| same_person(p, &new[0], side)) {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Bytes of both networks' arenas, of their packed weights, and of what was seen of people.
    pub fn memory(&self) -> [u64; 3] {
        let [d, b] = [self.detector.memory(), self.backbone.memory()];
        let seen = self.second.bytes() * (self.people.len() + 1);
        [d[0] + b[0], d[1] + b[1], seen as u64]
    }

    /// The detector.
    pub fn detector(&mut self) -> &mut Detector {
        &mut self.detector
    }

    /// Looks once at a region for person `slot`, and once more, with `refine`, where it sat badly.
    /// False where it shows nobody.
    ///
    /// # Errors
    /// When the network fails.
    ///
    /// # Panics
    /// When `slot` is not below [`MAX_PERSONS`].
    pub fn look_at(
        &mut self,
        slot: usize,
        region: Region,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        refine: bool,
    ) -> Result<bool, BackboneError> {
        let options = LocateOptions {
            refine,
            ..LocateOptions::default()
        };
        let seen = self.look(slot, region, image, intrinsics, &options)?;
        let person = &mut self.people[slot];
        person.opinions =
            Opinions::first(&person.observations, &person.region, self.backbone.side());
        Ok(seen)
    }

    /// The backbone.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// The people of the last photo.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Looks at person `index` of the last photo again in another region, for its features and mask.
    ///
    /// # Errors
    /// When the network fails.
    pub fn look_from(
        &mut self,
        index: usize,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        region: &Region,
    ) -> Result<(), BackboneError> {
        let person = &mut self.people[index];
        person.region = *region;
        self.backbone
            .observe(image, intrinsics, region, &mut person.observations)
    }

    /// Looks at a region, and once more at the better one it suggests. False where it shows nobody.
    pub(super) fn look(
        &mut self,
        slot: usize,
        region: Region,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        options: &LocateOptions,
    ) -> Result<bool, BackboneError> {
        let person = &mut self.people[slot];
        person.region = region;
        self.backbone
            .observe(image, intrinsics, &region, &mut person.observations)?;
        if person.observations.score < MIN_SCORE {
            return Ok(false);
        }
        let next = next_region(&region, &person.observations, self.backbone.side())
            .filter(|next| options.refine && differs(&region, next))
            .filter(|next| {
                options
                    .box_px
                    .is_none_or(|b| contains(b, intrinsics.distort(next.center)))
            });
        if let Some(next) = next {
            self.backbone
                .observe(image, intrinsics, &next, &mut self.second)?;
            let side = self.backbone.side();
            // The better region may be another person's.
            let lost = options.box_px.is_some_and(|b| {
                let agreement = |region, seen| agreement(region, seen, b, intrinsics, side);
                agreement(&next, &self.second) < agreement(&region, &person.observations) - SLACK
            });
            if self.second.score >= MIN_SCORE && !lost {
                std::mem::swap(&mut person.observations, &mut self.second);
                person.region = next;
            }
        }
        Ok(true)
    }
}

/// Whether two looks show one person.
fn same_person(a: &Person, b: &Person, input: usize) -> bool {
    let image = |p: &Person, crop: Vec2| p.region.to_image(crop, input as f32);
    let apart = |i: usize| {
        let at = |p: &Person| image(p, p.observations.landmarks[i].point);
        at(a).distance(at(b))
    };
    let bodies = BODY.iter().map(|&i| apart(i)).sum::<f32>() / BODY.len() as f32;
    let hips = image(a, a.observations.hip_center).distance(image(b, b.observations.hip_center));
    bodies.min(hips) < SAME_PERSON * a.region.side.min(b.region.side)
}

fn contains([x, y, w, h]: [f32; 4], point: Vec2) -> bool {
    (x..=x + w).contains(&point.x) && (y..=y + h).contains(&point.y)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pack::BackboneSettings;

    const SETTINGS: BackboneSettings = BackboneSettings {
        input: 256,
        stride: 4,
        channels: 64,
    };

    fn shipped() -> Locator {
        let read = |name: &str| {
            std::fs::read(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("models/person")
                    .join(name),
            )
            .unwrap()
        };
        let workers = Workers::new(1).unwrap();
        let detector = Detector::load(&read("detector.onnx"), &workers).unwrap();
        Locator::new(
            detector,
            Backbone::load(&read("backbone.onnx"), &SETTINGS, &workers).unwrap(),
        )
    }

    fn sample_photo(name: &str) -> RgbImage {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("samples")
            .join(name);
        image::open(path).unwrap().to_rgb8()
    }

    /// Landmark `i` of the first person in photo pixels.
    fn at(person: &Person, i: usize) -> Vec2 {
        person.region.to_image(
            person.observations.landmarks[i].point,
            SETTINGS.input as f32,
        )
    }

    /// Landmarks that PyPI mediapipe 0.10.14 finds (Pose, full, still image), photo pixels.
    #[test]
    fn the_walker_is_where_mediapipe_sees_her() {
        let image = sample_photo("walk.jpg");
        let mut locator = shipped();
        let k = Intrinsics::from_fov(55.0, image.width(), image.height());
        let options = LocateOptions {
            tiles: false,
            ..LocateOptions::default()
        };
        let people = locator.locate(&image, &k, &options).unwrap();
        assert_eq!(people.len(), 1);
        let truth = [
            (0, (805.2, 553.2)),
            (11, (847.5, 593.9)),
            (12, (837.1, 602.9)),
            (23, (821.8, 727.1)),
            (24, (819.5, 724.9)),
            (25, (778.1, 810.2)),
            (26, (857.4, 814.7)),
            (27, (772.1, 902.1)),
            (28, (924.6, 885.3)),
        ];
        for (i, point) in truth {
            let error = at(&people[0], i).distance(Vec2::from(point));
            assert!(
                error < 16.0,
                "landmark {i}: {error} px of a region of {}",
                people[0].region.side
            );
        }
        let seen = &people[0].observations;
        assert!(seen.score > 0.95 && seen.world[0].y < -0.4 && seen.world[27].y > 0.5);
        let covered = seen.mask.iter().filter(|&&m| m > 0.5).count();
        assert!((150..800).contains(&covered), "{covered} of 4096 cells");
        assert!(
            seen.features
                .chunks_exact(64)
                .all(|f| (f.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-4)
        );
    }

    #[test]
    fn the_sample_shows_one_man_again_and_again() {
        let image = sample_photo("balance.jpg");
        let mut locator = shipped();
        let k = Intrinsics::from_fov(55.0, image.width(), image.height());
        let mut runs = Vec::new();
        for _ in 0..2 {
            let people = locator
                .locate(&image, &k, &LocateOptions::default())
                .unwrap();
            assert_eq!(people.len(), 1);
            // His mosaicked face leaves open which side is left, so only middles are pinned.
            for ((a, b), middle) in [((23, 24), (476.5, 785.5)), ((11, 12), (636.8, 604.3))] {
                let found = 0.5 * (at(&people[0], a) + at(&people[0], b));
                assert!(found.distance(Vec2::from(middle)) < 25.0, "{found}");
            }
            runs.push((people[0].region, people[0].observations.clone()));
        }
        assert!(runs[0] == runs[1]);
    }

    #[test]
    fn a_box_keeps_to_the_person_behind() {
        let image = sample_photo("balance_occluded.jpg");
        let k = Intrinsics::from_fov(55.0, image.width(), image.height());
        let options = LocateOptions {
            box_px: Some([85.0, 329.0, 739.0, 895.0]),
            ..LocateOptions::default()
        };
        let mut locator = shipped();
        let people = locator.locate(&image, &k, &options).unwrap();
        assert_eq!(people.len(), 1);
        let hips = 0.5 * (at(&people[0], 23) + at(&people[0], 24));
        assert!(hips.distance(Vec2::new(480.0, 785.0)) < 50.0, "{hips}");
    }

    #[test]
    fn an_empty_picture_shows_nobody() {
        let image = RgbImage::from_fn(300, 200, |x, y| image::Rgb([(x / 2) as u8, y as u8, 90]));
        let k = Intrinsics::from_fov(55.0, 300, 200);
        assert!(
            shipped()
                .locate(&image, &k, &LocateOptions::default())
                .unwrap()
                .is_empty()
        );
    }
}
