// uses: layout, rotation, project, points
//
// Skin: linear blend skinning of the points, how the betas move them, and the vertices' projection.
//
// In:  shapes, weights, joints, betas
// Out: points (homogeneous image points of the vertices), depth window; motions (dx/dbetas of all
//      points in lanes 0..10 of x, y, z, the rest position in lane 11), unless only the energy is
//      wanted; clears what the next stages add to
// Twin: src/cpu/skin.rs, src/cpu/project.rs

@group(0) @binding(29) var<storage, read_write> motions: array<vec4<f32>>;
@group(0) @binding(14) var<storage, read_write> points: array<vec4<f32>>;
@group(0) @binding(15) var<storage, read_write> keys: array<u32>;
@group(0) @binding(17) var<storage, read_write> crossings: array<u32>;
@group(0) @binding(19) var<storage, read_write> accumulators: array<i32>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;

var<workgroup> near: atomic<u32>;
var<workgroup> far: atomic<u32>;

@compute @workgroup_size(64)
fn skin(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want == IDLE) {
        return;
    }
    let threads = groups.x * 64u;
    let first = group.x * 64u + local;
    let cells = settings.grid * settings.grid;
    for (var i = first; i < cells; i += threads) {
        keys[slot * cells + i] = EMPTY;
        crossings[2u * (slot * cells + i)] = 0u;
        crossings[2u * (slot * cells + i) + 1u] = 0u;
    }
    let sums = ACCUMULATORS * settings.vertices + GATE_SUMS;
    for (var i = first; i < sums; i += threads) {
        accumulators[slot * sums + i] = 0;
    }
    if (local == 0u) {
        atomicStore(&near, 0xffffffffu);
        atomicStore(&far, 0u);
    }
    workgroupBarrier();
    let count = settings.vertices + settings.keypoints;
    if (first < count) {
        let b = blended(slot, first);
        if (states[slot].want > ENERGY) {
            let at = SHAPE_ROWS * (slot * count + first);
            for (var a = 0u; a < 3u; a++) {
                for (var q = 0u; q < 3u; q++) {
                    // The columns of `offset` are the lanes of the betas.
                    let rested = b.global[0][a] * shapes[SHAPE_ROWS * first + q]
                        + b.global[1][a] * shapes[SHAPE_ROWS * first + 3u + q]
                        + b.global[2][a] * shapes[SHAPE_ROWS * first + 6u + q];
                    motions[at + 3u * a + q] = rested + b.offset[3u * a + q];
                }
                motions[at + 3u * a + 2u].w = b.rest[a];
            }
        }
        if (first < settings.vertices) {
            points[slot * settings.vertices + first] = vec4<f32>(homogeneous(person_of(slot), b.x), 0.0);
            atomicMin(&near, ordered(b.x.z));
            atomicMax(&far, ordered(b.x.z));
        }
    }
    workgroupBarrier();
    if (local == 0u) {
        atomicMin(&counters[slot * COUNTERS + NEAR_DEPTH], atomicLoad(&near));
        atomicMax(&counters[slot * COUNTERS + FAR_DEPTH], atomicLoad(&far));
    }
}
