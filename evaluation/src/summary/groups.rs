//! One system under one condition.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::values::{Series, Value, Values};
use crate::metrics::{Metric, Selection};
use crate::record::{Reading, Record};
use crate::statistics::{Mean, cluster_interval, paired_reduction, quantile};

/// A system under a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Group {
    /// Name of the occlusion.
    pub occlusion: String,
    /// How its place was chosen.
    pub reading: Reading,
    /// The system.
    pub system: String,
}

/// A mean over the samples that the system solved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// What is measured.
    pub metric: Metric,
    /// Over which joints.
    pub selection: Selection,
    /// The mean and its interval.
    pub mean: Mean,
    /// Samples.
    pub count: usize,
}

/// By how much a system is better than the baseline, over the samples that both solved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// What is measured.
    pub metric: Metric,
    /// Over which joints.
    pub selection: Selection,
    /// Of errors: the reduction of the mean in % of the baseline's. Of shares: the increase in points.
    /// Positive is better.
    pub gain: Mean,
    /// Pairs.
    pub pairs: usize,
}

impl Gain {
    /// The unit of the gain.
    pub fn unit(&self) -> &'static str {
        if self.metric.is_error() {
            "%"
        } else {
            "points"
        }
    }
}

/// Error of one joint, root-centred, mm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JointError {
    /// Its name.
    pub name: String,
    /// Over all samples that have it.
    pub mean: Mean,
    /// Samples.
    pub count: usize,
    /// Mean where it is seen; none where it never is.
    pub visible: Option<f64>,
    /// Mean where it is hidden; none where it never is.
    pub hidden: Option<f64>,
}

/// What one system gave under one condition.
#[derive(Clone, Debug, Serialize)]
pub struct GroupSummary {
    /// Which.
    #[serde(flatten)]
    pub group: Group,
    /// Records.
    pub samples: usize,
    /// Of these, failures; they are in no mean.
    pub failed: usize,
    /// Means, by metric and selection.
    pub cells: Vec<Cell>,
    /// Gains over the baseline.
    pub gains: Vec<Gain>,
    /// Errors by joint, in the order of the system's joints.
    pub joints: Vec<JointError>,
    /// Median, 90th percentile and largest time, milliseconds.
    pub milliseconds: Option<[f64; 3]>,
}

impl GroupSummary {
    /// A mean.
    pub fn cell(&self, metric: Metric, selection: Selection) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|c| (c.metric, c.selection) == (metric, selection))
    }

    /// A gain.
    pub fn gain(&self, metric: Metric, selection: Selection) -> Option<&Gain> {
        let mut gains = self.gains.iter();
        gains.find(|g| (g.metric, g.selection) == (metric, selection))
    }
}

/// All groups in the order of tables.
pub(super) fn all(
    values: &Values<'_>,
    systems: &[String],
    baseline: Option<&str>,
) -> Vec<GroupSummary> {
    let mut groups: Vec<&Group> = values.series.keys().collect();
    let place = |system: &str| systems.iter().position(|s| s == system);
    groups.sort_by_key(|g| {
        let clean = g.occlusion != "none";
        (
            clean,
            g.occlusion.len(),
            &g.occlusion,
            g.reading,
            place(&g.system),
        )
    });
    groups
        .into_iter()
        .map(|group| {
            let base = baseline.filter(|b| *b != group.system).and_then(|system| {
                values.series.get(&Group {
                    system: system.to_owned(),
                    ..group.clone()
                })
            });
            one(group, &values.series[group], base)
        })
        .collect()
}

fn one(group: &Group, series: &Series<'_>, base: Option<&Series<'_>>) -> GroupSummary {
    let cells = series.by.iter().map(|((metric, selection), values)| Cell {
        metric: *metric,
        selection: *selection,
        mean: cluster_interval(values.iter().map(|v| (v.cluster, v.value))),
        count: values.len(),
    });
    let gains = base.into_iter().flat_map(|base| {
        series
            .by
            .iter()
            .filter_map(|(key, ours)| gain(*key, base.by.get(key)?, ours))
    });
    let times: Vec<f64> = series
        .records
        .iter()
        .filter_map(|r| r.milliseconds)
        .collect();
    GroupSummary {
        group: group.clone(),
        samples: series.records.len(),
        failed: series.records.iter().filter(|r| r.error.is_some()).count(),
        cells: cells.collect(),
        gains: gains.collect(),
        joints: joints(&series.records),
        milliseconds: (!times.is_empty()).then(|| [0.5, 0.9, 1.0].map(|q| quantile(&times, q))),
    }
}

fn gain(
    (metric, selection): (Metric, Selection),
    base: &[Value<'_>],
    ours: &[Value<'_>],
) -> Option<Gain> {
    let base: HashMap<&str, f64> = base.iter().map(|v| (v.sample, v.value)).collect();
    let pairs: Vec<(&str, f64, f64)> = ours
        .iter()
        .filter_map(|v| Some((v.cluster, *base.get(v.sample)?, v.value)))
        .collect();
    (!pairs.is_empty()).then(|| Gain {
        metric,
        selection,
        pairs: pairs.len(),
        gain: if metric.is_error() {
            paired_reduction(pairs)
        } else {
            cluster_interval(
                pairs
                    .into_iter()
                    .map(|(c, before, after)| (c, after - before)),
            )
        },
    })
}

fn joints(records: &[&Record]) -> Vec<JointError> {
    let mut order: Vec<&str> = Vec::new();
    let mut errors: BTreeMap<&str, Vec<(&str, f64, bool)>> = BTreeMap::new();
    for record in records {
        for (name, error, seen) in record.joint_errors().into_iter().flatten() {
            let list = errors.entry(name).or_insert_with(|| {
                order.push(name);
                Vec::new()
            });
            list.push((&record.entry.cluster, error, seen));
        }
    }
    order
        .into_iter()
        .map(|name| {
            let list = &errors[name];
            let mean_where = |seen: bool| {
                let values = list.iter().filter(|e| e.2 == seen).map(|e| e.1);
                let values: Vec<f64> = values.collect();
                (!values.is_empty()).then(|| crate::statistics::mean(&values))
            };
            JointError {
                name: name.to_owned(),
                mean: cluster_interval(list.iter().map(|e| (e.0, e.1))),
                count: list.len(),
                visible: mean_where(true),
                hidden: mean_where(false),
            }
        })
        .collect()
}
