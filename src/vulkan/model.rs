//! The pack as the shaders read it: sizes, offsets and the arrays that never change.

use glam::Vec3;

use super::shaders::{BETA_RUN, GATHER, Settings, TILE};
use crate::body::{Body, ShapeDirs, SkinnedPoints};
use crate::constants::NO_TRIANGLE;
use crate::energy::EnergyModel;
use crate::limits::MAX_BETAS;
use crate::texture::Texture;

/// Everything that is uploaded once.
pub(super) struct Model {
    /// Sizes and offsets; what changes with the frame is 0.
    pub fixed: Settings,
    /// Orientation components the shaders are compiled for.
    pub components: usize,
    /// Least σ of the texture; 1 without one.
    pub least_sigma: f32,
    pub shapes: Vec<[f32; 4]>,
    pub weights: Vec<[f32; 4]>,
    pub topology: Vec<u32>,
    pub posedirs: Vec<f32>,
    pub means: Vec<[f32; 4]>,
    pub mixture: Vec<f32>,
    pub prior: Vec<f32>,
}

/// Workgroups of each stage for one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups {
    pub skin: u32,
    pub raster: u32,
    pub tiles: u32,
    pub score: u32,
    pub normal: u32,
    /// The gradient, the joints; 0 without a pose VAE.
    pub vae: u32,
    /// Runs of vertices in `feature_partials`; 0 without pose blend shapes.
    pub runs: u32,
}

impl Model {
    pub(super) fn new(
        body: &Body,
        texture: Option<&Texture>,
        model: &EnergyModel,
        grid: usize,
    ) -> Self {
        let mut topology = Topology::default();
        let mut fixed = Settings {
            vertices: count(body.vertices.len()),
            keypoints: count(body.keypoints.len()),
            joints: count(body.joint_count()),
            faces: count(body.faces.len()),
            edges: count(body.edges.len()),
            grid: count(grid),
            tiles: count(grid).div_ceil(TILE),
            channels: texture.map_or(1, |t| count(t.channels.div_ceil(4))),
            dims: texture.map_or(4.0, |t| t.channels as f32),
            limits: count(model.limits.len()),
            beta_runs: count(body.vertices.len() + body.keypoints.len()).div_ceil(BETA_RUN),
            score_groups: count(grid).div_ceil(TILE).pow(2),
            params: count(body.layout().len()),
            posedirs: if body.posedirs.is_empty() {
                0
            } else {
                count(9 * (body.joint_count() - 1))
            },
            root_a: count(model.root_keypoints[0]),
            root_b: count(model.root_keypoints[1]),
            tau: texture.map_or(1.0, |t| t.tau),
            ..bytemuck::Zeroable::zeroed()
        };
        topology.fill(body, &mut fixed);
        let (mixture, at_gram) = mixture(body, texture);
        fixed.at_gram = at_gram;
        let (mut prior, at_limits) = prior(model);
        fixed.at_limits = at_limits;
        if let Some(vae) = &model.vae {
            fixed.at_vae = count(prior.len());
            fixed.vae_hidden = count(vae.hidden);
            fixed.vae_latent = count(vae.latent);
            for layer in vae.encoder.iter().chain(&vae.decoder) {
                prior.extend(&layer.weight);
                prior.extend(&layer.bias);
            }
            prior.extend(&vae.sigma);
        }
        Self {
            fixed,
            components: texture.map_or(1, |t| t.components),
            least_sigma: texture.map_or(1.0, |t| {
                t.sigma.iter().copied().fold(f32::INFINITY, f32::min)
            }),
            shapes: shapes(body),
            weights: points(body)
                .flat_map(|p| p.skin.iter().map(|s| s.weights))
                .collect(),
            topology: topology.words,
            posedirs: body.posedirs.iter().flat_map(|d| d.to_array()).collect(),
            means: texture.map_or_else(Vec::new, means),
            mixture,
            prior,
        }
    }

    pub(super) fn groups(&self) -> Groups {
        let s = &self.fixed;
        let runs = if s.posedirs > 0 {
            s.vertices.div_ceil(GATHER)
        } else {
            0
        };
        Groups {
            skin: (s.vertices + s.keypoints).div_ceil(64),
            raster: s.faces.div_ceil(64),
            tiles: s.tiles * s.tiles,
            // The tiles, the edges.
            score: s.score_groups + s.edges.div_ceil(64),
            // The bones, the betas, the priors, the pose blend shapes.
            normal: s.joints + s.beta_runs + 1 + runs,
            vae: if s.vae_hidden > 0 { s.joints } else { 0 },
            runs,
        }
    }
}

/// Sizes are below the capacities of `limits.rs`, all of which fit.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn points(body: &Body) -> impl Iterator<Item = &SkinnedPoints> {
    [&body.vertices, &body.keypoints].into_iter()
}

/// Rows x, y, z of a point: shape directions in lanes 0..10, the template in lane 11.
fn rows(template: Vec3, dirs: &ShapeDirs) -> [[f32; 4]; 9] {
    let mut out = [[0.0; 4]; 9];
    for a in 0..3 {
        let mut lanes = [0.0; 12];
        for b in 0..MAX_BETAS {
            lanes[b] = dirs[b][a];
        }
        lanes[11] = template[a];
        for (row, lanes) in out[3 * a..3 * a + 3]
            .iter_mut()
            .zip(lanes.as_chunks::<4>().0)
        {
            *row = *lanes;
        }
    }
    out
}

fn shapes(body: &Body) -> Vec<[f32; 4]> {
    let skinned = points(body).flat_map(|p| p.template.iter().zip(&p.shapedirs));
    let joints = body.joint_template.iter().zip(&body.joint_shapedirs);
    skinned
        .chain(joints)
        .flat_map(|(template, dirs)| rows(*template, dirs))
        .collect()
}

/// Means with the channels of each padded to whole vectors.
fn means(texture: &Texture) -> Vec<[f32; 4]> {
    padded(&texture.phi, texture.channels)
}

/// Rows of `channels` numbers, each padded with zeros to whole vectors of four.
pub(super) fn padded(rows: &[f32], channels: usize) -> Vec<[f32; 4]> {
    rows.chunks_exact(channels)
        .flat_map(|row| {
            row.chunks(4).map(|part| {
                let mut out = [0.0; 4];
                out[..part.len()].copy_from_slice(part);
                out
            })
        })
        .collect()
}

fn mixture(body: &Body, texture: Option<&Texture>) -> (Vec<f32>, u32) {
    let Some(texture) = texture else {
        return (vec![1.0; body.vertices.len()], 0);
    };
    let mut out = texture.sigma.clone();
    let at = count(out.len());
    out.extend(texture.gram.iter().flatten());
    (out, at)
}

fn prior(model: &EnergyModel) -> (Vec<f32>, u32) {
    let mut out = model.prior.mean.clone();
    out.extend(&model.prior.precision);
    let at = count(out.len());
    for limit in &model.limits {
        out.extend(limit.axis.to_array());
        out.extend([limit.min, limit.max, limit.joint as f32]);
    }
    (out, at)
}

#[derive(Default)]
struct Topology {
    words: Vec<u32>,
}

impl Topology {
    fn here(&self) -> u32 {
        count(self.words.len())
    }

    fn fill(&mut self, body: &Body, s: &mut Settings) {
        s.at_faces = self.here();
        self.words.extend(body.faces.iter().flatten());
        s.at_edges = self.here();
        for edge in &body.edges {
            self.words.extend(edge.vertices);
            self.words.extend(edge.triangles);
            debug_assert!(edge.triangles[0] != NO_TRIANGLE);
        }
        s.at_skin = self.here();
        for skin in points(body).flat_map(|p| &p.skin) {
            self.words.push(u32::from_le_bytes(skin.joints));
        }
        s.at_vertex_limb = self.here();
        self.words
            .extend(body.vertex_limb.iter().map(|&limb| u32::from(limb)));
        s.at_vertex_part = self.here();
        self.words
            .extend(body.vertex_part.iter().map(|&part| u32::from(part)));
        let levels = levels(body);
        let entries = entries(body);
        let mut first = 0;
        s.at_joints = self.here();
        for (j, parent) in body.parents.iter().enumerate() {
            let end = first + entries[j].len();
            let (from, to) = body.limbs[j];
            self.words.extend([
                parent.map_or(0, u32::from),
                levels[j],
                from.into(),
                to.into(),
                count(first),
                count(end),
            ]);
            first = end;
        }
        s.levels = levels.iter().max().map_or(0, |l| l + 1);
        s.at_above = self.here();
        for j in 0..body.joint_count() {
            let mut row = vec![0; body.joint_count()];
            let mut l = Some(j);
            while let Some(above) = l {
                row[above] = 1;
                l = body.parents[above].map(usize::from);
            }
            self.words.extend(row);
        }
        s.at_entries = self.here();
        for (point, weight) in entries.iter().flatten() {
            self.words.extend([*point, weight.to_bits()]);
        }
    }
}

fn levels(body: &Body) -> Vec<u32> {
    let mut out = Vec::with_capacity(body.joint_count());
    for parent in &body.parents {
        out.push(parent.map_or(0, |p| out[usize::from(p)] + 1));
    }
    out
}

/// For each bone the points that it carries, with their weights.
fn entries(body: &Body) -> Vec<Vec<(u32, f32)>> {
    let mut of_bone = vec![Vec::new(); body.joint_count()];
    for (i, skin) in points(body).flat_map(|p| &p.skin).enumerate() {
        for (&joint, &weight) in skin.joints.iter().zip(&skin.weights) {
            if weight > 0.0 {
                of_bone[usize::from(joint)].push((count(i), weight));
            }
        }
    }
    of_bone
}
