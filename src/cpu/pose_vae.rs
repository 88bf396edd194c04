//! Pose VAE: how far a pose lies from what the autoencoder can say, and from the latent's middle.
//!
//! In:  pose, network
//! Out: energy w (½‖μ‖² + ½‖r‖²), adds to the parameter gradient and Hessian (local tangent)
//! Twin: shaders/pose_vae.wgsl
//!
//! x holds the first two columns of the rotations of joints 1…J−1, μ = encoder(x) the latent mean, and
//! r = (x − decoder(μ)) / σ the residual. The Hessian is Gauss–Newton's, `AᵀA + BᵀB` with A = dμ/dδ,
//! B = dr/dδ.

use glam::{Mat3, Vec3};
use multiversion::multiversion;

use crate::body::{ParamLayout, Pose};
use crate::energy::Terms;
use crate::limits::{MAX_JOINTS, MAX_PARAMS, MAX_VAE_HIDDEN, MAX_VAE_LATENT};
use crate::pack::{JOINT_NUMBERS, Layer, PoseVae};

const MAX_WIDTH: usize = JOINT_NUMBERS * (MAX_JOINTS - 1);
const MAX_TURNS: usize = 3 * (MAX_JOINTS - 1);

/// What one hidden layer yields: values, and the slope of squareplus there.
struct Hidden {
    value: [f32; MAX_VAE_HIDDEN],
    slope: [f32; MAX_VAE_HIDDEN],
}

impl Default for Hidden {
    fn default() -> Self {
        Self {
            value: [0.0; MAX_VAE_HIDDEN],
            slope: [0.0; MAX_VAE_HIDDEN],
        }
    }
}

/// Buffers of an evaluation, sized by the capacities.
pub struct Scratch {
    x: [f32; MAX_WIDTH],
    encoded: [Hidden; 2],
    decoded: [Hidden; 2],
    mean: [f32; MAX_VAE_LATENT],
    /// r / σ: pull on each number.
    pull: [f32; MAX_WIDTH],
    back: [Vec<f32>; 2],
    by_x: Vec<f32>,
    by_turn: Vec<f32>,
    by_latent: Vec<f32>,
    residual_by_turn: Vec<f32>,
}

impl Default for Scratch {
    fn default() -> Self {
        let matrix = |rows: usize, columns: usize| vec![0.0; rows * columns];
        Self {
            x: [0.0; MAX_WIDTH],
            encoded: Default::default(),
            decoded: Default::default(),
            mean: [0.0; MAX_VAE_LATENT],
            pull: [0.0; MAX_WIDTH],
            back: std::array::from_fn(|_| matrix(MAX_VAE_HIDDEN, MAX_VAE_LATENT)),
            by_x: matrix(MAX_VAE_LATENT, MAX_WIDTH),
            by_turn: matrix(MAX_VAE_LATENT, MAX_TURNS),
            by_latent: matrix(MAX_WIDTH, MAX_VAE_LATENT),
            residual_by_turn: matrix(MAX_WIDTH, MAX_TURNS),
        }
    }
}

/// The numbers of a pose, `[6 (J − 1)]`.
pub fn pose_numbers(pose: &Pose, out: &mut [f32]) {
    for (r, out) in pose.rotations[1..]
        .iter()
        .zip(out.chunks_exact_mut(JOINT_NUMBERS))
    {
        out[..3].copy_from_slice(&r.x_axis.to_array());
        out[3..].copy_from_slice(&r.y_axis.to_array());
    }
}

/// Sets the rotations of joints 1…J−1 to what the decoder makes of a latent `[L]`, by Gram and Schmidt; no
/// other part of the pose.
pub fn decode(vae: &PoseVae, latent: &[f32], pose: &mut Pose) {
    let mut hidden: [Hidden; 2] = Default::default();
    let mut numbers = [0.0f32; MAX_WIDTH];
    run(&vae.decoder, latent, &mut hidden, &mut numbers[..vae.width]);
    for (r, n) in pose.rotations[1..]
        .iter_mut()
        .zip(numbers[..vae.width].chunks_exact(JOINT_NUMBERS))
    {
        let (a, b) = (Vec3::from_slice(n), Vec3::from_slice(&n[3..]));
        let a = a.normalize_or(Vec3::X);
        let b = (b - a * a.dot(b)).normalize_or(a.any_orthonormal_vector());
        *r = Mat3::from_cols(a, b, a.cross(b));
    }
}

/// Adds the energy. `hessian` is row-major with [`MAX_PARAMS`] columns, or `None` when only the gradient
/// is wanted.
pub fn pose_vae(
    layout: ParamLayout,
    pose: &Pose,
    vae: &PoseVae,
    weight: f32,
    scratch: &mut Scratch,
    terms: &mut Terms,
    gradient: &mut [f32; MAX_PARAMS],
    hessian: Option<&mut [f32]>,
) {
    let (width, hidden, latent) = (vae.width, vae.hidden, vae.latent);
    let s = scratch;
    pose_numbers(pose, &mut s.x[..width]);
    run(
        &vae.encoder,
        &s.x[..width],
        &mut s.encoded,
        &mut s.mean[..latent],
    );
    run(
        &vae.decoder,
        &s.mean[..latent],
        &mut s.decoded,
        &mut s.pull[..width],
    );
    let mut energy = 0.0f32;
    for (i, (pull, x)) in s.pull[..width].iter_mut().zip(&s.x).enumerate() {
        let sigma = vae.sigma[i / JOINT_NUMBERS];
        let residual = (x - *pull) / sigma;
        energy += residual * residual;
        *pull = residual / sigma;
    }
    energy += s.mean[..latent].iter().map(|m| m * m).sum::<f32>();
    terms.prior += f64::from(0.5 * weight * energy);

    // dE/dx = pull + (dμ/dx)ᵀ (μ − (d decoder/dμ)ᵀ pull).
    let mut to_latent = [0.0f32; MAX_VAE_LATENT];
    back(
        &vae.decoder,
        &s.pull[..width],
        &s.decoded,
        &mut to_latent[..latent],
    );
    for (t, m) in to_latent.iter_mut().zip(&s.mean[..latent]) {
        *t = m - *t;
    }
    let mut by_x = [0.0f32; MAX_WIDTH];
    back(
        &vae.encoder,
        &to_latent[..latent],
        &s.encoded,
        &mut by_x[..width],
    );
    for j in 1..layout.joints {
        let at = JOINT_NUMBERS * (j - 1);
        let g: [f32; JOINT_NUMBERS] = std::array::from_fn(|i| by_x[at + i] + s.pull[at + i]);
        let g = turned(pose, j, &g);
        for a in 0..3 {
            gradient[layout.rotation(j) + a] += weight * g[a];
        }
    }
    let Some(h) = hessian else { return };
    let turns = width / 2;
    let [one, two] = &mut s.back;

    // A, from the last layer of the encoder back to the turns.
    let last = &vae.encoder[2].weight;
    scale_columns(
        last,
        &s.encoded[1].slope[..hidden],
        &mut one[..latent * hidden],
    );
    multiply(one, &vae.encoder[1].weight, latent, hidden, hidden, two);
    scale_columns_in_place(&mut two[..latent * hidden], &s.encoded[0].slope[..hidden]);
    multiply(
        two,
        &vae.encoder[0].weight,
        latent,
        hidden,
        width,
        &mut s.by_x,
    );
    for (row, out) in s.by_x[..latent * width]
        .chunks_exact(width)
        .zip(s.by_turn.chunks_exact_mut(turns))
    {
        for j in 1..layout.joints {
            let g = turned(pose, j, &row[JOINT_NUMBERS * (j - 1)..]);
            out[3 * (j - 1)..3 * j].copy_from_slice(&g.to_array());
        }
    }

    // The decoder's derivative, from its first layer on.
    scale_rows(
        &vae.decoder[0].weight,
        &s.decoded[0].slope[..hidden],
        latent,
        one,
    );
    multiply(&vae.decoder[1].weight, one, hidden, hidden, latent, two);
    for (row, slope) in two
        .chunks_exact_mut(latent)
        .zip(&s.decoded[1].slope[..hidden])
    {
        row.iter_mut().for_each(|x| *x *= slope);
    }
    multiply(
        &vae.decoder[2].weight,
        two,
        width,
        hidden,
        latent,
        &mut s.by_latent,
    );

    // B = (dx/dδ − d decoder/dμ A) / σ.
    multiply(
        &s.by_latent,
        &s.by_turn,
        width,
        latent,
        turns,
        &mut s.residual_by_turn,
    );
    for (i, row) in s.residual_by_turn[..width * turns]
        .chunks_exact_mut(turns)
        .enumerate()
    {
        row.iter_mut().for_each(|x| *x = -*x);
        let j = 1 + i / JOINT_NUMBERS;
        let mut unit = [0.0; JOINT_NUMBERS];
        unit[i % JOINT_NUMBERS] = 1.0;
        let own = turned(pose, j, &unit);
        for a in 0..3 {
            row[3 * (j - 1) + a] += own[a];
        }
        let inverse = 1.0 / vae.sigma[i / JOINT_NUMBERS];
        row.iter_mut().for_each(|x| *x *= inverse);
    }
    let at = layout.rotation(1);
    let h = &mut h[at * MAX_PARAMS..];
    add_squares(&s.by_turn[..latent * turns], turns, weight, h, at);
    add_squares(&s.residual_by_turn[..width * turns], turns, weight, h, at);
}

/// (dx/dδ)ᵀ g of joint `j` for the first six numbers of `g`: R exp(δ) turns the columns of R.
#[inline(always)]
fn turned(pose: &Pose, j: usize, g: &[f32]) -> Vec3 {
    let r = &pose.rotations[j];
    let (first, second) = (Vec3::from_slice(g), Vec3::from_slice(&g[3..]));
    Vec3::new(
        r.z_axis.dot(second),
        -r.z_axis.dot(first),
        r.y_axis.dot(first) - r.x_axis.dot(second),
    )
}

/// A network's output.
#[multiversion(targets("x86_64+avx2+fma"))]
fn run(layers: &[Layer; 3], input: &[f32], hidden: &mut [Hidden; 2], out: &mut [f32]) {
    let n = layers[0].bias.len();
    let [first, second] = hidden;
    apply(&layers[0], input, &mut first.value[..n]);
    squareplus(first, n);
    apply(&layers[1], &first.value[..n], &mut second.value[..n]);
    squareplus(second, n);
    apply(&layers[2], &second.value[..n], out);
}

#[inline(always)]
fn apply(layer: &Layer, input: &[f32], out: &mut [f32]) {
    let rows = layer.weight.chunks_exact(input.len());
    for ((out, row), bias) in out.iter_mut().zip(rows).zip(&layer.bias) {
        *out = bias + dot(row, input);
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn squareplus(hidden: &mut Hidden, n: usize) {
    for (x, slope) in hidden.value[..n].iter_mut().zip(&mut hidden.slope) {
        let root = (*x * *x + 4.0).sqrt();
        *slope = 0.5 * (1.0 + *x / root);
        *x = 0.5 * (*x + root);
    }
}

/// What a pull on a network's output is on its input.
#[multiversion(targets("x86_64+avx2+fma"))]
fn back(layers: &[Layer; 3], pull: &[f32], hidden: &[Hidden; 2], out: &mut [f32]) {
    let n = layers[0].bias.len();
    let (mut second, mut first) = ([0.0f32; MAX_VAE_HIDDEN], [0.0f32; MAX_VAE_HIDDEN]);
    gather(&layers[2].weight, pull, &mut second[..n]);
    for (x, slope) in second[..n].iter_mut().zip(&hidden[1].slope) {
        *x *= slope;
    }
    gather(&layers[1].weight, &second[..n], &mut first[..n]);
    for (x, slope) in first[..n].iter_mut().zip(&hidden[0].slope) {
        *x *= slope;
    }
    gather(&layers[0].weight, &first[..n], out);
}

/// out = Wᵀ pull; `out` is as long as W's rows.
#[inline(always)]
fn gather(weight: &[f32], pull: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (row, p) in weight.chunks_exact(out.len()).zip(pull) {
        for (out, w) in out.iter_mut().zip(row) {
            *out += p * w;
        }
    }
}

fn scale_columns(matrix: &[f32], by: &[f32], out: &mut [f32]) {
    out.copy_from_slice(matrix);
    scale_columns_in_place(out, by);
}

fn scale_columns_in_place(matrix: &mut [f32], by: &[f32]) {
    for row in matrix.chunks_exact_mut(by.len()) {
        for (x, s) in row.iter_mut().zip(by) {
            *x *= s;
        }
    }
}

fn scale_rows(matrix: &[f32], by: &[f32], columns: usize, out: &mut [f32]) {
    let rows = matrix
        .chunks_exact(columns)
        .zip(out.chunks_exact_mut(columns));
    for ((row, out), s) in rows.zip(by) {
        for (out, x) in out.iter_mut().zip(row) {
            *out = s * x;
        }
    }
}

/// out `[rows][columns]` = a `[rows][inner]` · b `[inner][columns]`, all row-major.
#[multiversion(targets("x86_64+avx2+fma"))]
fn multiply(a: &[f32], b: &[f32], rows: usize, inner: usize, columns: usize, out: &mut [f32]) {
    let a = a[..rows * inner].chunks_exact(inner);
    for (a, out) in a.zip(out.chunks_exact_mut(columns)) {
        out.fill(0.0);
        let (fours, rest) = a.as_chunks::<4>();
        let mut b = b[..inner * columns].chunks_exact(columns);
        for f in fours {
            let (Some(p), Some(q), Some(r), Some(s)) = (b.next(), b.next(), b.next(), b.next())
            else {
                break;
            };
            for (i, out) in out.iter_mut().enumerate() {
                *out += (f[0] * p[i] + f[1] * q[i]) + (f[2] * r[i] + f[3] * s[i]);
            }
        }
        for (f, row) in rest.iter().zip(b) {
            for (out, x) in out.iter_mut().zip(row) {
                *out += f * x;
            }
        }
    }
}

/// h += weight · mᵀ m, where m has rows of `n` numbers; h has [`MAX_PARAMS`] columns, the first at `at`.
#[multiversion(targets("x86_64+avx2+fma"))]
fn add_squares(m: &[f32], n: usize, weight: f32, h: &mut [f32], at: usize) {
    for (r, h) in h.chunks_mut(MAX_PARAMS).take(n).enumerate() {
        let h = &mut h[at..at + n];
        for row in m.chunks_exact(n) {
            let f = weight * row[r];
            for (h, x) in h.iter_mut().zip(row) {
                *h += f * x;
            }
        }
    }
}
