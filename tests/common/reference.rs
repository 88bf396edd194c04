//! The energy once more, plainly and in f64, from the formulas in docs/method.md.
//! Visibility is given, so that it can be frozen for central differences.

use glam::{DMat3, DQuat, DVec2, DVec3};
use neuralsmpl::body::{Body, Pose, SkinnedPoints};
use neuralsmpl::constants::PART_LANES;
use neuralsmpl::energy::{EnergyModel, Observation};
use neuralsmpl::pack::{JOINT_NUMBERS, Layer, PoseVae};
use neuralsmpl::texture::{EnergyKind, Texture};

/// A pose in f64.
#[derive(Clone)]
pub struct State {
    pub rotations: Vec<DMat3>,
    pub translation: DVec3,
    pub betas: Vec<f64>,
}

impl State {
    pub fn new(pose: &Pose, joints: usize) -> Self {
        Self {
            rotations: pose.rotations[..joints]
                .iter()
                .map(|r| r.as_dmat3())
                .collect(),
            translation: pose.translation.as_dvec3(),
            betas: pose.betas.iter().map(|&b| f64::from(b)).collect(),
        }
    }

    pub fn len(&self) -> usize {
        3 * self.rotations.len() + 3 + self.betas.len()
    }

    /// Moves one tangent parameter.
    pub fn moved(&self, parameter: usize, by: f64) -> Self {
        let mut out = self.clone();
        let turns = 3 * self.rotations.len();
        if parameter < turns {
            let mut axis = DVec3::ZERO;
            axis[parameter % 3] = by;
            out.rotations[parameter / 3] *= DMat3::from_quat(DQuat::from_scaled_axis(axis));
        } else if parameter < turns + 3 {
            out.translation[parameter - turns] += by;
        } else {
            out.betas[parameter - turns - 3] += by;
        }
        out
    }
}

pub struct Posed {
    pub joints: Vec<DVec3>,
    pub vertices: Vec<DVec3>,
    pub keypoints: Vec<DVec3>,
}

pub fn posed(body: &Body, s: &State) -> Posed {
    let shaped = |t: glam::Vec3, dirs: &[glam::Vec3; 10]| {
        dirs.iter()
            .zip(&s.betas)
            .fold(t.as_dvec3(), |x, (d, b)| x + d.as_dvec3() * *b)
    };
    let n = body.joint_count();
    let rest: Vec<DVec3> = (0..n)
        .map(|j| shaped(body.joint_template[j], &body.joint_shapedirs[j]))
        .collect();
    let (mut g, mut t) = (vec![DMat3::IDENTITY; n], vec![DVec3::ZERO; n]);
    for j in 0..n {
        match body.parents[j] {
            None => {
                g[j] = s.rotations[j];
                t[j] = rest[j] + s.translation;
            }
            Some(p) => {
                let p = p as usize;
                g[j] = g[p] * s.rotations[j];
                t[j] = t[p] + g[p] * (rest[j] - rest[p]);
            }
        }
    }
    let feature: Vec<f64> = s.rotations[1..]
        .iter()
        .flat_map(|r| {
            let m = *r - DMat3::IDENTITY;
            [m.row(0), m.row(1), m.row(2)]
                .into_iter()
                .flat_map(|r| r.to_array())
                .collect::<Vec<_>>()
        })
        .collect();
    let skin = |points: &SkinnedPoints, with_posedirs: bool| {
        (0..points.len())
            .map(|v| {
                let mut x = shaped(points.template[v], &points.shapedirs[v]);
                if with_posedirs && !body.posedirs.is_empty() {
                    for (d, f) in body.posedirs[v * feature.len()..].iter().zip(&feature) {
                        x += d.as_dvec3() * *f;
                    }
                }
                let skin = &points.skin[v];
                skin.joints
                    .iter()
                    .zip(&skin.weights)
                    .fold(DVec3::ZERO, |sum, (&k, &w)| {
                        let k = k as usize;
                        sum + (g[k] * (x - rest[k]) + t[k]) * f64::from(w)
                    })
            })
            .collect()
    };
    Posed {
        vertices: skin(&body.vertices, true),
        keypoints: skin(&body.keypoints, false),
        joints: t,
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// α of every limb.
pub fn gates(body: &Body, texture: &Texture, kind: EnergyKind, joints: &[DVec3]) -> Vec<Vec<f64>> {
    let (k, tau) = (texture.components, f64::from(texture.tau));
    body.limbs
        .iter()
        .map(|&(from, to)| {
            let c = (joints[to as usize] - joints[from as usize]).normalize().z;
            match kind {
                EnergyKind::Paper => {
                    let gamma = c.acos();
                    let sector = std::f64::consts::PI / k as f64;
                    (0..k)
                        .map(|i| {
                            logistic(tau * (gamma - i as f64 * sector))
                                + logistic(-tau * (gamma - (i + 1) as f64 * sector))
                                - 1.0
                        })
                        .collect()
                }
                EnergyKind::Released => vec![
                    logistic(tau * (c - 0.3)),
                    logistic(tau * (c + 0.3)) + logistic(tau * (0.3 - c)) - 1.0,
                    logistic(tau * (-c - 0.3)),
                ],
            }
        })
        .collect()
}

/// Homogeneous image points.
pub fn image(o: &Observation, points: &[DVec3]) -> Vec<DVec3> {
    let rows = o.camera.rows.map(|r| r.as_dvec3());
    points
        .iter()
        .map(|x| DVec3::new(rows[0].dot(*x), rows[1].dot(*x), x.z))
        .collect()
}

/// Perspective-correct barycentrics of a triangle at an image position.
pub fn barycentrics(p: [DVec3; 3], c: DVec2) -> [f64; 3] {
    let u = p.map(|p| p.truncate() - p.z * c);
    let e = [
        u[2].perp_dot(u[1]),
        u[0].perp_dot(u[2]),
        u[1].perp_dot(u[0]),
    ];
    let sum: f64 = e.iter().sum();
    e.map(|x| x / sum)
}

/// Log-likelihood ratio of a cell's feature under triangle `t` at barycentrics `b`.
pub fn ratio(
    body: &Body,
    texture: &Texture,
    model: &EnergyModel,
    o: &Observation,
    alpha: &[Vec<f64>],
    t: usize,
    b: [f64; 3],
    cell: usize,
) -> f64 {
    let (kk, d) = (texture.components, texture.channels);
    let face = body.faces[t].map(|v| v as usize);
    let f: Vec<f64> = o.features[cell * d..(cell + 1) * d]
        .iter()
        .map(|&x| f64::from(x))
        .collect();
    let background = f64::from(o.background[cell]);
    let pi = f64::from(model.settings.visible_prior);
    let (mut sum, mut score) = (1.0 - pi, 0.0);
    for k in 0..kk {
        let mean: Vec<f64> = (0..d)
            .map(|i| {
                (0..3)
                    .map(|r| b[r] * f64::from(texture.mean(face[r], k)[i]))
                    .sum()
            })
            .collect();
        let a: f64 = (0..3)
            .map(|r| b[r] * alpha[body.vertex_limb[face[r]] as usize][k])
            .sum();
        match model.kind {
            EnergyKind::Paper => {
                let sigma: f64 = (0..3)
                    .map(|r| b[r] * f64::from(texture.sigma[face[r] * kk + k]))
                    .sum();
                let square: f64 = mean.iter().zip(&f).map(|(m, f)| (m - f) * (m - f)).sum();
                let n = -(d as f64) * sigma.ln() - 0.5 * square / (sigma * sigma);
                sum += pi * a * (f64::from(model.settings.temperature) * (n - background)).exp();
            }
            EnergyKind::Released => {
                let norm = mean.iter().map(|m| m * m).sum::<f64>().sqrt();
                score += a * mean.iter().zip(&f).map(|(m, f)| m * f).sum::<f64>() / norm;
            }
        }
    }
    match model.kind {
        EnergyKind::Paper => sum.ln(),
        EnergyKind::Released => {
            let (fg, bg, t) = (0.5 * (score + 1.0), background, 0.1);
            let (a, b) = ((fg / t).exp(), (bg / t).exp());
            (fg * a + bg * b) / (a + b) - bg
        }
    }
}

/// Gain of a cell under triangle `t` at barycentrics `b` by the part that is named there.
pub fn part_gain(
    body: &Body,
    model: &EnergyModel,
    o: &Observation,
    t: usize,
    b: [f64; 3],
    cell: usize,
) -> f64 {
    let x: f64 = (0..3)
        .map(|r| {
            let part = body.vertex_part[body.faces[t][r] as usize] as usize;
            b[r] * f64::from(o.parts[cell * PART_LANES + part])
        })
        .sum();
    let pi = f64::from(model.settings.mask_visible_prior);
    (pi * x.exp() + 1.0 - pi).ln()
}

/// The whole energy with the visible triangle of each cell given.
pub fn energy(
    body: &Body,
    texture: &Texture,
    model: &EnergyModel,
    o: &Observation,
    hits: &[Option<usize>],
    s: &State,
) -> f64 {
    let posed = posed(body, s);
    let alpha = gates(body, texture, model.kind, &posed.joints);
    let points = image(o, &posed.vertices);
    let w = &model.settings.weights;
    let mut e = 0.0;
    for (cell, t) in hits.iter().enumerate() {
        let Some(t) = *t else { continue };
        let c = DVec2::new((cell % o.grid) as f64 + 0.5, (cell / o.grid) as f64 + 0.5);
        let b = barycentrics(body.faces[t].map(|v| points[v as usize]), c);
        let l = ratio(body, texture, model, o, &alpha, t, b, cell);
        let part = part_gain(body, model, o, t, b, cell);
        e -= (f64::from(w.likelihood) * l
            + f64::from(w.mask) * f64::from(o.mask[cell])
            + f64::from(w.parts) * part)
            / f64::from(o.area);
    }
    e + rest(body, model, o, &posed, s)
}

fn rest(body: &Body, model: &EnergyModel, o: &Observation, posed: &Posed, s: &State) -> f64 {
    let w = &model.settings.weights;
    let mut e = 0.0;
    let image = image(o, &posed.keypoints);
    let sigma2 = f64::from(model.settings.keypoint_sigma_px / model.stride).powi(2);
    let depth2 = f64::from(model.settings.depth_sigma_m).powi(2);
    let [a, b] = model.root_keypoints;
    let middle = (posed.keypoints[a] + posed.keypoints[b]) * 0.5;
    for ((x, p), t) in posed.keypoints.iter().zip(&image).zip(&o.keypoints) {
        let r2 = (p.truncate() / p.z - t.position.as_dvec2()).length_squared();
        e += f64::from(w.keypoints * t.confidence) * r2 / (r2 + sigma2);
        let r2 =
            ((*x - middle - t.offset.as_dvec3()) * model.offset_axes.as_dvec3()).length_squared();
        e += f64::from(w.depth * t.offset_confidence) * r2 / (r2 + depth2);
    }
    let theta: Vec<f64> = s.rotations[1..]
        .iter()
        .flat_map(|r| {
            let q = DQuat::from_mat3(r);
            (if q.w < 0.0 { -q } else { q }).to_scaled_axis().to_array()
        })
        .collect();
    let n = theta.len();
    for i in 0..n {
        for j in 0..n {
            let off = |k: usize| theta[k] - f64::from(model.prior.mean[k]);
            e += 0.5
                * f64::from(w.prior)
                * off(i)
                * f64::from(model.prior.precision[i * n + j])
                * off(j);
        }
    }
    for l in &model.limits {
        let angle = DVec3::from_slice(&theta[3 * (l.joint - 1)..]).dot(l.axis.as_dvec3());
        let excess = (angle - f64::from(l.max)).max(0.0) + (angle - f64::from(l.min)).min(0.0);
        e += 0.5 * f64::from(w.limits) * excess * excess;
    }
    if let Some(vae) = &model.vae {
        e += 0.5 * f64::from(w.vae) * vae_residuals(vae, s).iter().map(|r| r * r).sum::<f64>();
    }
    let _ = body;
    e + 0.5 * f64::from(w.betas) * s.betas.iter().map(|b| b * b).sum::<f64>()
}

/// Latent mean, then (pose − decoded) / σ, of a pose VAE.
pub fn vae_residuals(vae: &PoseVae, s: &State) -> Vec<f64> {
    let x: Vec<f64> = s.rotations[1..]
        .iter()
        .flat_map(|r| [r.col(0), r.col(1)])
        .flat_map(|c| c.to_array())
        .collect();
    let run = |layers: &[Layer; 3], input: &[f64]| {
        let mut values = input.to_vec();
        for (k, layer) in layers.iter().enumerate() {
            values = layer
                .weight
                .chunks(values.len())
                .zip(&layer.bias)
                .map(|(row, b)| {
                    let sum: f64 = row
                        .iter()
                        .zip(&values)
                        .map(|(w, v)| f64::from(*w) * v)
                        .sum();
                    let sum = sum + f64::from(*b);
                    if k < 2 {
                        0.5 * (sum + (sum * sum + 4.0).sqrt())
                    } else {
                        sum
                    }
                })
                .collect();
        }
        values
    };
    let mean = run(&vae.encoder, &x);
    let decoded = run(&vae.decoder, &mean);
    let residual = x.iter().zip(&decoded).enumerate();
    let residual: Vec<f64> = residual
        .map(|(i, (x, d))| (x - d) / f64::from(vae.sigma[i / JOINT_NUMBERS]))
        .collect();
    [mean, residual].concat()
}

/// Central differences of `f` over every tangent parameter.
pub fn central_differences(s: &State, h: f64, f: impl Fn(&State) -> f64) -> Vec<f64> {
    (0..s.len())
        .map(|i| (f(&s.moved(i, h)) - f(&s.moved(i, -h))) / (2.0 * h))
        .collect()
}

/// ‖a − b‖ / ‖b‖.
pub fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    let square = |x: f64| x * x;
    let off: f64 = a.iter().zip(b).map(|(x, y)| square(x - y)).sum();
    let norm: f64 = b.iter().map(|&y| square(y)).sum();
    (off / norm).sqrt()
}
