// Solve: the damped normal equations, and the move along their solution or along Adam's.
//
// In:  system of the slot
// Out: trial pose
// Twin: src/fit/gauss_newton.rs (System), src/fit/adam.rs, src/body/pose.rs (retract)

@group(0) @binding(12) var<storage, read_write> states: array<State>;
@group(0) @binding(27) var<storage, read_write> system: array<f32>;

// At least one thread for every row of the system, the right-hand side included.
const THREADS: u32 = 96u;

const FACTOR: u32 = (MAX_PARAMS + 1u) * (MAX_PARAMS + 2u) / 2u;

var<workgroup> scratch: array<f32, FACTOR>;
var<workgroup> inverse: array<f32, MAX_PARAMS>;
var<workgroup> x: array<f32, MAX_PARAMS>;
var<workgroup> solved: u32;

// Cholesky factor of H + lambda D + epsilon, packed in `scratch` with -g as a last row, which becomes
// L^-1 (-g). D is the diagonal of H, with the largest of each joint's three entries for all three.
fn factor(slot: u32, thread: u32) {
    let n = settings.params;
    let base = slot * SYSTEM;
    for (var i = thread; i < packed(n, 0u); i += THREADS) {
        scratch[i] = system[base + i];
    }
    for (var i = thread; i < n; i += THREADS) {
        scratch[packed(n, i)] = -system[base + TRIANGLE + i];
        inverse[i] = system[base + packed(i, i)];
    }
    if (thread == 0u) {
        solved = 1u;
    }
    workgroupBarrier();
    var trace = 0.0;
    for (var i = 0u; i < n; i++) {
        trace += inverse[i];
    }
    if (thread < n) {
        var scale = inverse[thread];
        if (thread < 3u * settings.joints + 3u) {
            let first = thread - thread % 3u;
            scale = max(inverse[first], max(inverse[first + 1u], inverse[first + 2u]));
        }
        scratch[packed(thread, thread)] += states[slot].damping * scale + 1e-6 * trace / f32(n) + 1e-9;
    }
    workgroupBarrier();
    for (var k = 0u; k < n; k++) {
        // Every thread computes the pivot itself, so that a column needs one barrier.
        let row_k = packed(k, 0u);
        let row_i = packed(thread, 0u);
        if (thread >= k && thread <= n) {
            var pivot = scratch[row_k + k];
            var sum = scratch[row_i + k];
            for (var j = 0u; j < k; j++) {
                let l = scratch[row_k + j];
                pivot -= l * l;
                sum -= l * scratch[row_i + j];
            }
            let inv = 1.0 / sqrt(pivot);
            if (thread == k) {
                if (!(pivot > 0.0) || !is_finite(inv)) {
                    solved = 0u;
                }
                inverse[k] = inv;
            } else {
                scratch[row_i + k] = sum * inv;
            }
        }
        workgroupBarrier();
    }
}

// Back substitution: x = L^-T y.
fn substitute(thread: u32) {
    let n = settings.params;
    if (thread < n) {
        x[thread] = scratch[packed(n, thread)];
    }
    workgroupBarrier();
    for (var back = 0u; back < n; back++) {
        let k = n - 1u - back;
        let xk = x[k] * inverse[k];
        if (thread < k) {
            x[thread] -= scratch[packed(k, thread)] * xk;
        }
        workgroupBarrier();
    }
    if (thread < n) {
        x[thread] *= inverse[thread];
        if (!is_finite(x[thread])) {
            solved = 0u;
        }
    }
    workgroupBarrier();
}

// Carries a part of the last step on, and shortens the whole.
fn limit_step(slot: u32, thread: u32) {
    let n = settings.params;
    let velocity = slot * SYSTEM + VELOCITY;
    if (thread < n) {
        x[thread] += settings.momentum * system[velocity + thread];
    }
    workgroupBarrier();
    var scale = 1.0;
    for (var j = 0u; j <= settings.joints; j++) {
        let v = vec3<f32>(x[3u * j], x[3u * j + 1u], x[3u * j + 2u]);
        let most = select(MAX_TURN, MAX_SHIFT, j == settings.joints);
        scale = min(scale, most / max(length(v), 1e-12));
    }
    workgroupBarrier();
    if (thread < n) {
        x[thread] *= scale;
        system[velocity + thread] = x[thread];
    }
    workgroupBarrier();
}

fn adam(slot: u32, thread: u32) {
    if (thread < settings.params) {
        let base = slot * SYSTEM;
        let g = system[base + TRIAL_GRADIENT + thread];
        let m = system[base + FIRST + thread];
        let v = system[base + SECOND + thread];
        let first = m + (1.0 - settings.beta1) * (g - m);
        let second = v + (1.0 - settings.beta2) * (g * g - v);
        system[base + FIRST + thread] = first;
        system[base + SECOND + thread] = second;
        let m_hat = first / (1.0 - states[slot].power1);
        let v_hat = second / (1.0 - states[slot].power2);
        x[thread] = -settings.lr * m_hat / (sqrt(v_hat) + 1e-8);
    }
    workgroupBarrier();
}

// Moves along the tangent: R <- R exp(x).
fn retract(slot: u32, thread: u32) {
    let accepted = settings.solver == GAUSS_NEWTON;
    if (thread < settings.joints) {
        let start = select(states[slot].trial[thread], states[slot].current[thread], accepted);
        let turn = vec3<f32>(x[3u * thread], x[3u * thread + 1u], x[3u * thread + 2u]);
        let q = product(start, quaternion_of(turn));
        states[slot].trial[thread] = q / length(q);
    }
    let translation = 3u * settings.joints;
    if (thread == settings.joints) {
        let start = select(states[slot].trial[TRANSLATION], states[slot].current[TRANSLATION], accepted);
        let shift = vec4<f32>(x[translation], x[translation + 1u], x[translation + 2u], 0.0);
        states[slot].trial[TRANSLATION] = start + shift;
    }
    if (thread > settings.joints && thread <= settings.joints + MAX_BETAS) {
        let b = thread - settings.joints - 1u;
        let start = select(states[slot].trial[BETAS + b / 4u][b % 4u], states[slot].current[BETAS + b / 4u][b % 4u], accepted);
        states[slot].trial[BETAS + b / 4u][b % 4u] = start + x[translation + 3u + b];
    }
}
