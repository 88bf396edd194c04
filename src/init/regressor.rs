//! Any regressor of SPIN's form as ONNX: pose, betas and a weak-perspective camera from a crop.
//!
//! Contract (docs/init.md): input f32 `[1, 3, 224, 224]`, RGB, ImageNet mean and deviation;
//! outputs `pose` (`[1, 144]` or `[1, 24, 6]`: 6D rotations as 3×2 matrices row by row, Zhou et
//! al. 2019; or `[1, 24, 3, 3]`: matrices), `betas` `[1, 10]`, `camera` `[1, 3]` (s, t_x, t_y).

use std::path::{Path, PathBuf};

use glam::{Mat3, Vec2, Vec3};
use image::RgbImage;

use crate::backbone::network::Network;
use crate::backbone::{BackboneError, Workers};
use crate::body::{Body, Pose};
use crate::frame::{Intrinsics, Region, sample};
use crate::limits::MAX_BETAS;

/// Side of the input crop.
pub const SIDE: usize = 224;

/// The crop's side over the longer side of the person's box, as in SPIN.
const PADDING: f32 = 1.2;

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Accepted shapes of `pose`.
const POSE_SHAPES: [&[usize]; 3] = [&[1, 144], &[1, 24, 6], &[1, 24, 3, 3]];

/// Why a regressor cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegressorError {
    /// The file cannot be read.
    #[error("{}: cannot read ({source}); check the path given with --init", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a network of the contract.
    #[error("{}: {source}; export it as docs/init.md describes", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BackboneError,
    },
    /// The pack's body has other joints than the network.
    #[error("{}: the network gives 24 joints, the pack's body has {found}; use a body in SMPL's form", path.display())]
    Joints {
        /// The file.
        path: PathBuf,
        /// Joints of the body.
        found: usize,
    },
}

/// A loaded regressor.
pub struct Regressor {
    path: PathBuf,
    network: Network,
    matrices: bool,
}

impl Regressor {
    /// Loads and checks an ONNX file.
    ///
    /// # Errors
    /// When it cannot be read or does not follow the contract.
    pub fn load(path: &Path, body: &Body) -> Result<Self, RegressorError> {
        let path = path.to_owned();
        if body.joint_count() != 24 {
            return Err(RegressorError::Joints {
                path,
                found: body.joint_count(),
            });
        }
        let bytes = std::fs::read(&path).map_err(|source| RegressorError::Read {
            path: path.clone(),
            source,
        })?;
        let mut fault = None;
        let workers = Workers::new(1).map_err(|source| RegressorError::Network {
            path: path.clone(),
            source,
        })?;
        for shape in POSE_SHAPES {
            let ports = vec![
                ("pose", shape.to_vec()),
                ("betas", vec![1, 10]),
                ("camera", vec![1, 3]),
            ];
            match Network::load("regressor", &bytes, SIDE, ports, &workers) {
                Ok(network) => {
                    return Ok(Self {
                        path,
                        network,
                        matrices: shape.len() == 4,
                    });
                }
                // The first shape's message names the most common form.
                Err(e) => fault = fault.or(Some(e)),
            }
        }
        let source = fault.unwrap_or(BackboneError::Load {
            network: "regressor",
            message: "no accepted shape".to_owned(),
        });
        Err(RegressorError::Network { path, source })
    }

    /// The pose of the person in a box `[x, y, w, h]` of the photo.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers.
    pub fn pose(
        &mut self,
        image: &RgbImage,
        intrinsics: &Intrinsics,
        box_px: [f32; 4],
    ) -> Result<Pose, RegressorError> {
        let region = Self::region(intrinsics, box_px);
        self.pose_in(&region, intrinsics, |crop| {
            sample(image, intrinsics, &region, SIDE, crop);
        })
    }

    /// The square of the ideal image that the network sees of a box `[x, y, w, h]` of the photo.
    pub fn region(intrinsics: &Intrinsics, [x, y, w, h]: [f32; 4]) -> Region {
        Region {
            center: intrinsics.undistort(Vec2::new(x + 0.5 * w, y + 0.5 * h)),
            side: PADDING * w.max(h),
            angle: 0.0,
        }
    }

    /// The pose of the person in an upright region; `fill` writes its crop `[3, 224, 224]` in 0..=1.
    ///
    /// # Errors
    /// When the network fails or gives values that are not numbers.
    pub fn pose_in(
        &mut self,
        region: &Region,
        intrinsics: &Intrinsics,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Pose, RegressorError> {
        let fault = |source| RegressorError::Network {
            path: self.path.clone(),
            source,
        };
        self.network
            .fill(|input| {
                fill(input);
                for (c, plane) in input.chunks_exact_mut(SIDE * SIDE).enumerate() {
                    plane
                        .iter_mut()
                        .for_each(|v| *v = (*v - MEAN[c]) / DEVIATION[c]);
                }
            })
            .map_err(&fault)?;
        let outputs = self.network.run().map_err(&fault)?;
        let rotations = outputs.get(0).map_err(&fault)?;
        let betas = outputs.get(1).map_err(&fault)?;
        let camera = outputs.get(2).map_err(&fault)?;
        let mut pose = Pose::default();
        if self.matrices {
            for (r, m) in pose.rotations.iter_mut().zip(rotations.chunks_exact(9)) {
                *r = orthonormal(Vec3::new(m[0], m[3], m[6]), Vec3::new(m[1], m[4], m[7]));
            }
        } else {
            for (r, m) in pose.rotations.iter_mut().zip(rotations.chunks_exact(6)) {
                *r = orthonormal(Vec3::new(m[0], m[2], m[4]), Vec3::new(m[1], m[3], m[5]));
            }
        }
        pose.betas.copy_from_slice(&betas[..MAX_BETAS]);
        pose.translation = translation([camera[0], camera[1], camera[2]], region, intrinsics);
        Ok(pose)
    }
}

/// Gram–Schmidt on two columns.
pub(super) fn orthonormal(a: Vec3, b: Vec3) -> Mat3 {
    let x = a.normalize_or(Vec3::X);
    let y = (b - x * x.dot(b)).normalize_or(x.any_orthonormal_vector());
    Mat3::from_cols(x, y, x.cross(y))
}

/// Weak-perspective (s, t_x, t_y) of the crop to a translation in the camera of the whole photo:
/// a body of size 1 covers s · side / 2 pixels.
fn translation([s, tx, ty]: [f32; 3], region: &Region, intrinsics: &Intrinsics) -> Vec3 {
    let z = 2.0 * intrinsics.fx / (region.side * s.max(1e-3));
    let ray = Vec2::new(
        (region.center.x - intrinsics.cx) / intrinsics.fx,
        (region.center.y - intrinsics.cy) / intrinsics.fy,
    );
    Vec3::new(tx + ray.x * z, ty + ray.y * z, z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Pack;

    #[test]
    fn weak_perspective_lands_in_the_crop() {
        let k = Intrinsics::from_fov(60.0, 1280, 720);
        let region = Region {
            center: Vec2::new(900.0, 300.0),
            side: 400.0,
            angle: 0.0,
        };
        let t = translation([0.9, 0.1, -0.2], &region, &k);
        // SPIN's crop coordinates: (X + t_x) s in −1..=1 over the crop.
        let expected = Vec2::new(900.0, 300.0) + Vec2::new(0.1, -0.2) * 0.9 * 200.0;
        assert!((k.project(t) - expected).length() < 1e-2);
    }

    #[test]
    fn six_numbers_make_a_rotation() {
        let r = orthonormal(Vec3::new(2.0, 0.1, 0.0), Vec3::new(0.3, 1.0, 0.5));
        assert!((r.determinant() - 1.0).abs() < 1e-5);
        assert!((r.x_axis.dot(r.y_axis)).abs() < 1e-6);
    }

    #[test]
    fn networks_of_the_contract_run_and_others_are_named() {
        use crate::backbone::test_onnx;
        let pack = Pack::load(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/models/person"
        )))
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("regressor.onnx");
        let outputs = [("pose", 144, 0.5), ("betas", 10, 0.1), ("camera", 3, 0.8)];
        std::fs::write(&path, test_onnx::model(SIDE, 3, &outputs)).unwrap();
        let mut regressor = Regressor::load(&path, &pack.body).unwrap();
        let image = RgbImage::from_pixel(64, 48, image::Rgb([90, 90, 90]));
        let k = Intrinsics::from_fov(55.0, 64, 48);
        let pose = regressor
            .pose(&image, &k, [20.0, 10.0, 20.0, 30.0])
            .unwrap();
        assert!(pose.is_finite() && pose.translation.z > 0.0);
        assert!(
            pose.rotations
                .iter()
                .all(|r| (r.determinant() - 1.0).abs() < 1e-4)
        );
        std::fs::write(&path, test_onnx::model(SIDE, 2, &outputs[..2])).unwrap();
        let message = Regressor::load(&path, &pack.body)
            .err()
            .unwrap()
            .to_string();
        assert!(
            message.contains("regressor.onnx") && message.contains("camera"),
            "{message}"
        );
        assert!(!message.contains('\n'));
    }
}
