//! Several meshes in one depth buffer, by the raster stage of the fit.

use glam::Vec3;

use crate::cpu::project::DepthWindow;
use crate::cpu::raster;
use crate::limits::NEAR_M;

/// A mesh in homogeneous image points (u z, v z, z); a point with z = 0 is outside the camera's reach.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    /// Homogeneous image points.
    pub points: &'a [Vec3],
    /// Triangles.
    pub faces: &'a [[u32; 3]],
}

/// What a grid cell sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Index of the mesh.
    pub layer: u8,
    /// Its triangle.
    pub triangle: u16,
    /// Depth, metres.
    pub depth: f32,
}

/// Buffers for rastering, reused from picture to picture.
#[derive(Default)]
pub struct Layers {
    keys: Vec<u32>,
    front: Vec<bool>,
    /// What each cell sees, row by row.
    pub samples: Vec<Option<Sample>>,
}

impl Layers {
    /// Rasters `layers` on a grid of `width` × `height` cells.
    pub fn raster(&mut self, layers: &[Layer<'_>], width: usize, height: usize) {
        let cells = width * height;
        self.samples.clear();
        self.samples.resize(cells, None);
        self.keys.resize(cells, raster::EMPTY);
        for (index, layer) in layers.iter().enumerate() {
            let window = window(layer.points);
            self.front
                .resize(self.front.len().max(layer.faces.len()), false);
            raster::raster(
                layer.points,
                layer.faces,
                window,
                width,
                height,
                &mut self.keys,
                &mut self.front,
            );
            for (sample, &key) in self.samples.iter_mut().zip(&self.keys) {
                let Some(triangle) = raster::triangle(key) else {
                    continue;
                };
                let depth = raster::depth(key, window);
                if sample.is_none_or(|s| depth < s.depth) {
                    *sample = Some(Sample {
                        layer: index as u8,
                        triangle: triangle as u16,
                        depth,
                    });
                }
            }
        }
    }
}

fn window(points: &[Vec3]) -> DepthWindow {
    let valid = points.iter().map(|p| p.z).filter(|&z| z > NEAR_M);
    let (near, far) = valid.fold((f32::INFINITY, f32::NEG_INFINITY), |(n, f), z| {
        (n.min(z), f.max(z))
    });
    if near <= far {
        DepthWindow { near, far }
    } else {
        DepthWindow {
            near: NEAR_M,
            far: 1.0,
        }
    }
}
