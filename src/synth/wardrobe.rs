//! Wardrobe: clothes, shoes, hats and hair that were baked onto the body (`training/bake_clothes.py`).

use std::path::Path;

use glam::Vec3;
use rand::Rng;

use super::SynthError;
use super::dice::{between, chance, pick};
use super::fabric::{Fabric, cloth_colour};
use crate::body::{Body, Skin, SkinnedPoints};
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_TRIANGLES};
use crate::pack::{Dim, TensorFile};

/// Most pieces: a raster sample names its mesh in 8 bits, and a person wears seven at most.
const MAX_PIECES: usize = 128;
/// Most vertices or triangles of all pieces.
const MAX_POINTS: usize = 1 << 20;
/// Body vertices whose shape a garment vertex follows.
const NEIGHBOURS: usize = 3;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Clothes of the upper body.
    Upper,
    /// Clothes of the lower body.
    Lower,
    /// A pair of shoes.
    Shoes,
    /// A pair of socks.
    Socks,
    /// A hat.
    Hat,
    /// Hair.
    Hair,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Upper,
        Self::Lower,
        Self::Shoes,
        Self::Socks,
        Self::Hat,
        Self::Hair,
    ];
}

/// One mesh on the mean body in its T-pose: body frame, metres.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Its points; they change with the betas as the body below does.
    pub points: SkinnedPoints,
    /// Triangles, counter-clockwise from outside, then the same as lining.
    pub faces: Vec<[u32; 3]>,
    /// Which of the body's vertices lie under it.
    pub cover: Vec<bool>,
}

/// All pieces.
#[derive(Clone, Debug)]
pub struct Wardrobe {
    /// In the order of the file.
    pub pieces: Vec<Piece>,
}

/// What a worn piece is made of.
#[derive(Clone, Copy, Debug)]
pub enum Material {
    /// Cloth.
    Cloth(Fabric),
    /// Smooth leather or rubber, linear colour.
    Leather(Vec3),
    /// The person's hair.
    Hair,
}

/// Pieces of the wardrobe with their materials.
#[derive(Clone, Debug, Default)]
pub struct Outfit {
    /// Index of the piece, and what it is made of.
    pub worn: Vec<(usize, Material)>,
}

impl Wardrobe {
    /// Reads a clothes file (tensors: `docs/synth.md`) made for `body`.
    ///
    /// # Errors
    /// A file that cannot be read, a tensor that is not as described, clothes of another body.
    pub fn read(path: &Path, body: &Body) -> Result<Self, SynthError> {
        let bytes = std::fs::read(path).map_err(|source| SynthError::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = TensorFile::parse(path.to_owned(), bytes)?;
        let fault = |message: String| SynthError::Wardrobe {
            path: path.to_owned(),
            message,
        };
        let kinds = file.u8("kind", &[Dim::UpTo("pieces", MAX_PIECES)])?.data;
        let n = kinds.len();
        let points = file
            .f32("points", &[Dim::UpTo("points", MAX_POINTS), Dim::Is(3)])?
            .data;
        let count = points.len() / 3;
        let faces = file
            .u32("faces", &[Dim::UpTo("triangles", MAX_POINTS), Dim::Is(3)])?
            .data;
        let joints = file.u8("lbs_joints", &[Dim::Is(count), Dim::Is(4)])?.data;
        let weights = file.f32("lbs_weights", &[Dim::Is(count), Dim::Is(4)])?.data;
        let cover = file
            .u8("cover", &[Dim::Is(n), Dim::Is(body.vertices.len())])?
            .data;
        let starts = |name| file.i32(name, &[Dim::Is(n + 1)]);
        let first_vertex = spans("first_vertex", &starts("first_vertex")?.data, count);
        let first_vertex = first_vertex.map_err(fault)?;
        let first_face = spans("first_face", &starts("first_face")?.data, faces.len() / 3);
        let first_face = first_face.map_err(fault)?;
        if let Some(bad) = joints.iter().find(|&&j| usize::from(j) >= MAX_JOINTS) {
            return Err(fault(format!(
                "tensor `lbs_joints` names joint {bad}, expected below {MAX_JOINTS}"
            )));
        }
        let mut pieces = Vec::with_capacity(n);
        for (i, &code) in kinds.iter().enumerate() {
            let kind = *Kind::ALL.get(usize::from(code)).ok_or_else(|| {
                fault(format!(
                    "tensor `kind` entry {i} is {code}, expected 0 to 5"
                ))
            })?;
            let mut mesh = SkinnedPoints::default();
            for v in first_vertex[i]..first_vertex[i + 1] {
                let at = Vec3::from_slice(&points[3 * v..]);
                mesh.template.push(at);
                mesh.shapedirs.push(nearby_shape(body, at));
                mesh.skin.push(Skin {
                    joints: std::array::from_fn(|k| joints[4 * v + k]),
                    weights: std::array::from_fn(|k| weights[4 * v + k]),
                });
            }
            let own = &faces[3 * first_face[i]..3 * first_face[i + 1]];
            let mut own: Vec<[u32; 3]> = own.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect();
            if own.iter().flatten().any(|&v| v as usize >= mesh.len())
                || 2 * own.len() > MAX_TRIANGLES
            {
                return Err(fault(format!(
                    "piece {i} has {} triangles of {} vertices, expected at most {} and no vertex beyond the last",
                    own.len(),
                    mesh.len(),
                    MAX_TRIANGLES / 2
                )));
            }
            own.extend_from_within(..);
            let half = own.len() / 2;
            own[half..].iter_mut().for_each(|f| f.swap(1, 2));
            let v = body.vertices.len();
            pieces.push(Piece {
                kind,
                points: mesh,
                faces: own,
                cover: cover[i * v..(i + 1) * v].iter().map(|&c| c > 0).collect(),
            });
        }
        let wardrobe = Self { pieces };
        for wanted in [Kind::Upper, Kind::Lower] {
            if wardrobe.of(wanted).is_empty() {
                return Err(fault(format!(
                    "holds no piece of kind {wanted:?}, expected at least one"
                )));
            }
        }
        Ok(wardrobe)
    }

    fn of(&self, kind: Kind) -> Vec<usize> {
        (0..self.pieces.len())
            .filter(|&i| self.pieces[i].kind == kind)
            .collect()
    }

    /// A random outfit: an upper and a lower piece, mostly shoes, sometimes a hat or hair.
    pub fn sample(&self, rng: &mut impl Rng) -> Outfit {
        let mut worn = Vec::new();
        let mut add = |rng: &mut _, kind: Kind, material: Material| {
            let all = self.of(kind);
            if !all.is_empty() {
                worn.push((pick(rng, &all), material));
            }
        };
        let lower = Fabric::sample(rng);
        let upper = if chance(rng, 0.15) {
            lower
        } else {
            Fabric::sample(rng)
        };
        add(rng, Kind::Upper, Material::Cloth(upper));
        add(rng, Kind::Lower, Material::Cloth(lower));
        if chance(rng, 0.9) {
            let leather = Material::Leather(cloth_colour(rng));
            add(rng, Kind::Shoes, leather);
        }
        if chance(rng, 0.5) {
            let sock = Material::Leather(if chance(rng, 0.5) {
                Vec3::splat(between(rng, 0.6, 0.85))
            } else {
                cloth_colour(rng)
            });
            add(rng, Kind::Socks, sock);
        }
        match rng.random::<f32>() {
            x if x < 0.08 => {
                let felt = Material::Leather(cloth_colour(rng));
                add(rng, Kind::Hat, felt);
            }
            x if x < 0.6 => add(rng, Kind::Hair, Material::Hair),
            _ => {}
        }
        Outfit { worn }
    }

    /// Which worn piece lies over each body vertex: its number in the outfit plus one, or 0.
    pub fn cover(&self, outfit: &Outfit, vertices: usize) -> Vec<u8> {
        let mut cover = vec![0; vertices];
        for (number, &(piece, _)) in outfit.worn.iter().enumerate() {
            for (c, _) in cover
                .iter_mut()
                .zip(&self.pieces[piece].cover)
                .filter(|(c, under)| **c == 0 && **under)
            {
                *c = number as u8 + 1;
            }
        }
        cover
    }
}

impl Outfit {
    /// Whether a kind is worn.
    pub fn wears(&self, wardrobe: &Wardrobe, kind: Kind) -> bool {
        self.worn
            .iter()
            .any(|&(i, _)| wardrobe.pieces[i].kind == kind)
    }
}

/// Rising numbers from 0 to `end`.
fn spans(name: &str, raw: &[i32], end: usize) -> Result<Vec<usize>, String> {
    let rising = raw.windows(2).all(|w| w[0] <= w[1]);
    let whole = raw.first() == Some(&0) && raw.last().copied() == i32::try_from(end).ok();
    if rising && whole {
        return Ok(raw.iter().map(|&x| x as usize).collect());
    }
    Err(format!(
        "tensor `{name}` is {raw:?}, expected rising numbers from 0 to {end}"
    ))
}

/// Shape directions at a point near the body: those of the nearest vertices, the nearer the more.
fn nearby_shape(body: &Body, at: Vec3) -> crate::body::ShapeDirs {
    let mut near = [(f32::INFINITY, 0); NEIGHBOURS];
    for (i, v) in body.vertices.template.iter().enumerate() {
        let d = v.distance_squared(at);
        if d < near[NEIGHBOURS - 1].0 {
            near[NEIGHBOURS - 1] = (d, i);
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
    }
    let weights = near.map(|(d, _)| 1.0 / (d.sqrt() + 1e-3));
    let sum: f32 = weights.iter().sum();
    let mut dirs = [Vec3::ZERO; MAX_BETAS];
    for ((_, i), w) in near.into_iter().zip(weights) {
        for (d, s) in dirs.iter_mut().zip(&body.vertices.shapedirs[i]) {
            *d += *s * (w / sum);
        }
    }
    dirs
}
