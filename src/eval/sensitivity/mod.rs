//! `neuralsmpl eval sensitivity`: the occlusion sensitivity mesh. For every sample and position of the patch,
//! each joint's error is added to all vertices that the patch hides, and divided by how often each was hidden.
//!
//! A vertex is hidden by the patch where it lies under it and would be seen without it. Only samples with a
//! true pose of the pack's body take part.

mod draw;

use std::path::{Path, PathBuf};

use glam::{Mat3, Vec2, Vec3};
use indicatif::ProgressBar;
use neuralsmpl_evaluation::Manifest;

use super::EvalError;
use super::advocc::{Kind, NORMAL_CROP};
use super::report::progress_of;
use super::run::Search;
use super::subject::Subject;
use crate::body::{Body, Pose};
use crate::cpu::project::project;
use crate::cpu::raster;
use crate::pack::Pack;
use crate::synth::posed;
use draw::{Side, ply, sheet};

/// Side of the raster in which vertices are seen.
const RASTER: usize = 256;
/// A vertex is seen where the nearest surface is at most this far in front of it, metres.
const SLACK_M: f32 = 0.02;

/// Options of `neuralsmpl eval sensitivity`.
#[derive(Clone, Debug, clap::Args)]
pub struct SensitivityArgs {
    /// Manifest that was run, or its folder
    pub manifest: PathBuf,
    /// Folder of results of `eval run` with an occlusion; shards of one run may be given one after the other
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    pub run: Vec<PathBuf>,
    /// Folder for meshes and pictures; made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which patch
    #[arg(long, value_name = "NAME", default_value = "advocc80")]
    pub occlusion: Kind,
    /// Systems, separated by commas (default: all that were judged at every position)
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub systems: Vec<String>,
    /// Model pack
    #[arg(long, value_name = "DIR", default_value = "models/person")]
    pub pack: PathBuf,
    /// Name of the pack's body in the manifest's `body_model` (default: that of `neuralsmpl synth`)
    #[arg(long, value_name = "NAME")]
    pub body_model: Option<String>,
}

/// Sums over samples and positions for one system.
struct Sums {
    system: String,
    /// By joint and vertex, mm.
    errors: Vec<Vec<f64>>,
    /// By vertex.
    counts: Vec<u32>,
}

impl Sums {
    /// Mean error by vertex, mm: of a joint, or of all; none where the vertex was never hidden.
    fn mean(&self, joint: Option<usize>) -> Vec<Option<f64>> {
        let joints = self.errors.len();
        let value = |v: usize| match joint {
            Some(j) => self.errors[j][v],
            None => self.errors.iter().map(|e| e[v]).sum::<f64>() / joints as f64,
        };
        let each = self.counts.iter().enumerate();
        each.map(|(v, &n)| (n > 0).then(|| value(v) / f64::from(n)))
            .collect()
    }
}

/// Runs.
///
/// # Errors
/// A bad manifest or pack, no searches of this manifest, or files that cannot be written.
pub fn run(args: &SensitivityArgs) -> Result<(), EvalError> {
    let manifest = Manifest::load(&args.manifest)?;
    let pack = Pack::load(&args.pack)?;
    let named = args.body_model.clone();
    let body_model = named.unwrap_or_else(|| pack.manifest.body_name());
    let mut sums: Vec<Sums> = Vec::new();
    let mut joints: Vec<String> = Vec::new();
    let mut used = 0;
    let bar: ProgressBar = progress_of(manifest.samples.len() as u64, "samples");
    for sample in &manifest.samples {
        bar.inc(1);
        let Some(search) = find(&args.run, &sample.key(), args.occlusion)? else {
            continue;
        };
        let subject = Subject::load(&manifest, sample, &pack, &body_model)?;
        if subject.pose.is_none() {
            continue;
        }
        if joints.is_empty() {
            joints.clone_from(&search.joints);
        }
        if joints != search.joints {
            return Err(EvalError::File {
                path: manifest.path.clone(),
                message: format!(
                    "sample {} has other joints than the first; split the manifest by its joints",
                    subject.id
                ),
            });
        }
        add(&mut sums, args, &pack.body, &subject, &search);
        used += 1;
    }
    bar.finish_and_clear();
    if used == 0 || sums.is_empty() {
        return Err(EvalError::File {
            path: args.run.first().cloned().unwrap_or_default(),
            message: format!(
                "no sample with a true pose has been searched under {}, expected at least one; run `eval run --occlusion {}` on this manifest, or name its body with --body-model",
                args.occlusion, args.occlusion
            ),
        });
    }
    write(args, &pack, &sums, &joints)?;
    println!(
        "{used} samples, {} systems: meshes and pictures in {}",
        sums.len(),
        args.out.display()
    );
    Ok(())
}

fn find(folders: &[PathBuf], sample: &str, kind: Kind) -> Result<Option<Search>, EvalError> {
    for folder in folders {
        if let Some(search) = Search::load(folder, sample, kind)? {
            return Ok(Some(search));
        }
    }
    Ok(None)
}

fn add(
    sums: &mut Vec<Sums>,
    args: &SensitivityArgs,
    body: &Body,
    subject: &Subject,
    search: &Search,
) {
    let Some(pose) = &subject.pose else { return };
    let seen = seen_vertices(body, subject, pose);
    for (system, errors) in &search.errors_mm {
        let asked = args.systems.contains(system);
        let whole = errors.iter().all(Option::is_some);
        if !(asked || args.systems.is_empty() && whole) {
            continue;
        }
        let at = match sums.iter().position(|s| s.system == *system) {
            Some(at) => at,
            None => {
                sums.push(Sums {
                    system: system.clone(),
                    errors: vec![vec![0.0; body.vertices.len()]; search.joints.len()],
                    counts: vec![0; body.vertices.len()],
                });
                sums.len() - 1
            }
        };
        let of = &mut sums[at];
        let side = args.occlusion.side() as f32;
        for (corner, errors) in search.corners.iter().zip(errors) {
            let Some(errors) = errors else { continue };
            let low = Vec2::from(corner.map(|c| c as f32));
            for &(v, at) in &seen {
                let off = at - low;
                if off.min_element() >= 0.0 && off.max_element() < side {
                    of.counts[v] += 1;
                    for (sum, e) in of.errors.iter_mut().zip(errors) {
                        sum[v] += f64::from(*e);
                    }
                }
            }
        }
    }
}

/// Vertices that the picture shows without a patch, with their place in the normalised crop.
fn seen_vertices(body: &Body, subject: &Subject, pose: &Pose) -> Vec<(usize, Vec2)> {
    let vertices = posed(body, pose).0;
    let camera = subject.region.camera(&subject.camera, RASTER);
    let mut points = vec![Vec3::ZERO; vertices.len()];
    let window = project(&camera, &vertices, &mut points);
    let mut keys = vec![raster::EMPTY; RASTER * RASTER];
    let mut front = vec![false; body.faces.len()];
    raster::raster(
        &points,
        &body.faces,
        window,
        RASTER,
        RASTER,
        &mut keys,
        &mut front,
    );
    let place = |v: usize| {
        let at = points[v].truncate() / points[v].z;
        let inside = at.min_element() >= 0.0 && at.max_element() < RASTER as f32;
        let cell = || at.y as usize * RASTER + at.x as usize;
        let free = inside
            && raster::triangle(keys[cell()])
                .is_none_or(|_| points[v].z <= raster::depth(keys[cell()], window) + SLACK_M);
        free.then(|| (v, at * (NORMAL_CROP as f32 / RASTER as f32)))
    };
    (0..vertices.len()).filter_map(place).collect()
}

/// The body as it is shown: arms a little down, three metres away; from before and from behind.
fn shown(body: &Body, back: bool) -> Vec<Vec3> {
    let mut pose = Pose::default();
    let turn = if back { std::f32::consts::PI } else { 0.0 };
    pose.rotations[0] = Mat3::from_rotation_x(std::f32::consts::PI) * Mat3::from_rotation_y(turn);
    if body.joint_count() == 24 {
        pose.rotations[16] = Mat3::from_rotation_z(-0.9);
        pose.rotations[17] = Mat3::from_rotation_z(0.9);
        pose.rotations[1] = Mat3::from_rotation_z(0.12);
        pose.rotations[2] = Mat3::from_rotation_z(-0.12);
    }
    pose.translation = Vec3::new(0.0, 0.0, 5.0);
    posed(body, &pose).0
}

fn write(
    args: &SensitivityArgs,
    pack: &Pack,
    sums: &[Sums],
    joints: &[String],
) -> Result<(), EvalError> {
    let fault = |path: &Path, message: &dyn std::fmt::Display| EvalError::Write {
        path: path.to_owned(),
        source: std::io::Error::other(message.to_string()),
    };
    std::fs::create_dir_all(&args.out).map_err(|e| fault(&args.out, &e))?;
    let body = &pack.body;
    let views = [shown(body, false), shown(body, true)];
    let each = || std::iter::once(None).chain((0..joints.len()).map(Some));
    for joint in each() {
        let name = joint.map_or("all", |j| joints[j].as_str());
        let means: Vec<Vec<Option<f64>>> = sums.iter().map(|s| s.mean(joint)).collect();
        let (low, high) = draw::range(&means);
        let mut sides = Vec::new();
        for (sum, mean) in sums.iter().zip(&means) {
            let colours = draw::colours(mean, low, high);
            let path = args.out.join(format!(
                "{name}-{}.ply",
                sum.system.replace([':', '=', '/'], "-")
            ));
            let bytes =
                ply(&views[0], &body.faces, &colours, mean).map_err(|e| fault(&path, &e))?;
            std::fs::write(&path, bytes).map_err(|e| fault(&path, &e))?;
            sides.push(Side {
                name: sum.system.clone(),
                colours,
            });
        }
        let path = args.out.join(format!("{name}.png"));
        let picture = sheet(body, &views, &sides, name, (low, high));
        picture.save(&path).map_err(|e| fault(&path, &e))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_vertex_has_the_mean_error_of_the_times_it_was_hidden() {
        let sums = Sums {
            system: "start".to_owned(),
            errors: vec![vec![30.0, 0.0], vec![10.0, 0.0]],
            counts: vec![2, 0],
        };
        assert_eq!(sums.mean(Some(0)), [Some(15.0), None]);
        assert_eq!(sums.mean(None), [Some(10.0), None]);
    }

    #[test]
    fn the_shown_body_hides_its_own_back() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/models/person");
        let pack = Pack::load(root.as_ref()).unwrap();
        let vertices = shown(&pack.body, false);
        let height = |v: &Vec3| v.y;
        let low = vertices.iter().map(height).fold(f32::MAX, f32::min);
        let high = vertices.iter().map(height).fold(f32::MIN, f32::max);
        // Image y goes down; an adult stands upright.
        assert!((1.4..2.2).contains(&(high - low)));
        let colours = vec![[10, 20, 30]; vertices.len()];
        let errors = vec![Some(1.5); vertices.len()];
        let bytes = ply(&vertices, &pack.body.faces, &colours, &errors).unwrap();
        assert!(bytes.starts_with(b"ply\n"));
        let count = format!("element vertex {}", vertices.len());
        let head = String::from_utf8_lossy(&bytes[..400.min(bytes.len())]).into_owned();
        assert!(
            head.contains(&count) && head.contains("binary_little_endian"),
            "{head}"
        );
    }
}
