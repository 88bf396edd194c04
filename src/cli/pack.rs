//! `neuralsmpl pack`: where packs are looked for, checking one, sealing one.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Subcommand;

use super::End;
use super::console::Console;
use super::pack_inspect::{self, InspectArgs};
use super::pack_poses::{self, PosesArgs};
use crate::backbone::{BackboneError, Locator, Workers};
use crate::limits::MAX_BETAS;
use crate::pack::{self, Pack};
use crate::synth;

/// Names a pack for all runs.
const VARIABLE: &str = "NEURALSMPL_PACK";

/// The pack that a clone of the repository holds.
const HERE: &str = "models/person";

/// The installed pack, from the folder of the program.
const INSTALLED: &str = "../share/neuralsmpl/person";

const EXAMPLES: &str = "\
Examples:
  neuralsmpl pack check models/person
  neuralsmpl pack inspect models/person --memory
  neuralsmpl pack poses models/person --out poses.png
  neuralsmpl pack seal models/person   after a file was made again";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum PackCommand {
    /// Load everything in a pack and say what it holds
    Check {
        /// The pack's folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Time the networks part by part: which kernel does what, and what is left to tract
    Inspect(InspectArgs),
    /// Draw bodies in poses that the pack's pose prior makes up
    Poses(PosesArgs),
    /// Write the sha256 of every file into pack.toml
    Seal {
        /// The pack's folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

pub(super) fn run(command: &PackCommand, console: &Console) -> anyhow::Result<End> {
    match command {
        PackCommand::Check { dir } => check(dir, console)?,
        PackCommand::Inspect(args) => pack_inspect::run(args, console)?,
        PackCommand::Poses(args) => pack_poses::run(args, console)?,
        PackCommand::Seal { dir } => {
            let changed = pack::seal(dir)?;
            let what = if changed.is_empty() {
                "nothing to change".to_owned()
            } else {
                format!("new sha256 for {}", changed.join(", "))
            };
            console.say(&format!("{}: {what}", dir.join("pack.toml").display()))?;
        }
    }
    Ok(End::Done)
}

/// The pack to use: `--pack`, else the environment's, else the one here, else the installed one.
pub(super) fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    if let Some(path) = env::var_os(VARIABLE).filter(|p| !p.is_empty()) {
        return Ok(path.into());
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join(INSTALLED)));
    let places = [Some(PathBuf::from(HERE)), beside];
    match places
        .into_iter()
        .flatten()
        .find(|p| p.join("pack.toml").is_file())
    {
        Some(path) => Ok(path),
        None => bail!(
            "no model pack found: {VARIABLE} is not set, and there is no pack.toml in {HERE} or in {INSTALLED} beside the program; name a pack with --pack DIR"
        ),
    }
}

/// Paths of the networks, for messages.
pub(super) struct NetworkFiles {
    detector: PathBuf,
    backbone: PathBuf,
}

impl NetworkFiles {
    /// The networks of a pack.
    pub(super) fn of(pack: &Pack) -> Self {
        let files = &pack.manifest.files;
        Self {
            detector: pack.root.join(&files.detector.path),
            backbone: pack.root.join(&files.backbone.path),
        }
    }

    /// An error while loading, with the file it is about.
    pub(super) fn fault(&self, error: &BackboneError) -> anyhow::Error {
        use BackboneError::{Input, Load, OutputMissing, OutputShape};
        let detector = matches!(
            error,
            Load {
                network: "detector",
                ..
            } | Input {
                network: "detector",
                ..
            } | OutputMissing {
                network: "detector",
                ..
            } | OutputShape {
                network: "detector",
                ..
            }
        );
        let path = if detector {
            &self.detector
        } else {
            &self.backbone
        };
        anyhow!("{}: {error}", path.display())
    }
}

fn check(dir: &Path, console: &Console) -> anyhow::Result<()> {
    let mut pack = Pack::load(dir)?;
    Locator::load(&mut pack, &Workers::new(1)?).map_err(|e| NetworkFiles::of(&pack).fault(&e))?;
    synth::open_studio(&pack, None, None, None)?;
    for line in summary(&pack) {
        console.say(&line)?;
    }
    Ok(())
}

fn summary(pack: &Pack) -> Vec<String> {
    let m = &pack.manifest;
    let body = &pack.body;
    let blend = if body.posedirs.is_empty() {
        "without pose directions"
    } else {
        "with pose directions"
    };
    let mesh = match &pack.texture {
        None => "none yet: fits use landmarks and mask alone; make one with `neuralsmpl learn`"
            .to_owned(),
        Some(t) => format!(
            "K = {} orientations, D = {} channels, gate softness {}, {} background components",
            t.components,
            t.channels,
            t.tau,
            t.background.len()
        ),
    };
    let mut lines = vec![
        format!(
            "{}: pack \"{}\", all files are sound",
            pack.root.display(),
            m.name
        ),
        format!("  {}", m.description),
        format!("  model id     {}", pack.model_id()),
        format!("  licence      {}", m.licence),
        format!(
            "  body         {} vertices (V), {} triangles, {} joints, {MAX_BETAS} shape components, {} keypoints, {blend}",
            body.vertices.len(),
            body.faces.len(),
            body.joint_count(),
            body.keypoints.len()
        ),
        format!("  neural mesh  {mesh}"),
        format!(
            "  backbone     {0} x {0} pixels in, {1} x {1} cells of {2} features out",
            m.backbone.input,
            m.backbone.input / m.backbone.stride,
            m.backbone.channels
        ),
        String::new(),
    ];
    let rows: Vec<[String; 5]> =
        std::iter::once(["file", "what", "bytes", "licence", "source"].map(str::to_owned))
            .chain(m.files.all().map(|(key, entry)| {
                let bytes =
                    std::fs::metadata(pack.root.join(&entry.path)).map_or(0, |meta| meta.len());
                [
                    entry.path.clone(),
                    key.to_owned(),
                    bytes.to_string(),
                    entry.licence.clone(),
                    entry.source.clone(),
                ]
            }))
            .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|r| r[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (a, b, c, d) = (width(0), width(1), width(2), width(3));
    lines.extend(rows.iter().map(|[file, what, bytes, licence, source]| {
        format!("  {file:a$}  {what:b$}  {bytes:>c$}  {licence:d$}  {source}")
    }));
    lines
}
