// uses: layout
//
// Raster: which triangle each cell's centre sees.
//
// In:  points, faces, depth window
// Out: keys (18-bit depth, 14-bit triangle), front
// Twin: src/cpu/raster.rs

@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(14) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(15) var<storage, read_write> keys: array<atomic<u32>>;
@group(0) @binding(16) var<storage, read_write> front: array<u32>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;

@compute @workgroup_size(64)
fn raster(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = slot_of(group.y);
    let t = group.x * 64u + local;
    if (states[slot].want == IDLE || t >= settings.faces) {
        return;
    }
    let at = settings.at_faces + 3u * t;
    let base = slot * settings.vertices;
    let p0 = points[base + topology[at]].xyz;
    let p1 = points[base + topology[at + 1u]].xyz;
    let p2 = points[base + topology[at + 2u]].xyz;
    front[slot * settings.faces + t] = 0u;
    if (min(p0.z, min(p1.z, p2.z)) <= NEAR_M) {
        atomicAdd(&counters[slot * COUNTERS + NEAR_SKIPPED], 1u);
        return;
    }
    let q0 = p0.xy / p0.z;
    let q1 = p1.xy / p1.z;
    let q2 = p2.xy / p2.z;
    if (cross2(q1 - q0, q2 - q0) >= 0.0) {
        return;
    }
    front[slot * settings.faces + t] = 1u;
    let near = unordered(atomicLoad(&counters[slot * COUNTERS + NEAR_DEPTH]));
    let far = unordered(atomicLoad(&counters[slot * COUNTERS + FAR_DEPTH]));
    let scale = DEPTH_STEPS / max(far - near, 1e-6);
    let last = vec2<f32>(f32(settings.grid) - 1.0);
    let low = max(ceil(min(min(q0, q1), q2) - 0.5), vec2<f32>(0.0));
    let high = min(floor(max(max(q0, q1), q2) - 0.5), last);
    let row = slot * settings.grid * settings.grid;
    for (var y = low.y; y <= high.y; y += 1.0) {
        for (var x = low.x; x <= high.x; x += 1.0) {
            let c = vec2<f32>(x + 0.5, y + 0.5);
            let u0 = p0.xy - p0.z * c;
            let u1 = p1.xy - p1.z * c;
            let u2 = p2.xy - p2.z * c;
            let e0 = cross2(u2, u1);
            let e1 = cross2(u0, u2);
            let e2 = cross2(u1, u0);
            if (e0 >= 0.0 && e1 >= 0.0 && e2 >= 0.0) {
                let z = (e0 * p0.z + e1 * p1.z + e2 * p2.z) / (e0 + e1 + e2);
                let step = u32(clamp((z - near) * scale, 0.0, DEPTH_STEPS));
                atomicMin(&keys[row + u32(y) * settings.grid + u32(x)], (step << ID_BITS) | t);
            }
        }
    }
}
