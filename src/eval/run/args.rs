//! Options of `neuralsmpl eval run`.

use std::path::PathBuf;

use clap::ValueEnum;
use neuralsmpl_evaluation::{Reading, Shard};
use serde_json::json;

use crate::eval::EvalError;
use crate::eval::advocc::{Kind, STRIDE, Textures};
use crate::eval::systems::Spec;
use crate::pack::{Pack, sha256_hex};

const EXAMPLES: &str = "\
Examples:
  neuralsmpl eval run data --out results                             start and fit, pictures as they are
  neuralsmpl eval run data --occlusion none,advocc40,advocc80 \\
    --systems smplify,eft,neuralsmpl,program --threads 2 --out results
  neuralsmpl eval run data --shard 1/4 --out part1                   a quarter; then `eval merge`
  neuralsmpl eval report results                                     tables, report.html

A run that was stopped goes on where it was when it is started again with the same options.
Systems: start, network, landmarks, FILE.onnx (docs/init.md), FILE.jsonl (poses), smplify, eft, neuralsmpl,
neuralsmpl-adam, released, released-adam, program. Changes follow after colons: neuralsmpl:no-parts:steps=12.";

/// Which patch position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReadingName {
    /// Worst for the start, over the joints it leaves visible; every system is judged there (the authors' protocol)
    Start,
    /// Worst for each system itself, over all joints
    Own,
    /// Both
    Both,
}

/// Options of `neuralsmpl eval run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Manifest of a data set, or its folder (docs/datasets.md)
    pub manifest: PathBuf,
    /// Folder for the results; made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Systems, separated by commas; the start is always among them
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "neuralsmpl"
    )]
    pub systems: Vec<Spec>,
    /// Where all systems start: network, landmarks, FILE.onnx or FILE.jsonl
    #[arg(long, value_name = "SYSTEM", default_value = "network")]
    pub start: Spec,
    /// none, advocc40, advocc80, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "none"
    )]
    pub occlusion: Vec<Kind>,
    /// Which position of the patch counts
    #[arg(long, value_enum, default_value_t = ReadingName::Start)]
    pub reading: ReadingName,
    /// Pixels of a 224-pixel crop between positions; the published figure is 10
    #[arg(long, value_name = "PX", default_value_t = STRIDE, value_parser = clap::value_parser!(u32).range(1..=144))]
    pub stride: u32,
    /// Slow systems look for their own worst position at every N-th position of a row and column
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub own_stride: u32,
    /// Take positions and textures from the results in this folder instead of searching
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// Folder of pictures for the patch (default: made-up textures)
    #[arg(long, value_name = "DIR")]
    pub textures: Option<PathBuf>,
    /// Seed of the textures
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Only this part of the samples, from 1/N to N/N
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Only the first N samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Threads; each loads the networks
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Draw the answers for the first N samples, and heatmaps of the patch's positions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub pictures: u32,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Name of the pack's body in the manifest's `body_model` (default: that of `neuralsmpl synth`)
    #[arg(long, value_name = "NAME")]
    pub body_model: Option<String>,
}

impl RunArgs {
    /// Readings of the occlusions.
    pub fn readings(&self) -> &'static [Reading] {
        match self.reading {
            ReadingName::Start => &[Reading::Initial],
            ReadingName::Own => &[Reading::Own],
            ReadingName::Both => &[Reading::Initial, Reading::Own],
        }
    }

    /// All systems: the start, then the others, each once.
    pub fn all_systems(&self) -> Result<Vec<Spec>, EvalError> {
        let start = Spec {
            label: "start".to_owned(),
            kind: crate::eval::systems::Kind::Start,
        };
        let mut all = vec![start];
        for spec in &self.systems {
            if all.iter().all(|s| s.label != spec.label) {
                all.push(spec.clone());
            }
        }
        if !self.start.can_start() {
            return Err(EvalError::Option {
                option: "start",
                found: self.start.label.clone(),
                expected: "network, landmarks, FILE.onnx or FILE.jsonl",
            });
        }
        Ok(all)
    }

    /// Name of the pack's body in the manifest.
    pub fn body_model(&self, pack: &Pack) -> String {
        self.body_model
            .clone()
            .unwrap_or_else(|| pack.manifest.body_name())
    }

    /// All that decides a record.
    pub fn settings(
        &self,
        systems: &[Spec],
        textures: &Textures,
        replayed: Option<&str>,
    ) -> serde_json::Value {
        let labels: Vec<&str> = systems.iter().map(|s| s.label.as_str()).collect();
        let occlusions: Vec<&str> = self.occlusion.iter().map(|k| k.name()).collect();
        json!({
            "manifest": self.manifest.display().to_string(),
            "start": self.start.label,
            "systems": labels,
            "occlusions": occlusions,
            "readings": self.readings(),
            "stride": self.stride,
            "own_stride": self.own_stride,
            "textures": textures.names(),
            "texture_folder": self.textures.as_ref().map(|t| t.display().to_string()),
            "seed": self.seed,
            "limit": self.limit,
            "pack": self.pack.display().to_string(),
            "body_model": self.body_model,
            "replayed": replayed,
        })
    }
}

/// SHA-256 of a pack: of its manifest, which holds those of its files.
pub fn pack_sha256(pack: &Pack) -> Result<String, EvalError> {
    let path = pack.root.join("pack.toml");
    let bytes = std::fs::read(&path).map_err(|source| EvalError::Read { path, source })?;
    Ok(sha256_hex(&bytes))
}

/// Seed of the texture of a sample's patch: the same whatever the shard and the order.
pub fn texture_seed(seed: u64, sample: &str, side: u32) -> u64 {
    let hash = sha256_hex(format!("{seed}/{side}/{sample}").as_bytes());
    u64::from(u32::from_str_radix(&hash[..8], 16).unwrap_or(0))
}
