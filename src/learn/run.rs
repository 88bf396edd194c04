//! `neuralsmpl learn`: from a pack without neural mesh to one with it.

use std::path::PathBuf;

use super::LearnError;
use super::evidence::{Evidence, limb_alphas};
use super::judge;
use super::lanes::{LANES, Series};
use super::pick;
use super::prototypes::{estimate, neighbours};
use super::reservoir::Reservoir;
use super::{mixture, save};
use crate::limits::{MAX_BACKGROUND, MAX_COMPONENTS};
use crate::pack::Pack;
use crate::synth::open_studio;
use crate::texture::{Gate, Texture};

/// Background features kept for the mixture, 6 MB: half of them from the person's fringe, where
/// features are hardest to tell from the person's and where outlines and occluders lie.
const BACKGROUND_SAMPLE: usize = 24_000;
/// Fewest cells on the person that say anything about it.
const LEAST_CELLS: u64 = 100;

/// Options of `neuralsmpl learn`.
#[derive(Clone, Debug, clap::Args)]
pub struct LearnArgs {
    /// Model pack; its `texture` entry and texture settings are rewritten
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Number of synthetic pictures to learn from; a tenth as many more judge the result
    #[arg(long, value_name = "N", default_value_t = 1500)]
    pub count: u64,
    /// Seed; the same seed gives the same file, whatever the number of threads
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Poses: safetensors with `poses` f32 [N, 24, 3], rotation vectors (default: the pack's, else its prior)
    #[arg(long, value_name = "FILE")]
    pub poses: Option<PathBuf>,
    /// Folder of .hdr panoramas for light and backgrounds (default: made-up light and places)
    #[arg(long, value_name = "DIR")]
    pub hdri: Option<PathBuf>,
    /// Folder of photographs without people, for backgrounds
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Orientation components K at each vertex (default: the pack's)
    #[arg(long, value_name = "K")]
    pub components: Option<usize>,
    /// Softness τ of the orientation gate (default: the pack's)
    #[arg(long, value_name = "T")]
    pub tau: Option<f32>,
    /// Components M of the background mixture (default: the pack's)
    #[arg(long, value_name = "M")]
    pub background: Option<usize>,
    /// Pictures made at the same time, at most 16
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Write the tensors here and leave the pack alone
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the figures of the held-out pictures here as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Learn nothing: judge the pack's neural mesh on the held-out pictures
    #[arg(long, conflicts_with_all = ["components", "tau", "background", "out"])]
    pub judge_only: bool,
}

/// What one lane gathers.
struct Gathered {
    evidence: Evidence,
    /// Background cells near the person, and the others.
    background: [Reservoir; 2],
}

/// Learns the neural mesh of `args.pack`, writes it and prints how well it tells places apart.
///
/// # Errors
/// A bad option, pack, pose file or folder, too few pictures, or an output that cannot be written.
pub fn run(args: &LearnArgs) -> Result<(), LearnError> {
    check(args)?;
    let mut pack = Pack::load(&args.pack)?;
    let settings = &mut pack.manifest.texture;
    settings.components = args.components.unwrap_or(settings.components);
    settings.tau = args.tau.unwrap_or(settings.tau);
    settings.background = args.background.unwrap_or(settings.background);
    let pack = &pack;
    let studio = open_studio(
        pack,
        args.poses.as_deref(),
        args.hdri.as_deref(),
        args.photos.as_deref(),
    )?;
    let series = Series {
        pack,
        studio: &studio,
        seed: args.seed,
        count: args.count,
        threads: args.threads,
    };
    let learned;
    let texture = if args.judge_only {
        pack.texture.as_ref().ok_or_else(|| LearnError::NoTexture {
            path: args.pack.join("pack.toml"),
        })?
    } else {
        let (texture, cells) = learn(&series)?;
        save::save(args, pack, &texture, cells)?;
        learned = texture;
        &learned
    };
    let held_out = Series {
        seed: args.seed.wrapping_add(1),
        count: (args.count / 10).max(1),
        ..series
    };
    let report = judge::judge(&held_out, texture)?;
    print!("{report}");
    match &args.report {
        Some(path) => save::write_report(path, &report),
        None => Ok(()),
    }
}

fn check(args: &LearnArgs) -> Result<(), LearnError> {
    let range = |option, value: Option<f64>, low: f64, high: f64| match value {
        Some(value) if !(low..=high).contains(&value) => Err(LearnError::Option {
            option,
            found: value.to_string(),
            expected: format!("{low} to {high}"),
        }),
        _ => Ok(()),
    };
    let whole = |n: Option<usize>| n.map(|n| n as f64);
    range("count", Some(args.count as f64), 1.0, 1e6)?;
    range(
        "components",
        whole(args.components),
        1.0,
        MAX_COMPONENTS as f64,
    )?;
    range("tau", args.tau.map(f64::from), 0.1, 1000.0)?;
    range(
        "background",
        whole(args.background),
        1.0,
        MAX_BACKGROUND as f64,
    )?;
    range("threads", Some(args.threads as f64), 1.0, LANES as f64)
}

/// Maximum likelihood over a series; also how many cells showed the person.
fn learn(series: &Series<'_>) -> Result<(Texture, u64), LearnError> {
    let body = &series.pack.body;
    let settings = &series.pack.manifest.texture;
    let (k, d) = (settings.components, series.pack.manifest.backbone.channels);
    let gate = Gate::Paper {
        components: k,
        tau: settings.tau,
    };
    let vertices = body.vertices.len();
    let lane = |number: usize| Gathered {
        evidence: Evidence::new(vertices, k, d),
        background: [0, 1].map(|i| {
            let stream = (2 * number + i) as u64;
            Reservoir::new(BACKGROUND_SAMPLE / (2 * LANES), d, series.seed, stream)
        }),
    };
    let lanes = series.visit("learning", lane, |sums, made, seen| {
        let feature = |cell: usize| &seen.features[cell * d..][..d];
        let alphas = limb_alphas(body, &made.truth.joints, gate);
        for (cell, t, b) in pick::foreground(&made.truth) {
            if pick::is_feature(feature(cell)) {
                let (face, limb) = (body.faces[t], &body.vertex_limb);
                sums.evidence.add(face, b, limb, &alphas, feature(cell));
            }
        }
        let behind = pick::background(&made.mask, seen.grid);
        for (kept, cells) in sums.background.iter_mut().zip([behind.fringe, behind.far]) {
            for cell in cells {
                if pick::is_feature(feature(cell)) {
                    kept.offer(feature(cell));
                }
            }
        }
    })?;
    let mut evidence = Evidence::new(vertices, k, d);
    let (mut rows, mut clutter) = (Vec::new(), vec![0.0; d]);
    for lane in &lanes {
        evidence.merge(&lane.evidence);
        for kept in &lane.background {
            rows.extend_from_slice(kept.rows());
            clutter
                .iter_mut()
                .zip(kept.sum())
                .for_each(|(c, s)| *c += s);
        }
    }
    enough(
        "cells of the person",
        evidence.cells,
        LEAST_CELLS,
        series.count,
    )?;
    let background = (rows.len() / d) as u64;
    enough(
        "background cells",
        background,
        settings.background as u64,
        series.count,
    )?;
    let found = estimate(&evidence, &body.vertex_limb, &neighbours(body));
    let length = clutter.iter().map(|c| c * c).sum::<f64>().sqrt().max(1e-12);
    let texture = Texture {
        components: k,
        channels: d,
        tau: settings.tau,
        gram: Texture::gram_of(&found.phi, k, d, &body.faces),
        phi: found.phi,
        sigma: found.sigma,
        background: mixture::fit(&rows, d, settings.background, series.seed),
        clutter: clutter.iter().map(|c| (c / length) as f32).collect(),
    };
    Ok((texture, evidence.cells))
}

fn enough(what: &'static str, found: u64, expected: u64, count: u64) -> Result<(), LearnError> {
    if found >= expected {
        return Ok(());
    }
    Err(LearnError::TooLittle {
        what,
        found,
        expected,
        count,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::synth::Studio;

    fn learned(pack: &Pack, studio: &Studio<'_>, seed: u64, threads: usize) -> Texture {
        let series = Series {
            pack,
            studio,
            seed,
            count: 3,
            threads,
        };
        learn(&series).unwrap().0
    }

    #[test]
    fn the_seed_decides_and_threads_do_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/person");
        let pack = Pack::load(&root).unwrap();
        let studio = open_studio(&pack, None, None, None).unwrap();
        let one = learned(&pack, &studio, 5, 1);
        let three = learned(&pack, &studio, 5, 3);
        assert_eq!(one.phi, three.phi);
        assert_eq!(one.sigma, three.sigma);
        assert_eq!(one.background.mean, three.background.mean);
        assert_eq!(one.clutter, three.clutter);
        assert_ne!(one.phi, learned(&pack, &studio, 6, 3).phi);
        for phi in one.phi.chunks_exact(one.channels) {
            let length: f32 = phi.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-4, "{length}");
        }
    }

    #[test]
    fn too_little_is_an_error() {
        let message = enough("background cells", 3, 8, 1).unwrap_err().to_string();
        assert_eq!(
            message,
            "3 background cells in 1 pictures, expected at least 8; raise --count"
        );
    }
}
