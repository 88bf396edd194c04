// Project: camera-frame points to homogeneous image points of the grid, and gradients back.
// Twin: src/cpu/project.rs

@group(0) @binding(1) var<storage, read> frames: array<Frame>;

fn homogeneous(person: u32, x: vec3<f32>) -> vec3<f32> {
    return vec3<f32>(
        dot(frames[person].row0.xyz, x),
        dot(frames[person].row1.xyz, x),
        x.z,
    );
}

// Rows of d(u, v)/dX at a camera-frame point with homogeneous image p.
fn pixel_row(row: vec3<f32>, along: f32, z: f32) -> vec3<f32> {
    return (row - vec3<f32>(0.0, 0.0, along)) / z;
}
