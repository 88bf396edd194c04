// uses: layout
//
// VAE system: adds J^T J of the pose VAE to the Hessian of the rotations, three rows a workgroup.
//
// In:  vae_columns
// Out: adds to the packed triangle in prior_system
// Twin: src/cpu/pose_vae.rs (add_squares)

@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(25) var<storage, read_write> prior_system: array<f32>;
@group(0) @binding(31) var<storage, read> vae_columns: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(64)
fn vae_system(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want < HESSIAN || settings.w_vae == 0.0) {
        return;
    }
    // Turns are parameters from the root's three on.
    let n = vae_turns();
    let first = 3u * group.x;
    let rows = settings.vae_latent + vae_width();
    let base = vae_columns_of(slot);
    for (var entry = thread; entry < 3u * (first + 3u); entry += THREADS) {
        let r = first + entry % 3u;
        let c = entry / 3u;
        if (c > r) {
            continue;
        }
        var sum = 0.0;
        for (var k = 0u; k < rows; k++) {
            sum += vae_columns[base + k * n + r] * vae_columns[base + k * n + c];
        }
        prior_system[slot * PRIOR_SYSTEM + ROTATIONS + packed(r + 3u, c + 3u)] += settings.w_vae * sum;
    }
}
