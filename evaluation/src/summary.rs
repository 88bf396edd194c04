//! Tables of a store: every system under every occlusion, with intervals, and gains over a baseline.

mod groups;
mod values;

use serde::Serialize;

pub use groups::{Cell, Gain, Group, GroupSummary, JointError};

use crate::metrics::{Metric, Selection};
use crate::record::Reading;
use crate::store::Results;
use values::Values;

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SummaryError {
    /// No record.
    #[error("{path}: holds no record, expected some; run `eval run` first")]
    Empty {
        /// The results.
        path: String,
    },
    /// No such baseline.
    #[error("{path}: the baseline is `{found}`, expected one of {systems}; correct --baseline")]
    Baseline {
        /// The results.
        path: String,
        /// What was named.
        found: String,
        /// What there is.
        systems: String,
    },
}

/// Tables of a store.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What gains are over.
    pub baseline: Option<String>,
    /// The systems, in the order of tables: the baseline, then that of the settings' `systems`, then by name.
    pub systems: Vec<String>,
    /// By occlusion, reading and system.
    pub groups: Vec<GroupSummary>,
    /// Samples with any record.
    pub samples: usize,
    /// What is drawn together in a bootstrap; as many as samples where there are no clips.
    pub clusters: usize,
    /// Resamples of each bootstrap over all clusters.
    pub resamples: usize,
}

impl Summary {
    /// Of all records; gains are over `baseline` under the same occlusion and reading, in pairs.
    ///
    /// # Errors
    /// When there is no record, or none of the baseline.
    pub fn of(results: &Results, baseline: Option<&str>) -> Result<Self, SummaryError> {
        let path = || results.path.display().to_string();
        if results.records.is_empty() {
            return Err(SummaryError::Empty { path: path() });
        }
        let systems = systems(results, baseline);
        if let Some(name) = baseline
            && !results.records.iter().any(|r| r.entry.system == name)
        {
            return Err(SummaryError::Baseline {
                path: path(),
                found: name.to_owned(),
                systems: systems
                    .into_iter()
                    .filter(|s| s != name)
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        let distinct = |of: fn(&crate::Record) -> &str| {
            let mut all: Vec<&str> = results.records.iter().map(of).collect();
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        let clusters = distinct(|r| &r.entry.cluster);
        Ok(Self {
            baseline: baseline.map(str::to_owned),
            groups: groups::all(&Values::of(results), &systems, baseline),
            systems,
            samples: distinct(|r| &r.entry.sample),
            clusters,
            resamples: crate::statistics::resamples(clusters),
        })
    }

    /// Occlusions and readings, in the order of tables.
    pub fn conditions(&self) -> Vec<(&str, Reading)> {
        let mut out: Vec<(&str, Reading)> = Vec::new();
        for g in &self.groups {
            let condition = (g.group.occlusion.as_str(), g.group.reading);
            if !out.contains(&condition) {
                out.push(condition);
            }
        }
        out
    }

    /// The systems under one condition, in the order of tables.
    pub fn under(&self, occlusion: &str, reading: Reading) -> impl Iterator<Item = &GroupSummary> {
        let matching =
            move |g: &&GroupSummary| g.group.occlusion == occlusion && g.group.reading == reading;
        self.groups.iter().filter(matching)
    }

    /// Metrics and selections that any group has, in the order of tables.
    pub fn columns(&self) -> Vec<(Metric, Selection)> {
        let mut out: Vec<_> = self
            .groups
            .iter()
            .flat_map(|g| &g.cells)
            .map(|c| (c.metric, c.selection))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

fn systems(results: &Results, baseline: Option<&str>) -> Vec<String> {
    let mut names: Vec<String> = results
        .records
        .iter()
        .map(|r| r.entry.system.clone())
        .collect();
    names.sort_unstable();
    names.dedup();
    let listed: Vec<&str> = results.header.run.settings["systems"]
        .as_array()
        .map(|a| a.iter().filter_map(|v| v.as_str()).collect())
        .unwrap_or_default();
    names.sort_by_key(|name| {
        let place = listed.iter().position(|l| l == name);
        (
            Some(name.as_str()) != baseline,
            place.unwrap_or(listed.len()),
        )
    });
    names
}

#[cfg(test)]
mod tests;
