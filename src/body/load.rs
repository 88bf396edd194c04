//! From tensors to a validated body.

use glam::Vec3;

use super::{Body, Edge, ShapeDirs, Skin, SkinnedPoints, part_of_joint};
use crate::limits::{MAX_BETAS, MAX_JOINTS, MAX_KEYPOINTS, MAX_TRIANGLES, MAX_VERTICES};
use crate::pack::{BodyNames, Dim, PackError, TensorFile};

/// What is wrong with a body file (the file's name is added by the pack).
#[derive(Debug)]
pub struct BodyError(pub String);

impl From<PackError> for BodyError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Tensor { message, .. } => Self(message),
            other => Self(other.to_string()),
        }
    }
}

impl Body {
    /// Reads a body (see `docs/pack.md` for the tensors).
    ///
    /// # Errors
    /// A missing tensor, a wrong shape or range, a broken kinematic tree.
    pub fn from_tensors(file: &TensorFile, names: &BodyNames) -> Result<Self, BodyError> {
        let vertices = points(
            file,
            "v_template",
            "shapedirs",
            "lbs_joints",
            "lbs_weights",
            MAX_VERTICES,
        )?;
        let keypoints = points(
            file,
            "kp_template",
            "kp_shapedirs",
            "kp_lbs_joints",
            "kp_lbs_weights",
            MAX_KEYPOINTS,
        )?;
        let v = vertices.len();
        let parents_raw = file
            .i32("parents", &[Dim::UpTo("joints", MAX_JOINTS)])?
            .data;
        let j = parents_raw.len();
        expect_names("body.joints", names.joints.len(), j, "joints of `parents`")?;
        expect_names(
            "body.keypoints",
            names.keypoints.len(),
            keypoints.len(),
            "points of `kp_template`",
        )?;
        let parents = tree(&parents_raw)?;
        let betas = file
            .f32(
                "shapedirs",
                &[Dim::Is(v), Dim::Is(3), Dim::UpTo("betas", MAX_BETAS)],
            )?
            .shape[2];
        let joint_template = vec3s(&file.f32("j_template", &[Dim::Is(j), Dim::Is(3)])?.data);
        let joint_shapedirs = dirs(
            &file
                .f32("j_shapedirs", &[Dim::Is(j), Dim::Is(3), Dim::Is(betas)])?
                .data,
            betas,
        );
        let faces: Vec<[u32; 3]> = file
            .u32(
                "faces",
                &[Dim::UpTo("triangles", MAX_TRIANGLES), Dim::Is(3)],
            )?
            .data
            .chunks_exact(3)
            .map(|f| [f[0], f[1], f[2]])
            .collect();
        if let Some((t, face)) = faces.iter().enumerate().find(|(_, f)| {
            f.iter().any(|&i| i as usize >= v) || f[0] == f[1] || f[1] == f[2] || f[2] == f[0]
        }) {
            return Err(BodyError(format!(
                "tensor `faces` row {t} is {face:?}, expected three different vertices below {v}; re-make the file"
            )));
        }
        for (what, points) in [("lbs_joints", &vertices), ("kp_lbs_joints", &keypoints)] {
            if let Some(bad) = points
                .skin
                .iter()
                .flat_map(|s| s.joints)
                .find(|&k| k as usize >= j)
            {
                return Err(BodyError(format!(
                    "tensor `{what}` names joint {bad}, expected below {j}; re-make the file"
                )));
            }
        }
        if let Some(i) = vertices.skin.iter().position(|s| s.weights == [0.0; 4]) {
            return Err(BodyError(format!(
                "tensor `lbs_weights` row {i} is all zero, expected weights summing to 1; re-make the file"
            )));
        }
        let posedirs = if file.has("posedirs") {
            let n = 9 * (j - 1);
            let raw = file
                .f32("posedirs", &[Dim::Is(v), Dim::Is(3), Dim::Is(n)])?
                .data;
            let mut out = Vec::with_capacity(v * n);
            for vertex in raw.chunks_exact(3 * n) {
                out.extend((0..n).map(|p| Vec3::new(vertex[p], vertex[n + p], vertex[2 * n + p])));
            }
            out
        } else {
            Vec::new()
        };
        let limb_child = file.i32("limb_child", &[Dim::Is(j)])?.data;
        let limbs = limbs(&limb_child, &parents)?;
        let vertex_limb: Vec<u8> = vertices.skin.iter().map(heaviest).collect();
        let part = |&joint: &u8| part_of_joint(&names.joints[joint as usize]).unwrap_or(0);
        let vertex_part = vertex_limb.iter().map(part).collect();
        Ok(Self {
            edges: edges(&faces),
            vertices,
            keypoints,
            posedirs,
            faces,
            parents,
            joint_template,
            joint_shapedirs,
            limbs,
            vertex_limb,
            vertex_part,
        })
    }
}

fn expect_names(key: &str, found: usize, expected: usize, of: &str) -> Result<(), BodyError> {
    if found == expected {
        return Ok(());
    }
    Err(BodyError(format!(
        "pack.toml `{key}` has {found} names, expected {expected} (the {of}); make them agree"
    )))
}

fn points(
    file: &TensorFile,
    template: &str,
    shapedirs: &str,
    joints: &str,
    weights: &str,
    max: usize,
) -> Result<SkinnedPoints, BodyError> {
    let template = vec3s(
        &file
            .f32(template, &[Dim::UpTo("points", max), Dim::Is(3)])?
            .data,
    );
    let n = template.len();
    let shape = file.f32(
        shapedirs,
        &[Dim::Is(n), Dim::Is(3), Dim::UpTo("betas", MAX_BETAS)],
    )?;
    let joints = file.u8(joints, &[Dim::Is(n), Dim::Is(4)])?.data;
    let weight_data = file.f32(weights, &[Dim::Is(n), Dim::Is(4)])?.data;
    let mut skin = Vec::with_capacity(n);
    for (i, (j, w)) in joints
        .chunks_exact(4)
        .zip(weight_data.chunks_exact(4))
        .enumerate()
    {
        let sum: f32 = w.iter().sum();
        let absent = w.iter().all(|&x| x == 0.0);
        if w.iter().any(|&x| x < 0.0) || !(absent || (sum - 1.0).abs() < 1e-3) {
            return Err(BodyError(format!(
                "tensor `{weights}` row {i} is {w:?}, expected four weights >= 0 that sum to 1; re-make the file"
            )));
        }
        skin.push(Skin {
            joints: [j[0], j[1], j[2], j[3]],
            weights: [w[0], w[1], w[2], w[3]],
        });
    }
    Ok(SkinnedPoints {
        template,
        shapedirs: dirs(&shape.data, shape.shape[2]),
        skin,
    })
}

fn tree(raw: &[i32]) -> Result<Vec<Option<u8>>, BodyError> {
    let mut parents = Vec::with_capacity(raw.len());
    for (j, &p) in raw.iter().enumerate() {
        let ok = if j == 0 {
            p == -1
        } else {
            p >= 0 && (p as usize) < j
        };
        if !ok {
            return Err(BodyError(format!(
                "tensor `parents` entry {j} is {p}, expected {}; re-make the file",
                if j == 0 {
                    "-1".to_owned()
                } else {
                    format!("a joint below {j}")
                }
            )));
        }
        parents.push(u8::try_from(p).ok());
    }
    Ok(parents)
}

fn limbs(child: &[i32], parents: &[Option<u8>]) -> Result<Vec<(u8, u8)>, BodyError> {
    let n = parents.len();
    child
        .iter()
        .enumerate()
        .map(|(j, &c)| match (c, parents[j]) {
            (-1, Some(p)) => Ok((p, j as u8)),
            // A single rigid joint has no limb: its axis is the root's own.
            (-1, None) => Ok((0, 0)),
            (c, _) if c >= 0 && (c as usize) < n && c as usize != j => Ok((j as u8, c as u8)),
            _ => Err(BodyError(format!(
                "tensor `limb_child` entry {j} is {c}, expected -1 or another joint below {n}; re-make the file"
            ))),
        })
        .collect()
}

fn heaviest(skin: &Skin) -> u8 {
    let mut best = 0;
    for i in 1..4 {
        if skin.weights[i] > skin.weights[best] {
            best = i;
        }
    }
    skin.joints[best]
}

/// The edges of a mesh with the triangles on both sides.
pub fn edges(faces: &[[u32; 3]]) -> Vec<Edge> {
    let mut halves: Vec<([u32; 2], [u32; 2], u32)> = Vec::with_capacity(3 * faces.len());
    for (t, f) in faces.iter().enumerate() {
        for i in 0..3 {
            let (a, b) = (f[i], f[(i + 1) % 3]);
            halves.push(([a.min(b), a.max(b)], [a, b], t as u32));
        }
    }
    halves.sort_unstable();
    halves
        .chunk_by(|x, y| x.0 == y.0)
        .map(|group| Edge {
            vertices: group[0].1,
            triangles: [group[0].2, group.get(1).map_or(Edge::NONE, |h| h.2)],
        })
        .collect()
}

fn vec3s(data: &[f32]) -> Vec<Vec3> {
    data.chunks_exact(3).map(Vec3::from_slice).collect()
}

fn dirs(data: &[f32], betas: usize) -> Vec<ShapeDirs> {
    data.chunks_exact(3 * betas)
        .map(|p| {
            std::array::from_fn(|b| {
                if b < betas {
                    Vec3::new(p[b], p[betas + b], p[2 * betas + b])
                } else {
                    Vec3::ZERO
                }
            })
        })
        .collect()
}
