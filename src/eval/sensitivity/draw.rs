//! Coloured meshes as PLY files and pictures.

use glam::{Vec2, Vec3};
use image::RgbImage;
use ply_rs_bw::ply::{
    Addable, DefaultElement, ElementDef, Encoding, Ply, Property, PropertyDef, PropertyType,
    ScalarType,
};
use ply_rs_bw::writer::Writer;

use crate::body::Body;
use crate::eval::advocc::heat;
use crate::frame::Intrinsics;
use crate::view::{MeshView, OverlayStyle, contact_sheet, label, label_width, overlay};

/// Colour of vertices that were never hidden.
const UNKNOWN: [u8; 3] = [96, 100, 108];
/// Ground of pictures.
const GROUND: [u8; 3] = [30, 32, 37];
/// Width and height of one view, pixels.
const VIEW: (u32, u32) = (230, 420);
/// Height of letters, pixels.
const LETTERS: f32 = 11.0;
/// Height of the scale, pixels.
const SCALE: u32 = 68;

/// One system's colours.
pub struct Side {
    /// Its name.
    pub name: String,
    /// By vertex.
    pub colours: Vec<[u8; 3]>,
}

/// The range of colours: from the 2nd to the 98th percentile over all systems.
pub fn range(means: &[Vec<Option<f64>>]) -> (f64, f64) {
    let mut all: Vec<f64> = means.iter().flatten().flatten().copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| {
        all.get(((all.len().max(1) - 1) as f64 * q) as usize)
            .copied()
    };
    match (at(0.02), at(0.98)) {
        (Some(low), Some(high)) if high > low => (low, high),
        (Some(low), _) => (low, low + 1.0),
        _ => (0.0, 1.0),
    }
}

/// Colours by vertex.
pub fn colours(means: &[Option<f64>], low: f64, high: f64) -> Vec<[u8; 3]> {
    let colour = |m: &Option<f64>| m.map_or(UNKNOWN, |m| heat(((m - low) / (high - low)) as f32));
    means.iter().map(colour).collect()
}

/// A binary PLY with colours, and the error of each vertex as `error_mm`; −1 where it is not known.
/// x to the person's left, y up, z forward, metres.
pub fn ply(
    vertices: &[Vec3],
    faces: &[[u32; 3]],
    colours: &[[u8; 3]],
    errors: &[Option<f64>],
) -> Result<Vec<u8>, String> {
    let mut ply = Ply::<DefaultElement>::new();
    ply.header.encoding = Encoding::BinaryLittleEndian;
    let scalar = |name: &str, kind| PropertyDef::new(name.to_owned(), PropertyType::Scalar(kind));
    let mut vertex = ElementDef::new("vertex".to_owned());
    for name in ["x", "y", "z"] {
        vertex.properties.add(scalar(name, ScalarType::Float));
    }
    for name in ["red", "green", "blue"] {
        vertex.properties.add(scalar(name, ScalarType::UChar));
    }
    vertex.properties.add(scalar("error_mm", ScalarType::Float));
    let mut face = ElementDef::new("face".to_owned());
    face.properties.add(PropertyDef::new(
        "vertex_indices".to_owned(),
        PropertyType::List(ScalarType::UChar, ScalarType::Int),
    ));
    ply.header.elements.add(vertex);
    ply.header.elements.add(face);
    let middle = vertices.iter().sum::<Vec3>() / vertices.len().max(1) as f32;
    let rows = vertices.iter().zip(colours).zip(errors);
    let points = rows.map(|((v, c), e)| {
        // The picture's frame has y down and z away from the viewer.
        let v = (*v - middle) * Vec3::new(1.0, -1.0, -1.0);
        let mut element = DefaultElement::new();
        for (name, value) in [("x", v.x), ("y", v.y), ("z", v.z)] {
            element.insert(name.to_owned(), Property::Float(value));
        }
        for (name, value) in ["red", "green", "blue"].into_iter().zip(*c) {
            element.insert(name.to_owned(), Property::UChar(value));
        }
        let error = e.map_or(-1.0, |e| e as f32);
        element.insert("error_mm".to_owned(), Property::Float(error));
        element
    });
    ply.payload.insert("vertex".to_owned(), points.collect());
    let triangles = faces.iter().map(|face| {
        let mut element = DefaultElement::new();
        let corners = face.map(|v| v as i32).to_vec();
        element.insert("vertex_indices".to_owned(), Property::ListInt(corners));
        element
    });
    ply.payload.insert("face".to_owned(), triangles.collect());
    ply.make_consistent().map_err(|e| format!("{e:?}"))?;
    let mut bytes = Vec::new();
    let writer = Writer::new();
    writer
        .write_ply(&mut bytes, &mut ply)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// All systems side by side, each from before and from behind, with the scale of the colours.
pub fn sheet(
    body: &Body,
    views: &[Vec<Vec3>; 2],
    sides: &[Side],
    joint: &str,
    (low, high): (f64, f64),
) -> RgbImage {
    let style = OverlayStyle {
        opacity: 1.0,
        outline: Some(0.0),
    };
    let camera = camera(&views[0]);
    let mut pictures = Vec::new();
    for side in sides {
        for (vertices, from) in views.iter().zip(["front", "back"]) {
            let ground = RgbImage::from_pixel(VIEW.0, VIEW.1, image::Rgb(GROUND));
            let mesh = MeshView {
                vertices,
                faces: &body.faces,
                vertex_colour: Some(&side.colours),
                colour: UNKNOWN,
            };
            let mut picture = overlay(&ground, &camera, &[mesh], style);
            let name = side.name.to_lowercase().replace([':', '=', '_', '/'], " ");
            label(&mut picture, &name, Vec2::new(8.0, 8.0), LETTERS, [235; 3]);
            label(
                &mut picture,
                from,
                Vec2::new(8.0, 26.0),
                0.8 * LETTERS,
                [170; 3],
            );
            pictures.push(picture);
        }
    }
    let sheet = contact_sheet(&pictures, pictures.len());
    let mut out = RgbImage::from_pixel(sheet.width(), sheet.height() + SCALE, image::Rgb(GROUND));
    image::imageops::replace(&mut out, &sheet, 0, 0);
    scale(&mut out, sheet.height(), joint, low, high);
    out
}

/// The scale of the colours below `top`.
fn scale(out: &mut RgbImage, top: u32, joint: &str, low: f64, high: f64) {
    let (left, right) = (12, out.width().saturating_sub(12).max(13));
    for x in left..right {
        let t = (x - left) as f32 / (right - left) as f32;
        for y in top + 6..top + 18 {
            out.put_pixel(x, y, image::Rgb(heat(t)));
        }
    }
    let y = top as f32 + 27.0;
    let ends = [format!("{low:.0} mm"), format!("{high:.0} mm")];
    let what = match joint {
        "all" => "mean error of all joints where the vertex is hidden".to_owned(),
        name => format!(
            "error of {} where the vertex is hidden",
            name.replace('_', " ")
        ),
    };
    let width = out.width() as f32;
    let middle = 0.5 * (width - label_width(&what, 0.8 * LETTERS));
    label(out, &ends[0], Vec2::new(12.0, y), LETTERS, [235; 3]);
    let end = width - 12.0 - label_width(&ends[1], LETTERS);
    label(out, &ends[1], Vec2::new(end, y), LETTERS, [235; 3]);
    let below = Vec2::new(middle.max(12.0), y + 20.0);
    label(out, &what, below, 0.8 * LETTERS, [170; 3]);
}

/// A camera that shows all of a body.
fn camera(vertices: &[Vec3]) -> Intrinsics {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for v in vertices {
        let p = v.truncate() / v.z;
        (low, high) = (low.min(p), high.max(p));
    }
    let (w, h) = (VIEW.0 as f32, VIEW.1 as f32);
    let size = (high - low).max(Vec2::splat(1e-6));
    let f = (0.94 * w / size.x).min(0.86 * h / size.y);
    let middle = 0.5 * (low + high) * f;
    Intrinsics {
        fx: f,
        fy: f,
        cx: 0.5 * w - middle.x,
        cy: 0.54 * h - middle.y,
        k1: 0.0,
        k2: 0.0,
        p1: 0.0,
        p2: 0.0,
    }
}
