//! Bytes and operations of one evaluation, counted on a real scene.
//!
//! *Compulsory*: every number that a stage must read or write, once. *Moved*: what its workgroups ask
//! for, where each workgroup reads a number once however many of its threads want it (they share a
//! first-level cache), and different workgroups read it anew. Operations are floating-point additions
//! and multiplications.

use std::collections::HashSet;

use super::shaders::{ACCUMULATORS, BETA_RUN, BONE_SUMS, GATHER, SYSTEM, TILE, TRIANGLE};
use crate::body::Body;
use crate::cpu::{Workspace, raster};
use crate::texture::Texture;

/// One stage's budget.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Traffic {
    /// The dispatch.
    pub stage: &'static str,
    /// Bytes that must move.
    pub compulsory: f64,
    /// Bytes that move from the second-level cache.
    pub moved: f64,
    /// Floating-point operations.
    pub flops: f64,
}

/// Sizes in bytes.
const VEC4: f64 = 16.0;
const WORD: f64 = 4.0;
/// Shape rows of a point, and its skinning weights and joints.
const POINT: f64 = 9.0 * VEC4 + VEC4 + WORD;
/// What the betas do to a posed point.
const MOTION: f64 = 9.0 * VEC4;
/// A joint as later stages read it.
const JOINT: f64 = 27.0 * VEC4;

/// Counts the stages of one evaluation with gradient and Hessian at the pose that `workspace` was last
/// evaluated at.
pub fn traffic(body: &Body, texture: &Texture, workspace: &Workspace, grid: usize) -> Vec<Traffic> {
    let v = body.vertices.len() as f64;
    let points = v + body.keypoints.len() as f64;
    let joints = body.joint_count() as f64;
    let cells = (grid * grid) as f64;
    let sums = WORD * f64::from(ACCUMULATORS);
    let skin_groups = (points / 64.0).ceil();
    let raster = raster_points(body);
    let seen = Seen::of(body, workspace, grid);
    let (k, d) = (texture.components as f64, texture.channels as f64);
    // Means, deviations and image point of a vertex; faces and Gram numbers of a triangle.
    let vertex = k * d * WORD + k * WORD + VEC4 + WORD;
    let triangle = 3.0 * WORD + k * 6.0 * WORD;
    let cell = d * WORD + 4.0 * WORD + 2.0 * WORD;
    let outline = workspace.crossings.iter().filter(|c| **c != 0).count() as f64;
    let edges = body.edges.len() as f64;
    let active = workspace
        .point_curvature
        .iter()
        .filter(|c| **c != [0.0; 3])
        .count() as f64
        + body.keypoints.len() as f64;
    let carried = |weights: &[f32; 4]| weights.iter().filter(|w| **w > 0.0).count() as f64;
    let all = body.vertices.skin.iter().chain(&body.keypoints.skin);
    let pairs: f64 = all.map(|s| carried(&s.weights)).sum();
    let share = active / points;
    let system = WORD * f64::from(SYSTEM);
    let bones = joints * WORD * f64::from(BONE_SUMS);
    let same = |stage, bytes: f64, flops: f64| Traffic {
        stage,
        compulsory: bytes,
        moved: bytes,
        flops,
    };
    vec![
        same(
            "pose",
            joints * (JOINT + 9.0 * VEC4) + 33.0 * POINT,
            joints * 1_000.0,
        ),
        Traffic {
            stage: "skin",
            compulsory: points * (POINT + MOTION + VEC4)
                + joints * JOINT
                + 3.0 * cells * WORD
                + v * sums,
            moved: points * (POINT + MOTION + VEC4)
                + skin_groups * joints * JOINT
                + 3.0 * cells * WORD
                + v * sums,
            flops: pairs * 130.0 + points * 320.0,
        },
        Traffic {
            stage: "raster",
            compulsory: body.faces.len() as f64 * 4.0 * WORD + v * VEC4 + seen.covered * WORD,
            moved: body.faces.len() as f64 * 4.0 * WORD + raster * VEC4 + seen.covered * WORD,
            flops: body.faces.len() as f64 * 120.0,
        },
        Traffic {
            stage: "score",
            compulsory: seen.covered * cell
                + seen.vertices * (vertex + sums)
                + seen.triangles * triangle
                + cells * 5.0 * WORD
                + edges * 6.0 * WORD
                + v * VEC4
                + outline * WORD,
            moved: seen.covered * cell
                + seen.tile_vertices * (vertex + sums)
                + seen.tile_triangles * triangle
                + cells * 5.0 * WORD
                + edges * (6.0 * WORD + VEC4)
                + outline * WORD,
            flops: seen.covered * (6.0 * k * d + 500.0),
        },
        same(
            "silhouette",
            cells * 8.0 * WORD + outline * (cell + 2.0 * vertex + triangle + 2.0 * sums),
            outline * (6.0 * k * d + 400.0),
        ),
        Traffic {
            stage: "normal",
            compulsory: points * (sums + 2.0 * WORD) + active * (MOTION + VEC4) + bones,
            moved: (pairs + points) * (sums + 2.0 * WORD)
                + share * (pairs + points) * (MOTION + VEC4)
                + bones
                + points / f64::from(BETA_RUN) * f64::from(GATHER) * 4.0 * WORD,
            flops: share * (pairs * 700.0 + points * 700.0),
        },
        same(
            "adjoint",
            3.0 * bones + WORD * f64::from(TRIANGLE) * 2.0,
            joints * joints * 150.0,
        ),
        same("step", system, 85.0 * 85.0 * 85.0 / 3.0 + 85.0 * 85.0 * 2.0),
    ]
}

/// Vertices that the raster's workgroups read, each its own once.
fn raster_points(body: &Body) -> f64 {
    let unique = |faces: &[[u32; 3]]| faces.iter().flatten().collect::<HashSet<_>>().len();
    body.faces.chunks(64).map(unique).sum::<usize>() as f64
}

/// What covered cells look at, in all and tile by tile.
struct Seen {
    covered: f64,
    vertices: f64,
    triangles: f64,
    tile_vertices: f64,
    tile_triangles: f64,
}

impl Seen {
    fn of(body: &Body, workspace: &Workspace, grid: usize) -> Self {
        let tile = TILE as usize;
        let side = grid.div_ceil(tile);
        let (mut vertices, mut triangles) = (HashSet::new(), HashSet::new());
        let (mut by_tile, mut covered) = (HashSet::new(), 0u32);
        let mut tile_triangles = HashSet::new();
        for (cell, &key) in workspace.keys.iter().enumerate() {
            let Some(t) = raster::triangle(key) else {
                continue;
            };
            let at = (cell / grid / tile) * side + cell % grid / tile;
            covered += 1;
            triangles.insert(t);
            tile_triangles.insert((at, t));
            for v in body.faces[t] {
                vertices.insert(v);
                by_tile.insert((at, v));
            }
        }
        Self {
            covered: f64::from(covered),
            vertices: vertices.len() as f64,
            triangles: triangles.len() as f64,
            tile_vertices: by_tile.len() as f64,
            tile_triangles: tile_triangles.len() as f64,
        }
    }
}
