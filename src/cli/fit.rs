//! `neuralsmpl fit`: photographs to bodies, image by image.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;

use super::End;
use super::backend::BackendArgs;
use super::console::Console;
use super::outputs::{Folder, plan};
use super::pack::{NetworkFiles, find};
use super::report::{Subject, is_finite, sentence};
use super::start::{Init, StartSource};
use crate::backbone::Workers;
use crate::engine::Opened;
use crate::fit::{Schedule, Solver};
use crate::frame::calibration::{
    Calibration, Camera, check_box, parse_box, parse_fov, parse_intrinsics,
};
use crate::frame::load_image;
use crate::limits::{MAX_PERSONS, MAX_STEPS, MAX_THREADS};
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator};
use crate::texture::EnergyKind;

const EXAMPLES: &str = "\
Examples:
  neuralsmpl fit photo.jpg --out results
  neuralsmpl fit frames/*.png --out results --fov 70
  neuralsmpl fit photo.jpg --intrinsics 1673.7,1673.8,534.5,963.2,-0.048,0.137,0.001,0.0003
  neuralsmpl fit photo.jpg --init results/photo.pose.json --steps 60 --out again

Writes for each image NAME.pose.json (docs/pose-json.md), NAME.overlay.png,
NAME.occlusion.png and NAME.pose.bin (docs/packet.md). An image that fails leaves none
of them, does not stop the others, and makes the exit code 1.";

/// Options of `neuralsmpl fit`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FitArgs {
    /// Photographs: JPEG, PNG, WebP, TIFF, BMP or PNM
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Model pack [default: NEURALSMPL_PACK, else models/person, else the installed one]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Fit only the person in this box, in pixels
    #[arg(long = "box", value_name = "X,Y,W,H", value_parser = parse_box, allow_hyphen_values = true)]
    box_px: Option<[f32; 4]>,
    /// Start pose: `auto` as the pack says, from the landmarks or the pack's network, from an earlier
    /// pose.json, or from a regressor as .onnx
    #[arg(
        long,
        value_name = "auto|landmarks|network|FILE",
        default_value = "auto"
    )]
    init: Init,
    /// Most gradient steps per person [default: the pack's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_STEPS)))]
    steps: Option<u32>,
    /// How the energy is descended
    #[arg(long, value_enum, default_value_t)]
    solver: Solver,
    /// Which energy is descended
    #[arg(long, value_enum, default_value_t)]
    energy: EnergyName,
    #[command(flatten)]
    backend: BackendArgs,
    /// Field of view along the longer side, degrees [default: the pack's]
    #[arg(long, value_name = "DEG", value_parser = parse_fov, conflicts_with = "intrinsics", allow_hyphen_values = true)]
    fov: Option<f32>,
    /// Calibrated camera, in pixels of the whole image: fx,fy,cx,cy[,k1,k2,p1,p2]
    #[arg(long, value_name = "FX,FY,CX,CY[,K1,K2,P1,P2]", value_parser = parse_intrinsics, allow_hyphen_values = true)]
    intrinsics: Option<Calibration>,
    /// Folder for the results; made if missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Most people per image
    #[arg(long, value_name = "N", default_value_t = MAX_PERSONS as u8, value_parser = clap::value_parser!(u8).range(1..=MAX_PERSONS as i64))]
    max_persons: u8,
    /// Threads for the networks [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_THREADS as i64))]
    threads: Option<u8>,
    /// Take an image with nobody in it for an error
    #[arg(long)]
    strict: bool,
    /// Print each image's pose.json as one line instead of words
    #[arg(long)]
    json: bool,
}

impl FitArgs {
    /// Refuses options that contradict each other.
    pub(super) fn check(&self) -> Result<(), clap::Error> {
        self.backend.check()
    }
}

/// `--energy`.
#[derive(Clone, Copy, Default, ValueEnum)]
enum EnergyName {
    /// Log-mixtures with an outlier process, as published
    #[default]
    Paper,
    /// Cosine scores, as in the authors' released code
    Released,
}

pub(super) fn run(args: &FitArgs, console: &Console) -> anyhow::Result<End> {
    let stems = plan(&args.images, &args.out)?;
    let folder = Folder::open(&args.out)?;
    let mut session = Session::open(args, folder)?;
    let console = console.with_progress(args.images.len());
    let mut end = End::Done;
    for (path, stem) in args.images.iter().zip(&stems) {
        if let Err(error) = session.fit(path, stem, &console) {
            console.error(&error);
            end = End::Failed;
        }
        console.advance();
    }
    Ok(end)
}

/// Everything that lasts from image to image.
struct Session<'a> {
    args: &'a FitArgs,
    energy: EnergyKind,
    camera: Camera,
    start: StartSource,
    folder: Folder,
    networks: Networks,
}

/// Networks take a second to load: only an image that can be read asks for them.
enum Networks {
    Idle(Box<(Pack, EstimateOptions, Opened)>),
    Running(Box<Estimator>),
    Broken,
}

impl Networks {
    fn start(&mut self) -> anyhow::Result<&mut Estimator> {
        if let Self::Idle(_) = self
            && let Self::Idle(all) = std::mem::replace(self, Self::Broken)
        {
            let (pack, options, opened) = *all;
            if pack.texture.is_none() {
                log::warn!(
                    "{}: no neural mesh in this pack; fitting to landmarks and mask alone",
                    pack.root.display()
                );
            }
            let files = NetworkFiles::of(&pack);
            *self = Self::Running(Box::new(
                Estimator::with_backend(pack, options, opened).map_err(|e| files.fault(&e))?,
            ));
        }
        match self {
            Self::Running(estimator) => Ok(estimator),
            Self::Idle(_) | Self::Broken => bail!("the networks of the pack could not be loaded"),
        }
    }
}

impl<'a> Session<'a> {
    fn open(args: &'a FitArgs, folder: Folder) -> anyhow::Result<Self> {
        let pack = Pack::load(&find(args.pack.as_deref())?)?;
        let energy = match args.energy {
            EnergyName::Paper => EnergyKind::Paper,
            EnergyName::Released => EnergyKind::Released,
        };
        let camera = match (args.intrinsics, args.fov) {
            (Some(calibration), _) => Camera::Given(calibration),
            (None, Some(fov)) => Camera::Fov(fov),
            (None, None) => Camera::Assumed(pack.manifest.camera.fov_deg),
        };
        let options = EstimateOptions {
            schedule: Schedule::new(args.solver, args.steps.unwrap_or(pack.manifest.fit.steps)),
            energy,
            box_px: args.box_px,
            threads: args.threads.map_or_else(Workers::all_cores, usize::from),
            max_persons: args.max_persons.into(),
            hypotheses: true,
        };
        let start = StartSource::open(&args.init, &pack)?;
        let opened = args.backend.choice().open()?;
        Ok(Self {
            args,
            energy,
            camera,
            start,
            folder,
            networks: Networks::Idle(Box::new((pack, options, opened))),
        })
    }

    fn fit(&mut self, path: &Path, stem: &OsStr, console: &Console) -> anyhow::Result<()> {
        let shown = path.display().to_string();
        let photo = load_image(path)?;
        let (width, height) = photo.dimensions();
        let intrinsics = self
            .camera
            .intrinsics(width, height)
            .map_err(|fault| anyhow!("{shown}: --intrinsics: {fault}"))?;
        if let Some(box_px) = self.args.box_px {
            check_box(box_px, width, height).map_err(|fault| anyhow!("{shown}: {fault}"))?;
        }
        let estimator = self.networks.start()?;
        let people = self
            .start
            .estimate(estimator, &photo, &intrinsics)
            .with_context(|| shown.clone())?;
        if people.is_empty() && self.args.strict {
            bail!(
                "{shown}: nobody found, expected at least one person (--strict); mark somebody with --box or leave --strict out"
            );
        }
        if !people.iter().all(is_finite) {
            bail!(
                "{shown}: the fit met numbers that are not finite, expected finite ones; check --intrinsics and --init"
            );
        }
        let subject = Subject {
            file: path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            time_us: time_us(path),
            photo: &photo,
            intrinsics,
            source: self.camera.source(),
            pack: estimator.pack(),
            engine: estimator.engine(),
            energy: self.energy,
            solver: self.args.solver,
        };
        let pose_file = subject.pose_file(&people);
        let files = subject
            .files(&people, &pose_file)
            .with_context(|| shown.clone())?;
        self.folder.write(stem, &files)?;
        if self.args.json {
            return console.print(&pose_file.to_line()?);
        }
        if people.is_empty() {
            return console.say(&format!("{shown}: nobody found; mark somebody with --box, or use a picture that shows a whole person larger"));
        }
        pose_file
            .persons
            .iter()
            .try_for_each(|person| console.say(&sentence(&shown, person, people.len())))
    }
}

/// When the file was last changed: the closest to the time of capture that every file has.
fn time_us(path: &Path) -> u64 {
    let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
