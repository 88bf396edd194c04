//! Plots as SVG. Ink is one colour that the page's style replaces by day and night.

mod curves;
mod rows;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;
use crate::store::Results;
use crate::summary::Summary;

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
    out.extend(rows::by_system(summary)?);
    out.extend(curves::over_visible(results, summary)?);
    let conditions = summary.conditions();
    for (occlusion, reading) in &conditions {
        out.extend(curves::cumulative(results, summary, occlusion, *reading)?);
    }
    for (i, (occlusion, reading)) in conditions.iter().enumerate() {
        if i == 0 || i + 1 == conditions.len() {
            out.extend(rows::by_joint(summary, occlusion, *reading)?);
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
