// Priors: Gaussian pose prior, flexion limits, shape.
//
// In:  trial pose, prior
// Out: prior_system (gradient, then the packed lower triangle, of the rotations), energies
// Twin: src/cpu/priors.rs

@group(0) @binding(11) var<storage, read> prior: array<f32>;
@group(0) @binding(25) var<storage, read_write> prior_system: array<f32>;

var<workgroup> thetas: array<vec3<f32>, MAX_JOINTS>;
var<workgroup> jacobians: array<mat3x3<f32>, MAX_JOINTS>;
var<workgroup> off: array<f32, ROTATIONS>;
var<workgroup> pull: array<f32, ROTATIONS>;
var<workgroup> limit_energy: array<f32, MAX_JOINTS>;

// Signed excess of limit `l` over its range.
fn excess_of(l: u32) -> f32 {
    let at = settings.at_limits + 6u * l;
    let axis = vec3<f32>(prior[at], prior[at + 1u], prior[at + 2u]);
    let angle = dot(thetas[u32(prior[at + 5u])], axis);
    return max(angle - prior[at + 4u], 0.0) + min(angle - prior[at + 3u], 0.0);
}

// Block (i, j) of the precision matrix.
fn precision_block(i: u32, j: u32) -> mat3x3<f32> {
    let n = 3u * (settings.joints - 1u);
    var m: mat3x3<f32>;
    for (var r = 0u; r < 3u; r++) {
        let at = n + (3u * (i - 1u) + r) * n + 3u * (j - 1u);
        m[0][r] = prior[at];
        m[1][r] = prior[at + 1u];
        m[2][r] = prior[at + 2u];
    }
    return m;
}

// In four phases with a barrier between them, for a workgroup of GATHER threads: rotation vectors first.
fn priors_angles(slot: u32, thread: u32) {
    if (thread > 0u && thread < settings.joints) {
        let q = states[slot].trial[thread];
        let theta = rotation_vector(q);
        thetas[thread] = theta;
        jacobians[thread] = log_jacobian(q, theta);
        for (var a = 0u; a < 3u; a++) {
            let i = 3u * (thread - 1u) + a;
            off[i] = theta[a] - prior[i];
        }
    }
}

fn priors_pull(thread: u32) {
    let n = 3u * (settings.joints - 1u);
    for (var i = thread; i < n; i += GATHER) {
        var sum = 0.0;
        for (var j = 0u; j < n; j++) {
            sum += prior[n + i * n + j] * off[j];
        }
        pull[i] = sum;
    }
}

fn priors_gradient(slot: u32, thread: u32) {
    let base = slot * PRIOR_SYSTEM;
    if (thread < settings.joints) {
        var g = vec3<f32>(0.0);
        var energy = 0.0;
        if (thread > 0u) {
            let at = 3u * (thread - 1u);
            g = settings.w_prior * vec3<f32>(pull[at], pull[at + 1u], pull[at + 2u]);
            for (var l = 0u; l < settings.limits; l++) {
                let start = settings.at_limits + 6u * l;
                if (u32(prior[start + 5u]) == thread) {
                    let excess = excess_of(l);
                    g += settings.w_limits * excess * vec3<f32>(prior[start], prior[start + 1u], prior[start + 2u]);
                    energy += 0.5 * settings.w_limits * excess * excess;
                }
            }
            g = transpose(jacobians[thread]) * g;
        }
        prior_system[base + 3u * thread] = g.x;
        prior_system[base + 3u * thread + 1u] = g.y;
        prior_system[base + 3u * thread + 2u] = g.z;
        limit_energy[thread] = energy;
    }
}

fn priors_system(slot: u32, thread: u32) {
    let n = 3u * (settings.joints - 1u);
    let base = slot * PRIOR_SYSTEM;
    if (thread == 0u) {
        var energy = vec2<f32>(0.0);
        for (var i = 0u; i < n; i++) {
            energy.x += 0.5 * settings.w_prior * off[i] * pull[i];
        }
        for (var j = 1u; j < settings.joints; j++) {
            energy.y += limit_energy[j];
        }
        var betas = 0.0;
        for (var b = 0u; b < MAX_BETAS; b++) {
            let beta = states[slot].trial[BETAS + b / 4u][b % 4u];
            betas += 0.5 * settings.w_betas * beta * beta;
        }
        let at = (slot + 1u) * energy_count();
        energies[at - 2u] = energy;
        energies[at - 1u] = vec2<f32>(betas, 0.0);
    }
    if (states[slot].want < HESSIAN) {
        return;
    }
    let blocks = settings.joints * settings.joints;
    for (var block = thread; block < blocks; block += GATHER) {
        let i = block / settings.joints;
        let j = block % settings.joints;
        if (j > i) {
            continue;
        }
        var m = mat3x3<f32>();
        if (j > 0u) {
            m = transpose(jacobians[i]) * (precision_block(i, j) * settings.w_prior) * jacobians[j];
        }
        if (i == j) {
            for (var l = 0u; l < settings.limits; l++) {
                let start = settings.at_limits + 6u * l;
                if (u32(prior[start + 5u]) == i && excess_of(l) != 0.0) {
                    let axis = vec3<f32>(prior[start], prior[start + 1u], prior[start + 2u]);
                    let row = transpose(jacobians[i]) * axis;
                    m[0] += settings.w_limits * row.x * row;
                    m[1] += settings.w_limits * row.y * row;
                    m[2] += settings.w_limits * row.z * row;
                }
            }
        }
        for (var r = 0u; r < 3u; r++) {
            for (var c = 0u; c < 3u; c++) {
                if (i != j || c <= r) {
                    prior_system[base + ROTATIONS + packed(3u * i + r, 3u * j + c)] = m[c][r];
                }
            }
        }
    }
}
