//! Plots as SVG. Ink is one colour that the page's style replaces by day and night.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;
use super::text::{condition, protocol};
use crate::metrics::{Metric, Selection};
use crate::record::{Reading, Record};
use crate::statistics::{Mean, cluster_interval};
use crate::store::Results;
use crate::summary::{GroupSummary, Summary};

/// Text, axes and grid; the style sheet of the page maps both.
const INK: RGBColor = RGBColor(0x10, 0x10, 0x12);
const GRID: RGBColor = RGBColor(0xc8, 0xc8, 0xca);

/// Colours that are told apart without red and green (Okabe and Ito 2008), the darkest and the palest left out.
const SYSTEMS: [RGBColor; 7] = [
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

const WIDTH: u32 = 560;
const FONT: &str = "sans-serif";
const SMALL: u32 = 14;

/// Fewest samples for a point of the curve over visible joints.
const FEW: usize = 5;

/// A drawing and what it shows.
pub struct Plot {
    /// Heading.
    pub title: String,
    /// What to know when one reads it.
    pub note: String,
    /// The drawing.
    pub svg: String,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The colour of a system; the eighth starts anew.
pub fn colour(summary: &Summary, system: &str) -> RGBColor {
    let place = summary.systems.iter().position(|s| s == system);
    SYSTEMS[place.unwrap_or(0) % SYSTEMS.len()]
}

/// All that the results allow.
///
/// # Errors
/// When one cannot be drawn.
pub fn all(results: &Results, summary: &Summary) -> Result<Vec<Plot>, ReportError> {
    let mut out = Vec::new();
    out.extend(by_system(summary)?);
    out.extend(over_visible(results, summary)?);
    let conditions = summary.conditions();
    for (occlusion, reading) in &conditions {
        out.extend(cumulative(results, summary, occlusion, *reading)?);
    }
    for (i, (occlusion, reading)) in conditions.iter().enumerate() {
        if i == 0 || i + 1 == conditions.len() {
            out.extend(by_joint(summary, occlusion, *reading)?);
        }
    }
    Ok(out)
}

fn draw(
    plot: &'static str,
    height: u32,
    with: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        with(&area).and_then(|()| Ok(area.present()?))
    };
    drawn.map_err(|e| ReportError::Plot {
        plot,
        message: e.to_string(),
    })?;
    Ok(svg)
}

fn ink(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

fn right(size: u32) -> TextStyle<'static> {
    ink(size).pos(Pos::new(HPos::Right, VPos::Center))
}

/// A little beyond the largest value.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    1.05 * values.filter(|x| x.is_finite()).fold(1e-9, f64::max)
}

fn mesh(chart: &mut Chart<'_, '_>, x: &str, y: Option<&str>) -> Drawn {
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT);
    mesh.x_desc(x)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(ink(SMALL))
        .axis_desc_style(ink(SMALL));
    match y {
        Some(y) => mesh.y_desc(y).draw()?,
        None => mesh.disable_y_mesh().disable_y_axis().draw()?,
    }
    Ok(())
}

/// Names and colours of the systems, in rows above a chart; returns the height that it takes.
fn legend(
    area: &Area<'_>,
    summary: &Summary,
    systems: &[&str],
) -> Result<i32, Box<dyn std::error::Error>> {
    let (mut x, mut y) = (12, 12);
    for system in systems {
        let width = 34 + 7 * i32::try_from(system.chars().count())?;
        if x + width > WIDTH as i32 && x > 12 {
            (x, y) = (12, y + 20);
        }
        area.draw(&Rectangle::new(
            [(x, y - 5), (x + 12, y + 5)],
            colour(summary, system).filled(),
        ))?;
        let style = ink(SMALL).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new((*system).to_owned(), (x + 17, y), style))?;
        x += width;
    }
    Ok(y + 14)
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

/// A line of the plot by system.
enum Row<'a> {
    Title(String),
    System(&'a GroupSummary, Mean),
}

/// Error of every system under every condition, with intervals.
fn by_system(summary: &Summary) -> Result<Option<Plot>, ReportError> {
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

/// Pixels for the names left of a chart.
fn label_width<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    let most = names.map(|n| n.chars().count()).max().unwrap_or(0);
    24 + 8 * i32::try_from(most.min(28)).unwrap_or(28)
}

/// Share of the samples below an error.
fn cumulative(
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
fn over_visible(results: &Results, summary: &Summary) -> Result<Option<Plot>, ReportError> {
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

/// Bars of every joint, for the baseline and up to three more systems.
fn by_joint(
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
