//! Plots with a row for each system or joint.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::ReportError;
use super::super::text::{condition, protocol};
use super::{Chart, Drawn, INK, Plot, SMALL, colour, draw, ink, legend, mesh, right, top};
use crate::metrics::Metric;
use crate::record::Reading;
use crate::statistics::Mean;
use crate::summary::{GroupSummary, Summary};

/// A line of the plot by system.
enum Row<'a> {
    Title(String),
    System(&'a GroupSummary, Mean),
}

/// Error of every system under every condition, with intervals.
pub(super) fn by_system(summary: &Summary) -> Result<Option<Plot>, ReportError> {
    let metric = if summary.columns().iter().any(|c| c.0 == Metric::Mpjpe) {
        Metric::Mpjpe
    } else {
        Metric::Pckh
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (occlusion, reading) in summary.conditions() {
        let cell = |g: &GroupSummary| g.cell(metric, protocol(reading)).map(|c| c.mean);
        let groups = summary
            .under(occlusion, reading)
            .filter_map(|g| Some((g, cell(g)?)));
        let groups: Vec<_> = groups.collect();
        if groups.is_empty() {
            continue;
        }
        let title = format!(
            "{} ({})",
            condition(occlusion, reading),
            protocol(reading).name()
        );
        rows.push(Row::Title(title));
        rows.extend(groups.into_iter().map(|(g, m)| Row::System(g, m)));
    }
    let means = || {
        rows.iter().filter_map(|r| match r {
            Row::Title(_) => None,
            Row::System(g, m) => Some((*g, *m)),
        })
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let limit = top(means().map(|(_, m)| m.high));
    let left = label_width(means().map(|(g, _)| g.group.system.as_str()));
    let height = 22 * rows.len() as u32 + 50;
    let svg = draw("error by system", height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(18)
            .x_label_area_size(36)
            .margin_left(left)
            .build_cartesian_2d(0.0..limit, rows.len() as f64..0.0)?;
        mesh(
            &mut chart,
            &format!("{}, {}", metric.name(), metric.unit()),
            None,
        )?;
        for (i, row) in rows.iter().enumerate() {
            let y = i as f64 + 0.5;
            let (_, pixel) = chart.backend_coord(&(0.0, y));
            match row {
                Row::Title(title) => {
                    let style = ink(SMALL).pos(Pos::new(HPos::Left, VPos::Center));
                    area.draw(&Text::new(title.clone(), (8, pixel), style))?;
                }
                Row::System(g, m) => {
                    let name = g.group.system.clone();
                    area.draw(&Text::new(name, (left - 2, pixel), right(SMALL)))?;
                    whiskers(&mut chart, y, 0.18, *m, colour(summary, &g.group.system))?;
                }
            }
        }
        Ok(())
    })?;
    Ok(Some(Plot {
        title: format!("{} by system", metric.name()),
        note: "Means and 95 % intervals.".to_owned(),
        svg,
    }))
}

/// A mean with its whiskers.
fn whiskers(chart: &mut Chart<'_, '_>, y: f64, half: f64, m: Mean, colour: RGBColor) -> Drawn {
    let line = |a, b| PathElement::new(vec![a, b], colour.stroke_width(2));
    let ends = [(m.low, half), (m.high, half)];
    chart.draw_series([line((m.low, y), (m.high, y))])?;
    chart.draw_series(ends.map(|(x, h)| line((x, y - h), (x, y + h))))?;
    chart.draw_series([Circle::new((m.mean, y), 4, colour.filled())])?;
    Ok(())
}

/// Pixels for the names left of a chart.
fn label_width<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    let most = names.map(|n| n.chars().count()).max().unwrap_or(0);
    24 + 8 * i32::try_from(most.min(28)).unwrap_or(28)
}

/// Bars of every joint, for the baseline and up to three more systems.
pub(super) fn by_joint(
    summary: &Summary,
    occlusion: &str,
    reading: Reading,
) -> Result<Option<Plot>, ReportError> {
    let groups: Vec<&GroupSummary> = summary
        .under(occlusion, reading)
        .filter(|g| !g.joints.is_empty())
        .collect();
    let shown: Vec<&GroupSummary> = match groups.as_slice() {
        [] => return Ok(None),
        [first, rest @ ..] => std::iter::once(*first)
            .chain(rest[rest.len().saturating_sub(3)..].iter().copied())
            .collect(),
    };
    let joints = &shown[0].joints;
    let limit = top(shown.iter().flat_map(|g| &g.joints).map(|j| j.mean.high));
    let band = 7 * shown.len() as u32 + 9;
    let names: Vec<&str> = shown.iter().map(|g| g.group.system.as_str()).collect();
    let labels: Vec<String> = joints.iter().map(|j| j.name.replace('_', " ")).collect();
    let left = label_width(labels.iter().map(String::as_str));
    let svg = draw("error by joint", band * joints.len() as u32 + 90, |area| {
        let used = legend(area, summary, &names)?;
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(18)
            .margin_top(used)
            .x_label_area_size(36)
            .margin_left(left)
            .build_cartesian_2d(0.0..limit, joints.len() as f64..0.0)?;
        mesh(&mut chart, "error, mm", None)?;
        let thick = 7.0 / f64::from(band);
        for (i, (joint, label)) in joints.iter().zip(&labels).enumerate() {
            let (_, pixel) = chart.backend_coord(&(0.0, i as f64 + 0.5));
            area.draw(&Text::new(label.clone(), (left - 2, pixel), right(SMALL)))?;
            for (k, g) in shown.iter().enumerate() {
                let Some(found) = g.joints.iter().find(|j| j.name == joint.name) else {
                    continue;
                };
                let y = i as f64 + 0.5 + thick * (k as f64 - 0.5 * shown.len() as f64);
                let paint = colour(summary, &g.group.system);
                let bar = [(0.0, y + 0.06 * thick), (found.mean.mean, y + 0.94 * thick)];
                chart.draw_series([Rectangle::new(bar, paint.filled())])?;
                let middle = y + 0.5 * thick;
                let ends = vec![(found.mean.low, middle), (found.mean.high, middle)];
                chart.draw_series([PathElement::new(ends, INK.stroke_width(1))])?;
            }
        }
        Ok(())
    })?;
    Ok(Some(Plot {
        title: format!("Error by joint: {}", condition(occlusion, reading)),
        note: "Root-centred, whether the joint is seen or not; thin lines are 95 % intervals."
            .to_owned(),
        svg,
    }))
}
