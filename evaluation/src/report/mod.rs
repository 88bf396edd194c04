//! Reports: Markdown for a repository, and one HTML file that needs nothing else.
//!
//! Both hold definitions, settings, tables with intervals, gains over the baseline and failures; the HTML file
//! also plots and the worst cases as pictures. It reads well on a phone, and by day and night.

mod gallery;
mod html;
mod markdown;
mod plots;
mod published;
mod tables;
mod text;

use std::path::{Path, PathBuf};

pub use gallery::{Picture, Pictures};
pub use html::html;
pub use markdown::markdown;

use crate::record::Record;
use crate::store::Results;
use crate::summary::Summary;

/// How a report looks.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its heading.
    pub title: String,
    /// Further lines of the settings: name and value.
    pub facts: Vec<(String, String)>,
    /// Pictures of worst cases for each condition; 0 for none.
    pub worst: usize,
    /// The system whose worst cases are shown; by default the last one in the order of tables.
    pub focus: Option<String>,
    /// Whether the published tables of the method's authors stand below, named as measured on other data.
    pub published: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: "Evaluation".to_owned(),
            facts: Vec::new(),
            worst: 8,
            focus: None,
            published: true,
        }
    }
}

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A plot cannot be drawn.
    #[error(
        "the plot `{plot}` cannot be drawn ({message}); the tables do not need it: write --markdown alone"
    )]
    Plot {
        /// Which.
        plot: &'static str,
        /// The cause.
        message: String,
    },
    /// A file cannot be written.
    #[error("{}: cannot write ({source}); check permissions and free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// Writes the reports that are asked for.
///
/// # Errors
/// When a plot cannot be drawn or a file cannot be written.
pub fn write(
    results: &Results,
    summary: &Summary,
    options: &Options,
    to_markdown: Option<&Path>,
    to_html: Option<&Path>,
    pictures: &mut Pictures<'_>,
) -> Result<(), ReportError> {
    let put = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|source| ReportError::Write {
            path: path.to_owned(),
            source,
        })
    };
    if let Some(path) = to_markdown {
        put(path, markdown(results, summary, options))?;
    }
    if let Some(path) = to_html {
        put(path, html(results, summary, options, pictures)?)?;
    }
    Ok(())
}

/// Kinds of failure, the most frequent first.
fn failures(results: &Results) -> Vec<(&str, &str, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    let failed = |r: &'_ Record| r.error.is_some();
    for record in results.records.iter().filter(|r| failed(r)) {
        let key = (
            record.entry.system.as_str(),
            record.error.as_deref().unwrap_or(""),
        );
        *counts.entry(key).or_insert(0) += 1;
    }
    let mut out: Vec<_> = counts.into_iter().map(|((s, e), n)| (s, e, n)).collect();
    out.sort_by_key(|x| std::cmp::Reverse(x.2));
    out
}
