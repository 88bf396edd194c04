// Edges between a front and a back face, and where they pass between cell centres; the inner
// functions of crossings and silhouette.
// Twin: src/cpu/silhouette.rs

@group(0) @binding(14) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(15) var<storage, read> keys: array<u32>;
@group(0) @binding(16) var<storage, read> front: array<u32>;

struct Side {
    outline: bool,       // whether the edge is one at all
    triangle: u32,       // the front triangle
    ends: vec2<u32>,     // in its winding order
    p0: vec3<f32>,
    p1: vec3<f32>,
    q0: vec2<f32>,
    q1: vec2<f32>,
}

fn faces_camera(slot: u32, t: u32) -> bool {
    return t != NO_TRIANGLE && front[slot * settings.faces + min(t, settings.faces - 1u)] != 0u;
}

fn side_of(slot: u32, edge: u32) -> Side {
    let at = settings.at_edges + 4u * edge;
    let t0 = topology[at + 2u];
    let t1 = topology[at + 3u];
    let first = faces_camera(slot, t0);
    let second = faces_camera(slot, t1);
    var side: Side;
    side.outline = first != second;
    if (!side.outline) {
        return side;
    }
    let v = vec2<u32>(topology[at], topology[at + 1u]);
    side.ends = select(v.yx, v, first);
    side.triangle = select(t1, t0, first);
    let base = slot * settings.vertices;
    side.p0 = points[base + side.ends.x].xyz;
    side.p1 = points[base + side.ends.y].xyz;
    side.outline = min(side.p0.z, side.p1.z) > NEAR_M;
    side.q0 = side.p0.xy / side.p0.z;
    side.q1 = side.p1.xy / side.p1.z;
    return side;
}

// Sign of the outward direction along an axis.
fn outward(side: Side, axis: u32) -> f32 {
    let d = side.q1 - side.q0;
    // As Rust's signum: zero keeps its sign.
    let x = select(d.x, -d.y, axis == 0u);
    return select(1.0, -1.0, (bitcast<u32>(x) & 0x80000000u) != 0u);
}

// Depth at a point of the edge.
fn edge_depth(side: Side, s: f32) -> f32 {
    return 1.0 / ((1.0 - s) / side.p0.z + s / side.p1.z);
}

// Depth of what a cell shows, or a negative number.
fn cell_depth(slot: u32, cell: u32, near: f32, far: f32) -> f32 {
    let key = keys[slot * settings.grid * settings.grid + cell];
    if (key == EMPTY) {
        return -1.0;
    }
    return near + f32(key >> ID_BITS) / DEPTH_STEPS * (far - near);
}
