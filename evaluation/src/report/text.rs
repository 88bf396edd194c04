//! Words and numbers that both kinds of report share.

use std::collections::BTreeSet;

use super::Options;
use crate::metrics::{Metric, Selection};
use crate::record::Reading;
use crate::statistics::Mean;
use crate::store::Results;
use crate::summary::Summary;

/// A name for people: `AdvOcc@80, worst for the start`.
pub fn condition(occlusion: &str, reading: Reading) -> String {
    let name = match occlusion.strip_prefix("advocc") {
        Some(side) => format!("AdvOcc@{side}"),
        None if occlusion == "none" => "no occlusion".to_owned(),
        None => occlusion.to_owned(),
    };
    match reading {
        Reading::None => name,
        other => format!("{name}, {}", other.name()),
    }
}

/// The joints at which a reading's protocol judges.
pub fn protocol(reading: Reading) -> Selection {
    match reading {
        Reading::Initial => Selection::Visible,
        _ => Selection::All,
    }
}

/// One decimal.
pub fn number(x: f64) -> String {
    if x.is_finite() {
        format!("{x:.1}").replace('-', "−")
    } else {
        "–".to_owned()
    }
}

/// `[low, high]`.
pub fn interval(m: Mean) -> String {
    format!("[{}, {}]", number(m.low), number(m.high))
}

/// A difference with its sign.
pub fn signed(x: f64) -> String {
    if x.is_finite() {
        format!("{x:+.1}").replace('-', "−")
    } else {
        "–".to_owned()
    }
}

/// Settings: name and value.
pub fn settings(results: &Results, options: &Options) -> Vec<(String, String)> {
    let header = &results.header;
    let mut out = options.facts.clone();
    if let Some(settings) = header.run.settings.as_object() {
        for (name, value) in settings {
            let value = match value {
                serde_json::Value::String(s) => s.clone(),
                serde_json::Value::Array(a) => {
                    let items = a
                        .iter()
                        .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
                    items.collect::<Vec<_>>().join(", ")
                }
                other => other.to_string(),
            };
            out.push((name.clone(), value));
        }
    }
    out.push(("pack, SHA-256".to_owned(), header.run.pack_sha256.clone()));
    out.push((
        "manifest, SHA-256".to_owned(),
        header.run.manifest_sha256.clone(),
    ));
    out.push((
        "settings, SHA-256".to_owned(),
        header.settings_sha256.clone(),
    ));
    out.push(("version".to_owned(), header.version.clone()));
    if let Some(shard) = header.shard {
        out.push((
            "shard".to_owned(),
            format!("{shard}: a part of the samples alone"),
        ));
    }
    out
}

/// Terms and what they mean: what the tables hold, and no more.
pub fn definitions(summary: &Summary) -> Vec<(String, String)> {
    let columns = summary.columns();
    let metrics: BTreeSet<Metric> = columns.iter().map(|c| c.0).collect();
    let selections: BTreeSet<Selection> = columns.iter().map(|c| c.1).collect();
    let readings: BTreeSet<Reading> = summary.groups.iter().map(|g| g.group.reading).collect();
    let mut out: Vec<(String, String)> = metrics
        .into_iter()
        .map(|m| {
            (
                format!("{} ({})", m.name(), m.unit()),
                m.definition().to_owned(),
            )
        })
        .collect();
    out.extend(
        selections
            .into_iter()
            .map(|s| (s.name().to_owned(), s.definition().to_owned())),
    );
    let readings = readings.into_iter().filter(|r| *r != Reading::None);
    out.extend(readings.map(|r| (r.name().to_owned(), r.definition().to_owned())));
    let drawn = if summary.clusters < summary.samples {
        format!(
            "whole clips of one person are drawn ({} of them; {} samples), because frames of a clip resemble \
             each other",
            summary.clusters, summary.samples
        )
    } else {
        "samples are drawn one by one".to_owned()
    };
    out.push((
        "[low, high]".to_owned(),
        format!(
            "95 % percentiles of a bootstrap of the mean, {} resamples, fixed seed; {drawn}. They say how much \
             the mean would vary with other samples of this kind, not how it would change on another data set.",
            summary.resamples
        ),
    ));
    if let Some(baseline) = &summary.baseline {
        out.push((
            "gain".to_owned(),
            format!(
                "Of errors, by how much the mean is below that of “{baseline}”, in % of the latter; of shares, \
                 the increase in points. Over the samples that both solved, in pairs; positive is better."
            ),
        ));
    }
    out.push((
        "failed".to_owned(),
        "Samples without an answer. They are in no mean: compare systems that failed differently by their gains, \
         which are paired."
            .to_owned(),
    ));
    out
}
