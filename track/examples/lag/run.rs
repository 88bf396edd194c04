//! A motion through a noisy fitter and the tracker.

use neuralsmpl_track::{Assignment, Candidate, Config, Pose, Refusal, Sight, Tracker};

use crate::motion::Motion;
use crate::noise::Noise;

/// Anything that stops the example.
pub type Fault = Box<dyn std::error::Error>;

/// Frame rates.
pub const FPS: [u32; 3] = [10, 15, 30];

/// Seed of the noise.
pub const SEED: u64 = 5;

const WARM_UP_S: f32 = 1.0;

/// Poses with their times, seconds.
pub type Series = Vec<(f32, Pose)>;

/// What a motion gives, for every frame after the warm-up.
#[derive(Default)]
pub struct Run {
    /// The fits.
    pub raw: Series,
    /// What the tracker makes of them.
    pub smooth: Series,
    /// What the tracker expected before the fit.
    pub predicted: Series,
    /// The fit of the frame before.
    pub last_raw: Series,
    /// The smooth pose of the frame before.
    pub last_smooth: Series,
}

/// Runs `motion` at `fps` with `noise` times the noise of the clip.
pub fn run(motion: &dyn Motion, fps: u32, config: Config, noise: f32) -> Result<Run, Fault> {
    let mut tracker = Tracker::new(config)?;
    let mut noise = Noise::new(SEED, noise);
    let mut out = Run::default();
    let sight = Sight::of_box([100.0, 100.0, 100.0, 300.0]);
    let dt = 1.0 / fps as f32;
    for k in 0..(motion.seconds() * fps as f32) as u64 {
        let t = k as f32 * dt;
        let time_us = k * 1_000_000 / u64::from(fps);
        let before = tracker.predict(time_us).first().copied();
        let id = match before {
            Some(person) => person.id,
            None => {
                let mut who = [Assignment::Refused(Refusal::Full)];
                tracker.associate(&[Candidate { score: 1.0, sight }], &mut who);
                who[0]
                    .id()
                    .ok_or("the tracker refused the first candidate")?
            }
        };
        let last = tracker.estimate(id).copied();
        let now = *tracker.update(id, &noise.measure(&motion.at(t), dt))?;
        tracker.finish();
        if let (Some(before), Some(last), true) = (before.and_then(|p| p.pose), last, t > WARM_UP_S)
        {
            out.raw.push((t, now.raw));
            out.smooth.push((t, now.smooth));
            out.predicted.push((t, before));
            out.last_raw.push((t, last.raw));
            out.last_smooth.push((t, last.smooth));
        }
    }
    Ok(out)
}
