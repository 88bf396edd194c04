//! How far an estimate is from the truth, how much it shakes, how late it is.

use glam::Vec3;
use neuralsmpl_track::{MAX_JOINTS, Pose};

use crate::body::places;
use crate::motion::Motion;

/// Delays tried, seconds.
const DELAYS_S: [f32; 2] = [-0.1, 0.4];
const DELAY_STEP_S: f32 = 0.02;

/// About so many frames of a series are enough for them.
const DELAY_FRAMES: usize = 900;

/// Figures of a series of estimates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Root mean square over joints and frames of the rotations' error, degrees.
    pub turn_deg: f32,
    /// The same of the joints' places in the camera frame, mm.
    pub place_mm: f32,
    /// The same with both roots moved to the origin.
    pub limbs_mm: f32,
    /// Root mean square over frames of the root's error, mm.
    pub root_mm: f32,
    /// Mean error of the joints' second differences, mm per frame².
    pub shake_mm: f32,
    /// Delay at which the rotations fit the truth best, ms.
    pub lag_ms: f32,
    /// The same of the translation across the line of sight (x and y).
    pub across_lag_ms: f32,
    /// The same of the translation along it (z).
    pub along_lag_ms: f32,
}

fn mean(sum: f64, count: usize) -> f32 {
    (sum / count.max(1) as f64) as f32
}

/// Sum of squared angles between two poses' rotations, rad².
fn turns(a: &Pose, b: &Pose) -> f64 {
    let pairs = a.rotations.iter().zip(&b.rotations);
    pairs
        .map(|(p, q)| f64::from(p.angle_between(*q).powi(2)))
        .sum()
}

/// Scores poses with their times.
pub fn score(motion: &dyn Motion, series: &[(f32, Pose)], delays: bool) -> Score {
    let mut out = Score::default();
    let (mut turn, mut place, mut limbs, mut root) = (0.0, 0.0, 0.0, 0.0);
    let mut shake = 0.0;
    let mut last: [([Vec3; MAX_JOINTS], [Vec3; MAX_JOINTS]); 2] = Default::default();
    for (k, (t, pose)) in series.iter().enumerate() {
        let truth = motion.at(*t);
        turn += turns(pose, &truth);
        let (ours, theirs) = (places(pose), places(&truth));
        root += f64::from(ours[0].distance_squared(theirs[0]));
        for j in 0..MAX_JOINTS {
            place += f64::from(ours[j].distance_squared(theirs[j]));
            let apart = (ours[j] - ours[0]) - (theirs[j] - theirs[0]);
            limbs += f64::from(apart.length_squared());
            if k >= 2 {
                let bend = |now: Vec3, a: Vec3, b: Vec3| now - 2.0 * b + a;
                let a = bend(ours[j], last[0].0[j], last[1].0[j]);
                let b = bend(theirs[j], last[0].1[j], last[1].1[j]);
                shake += f64::from(a.distance(b));
            }
        }
        last = [last[1], (ours, theirs)];
    }
    let count = series.len() * MAX_JOINTS;
    let bends = series.len().saturating_sub(2) * MAX_JOINTS;
    out.turn_deg = mean(turn, count).sqrt().to_degrees();
    out.place_mm = 1e3 * mean(place, count).sqrt();
    out.limbs_mm = 1e3 * mean(limbs, count).sqrt();
    out.root_mm = 1e3 * mean(root, series.len()).sqrt();
    out.shake_mm = 1e3 * mean(shake, bends);
    if delays {
        [out.lag_ms, out.across_lag_ms, out.along_lag_ms] = lags(motion, series);
    }
    out
}

/// Delays of the rotations, and of the translation across and along the line of sight, ms.
fn lags(motion: &dyn Motion, series: &[(f32, Pose)]) -> [f32; 3] {
    let every = (series.len() / DELAY_FRAMES).max(1);
    let late = series
        .iter()
        .filter(|(t, _)| *t > DELAYS_S[1])
        .step_by(every);
    let steps = ((DELAYS_S[1] - DELAYS_S[0]) / DELAY_STEP_S).round() as usize;
    let mut costs = [
        vec![0.0; steps + 1],
        vec![0.0; steps + 1],
        vec![0.0; steps + 1],
    ];
    for (t, pose) in late {
        for k in 0..=steps {
            let truth = motion.at(t - (DELAYS_S[0] + DELAY_STEP_S * k as f32));
            let apart = pose.translation - truth.translation;
            costs[0][k] += turns(pose, &truth);
            costs[1][k] += f64::from(apart.truncate().length_squared());
            costs[2][k] += f64::from(apart.z * apart.z);
        }
    }
    costs.map(|c| 1e3 * least(&c))
}

/// Where the cost is least, seconds: the best of the grid, then the vertex of the parabola through its
/// neighbours.
fn least(costs: &[f64]) -> f32 {
    let at = |k: usize| DELAYS_S[0] + DELAY_STEP_S * k as f32;
    let best = (0..costs.len())
        .min_by(|&a, &b| costs[a].total_cmp(&costs[b]))
        .unwrap_or(0);
    if best == 0 || best + 1 == costs.len() {
        return at(best);
    }
    let (a, b, c) = (costs[best - 1], costs[best], costs[best + 1]);
    at(best) + DELAY_STEP_S * (0.5 * (a - c) / (a - 2.0 * b + c)) as f32
}
