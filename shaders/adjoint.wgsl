// uses: layout, rotation
//
// Adjoint: sums of the bones carried up the tree, and from there the gradient and the system.
//
// In:  bones, beta_partials, prior_system, gates and their gradient, joints
// Out: system (packed lower triangle and gradient of the trial pose); bones become sums of everything
//      below a joint
// Twin: src/cpu/adjoint.rs and src/cpu/normal.rs (finish)

@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(13) var<storage, read> joints: array<Joint>;
@group(0) @binding(19) var<storage, read> accumulators: array<i32>;
@group(0) @binding(20) var<storage, read> gates: array<Gate>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;
@group(0) @binding(24) var<storage, read> beta_partials: array<f32>;
@group(0) @binding(25) var<storage, read> prior_system: array<f32>;
@group(0) @binding(26) var<storage, read_write> bones: array<f32>;
@group(0) @binding(27) var<storage, read_write> system: array<f32>;
@group(0) @binding(28) var<storage, read> feature_partials: array<f32>;

// At least one thread for every sum of a bone.
const THREADS: u32 = 96u;

var<workgroup> limb_pull: array<vec3<f32>, MAX_JOINTS>;

fn global_of(slot: u32, joint: u32) -> mat3x3<f32> {
    let at = slot * MAX_JOINTS + joint;
    return mat3x3<f32>(joints[at].global[0].xyz, joints[at].global[1].xyz, joints[at].global[2].xyz);
}

fn position_of(slot: u32, joint: u32) -> vec3<f32> {
    return joints[slot * MAX_JOINTS + joint].position.xyz;
}

// Gradient on the gate of limb `j`, at its end; the start has the opposite.
fn limb_gradient(slot: u32, j: u32) -> vec3<f32> {
    let first = gate_sums_of(slot) + j * MAX_COMPONENTS;
    var by_c = 0.0;
    var largest = 0u;
    for (var k = 0u; k < MAX_COMPONENTS; k++) {
        var sum = 0.0;
        for (var r = 0u; r < REPLICAS; r++) {
            let x = accumulators[first + r * (MAX_JOINTS * MAX_COMPONENTS) + k];
            sum += f32(x);
            largest = max(largest, u32(abs(x)));
        }
        by_c += sum / states[slot].gate_scale * gates[slot * MAX_JOINTS + j].slope[k];
    }
    if (largest > 0u) {
        atomicMax(&counters[slot * COUNTERS + LARGEST_GATE], largest);
    }
    let at = settings.at_joints + 6u * j;
    let arm = position_of(slot, topology[at + 3u]) - position_of(slot, topology[at + 2u]);
    let l = length(arm);
    if (l == 0.0) {
        return vec3<f32>(0.0);
    }
    let axis = arm / l;
    return (vec3<f32>(0.0, 0.0, 1.0) - axis * axis.z) * (by_c / l);
}

// Sum `o` of all bones, each with everything below it; `limb_pull` holds the limbs' gradients.
fn carry(slot: u32, o: u32) {
    let base = slot * MAX_JOINTS * BONE_SUMS + o;
    for (var back = 0u; back < settings.joints; back++) {
        let j = settings.joints - 1u - back;
        let at = settings.at_joints + 6u * j;
        var sum = bones[base + j * BONE_SUMS];
        if (o >= MOMENT) {
            let g = joint_pull(slot, j);
            if (o < FORCE) {
                sum += cross(position_of(slot, j), g)[o - MOMENT];
            } else {
                sum += g[o - FORCE];
            }
            bones[base + j * BONE_SUMS] = sum;
        }
        if (j > 0u) {
            bones[base + topology[at] * BONE_SUMS] += sum;
        }
    }
}

// Gradient on the position of joint j, from the gates of the limbs that begin or end there.
fn joint_pull(slot: u32, j: u32) -> vec3<f32> {
    var g = vec3<f32>(0.0);
    for (var l = 0u; l < settings.joints; l++) {
        let limb = settings.at_joints + 6u * l;
        g += select(vec3<f32>(0.0), limb_pull[l], topology[limb + 3u] == j);
        g -= select(vec3<f32>(0.0), limb_pull[l], topology[limb + 2u] == j);
    }
    return g;
}

fn below(slot: u32, j: u32, o: u32) -> f32 {
    return bones[(slot * MAX_JOINTS + j) * BONE_SUMS + o];
}

fn vector_below(slot: u32, j: u32, o: u32) -> vec3<f32> {
    return vec3<f32>(below(slot, j, o), below(slot, j, o + 1u), below(slot, j, o + 2u));
}

fn block_below(slot: u32, j: u32, o: u32) -> mat3x3<f32> {
    return mat3x3<f32>(vector_below(slot, j, o), vector_below(slot, j, o + 3u), vector_below(slot, j, o + 6u));
}

// Sum `o` over all points of what the betas move.
fn beta_sum(slot: u32, o: u32) -> f32 {
    var sum = 0.0;
    for (var run = 0u; run < settings.beta_runs; run++) {
        sum += beta_partials[(slot * settings.beta_runs + run) * BETA_SUMS + o];
    }
    return sum;
}

fn is_active(slot: u32, i: u32) -> bool {
    let all = states[slot].legs[states[slot].leg].all != 0u;
    let translation = 3u * settings.joints;
    if (i >= translation + 3u) {
        return all && settings.shape != 0u;
    }
    return all || i < 3u || i >= translation;
}

// Gradient of the slot. `bones` must be complete.
fn finish_gradient(slot: u32, thread: u32) {
    let to = slot * SYSTEM + TRIAL_GRADIENT;
    let translation = 3u * settings.joints;
    if (thread < settings.joints) {
        let j = thread;
        let moment = vector_below(slot, j, MOMENT);
        let force = vector_below(slot, j, FORCE);
        var g = transpose(global_of(slot, j)) * (moment - cross(position_of(slot, j), force));
        if (settings.posedirs > 0u && j > 0u) {
            g += feature_gradient(slot, j);
        }
        for (var a = 0u; a < 3u; a++) {
            let i = 3u * j + a;
            let whole = g[a] + prior_system[slot * PRIOR_SYSTEM + i];
            system[to + i] = select(0.0, whole, is_active(slot, i));
        }
    } else if (thread == settings.joints) {
        let force = vector_below(slot, 0u, FORCE);
        for (var a = 0u; a < 3u; a++) {
            system[to + translation + a] = force[a];
        }
    } else if (thread <= settings.joints + MAX_BETAS) {
        let b = thread - settings.joints - 1u;
        let i = translation + 3u + b;
        var whole = beta_sum(slot, BETA_HESSIAN + b)
            + settings.w_betas * states[slot].trial[BETAS + b / 4u][b % 4u];
        for (var l = 0u; l < settings.joints; l++) {
            let limb = settings.at_joints + 6u * l;
            let start = slot * MAX_JOINTS + topology[limb + 2u];
            let end = slot * MAX_JOINTS + topology[limb + 3u];
            whole += dot(limb_pull[l], joints[end].moved[b].xyz - joints[start].moved[b].xyz);
        }
        system[to + i] = select(0.0, whole, is_active(slot, i));
    }
}

// What turning joint j does through the pose blend shapes.
fn feature_gradient(slot: u32, j: u32) -> vec3<f32> {
    let runs = (settings.vertices + GATHER - 1u) / GATHER;
    var by_r: mat3x3<f32>;
    for (var r = 0u; r < 3u; r++) {
        for (var c = 0u; c < 3u; c++) {
            var sum = 0.0;
            for (var run = 0u; run < runs; run++) {
                sum += feature_partials[(slot * runs + run) * settings.posedirs + 9u * (j - 1u) + 3u * r + c];
            }
            by_r[c][r] = sum;
        }
    }
    let a = transpose(matrix_of(states[slot].trial[j])) * by_r;
    return vec3<f32>(a[1].z - a[2].y, a[2].x - a[0].z, a[0].y - a[1].x);
}

fn put(slot: u32, r: u32, c: u32, x: f32) {
    let moves = is_active(slot, r) && is_active(slot, c);
    system[slot * SYSTEM + TRIAL + packed(r, c)] = select(0.0, x, moves);
}

// S_j^T I of joint j against turns and shifts.
fn against_turn(slot: u32, j: u32) -> mat3x3<f32> {
    let arm = cross_matrix(position_of(slot, j));
    return transpose(global_of(slot, j))
        * (block_below(slot, j, 0u) - arm * transpose(block_below(slot, j, MIXED)));
}

fn against_shift(slot: u32, j: u32) -> mat3x3<f32> {
    let arm = cross_matrix(position_of(slot, j));
    return transpose(global_of(slot, j))
        * (block_below(slot, j, MIXED) - arm * block_below(slot, j, SHIFT));
}

// Packed lower triangle of the slot. `bones` must be complete.
fn finish_system(slot: u32, thread: u32) {
    let translation = 3u * settings.joints;
    let betas = translation + 3u;
    let prior = slot * PRIOR_SYSTEM + ROTATIONS;
    for (var i = thread; i < settings.joints * settings.joints; i += THREADS) {
        let j = i / settings.joints;
        let l = i % settings.joints;
        if (l > j) {
            continue;
        }
        var block = mat3x3<f32>();
        // Joints that are not above one another meet in the prior alone.
        if (topology[settings.at_above + i] != 0u) {
            block = (against_turn(slot, j) + against_shift(slot, j) * cross_matrix(position_of(slot, l)))
                * global_of(slot, l);
        }
        for (var r = 0u; r < 3u; r++) {
            for (var c = 0u; c < 3u; c++) {
                let row = 3u * j + r;
                let column = 3u * l + c;
                if (column <= row) {
                    put(slot, row, column, block[c][r] + prior_system[prior + packed(row, column)]);
                }
            }
        }
    }
    for (var j = thread; j < settings.joints; j += THREADS) {
        let shift = against_shift(slot, j);
        for (var r = 0u; r < 3u; r++) {
            for (var c = 0u; c < 3u; c++) {
                put(slot, translation + r, 3u * j + c, shift[r][c]);
            }
        }
    }
    for (var i = thread; i < settings.joints * MAX_BETAS; i += THREADS) {
        let j = i / MAX_BETAS;
        let b = i % MAX_BETAS;
        let turn = vector_below(slot, j, TURN_BETAS + 3u * b);
        let shift = vector_below(slot, j, SHIFT_BETAS + 3u * b);
        let row = transpose(global_of(slot, j)) * (turn - cross(position_of(slot, j), shift));
        for (var a = 0u; a < 3u; a++) {
            put(slot, betas + b, 3u * j + a, row[a]);
        }
    }
    for (var i = thread; i < BETA_HESSIAN; i += THREADS) {
        var r = 0u;
        while (packed(r + 1u, 0u) <= i) {
            r++;
        }
        let c = i - packed(r, 0u);
        put(slot, betas + r, betas + c, beta_sum(slot, i) + select(0.0, settings.w_betas, r == c));
    }
    for (var i = thread; i < 3u * (3u + MAX_BETAS); i += THREADS) {
        let r = i / 3u;
        let c = i % 3u;
        if (r >= 3u) {
            put(slot, translation + r, translation + c, below(slot, 0u, SHIFT_BETAS + 3u * (r - 3u) + c));
        } else if (c <= r) {
            put(slot, translation + r, translation + c, below(slot, 0u, SHIFT + 3u * c + r));
        }
    }
}

@compute @workgroup_size(96)
fn adjoint(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want < GRADIENT) {
        return;
    }
    if (thread < settings.joints) {
        limb_pull[thread] = limb_gradient(slot, thread);
    }
    workgroupBarrier();
    if (thread < BONE_SUMS && (states[slot].want == HESSIAN || thread >= MOMENT)) {
        carry(slot, thread);
    }
    storageBarrier();
    workgroupBarrier();
    finish_gradient(slot, thread);
    if (states[slot].want == HESSIAN) {
        finish_system(slot, thread);
    }
}
