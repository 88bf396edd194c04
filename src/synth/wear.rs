//! The dressed mesh: the body pushed out by cloth and hair, and tubes for skirts, loose hems and long hair.

use std::f32::consts::{PI, TAU};

use glam::Vec3;

use super::anatomy::{Anatomy, joint};
use super::dice::smooth;
use super::look::{Hair, Look};
use super::wardrobe::Wardrobe;
use crate::body::{Body, Skin, SkinnedPoints};

/// What a mesh of the dressed person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The body's own triangles.
    Body,
    /// Skirt.
    Skirt,
    /// Hanging hem of a loose top.
    Hem,
    /// Long hair.
    Hair,
    /// The outfit's piece of this number.
    Piece(u8),
}

/// How far skin under clothes of the wardrobe is drawn in, metres.
const DRAWN_IN: f32 = 0.012;

/// One mesh of the dressed person.
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Its skinned points.
    pub points: SkinnedPoints,
    /// T-pose points that its cloth pattern is laid on.
    pub pattern: Vec<Vec3>,
    /// Triangles; the lining of a tube comes last.
    pub faces: Vec<[u32; 3]>,
    /// Triangles that face outward.
    pub outer: usize,
    /// The body alone: the outfit's piece over each vertex, its number plus one, or 0. Empty without an outfit.
    pub cover: Vec<u8>,
}

/// Dresses a body; the first part is the body with its own vertex and triangle numbers.
pub fn dress(
    body: &Body,
    anatomy: &Anatomy,
    wardrobe: Option<&Wardrobe>,
    look: &Look,
) -> Vec<Part> {
    let mut points = body.vertices.clone();
    for (v, normal) in points.template.iter_mut().zip(&anatomy.normals) {
        *v += *normal * look.thickness(anatomy, *v);
    }
    let outfit = look.outfit.as_ref().zip(wardrobe);
    let cover = outfit.map_or_else(Vec::new, |(o, w)| w.cover(o, body.vertices.len()));
    for ((v, normal), _) in points
        .template
        .iter_mut()
        .zip(&anatomy.normals)
        .zip(&cover)
        .filter(|(_, c)| **c > 0)
    {
        *v -= *normal * DRAWN_IN;
    }
    let mut parts = vec![Part {
        kind: Kind::Body,
        points,
        pattern: body.vertices.template.clone(),
        faces: body.faces.clone(),
        outer: body.faces.len(),
        cover,
    }];
    if let Some((outfit, wardrobe)) = outfit {
        parts.extend(outfit.worn.iter().enumerate().map(|(number, &(i, _))| {
            let piece = &wardrobe.pieces[i];
            Part {
                kind: Kind::Piece(number as u8),
                pattern: piece.points.template.clone(),
                points: piece.points.clone(),
                faces: piece.faces.clone(),
                outer: piece.faces.len() / 2,
                cover: Vec::new(),
            }
        }));
    }
    let s = anatomy.scale;
    if let Some(end) = look.skirt {
        let shape = Tube {
            top: anatomy.waist,
            end,
            rings: 10,
            gap: 0.0,
            slack: 0.006 * s + look.top_depth,
            flare: 0.1 + 0.35 * look.leg_depth / (0.022 * s),
            reach: 0.3 * s,
            back: 0.0,
        };
        parts.push(shape.build(body, anatomy, Kind::Skirt, &|p, _| skirt_skin(anatomy, p)));
    }
    if look.top.is_some() && look.skirt.is_none() && look.top_depth > 0.009 * s {
        let shape = Tube {
            top: anatomy.waist + 0.14 * s,
            end: look.hem - 0.06 * s,
            rings: 8,
            gap: 0.0,
            slack: look.top_depth,
            flare: 0.05,
            reach: 0.3 * s,
            back: 0.0,
        };
        parts.push(shape.build(body, anatomy, Kind::Hem, &|_, nearest| {
            body.vertices.skin[nearest]
        }));
    }
    if look.hair == Hair::Long {
        let shape = Tube {
            top: anatomy.crown - 0.05 * s,
            end: look.hair_end,
            rings: 9,
            gap: 0.42 * PI,
            slack: look.hair_depth,
            flare: 0.03,
            reach: 0.12 * s,
            back: anatomy.ear().z - 0.01 * s,
        };
        parts.push(shape.build(body, anatomy, Kind::Hair, &|p, _| hair_skin(anatomy, p)));
    }
    parts
}

/// A cloth tube around the body, in the T-pose.
struct Tube {
    /// Upper end, y.
    top: f32,
    /// Lower end, y.
    end: f32,
    rings: u32,
    /// Half of the angle left open in front, radians.
    gap: f32,
    /// Distance from the body, metres.
    slack: f32,
    /// Widening per metre of length.
    flare: f32,
    /// Only vertices with |x| below this are covered.
    reach: f32,
    /// z of the axis.
    back: f32,
}

const AROUND: u32 = 28;

impl Tube {
    fn build(
        &self,
        body: &Body,
        anatomy: &Anatomy,
        kind: Kind,
        skin: &dyn Fn(Vec3, usize) -> Skin,
    ) -> Part {
        let mut points = SkinnedPoints::default();
        let mut widest = [0.0f32; AROUND as usize];
        for ring in 0..self.rings {
            let t = ring as f32 / (self.rings - 1) as f32;
            let y = self.top + (self.end - self.top) * t;
            let centre = Vec3::new(0.0, y, self.back);
            for (i, wide) in widest.iter_mut().enumerate() {
                let turn = if self.gap > 0.0 {
                    i as f32 / (AROUND - 1) as f32
                } else {
                    i as f32 / AROUND as f32
                };
                let phi = self.gap + turn * (TAU - 2.0 * self.gap);
                let girth = anatomy.girth(body, y, centre, phi.sin(), phi.cos(), self.reach);
                *wide = wide.max(girth).min(0.5 * anatomy.scale);
                let radius = *wide + self.slack + self.flare * (self.top - y);
                let p = centre + radius * Vec3::new(phi.sin(), 0.0, phi.cos());
                let near = nearest(&body.vertices.template, p, self.reach);
                points.template.push(p);
                points.shapedirs.push(body.vertices.shapedirs[near]);
                points.skin.push(skin(p, near));
            }
        }
        let mut faces = Vec::new();
        let seam = if self.gap > 0.0 { AROUND - 1 } else { AROUND };
        for ring in 1..self.rings {
            for i in 0..seam {
                let j = (i + 1) % AROUND;
                let (a, b) = ((ring - 1) * AROUND + i, (ring - 1) * AROUND + j);
                let (c, d) = (ring * AROUND + i, ring * AROUND + j);
                faces.extend([[a, c, b], [b, c, d]]);
            }
        }
        let outer = faces.len();
        faces.extend_from_within(..);
        faces[outer..].iter_mut().for_each(|f| f.swap(1, 2));
        Part {
            kind,
            pattern: points.template.clone(),
            points,
            faces,
            outer,
            cover: Vec::new(),
        }
    }
}

fn nearest(vertices: &[Vec3], p: Vec3, reach: f32) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (i, v) in vertices.iter().enumerate() {
        let d = v.distance_squared(p);
        if d < best.0 && v.x.abs() < reach {
            best = (d, i);
        }
    }
    best.1
}

/// Hangs from the pelvis and follows both thighs.
fn skirt_skin(a: &Anatomy, p: Vec3) -> Skin {
    let hip = a.joints[joint::LEFT_HIP];
    let thigh =
        0.92 * smooth(a.waist - 0.06 * a.scale, hip.y - 0.12 * a.scale, p.y).clamp(0.0, 1.0);
    let left = smooth(-0.16 * a.scale, 0.16 * a.scale, p.x);
    Skin {
        joints: [
            joint::PELVIS as u8,
            joint::LEFT_HIP as u8,
            joint::RIGHT_HIP as u8,
            0,
        ],
        weights: [1.0 - thigh, thigh * left, thigh * (1.0 - left), 0.0],
    }
}

/// Moves with the head above the chin and lies on the back below.
fn hair_skin(a: &Anatomy, p: Vec3) -> Skin {
    let neck = a.joints[joint::NECK].y;
    let head = smooth(neck - 0.1 * a.scale, neck + 0.06 * a.scale, p.y);
    Skin {
        joints: [joint::HEAD as u8, joint::NECK as u8, joint::SPINE3 as u8, 0],
        weights: [head, 0.5 * (1.0 - head), 0.5 * (1.0 - head), 0.0],
    }
}
