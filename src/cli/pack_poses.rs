//! `neuralsmpl pack poses`: bodies in poses that the pack's VAE makes up.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use glam::{Mat3, Vec3};
use image::{Rgb, RgbImage};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::console::Console;
use crate::body::Pose;
use crate::cpu::pose_vae;
use crate::frame::Intrinsics;
use crate::pack::Pack;
use crate::synth;
use crate::view::{MeshView, OverlayStyle, PERSON_COLOURS, contact_sheet, overlay};

/// Field of view, degrees; distance of the body's middle, metres.
const FOV_DEG: f32 = 36.0;
const DISTANCE_M: f32 = 3.5;
/// How far the body is turned, degrees: from the side one sees more of it.
const TURNED_DEG: f32 = 30.0;
const GROUND: [u8; 3] = [236, 236, 232];

/// Options of `neuralsmpl pack poses`.
#[derive(clap::Args)]
pub(super) struct PosesArgs {
    /// The pack's folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Picture to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Bodies on the sheet
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Bodies in a row
    #[arg(long, value_name = "N", default_value_t = 12)]
    columns: usize,
    /// Side of one picture in pixels
    #[arg(long, value_name = "PX", default_value_t = 120, value_parser = clap::value_parser!(u32).range(32..=1024))]
    size: u32,
    /// Deviation of the latent that is drawn
    #[arg(long, value_name = "SIGMA", default_value_t = 1.0)]
    spread: f32,
    /// Seed of the poses
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &PosesArgs, console: &Console) -> anyhow::Result<()> {
    if !(0.0..=10.0).contains(&args.spread) {
        bail!("--spread is {}, expected 0 to 10", args.spread);
    }
    let pack = Pack::load(&args.dir)?;
    let Some(vae) = pack.prior.vae.as_deref() else {
        bail!(
            "{}: the prior holds no VAE; run training/train_prior.py, then `neuralsmpl pack seal`",
            args.dir.join(&pack.manifest.files.prior.path).display()
        );
    };
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let intrinsics = Intrinsics::from_fov(FOV_DEG, args.size, args.size);
    let ground = RgbImage::from_pixel(args.size, args.size, Rgb(GROUND));
    let pictures: Vec<RgbImage> = (0..args.count)
        .map(|_| {
            let latent: Vec<f32> = (0..vae.latent)
                .map(|_| args.spread * rng.sample::<f32, _>(StandardNormal))
                .collect();
            let mut pose = Pose::default();
            pose_vae::decode(vae, &latent, &mut pose);
            // From the body's frame, y up, to the camera's, y down.
            pose.rotations[0] = Mat3::from_rotation_x(std::f32::consts::PI)
                * Mat3::from_rotation_y(TURNED_DEG.to_radians());
            let mut vertices = synth::posed(&pack.body, &pose).0;
            let low = vertices.iter().copied().reduce(Vec3::min);
            let high = vertices.iter().copied().reduce(Vec3::max);
            let middle = 0.5 * (low.unwrap_or_default() + high.unwrap_or_default());
            let shift = Vec3::new(0.0, 0.0, DISTANCE_M) - middle;
            vertices.iter_mut().for_each(|v| *v += shift);
            let mesh = MeshView {
                vertices: &vertices,
                faces: &pack.body.faces,
                vertex_colour: None,
                colour: PERSON_COLOURS[0],
            };
            let style = OverlayStyle {
                opacity: 1.0,
                ..OverlayStyle::default()
            };
            overlay(&ground, &intrinsics, &[mesh], style)
        })
        .collect();
    contact_sheet(&pictures, args.columns)
        .save(&args.out)
        .with_context(|| {
            format!(
                "{}: cannot be written; name a picture in a folder that exists",
                args.out.display()
            )
        })?;
    console.say(&format!("{}: {} poses", args.out.display(), args.count))?;
    Ok(())
}
