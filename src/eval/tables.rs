//! `neuralsmpl eval merge` and `neuralsmpl eval report`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use neuralsmpl_evaluation::report::{self, Options, Picture};
use neuralsmpl_evaluation::{Manifest, Record, Results, Sample, Summary, merge};

use super::EvalError;
use super::advocc::{Occluder, Textures};
use super::run::skeletons;
use super::subject::Subject;
use crate::pack::Pack;

/// Options of `neuralsmpl eval merge`.
#[derive(Clone, Debug, clap::Args)]
pub struct MergeArgs {
    /// Folders of results: the shards of one run
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Folder for all of them; made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Merges shards; searches are copied too.
///
/// # Errors
/// Results of different runs, or that disagree, or a folder that cannot be written.
pub fn run_merge(args: &MergeArgs) -> Result<(), EvalError> {
    let merged = merge(&args.folders, &args.out)?;
    for folder in &args.folders {
        copy_searches(folder, &args.out)?;
    }
    println!(
        "{}: {} records, {} failed, {} in several shards",
        args.out.display(),
        merged.records,
        merged.failed,
        merged.duplicates
    );
    if !merged.missing_shards.is_empty() {
        log::warn!("shards {:?} are missing", merged.missing_shards);
    }
    Ok(())
}

fn copy_searches(from: &Path, to: &Path) -> Result<(), EvalError> {
    let (source, target) = (
        from.join(super::run::SEARCHES),
        to.join(super::run::SEARCHES),
    );
    let entries = match std::fs::read_dir(&source) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => {
            return Err(EvalError::Read {
                path: source,
                source: e,
            });
        }
    };
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(&target)?;
        for entry in entries {
            let entry = entry?;
            std::fs::copy(entry.path(), target.join(entry.file_name()))?;
        }
        Ok(())
    };
    copy().map_err(|e| EvalError::Write {
        path: target.clone(),
        source: e,
    })
}

/// Options of `neuralsmpl eval report`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// Folder of results of `eval run` or `eval merge`
    pub results: PathBuf,
    /// Markdown file (default: report.md in the folder)
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// HTML file (default: report.html in the folder)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Gains are over this system
    #[arg(long, value_name = "SYSTEM", default_value = "start")]
    pub baseline: String,
    /// System whose worst cases are shown (default: the last)
    #[arg(long, value_name = "SYSTEM")]
    pub focus: Option<String>,
    /// Worst cases of each condition in the HTML file
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub worst: usize,
    /// Heading
    #[arg(long, value_name = "TEXT", default_value = "Evaluation")]
    pub title: String,
    /// Manifest for the pictures (default: the one that was run)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Writes the reports.
///
/// # Errors
/// Results that cannot be read, a baseline that is not there, or a file that cannot be written.
pub fn run_report(args: &ReportArgs) -> Result<(), EvalError> {
    let results = Results::load(&args.results)?;
    let summary = Summary::of(&results, Some(&args.baseline))?;
    let options = Options {
        title: args.title.clone(),
        worst: args.worst,
        focus: args.focus.clone(),
        ..Options::default()
    };
    let mut gallery = match Gallery::open(args, &results) {
        Ok(gallery) => Some(gallery),
        Err(error) => {
            log::warn!("no pictures: {error}");
            None
        }
    };
    let or = |path: &Option<PathBuf>, name: &str| {
        path.clone().unwrap_or_else(|| args.results.join(name))
    };
    let (markdown, html) = (
        or(&args.markdown, "report.md"),
        or(&args.html, "report.html"),
    );
    report::write(
        &results,
        &summary,
        &options,
        Some(&markdown),
        Some(&html),
        &mut |record| gallery.as_mut().and_then(|g| g.picture(record)),
    )?;
    println!("{}\n{}", markdown.display(), html.display());
    Ok(())
}

/// What pictures of cases are drawn from.
struct Gallery {
    manifest: Manifest,
    pack: Pack,
    textures: Textures,
}

impl Gallery {
    fn open(args: &ReportArgs, results: &Results) -> Result<Self, EvalError> {
        let settings = &results.header.run.settings;
        let text = |key: &str| settings[key].as_str().map(PathBuf::from);
        let missing = |key: &'static str| EvalError::File {
            path: results.path.clone(),
            message: format!("its settings have no `{key}`; name the manifest with --manifest"),
        };
        let path = args
            .manifest
            .clone()
            .or_else(|| text("manifest"))
            .ok_or_else(|| missing("manifest"))?;
        let folder = text("texture_folder");
        Ok(Self {
            manifest: Manifest::load(&path)?,
            pack: Pack::load(&text("pack").ok_or_else(|| missing("pack"))?)?,
            textures: Textures::open(folder.as_deref())?,
        })
    }

    fn picture(&self, record: &Record) -> Option<Picture> {
        let sample: &Sample = self
            .manifest
            .samples
            .iter()
            .find(|s| s.key() == record.entry.sample)?;
        let body = self.pack.manifest.body_name();
        let subject = Subject::load(&self.manifest, sample, &self.pack, &body)
            .map_err(|e| log::warn!("{e}"))
            .ok()?;
        let patch = record.entry.patch;
        let occluder = patch.map(|p| (Occluder::new(p.side, p.seed, &self.textures), p.corner));
        let drawn = skeletons(&subject, occluder.as_ref().map(|(o, c)| (o, *c)), record);
        let drawn =
            image::imageops::resize(&drawn, 448, 448, image::imageops::FilterType::CatmullRom);
        let mut jpeg = Cursor::new(Vec::new());
        drawn.write_to(&mut jpeg, ImageFormat::Jpeg).ok()?;
        Some(Picture {
            jpeg: jpeg.into_inner(),
            caption: "green: truth, orange: found".to_owned(),
        })
    }
}
