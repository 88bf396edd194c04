//! Judge: how well a neural mesh tells places apart, on pictures it was not learned from.

use std::collections::BTreeMap;

use glam::Vec3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::LearnError;
use super::evidence::{LimbAlphas, limb_alphas};
use super::lanes::Series;
use super::pick;
use super::report::{Heat, Part, Place, Report};
use crate::body::{Body, PARTS};
use crate::cpu::likelihood::Likelihood;
use crate::texture::{EnergyKind, Gates, Texture};

/// Distances on the T-pose, metres, within which a place counts as found.
const NEAR: [f32; 3] = [0.05, 0.10, 0.20];
/// Temperatures tried.
const TEMPERATURES: [f32; 6] = [1.0, 0.3, 0.1, 0.05, 0.03, 0.01];
/// p(z = 1) assumed.
const VISIBLE_PRIOR: f32 = 0.9;
/// Cells of the person that are judged per picture.
const CELLS: usize = 96;

/// What one lane gathers.
#[derive(Default)]
struct Tally {
    /// Per limb: cells, hits, swaps.
    limbs: Vec<(u64, [u64; 3], u64)>,
    /// Per part of the body.
    parts: [PartTally; PARTS.len()],
    /// Best log-likelihood ratios of background features.
    best_background: Vec<f32>,
    /// Log-likelihood ratios in place, of background there, of elsewhere there.
    ratios: [Vec<f32>; 3],
    heat: Vec<[f64; 4]>,
    /// Per distance from the outline: cells, cells above the background.
    halo: [(u64, u64); pick::REACH],
    pictures: u64,
}

/// Cells of one part of the body.
#[derive(Default)]
struct PartTally {
    cells: u64,
    /// Best prototypes within [`NEAR`]'s first distance.
    near: u64,
    /// Log-likelihood ratios in place, and of background there.
    in_place: [Vec<f32>; 2],
    /// Ratios of the best prototype.
    best: Vec<f32>,
}

/// Judges `texture` on a series.
pub fn judge(series: &Series<'_>, texture: &Texture) -> Result<Report, LearnError> {
    let body = &series.pack.body;
    let names = &series.pack.manifest.body.joints;
    let mirror = mirror(names);
    let d = texture.channels;
    let lane = |_| Tally {
        limbs: vec![(0, [0; 3], 0); names.len()],
        heat: vec![[0.0; 4]; TEMPERATURES.len()],
        ..Tally::default()
    };
    let lanes = series.visit("judging", lane, |tally, made, seen| {
        let truth = &made.truth;
        let feature = |cell: usize| &seen.features[cell * d..][..d];
        let mut rng = ChaCha8Rng::seed_from_u64(tally.pictures);
        tally.pictures += 1;
        let alphas = limb_alphas(body, &truth.joints, texture.gate(EnergyKind::Paper));
        let useful = |cell: &usize| pick::is_feature(feature(*cell));
        let person: Vec<_> = pick::foreground(truth)
            .filter(|(cell, ..)| useful(cell))
            .collect();
        let behind = pick::background(&made.mask, seen.grid).far;
        let behind: Vec<usize> = behind.into_iter().filter(useful).collect();
        if person.is_empty() || behind.is_empty() {
            return;
        }
        for (cell, inside, distance) in pick::off_outline(truth, &made.mask) {
            if useful(&cell) {
                let place = (truth.triangle[inside] as usize, truth.barycentric[inside]);
                let above = ratio(texture, body, place, &alphas, feature(cell)) > 0.0;
                let (cells, high) = &mut tally.halo[distance - 1];
                (*cells, *high) = (*cells + 1, *high + u64::from(above));
            }
        }
        for _ in 0..CELLS {
            let (cell, t, b) = person[rng.random_range(0..person.len())];
            let elsewhere = person[rng.random_range(0..person.len())].0;
            let other = behind[rng.random_range(0..behind.len())];
            let face = body.faces[t].map(|v| v as usize);
            let heaviest = usize::from(b[1] > b[0]);
            let corner = if b[2] > b[heaviest] { 2 } else { heaviest };
            let limb = body.vertex_limb[face[corner]] as usize;
            let Nearest {
                vertex: best,
                ratio: person_ratio,
            } = nearest(texture, feature(cell));
            let part = body.vertex_part[face[corner]] as usize;
            let template = &body.vertices.template;
            let at: Vec3 = (0..3).map(|i| b[i] * template[face[i]]).sum();
            let gap = at.distance(template[best]);
            let (cells, hits, swaps) = &mut tally.limbs[limb];
            *cells += 1;
            hits.iter_mut()
                .zip(NEAR)
                .for_each(|(h, near)| *h += u64::from(gap < near));
            let named = body.vertex_limb[best] as usize;
            *swaps += u64::from(named != limb && Some(named) == mirror[limb]);
            let place = (t, b);
            let all =
                [cell, other, elsewhere].map(|c| ratio(texture, body, place, &alphas, feature(c)));
            for (ratios, own) in tally.ratios.iter_mut().zip(all) {
                ratios.push(own);
            }
            let of_part = &mut tally.parts[part];
            of_part.cells += 1;
            of_part.near += u64::from(gap < NEAR[0]);
            of_part.in_place[0].push(all[0]);
            of_part.in_place[1].push(all[1]);
            of_part.best.push(person_ratio);
            tally
                .best_background
                .push(nearest(texture, feature(other)).ratio);
            heat(
                texture,
                body,
                place,
                &alphas,
                [feature(cell), feature(other)],
                &mut tally.heat,
            );
        }
    })?;
    Ok(summary(lanes, names))
}

/// What the whole neural mesh says of one feature, wherever it was seen.
struct Nearest {
    /// The vertex whose prototype, in whichever component, has the highest cosine.
    vertex: usize,
    /// The highest log N(f; φ, σ² I) − log p(f | B) of all prototypes, nats.
    ratio: f32,
}

fn nearest(texture: &Texture, feature: &[f32]) -> Nearest {
    let d = texture.channels;
    let (mut best, mut highest, mut density) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (slot, mean) in texture.phi.chunks_exact(d).enumerate() {
        let cosine: f32 = mean.iter().zip(feature).map(|(a, b)| a * b).sum();
        if cosine > highest {
            (best, highest) = (slot, cosine);
        }
        let sigma = texture.sigma[slot];
        // Both have length one.
        let square = (2.0 - 2.0 * cosine).max(0.0);
        density = density.max(-(d as f32) * sigma.ln() - 0.5 * square / (sigma * sigma));
    }
    Nearest {
        vertex: best / texture.components,
        ratio: density - texture.background.log_density(feature),
    }
}

/// log Σ_k α_k N(f; φ_k, σ_k² I) − log p(f | B), nats, written out plainly.
fn ratio(
    texture: &Texture,
    body: &Body,
    (t, b): (usize, [f32; 3]),
    alphas: &LimbAlphas,
    f: &[f32],
) -> f32 {
    let face = body.faces[t].map(|v| v as usize);
    let (kk, d) = (texture.components, texture.channels);
    let blend = |of: &dyn Fn(usize) -> f32| -> f64 {
        (0..3)
            .map(|i| f64::from(b[i]) * f64::from(of(face[i])))
            .sum()
    };
    let log: Vec<f64> = (0..kk)
        .map(|k| {
            let alpha = blend(&|v| alphas[body.vertex_limb[v] as usize][k]).max(1e-30);
            let sigma = blend(&|v| texture.sigma[v * kk + k]);
            let square: f64 = (0..d)
                .map(|i| (f64::from(f[i]) - blend(&|v| texture.mean(v, k)[i])).powi(2))
                .sum();
            alpha.ln() - d as f64 * sigma.ln() - 0.5 * square / (sigma * sigma)
        })
        .collect();
    let top = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: f64 = log.iter().map(|l| (l - top).exp()).sum();
    (top + all.ln() - f64::from(texture.background.log_density(f))) as f32
}

/// Adds the fit's own score of a place at every temperature: person's feature, background's.
fn heat(
    texture: &Texture,
    body: &Body,
    (t, b): (usize, [f32; 3]),
    alphas: &LimbAlphas,
    features: [&[f32]; 2],
    sums: &mut [[f64; 4]],
) {
    let gates = Gates {
        alpha: *alphas,
        ..Gates::default()
    };
    let both = features.concat();
    let background = features.map(|f| texture.background.log_density(f));
    for (sum, temperature) in sums.iter_mut().zip(TEMPERATURES) {
        let likelihood = Likelihood {
            texture,
            kind: EnergyKind::Paper,
            visible_prior: VISIBLE_PRIOR,
            temperature,
            faces: &body.faces,
            vertex_limb: &body.vertex_limb,
            gates: &gates,
            features: &both,
            background: &background,
        };
        for i in 0..2 {
            let score = likelihood.at::<false>(t, b, i);
            sum[i] += f64::from(score.ratio);
            sum[2 + i] += f64::from(score.posterior);
        }
    }
}

/// The joint of the other side, by name.
fn mirror(names: &[String]) -> Vec<Option<usize>> {
    let other = |name: &String| {
        let twin = match (name.strip_prefix("left_"), name.strip_prefix("right_")) {
            (Some(rest), _) => format!("right_{rest}"),
            (_, Some(rest)) => format!("left_{rest}"),
            _ => return None,
        };
        names.iter().position(|n| *n == twin)
    };
    names.iter().map(other).collect()
}

fn summary(lanes: Vec<Tally>, names: &[String]) -> Report {
    let mut report = Report::default();
    let mut counts: BTreeMap<String, (u64, [u64; 3], u64)> = BTreeMap::new();
    let mut ratios: [Vec<f32>; 3] = Default::default();
    let mut heat = vec![[0.0; 4]; TEMPERATURES.len()];
    let mut halo = [(0, 0); pick::REACH];
    let mut parts: [PartTally; PARTS.len()] = Default::default();
    let mut best_background = Vec::new();
    for lane in lanes {
        best_background.extend(lane.best_background);
        for (sum, own) in parts.iter_mut().zip(lane.parts) {
            sum.cells += own.cells;
            sum.near += own.near;
            let all = sum.in_place.iter_mut().zip(own.in_place);
            all.for_each(|(sum, own)| sum.extend(own));
            sum.best.extend(own.best);
        }
        for (sum, (cells, high)) in halo.iter_mut().zip(lane.halo) {
            *sum = (sum.0 + cells, sum.1 + high);
        }
        report.pictures += lane.pictures;
        for (limb, (cells, hits, swaps)) in lane.limbs.into_iter().enumerate() {
            let part = names[limb]
                .trim_start_matches("left_")
                .trim_start_matches("right_");
            for key in [part, "all"] {
                let sum = counts.entry(key.to_owned()).or_default();
                sum.0 += cells;
                sum.1.iter_mut().zip(hits).for_each(|(a, b)| *a += b);
                sum.2 += swaps;
            }
        }
        ratios
            .iter_mut()
            .zip(lane.ratios)
            .for_each(|(all, own)| all.extend(own));
        for (all, own) in heat.iter_mut().zip(lane.heat) {
            all.iter_mut().zip(own).for_each(|(a, b)| *a += b);
        }
    }
    for (part, (cells, hits, swaps)) in counts {
        let share = |n: u64| n as f64 / cells.max(1) as f64;
        let place = Place {
            cells,
            within: hits.map(share),
            swapped: share(swaps),
        };
        report.places.insert(part, place);
    }
    report.halo = halo
        .iter()
        .map(|&(n, high)| high as f64 / (n as f64).max(1.0))
        .collect();
    let judged = ratios[0].len().max(1) as f64;
    report.auroc_background = chance_above(&ratios[0], &ratios[1]);
    report.auroc_elsewhere = chance_above(&ratios[0], &ratios[2]);
    let best: Vec<f32> = parts.iter().flat_map(|p| &p.best).copied().collect();
    report.auroc_best = chance_above(&best, &best_background);
    report.parts = PARTS
        .iter()
        .zip(&parts)
        .filter(|(_, part)| part.cells > 0)
        .map(|(name, part)| Part {
            part: (*name).to_owned(),
            cells: part.cells,
            within_5cm: part.near as f64 / part.cells as f64,
            auroc_in_place: chance_above(&part.in_place[0], &part.in_place[1]),
            auroc_best: chance_above(&part.best, &best_background),
        })
        .collect();
    for (sum, temperature) in heat.iter().zip(TEMPERATURES) {
        let [person, background, person_visible, background_visible] = sum.map(|s| s / judged);
        report.heat.push(Heat {
            temperature,
            person,
            background,
            person_visible,
            background_visible,
        });
    }
    report
}

/// Chance that a value of `high` exceeds one of `low`; equals count half. 0.5 where one is empty.
fn chance_above(high: &[f32], low: &[f32]) -> f64 {
    if high.is_empty() || low.is_empty() {
        return 0.5;
    }
    let mut low = low.to_vec();
    low.sort_unstable_by(f32::total_cmp);
    let below = |x: f32| {
        let (less, most) = (
            low.partition_point(|&y| y < x),
            low.partition_point(|&y| y <= x),
        );
        0.5 * (less + most) as f64
    };
    let sum: f64 = high.iter().map(|&x| below(x)).sum();
    sum / (high.len() as f64 * low.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_of_small_samples() {
        assert_eq!(chance_above(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(chance_above(&[1.0], &[1.0]), 0.5);
        assert_eq!(chance_above(&[0.0, 2.0], &[1.0]), 0.5);
        assert_eq!(chance_above(&[], &[1.0]), 0.5);
    }

    #[test]
    fn sides_are_known_by_name() {
        let names = ["pelvis", "left_hip", "right_hip", "left_tail"].map(str::to_owned);
        assert_eq!(mirror(&names), [None, Some(2), Some(1), None]);
    }
}
