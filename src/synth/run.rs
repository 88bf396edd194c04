//! `neuralsmpl synth`: writes pictures of synthetic people with their truth.

use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::SynthError;
use super::files::write_files;
use super::framing::Framing;
use super::poses::PoseSource;
use super::record::{record, vertex_parts};
use super::render::{Rendered, render, render_known};
use super::scene::Studio;
use super::shards::{Shards, describe};
use super::surroundings::Panorama;
use super::truth::Truth;
use super::wardrobe::Wardrobe;
use crate::body::PARTS;
use crate::frame::load_image;
use crate::pack::{Pack, PackError, sha256_hex};
use crate::view::contact_sheet;

/// Pictures on the contact sheet.
pub(super) const SHEET: u32 = 48;
/// Crop pixels per feature cell.
const STRIDE: usize = 4;

/// Fewest cells of the person that a picture to learn from shows.
const LEAST_CELLS: usize = 100;
/// Scenes tried for one picture to learn from.
const TRIES: u64 = 8;
/// File endings of panoramas.
const PANORAMAS: [&str; 1] = ["hdr"];
/// File endings of photographs.
const PHOTOS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Name of the layout of shards.
const SHARD_FORMAT: &str = "neuralsmpl-synth-1";
const EXAMPLES: &str = "\
Examples:
  neuralsmpl synth --out people                                   48 pictures to look at
  neuralsmpl synth --out data --format tar --count 10000 --threads 2 --hdri panoramas \\
    --clothes training/data/clothes.safetensors                   to learn from

A tar run that was stopped goes on where it was when it is started again with the same options.";

/// Most other people of a picture.
const MAX_OTHERS: u32 = 8;

/// How pictures and truth are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// NNNNN.png, NNNNN.mask.png, NNNNN.json: framed as the product frames people; for looking and evaluation
    Files,
    /// WebDataset shards NNNNN.tar: many cameras and crops, JPEG faults; for learning
    Tar,
}

/// Options of `neuralsmpl synth`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SynthArgs {
    /// Folder for the pictures, their truth and the contact sheet; made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub count: u32,
    /// What is written
    #[arg(long, value_enum, default_value_t = Format::Files)]
    pub format: Format,
    /// Pictures of one shard (with --format tar)
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub shard_size: u32,
    /// Seed; the same seed gives the same bytes, whatever --threads says
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Poses: safetensors with `poses` f32 [N, 24, 3], rotation vectors (default: the pack's, else its prior)
    #[arg(long, value_name = "FILE")]
    pub poses: Option<PathBuf>,
    /// Folder of .hdr panoramas for light and backgrounds (default: made-up light and places)
    #[arg(long, value_name = "DIR")]
    pub hdri: Option<PathBuf>,
    /// Folder of photographs for backgrounds
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Clothes for 6 in 10 people: a file of training/bake_clothes.py (default: made-up clothes for all)
    #[arg(long, value_name = "FILE")]
    pub clothes: Option<PathBuf>,
    /// Other people in each picture, in front of or behind the one whose truth is written: for evaluation
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub others: u32,
    /// Side of the pictures in pixels, a multiple of 4 from 64 to 512
    #[arg(long, value_name = "PX", default_value_t = 256)]
    pub size: usize,
    /// Pictures made at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: u32,
}

/// Renders `args.count` people into `args.out`: files or shards, and `sheet.png`.
///
/// # Errors
/// A bad option, pack, pose file or folder, or an output that cannot be written.
pub fn run(args: &SynthArgs) -> Result<(), SynthError> {
    check(args)?;
    let pack = Pack::load(&args.pack)?;
    let mut studio = open_studio(
        &pack,
        args.poses.as_deref(),
        args.hdri.as_deref(),
        args.photos.as_deref(),
    )?;
    if let Some(path) = &args.clothes {
        studio.wardrobe = Some(Wardrobe::read(path, &pack.body)?);
    }
    studio.others = args.others;
    fs::create_dir_all(&args.out).map_err(|e| write_error(&args.out, &e))?;
    let bar = progress(u64::from(args.count));
    let shown = match args.format {
        Format::Files => write_files(args, &studio, &pack.manifest, &bar)?,
        Format::Tar => write_shards(args, &studio, &pack, &bar)?,
    };
    bar.finish_and_clear();
    if shown.is_empty() {
        return Ok(());
    }
    let sheet = args.out.join("sheet.png");
    contact_sheet(&shown, 8)
        .save(&sheet)
        .map_err(|e| write_error(&sheet, &e))
}

fn check(args: &SynthArgs) -> Result<(), SynthError> {
    let bad = |option, found: &dyn std::fmt::Display, expected| {
        Err(SynthError::Option {
            option,
            found: found.to_string(),
            expected,
        })
    };
    if !(64..=512).contains(&args.size) || !args.size.is_multiple_of(STRIDE) {
        return bad("size", &args.size, "a multiple of 4 from 64 to 512");
    }
    if !(1..=256).contains(&args.threads) {
        return bad("threads", &args.threads, "1 to 256");
    }
    if args.others > MAX_OTHERS {
        return bad("others", &args.others, "0 to 8");
    }
    if !(1..=100_000).contains(&args.shard_size) {
        return bad("shard-size", &args.shard_size, "1 to 100000");
    }
    Ok(())
}

fn write_shards(
    args: &SynthArgs,
    studio: &Studio<'_>,
    pack: &Pack,
    bar: &ProgressBar,
) -> Result<Vec<RgbImage>, SynthError> {
    describe(&args.out, &description(args, pack)?)?;
    let shards = Shards {
        out: &args.out,
        count: u64::from(args.count),
        shard_size: u64::from(args.shard_size),
        threads: args.threads as usize,
    };
    let missing = shards.missing();
    let there = shards.count - missing.len() as u64;
    if there > 0 {
        log::warn!("{}: {there} pictures are there already", args.out.display());
    }
    bar.set_position(there);
    bar.reset_eta();
    let parts = vertex_parts(studio.body, &pack.manifest.body.joints);
    let mut shown = Vec::new();
    shards.write(
        &missing,
        |index| {
            let made = learning_picture(studio, args.seed, index, args.size);
            let bytes =
                record(&made, studio.body, &parts).map_err(|message| SynthError::Write {
                    path: args.out.clone(),
                    message: format!("picture {index}: {message}"),
                })?;
            Ok((bytes, (index < u64::from(SHEET)).then_some(made.image)))
        },
        |_, image| {
            shown.extend(image);
            bar.inc(1);
        },
    )?;
    Ok(shown)
}

/// All that decides the bytes of shards, and the names of what is in them.
fn description(args: &SynthArgs, pack: &Pack) -> Result<Value, SynthError> {
    let hash = |path: &Path| -> Result<String, SynthError> {
        let bytes = fs::read(path).map_err(|source| SynthError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(sha256_hex(&bytes))
    };
    let names =
        |folder: &Option<PathBuf>, endings: &[&str], wanted| -> Result<Vec<String>, SynthError> {
            let Some(folder) = folder else {
                return Ok(Vec::new());
            };
            let name = |p: PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned());
            Ok(files(folder, endings, wanted)?
                .into_iter()
                .filter_map(name)
                .collect())
        };
    let files = &pack.manifest.files;
    Ok(json!({
        "format": SHARD_FORMAT,
        "count": args.count,
        "shard_size": args.shard_size,
        "seed": args.seed,
        "size": args.size,
        "others": args.others,
        "grid": args.size / STRIDE,
        "body_sha256": files.body.sha256,
        "poses_sha256": match (&args.poses, &files.poses) {
            (Some(path), _) => Some(hash(path)?),
            (None, entry) => entry.as_ref().map(|e| e.sha256.clone()),
        },
        "clothes_sha256": args.clothes.as_deref().map(hash).transpose()?,
        "panoramas": names(&args.hdri, &PANORAMAS, ".hdr")?,
        "photos": names(&args.photos, &PHOTOS, "photograph")?,
        "parts": PARTS,
        "joints": pack.manifest.body.joints,
        "keypoints": pack.manifest.body.keypoints,
    }))
}

/// The studio of a pack: given poses, else the pack's, else its prior; panoramas and photographs of folders.
///
/// # Errors
/// When a file or folder cannot be used.
pub fn open_studio<'a>(
    pack: &'a Pack,
    poses: Option<&Path>,
    hdri: Option<&Path>,
    photos: Option<&Path>,
) -> Result<Studio<'a>, SynthError> {
    let source = match (poses, &pack.manifest.files.poses) {
        (Some(path), _) => PoseSource::read(path)?,
        (None, Some(entry)) => pack_poses(&pack.root.join(&entry.path), &entry.sha256)?,
        (None, None) => PoseSource::Prior(pack.prior.clone()),
    };
    let mut studio = Studio::new(&pack.body, source)?;
    if let Some(folder) = hdri {
        for path in files(folder, &PANORAMAS, ".hdr")? {
            studio.panoramas.push(Panorama::read(&path)?);
        }
    }
    if let Some(folder) = photos {
        for path in files(folder, &PHOTOS, "photograph")? {
            studio.photos.push(load_image(&path)?);
        }
    }
    Ok(studio)
}

fn pack_poses(path: &Path, expected: &str) -> Result<PoseSource, SynthError> {
    let bytes = fs::read(path).map_err(|source| SynthError::Read {
        path: path.to_owned(),
        source,
    })?;
    let found = sha256_hex(&bytes);
    if found != expected {
        return Err(SynthError::Pack(PackError::Hash {
            path: path.to_owned(),
            found,
            expected: expected.to_owned(),
        }));
    }
    PoseSource::parse(path, bytes)
}

/// Picture `index` of a seed, with its truth on the feature grid, framed as the product frames people.
pub fn picture(studio: &Studio<'_>, seed: u64, index: u64, size: usize) -> Rendered {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let scene = studio.scene(Framing::Usual, &mut rng);
    render(studio, &scene, size, size / STRIDE)
}

/// Picture `index` of a seed as networks learn from it: many cameras, crops and faults ([`Framing::Wide`]).
pub fn learning_picture(studio: &Studio<'_>, seed: u64, index: u64, size: usize) -> Rendered {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let mut tries = 1;
    loop {
        let scene = studio.scene(Framing::Wide, &mut rng);
        let truth = Truth::of(studio, &scene, size, size / STRIDE);
        let covered = truth.triangle.iter().filter(|&&t| t != Truth::NONE);
        if covered.count() >= LEAST_CELLS || tries == TRIES {
            return render_known(studio, &scene, size, truth);
        }
        tries += 1;
    }
}

fn files(
    folder: &Path,
    endings: &[&str],
    wanted: &'static str,
) -> Result<Vec<PathBuf>, SynthError> {
    let io = |source| SynthError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default()
            .to_lowercase();
        if endings.contains(&ending.as_str()) {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(SynthError::NothingThere {
            path: folder.to_owned(),
            wanted,
        });
    }
    found.sort();
    Ok(found)
}

fn progress(count: u64) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:32} {pos}/{len} pictures, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

pub(super) fn write_error(path: &Path, error: &dyn std::fmt::Display) -> SynthError {
    SynthError::Write {
        path: path.to_owned(),
        message: error.to_string(),
    }
}
