//! Curves: shares of the samples below an error, and errors over what is visible.

use plotters::prelude::*;

use super::super::ReportError;
use super::super::text::{condition, protocol};
use super::{Plot, colour, draw, legend, mesh, top};
use crate::metrics::Selection;
use crate::record::{Reading, Record};
use crate::statistics::{Mean, cluster_interval};
use crate::store::Results;
use crate::summary::{GroupSummary, Summary};

/// Fewest samples for a point of the curve over visible joints.
const FEW: usize = 5;

/// Share of the samples below an error.
pub(super) fn cumulative(
    results: &Results,
    summary: &Summary,
    occlusion: &str,
    reading: Reading,
) -> Result<Option<Plot>, ReportError> {
    let selection = protocol(reading);
    let mut curves: Vec<(&str, Vec<f64>, usize)> = Vec::new();
    for g in summary.under(occlusion, reading) {
        let ours = records_of(results, g);
        let mut errors: Vec<f64> = ours
            .iter()
            .filter_map(|r| r.scores.get(&selection)?.mpjpe_mm)
            .collect();
        errors.sort_unstable_by(f64::total_cmp);
        if !errors.is_empty() {
            curves.push((&g.group.system, errors, ours.len()));
        }
    }
    if curves.is_empty() {
        return Ok(None);
    }
    // The slowest tails are left out, or they would press everything else into a corner.
    let tail = |errors: &Vec<f64>| errors[(errors.len() - 1) * 98 / 100];
    let limit = top(curves.iter().map(|(_, errors, _)| tail(errors)));
    let names: Vec<&str> = curves.iter().map(|c| c.0).collect();
    let svg = draw("cumulative error", 340, |area| {
        let used = legend(area, summary, &names)?;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(18)
            .margin_top(used)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..limit, 0.0..100.0)?;
        mesh(&mut chart, "MPJPE, mm", Some("% of the samples"))?;
        for (system, errors, count) in &curves {
            let share = |i: usize| 100.0 * i as f64 / *count as f64;
            let mut points = vec![(0.0, 0.0)];
            for (i, e) in errors.iter().enumerate().take_while(|(_, e)| **e <= limit) {
                points.extend([(*e, share(i)), (*e, share(i + 1))]);
            }
            let last = points.last().map_or(0.0, |p| p.1);
            points.push((limit, last));
            chart.draw_series(LineSeries::new(
                points,
                colour(summary, system).stroke_width(2),
            ))?;
        }
        Ok(())
    })?;
    Ok(Some(Plot {
        title: format!("Cumulative error: {}", condition(occlusion, reading)),
        note: format!(
            "Share of the samples whose MPJPE over {} is at most this; failures count as never.",
            selection.name()
        ),
        svg,
    }))
}

fn records_of<'a>(results: &'a Results, g: &GroupSummary) -> Vec<&'a Record> {
    let of = |r: &&Record| {
        let e = &r.entry;
        (e.system == g.group.system)
            && e.occlusion == g.group.occlusion
            && e.reading == g.group.reading
    };
    results.records.iter().filter(of).collect()
}

/// Error over the share of visible joints, all conditions together.
pub(super) fn over_visible(
    results: &Results,
    summary: &Summary,
) -> Result<Option<Plot>, ReportError> {
    const BINS: usize = 8;
    let mut curves: Vec<(&str, Vec<(f64, Mean)>)> = Vec::new();
    for system in &summary.systems {
        let mut bins: [Vec<(&str, f64)>; BINS] = Default::default();
        for r in results.records.iter().filter(|r| r.entry.system == *system) {
            let error = r.scores.get(&Selection::All).and_then(|s| s.mpjpe_mm);
            if let (Some(share), Some(error)) = (r.visible_share(), error) {
                let bin = ((share * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
                bins[bin].push((&r.entry.cluster, error));
            }
        }
        let middle = |i: usize| 100.0 * (i as f64 + 0.5) / BINS as f64;
        let points: Vec<(f64, Mean)> = (0..BINS)
            .filter(|&i| bins[i].len() >= FEW)
            .map(|i| (middle(i), cluster_interval(bins[i].iter().copied())))
            .collect();
        if points.len() > 1 {
            curves.push((system, points));
        }
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let all = || curves.iter().flat_map(|c| &c.1);
    let limit = top(all().map(|p| p.1.high));
    let first = all().map(|p| p.0).fold(100.0, f64::min) - 8.0;
    let names: Vec<&str> = curves.iter().map(|c| c.0).collect();
    let svg = draw("error over visible share", 340, |area| {
        let used = legend(area, summary, &names)?;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(18)
            .margin_top(used)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(first..100.0, 0.0..limit)?;
        mesh(
            &mut chart,
            "joints that are visible, %",
            Some("MPJPE, all joints, mm"),
        )?;
        let count = curves.len() as f64;
        for (i, (system, points)) in curves.iter().enumerate() {
            let paint = colour(summary, system);
            // Side by side, so that intervals do not cover each other.
            let shift = 0.8 * (i as f64 - 0.5 * (count - 1.0));
            let line = points.iter().map(|(x, m)| (x + shift, m.mean));
            chart.draw_series(LineSeries::new(line.clone(), paint.stroke_width(2)))?;
            chart.draw_series(line.map(|p| Circle::new(p, 3, paint.filled())))?;
            chart.draw_series(points.iter().map(|(x, m)| {
                PathElement::new(
                    vec![(x + shift, m.low), (x + shift, m.high)],
                    paint.stroke_width(1),
                )
            }))?;
        }
        Ok(())
    })?;
    Ok(Some(Plot {
        title: "Error over what is visible".to_owned(),
        note: format!(
            "MPJPE over all joints by the share of joints that are visible, all conditions together, in eighths; at least {FEW} samples a point."
        ),
        svg,
    }))
}
