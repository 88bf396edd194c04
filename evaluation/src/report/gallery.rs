//! The worst cases, as pictures.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Options;
use super::text::{condition, number, protocol};
use crate::metrics::Metric;
use crate::record::Record;
use crate::store::Results;
use crate::summary::Summary;

/// What the caller shows of a case: for instance the picture, the patch, and found and true joints.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// A JPEG file; 400 to 600 pixels wide is enough.
    pub jpeg: Vec<u8>,
    /// A line below it; may be empty.
    pub caption: String,
}

/// Draws a case; none where it cannot, which leaves the case without a picture.
pub type Pictures<'a> = dyn FnMut(&Record) -> Option<Picture> + 'a;

/// One case, ready to be shown.
pub struct Case {
    /// `data:image/jpeg;base64,…`; empty without a picture.
    pub url: String,
    /// The sample.
    pub sample: String,
    /// Its errors.
    pub errors: String,
    /// The caller's line.
    pub caption: String,
}

/// The cases of one condition.
pub struct Strip {
    /// Which.
    pub title: String,
    /// The worst first.
    pub cases: Vec<Case>,
}

/// The system whose cases are shown.
pub fn focus<'a>(summary: &'a Summary, options: &'a Options) -> Option<&'a str> {
    let wanted = options.focus.as_deref();
    let wanted = wanted.filter(|f| summary.systems.iter().any(|s| s == f));
    wanted.or_else(|| summary.systems.last().map(String::as_str))
}

/// The worst cases of the focus under every condition: one a clip as long as there are clips.
pub fn strips(
    results: &Results,
    summary: &Summary,
    options: &Options,
    pictures: &mut Pictures<'_>,
) -> Vec<Strip> {
    let Some(system) = focus(summary, options).filter(|_| options.worst > 0) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (occlusion, reading) in summary.conditions() {
        let selection = protocol(reading);
        let error = |r: &Record| {
            let scores = r.scores.get(&selection)?;
            scores
                .mpjpe_mm
                .or_else(|| scores.pckh.or(scores.pck_torso).map(|share| -share))
        };
        let here = |r: &&Record| {
            let e = &r.entry;
            (e.system.as_str(), e.occlusion.as_str(), e.reading) == (system, occlusion, reading)
        };
        let mut all: Vec<(f64, &Record)> = results
            .records
            .iter()
            .filter(here)
            .filter_map(|r| Some((error(r)?, r)))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut clips = HashSet::new();
        let (first, rest): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(_, r)| clips.insert(r.entry.cluster.as_str()));
        let mut kept: Vec<_> = first.into_iter().chain(rest).take(options.worst).collect();
        kept.sort_by(|a, b| b.0.total_cmp(&a.0));
        let cases: Vec<Case> = kept
            .into_iter()
            .map(|(_, r)| case(r, results, summary, pictures))
            .collect();
        if !cases.is_empty() {
            out.push(Strip {
                title: condition(occlusion, reading),
                cases,
            });
        }
    }
    out
}

fn case(
    record: &Record,
    results: &Results,
    summary: &Summary,
    pictures: &mut Pictures<'_>,
) -> Case {
    let e = &record.entry;
    let selection = protocol(e.reading);
    let figures = |r: &Record| -> Option<String> {
        let scores = r.scores.get(&selection)?;
        let metrics = [
            Metric::Mpjpe,
            Metric::PaMpjpe,
            Metric::Pckh,
            Metric::PckTorso,
        ];
        let parts: Vec<String> = metrics
            .into_iter()
            .filter_map(|m| {
                Some(format!(
                    "{} {} {}",
                    m.name(),
                    number(scores.get(m)?),
                    m.unit()
                ))
            })
            .take(2)
            .collect();
        Some(parts.join(", "))
    };
    let mut errors = figures(record).unwrap_or_default();
    if let Some(baseline) = summary.baseline.as_ref().filter(|b| **b != e.system) {
        let mut key = record.key();
        key.system.clone_from(baseline);
        let other = results.records.iter().find(|r| r.key() == key);
        if let Some(text) = other.and_then(figures) {
            errors.push_str(&format!("; {baseline}: {text}"));
        }
    }
    let picture = pictures(record);
    Case {
        url: picture.as_ref().map_or_else(String::new, |p| {
            format!("data:image/jpeg;base64,{}", STANDARD.encode(&p.jpeg))
        }),
        sample: e.sample.clone(),
        errors,
        caption: picture.map_or_else(String::new, |p| p.caption),
    }
}
