// uses: layout, rotation, project, points
//
// Skin: linear blend skinning of the vertices, and their projection.
//
// In:  shapes, weights, joints, betas
// Out: points (homogeneous image points), depth window; clears what the next stages add to
// Twin: src/cpu/skin.rs, src/cpu/project.rs

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
    let sums = ACCUMULATORS * settings.vertices + MAX_JOINTS * MAX_COMPONENTS;
    for (var i = first; i < sums; i += threads) {
        accumulators[slot * sums + i] = 0;
    }
    if (local == 0u) {
        atomicStore(&near, 0xffffffffu);
        atomicStore(&far, 0u);
    }
    workgroupBarrier();
    if (first < settings.vertices) {
        let x = skinned(slot, first);
        points[slot * settings.vertices + first] = vec4<f32>(homogeneous(person_of(slot), x), 0.0);
        atomicMin(&near, ordered(x.z));
        atomicMax(&far, ordered(x.z));
    }
    workgroupBarrier();
    if (local == 0u) {
        atomicMin(&counters[slot * COUNTERS + NEAR_DEPTH], atomicLoad(&near));
        atomicMax(&counters[slot * COUNTERS + FAR_DEPTH], atomicLoad(&far));
    }
}
