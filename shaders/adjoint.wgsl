// Adjoint: sums of the bones carried up the tree, and from there the gradient and the system.
//
// In:  partials, prior_system, gates, joints
// Out: bones (sums of everything below a joint), system (packed lower triangle and gradient)
// Twin: src/cpu/adjoint.rs and src/cpu/normal.rs (finish)

@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(13) var<storage, read> joints: array<Joint>;
@group(0) @binding(19) var<storage, read> accumulators: array<i32>;
@group(0) @binding(20) var<storage, read> gates: array<Gate>;
@group(0) @binding(24) var<storage, read> partials: array<f32>;
@group(0) @binding(25) var<storage, read> prior_system: array<f32>;
@group(0) @binding(26) var<storage, read_write> bones: array<f32>;
@group(0) @binding(27) var<storage, read_write> system: array<f32>;
@group(0) @binding(28) var<storage, read> feature_partials: array<f32>;

// Where the gradient lies in `system`.
fn gradient_at(slot: u32) -> u32 {
    return slot * SYSTEM + TRIANGLE;
}

fn global_of(slot: u32, joint: u32) -> mat3x3<f32> {
    let at = slot * MAX_JOINTS + joint;
    return mat3x3<f32>(joints[at].global[0].xyz, joints[at].global[1].xyz, joints[at].global[2].xyz);
}

fn position_of(slot: u32, joint: u32) -> vec3<f32> {
    return joints[slot * MAX_JOINTS + joint].position.xyz;
}

// Gradient on the gate of limb `j`, at its end; the start has the opposite.
fn limb_gradient(slot: u32, j: u32) -> vec3<f32> {
    let first = slot * (ACCUMULATORS * settings.vertices + MAX_JOINTS * MAX_COMPONENTS)
        + ACCUMULATORS * settings.vertices + j * MAX_COMPONENTS;
    var by_c = 0.0;
    for (var k = 0u; k < MAX_COMPONENTS; k++) {
        by_c += f32(accumulators[first + k]) / states[slot].gate_scale * gates[slot * MAX_JOINTS + j].slope[k];
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

// Sum `o` of all bones, each with everything below it; `scratch` holds the limbs' gradients.
fn carry(slot: u32, o: u32) {
    let base = slot * MAX_JOINTS * BONE_SUMS + o;
    for (var j = 0u; j < settings.joints; j++) {
        bones[base + j * BONE_SUMS] = 0.0;
    }
    for (var back = 0u; back < settings.joints; back++) {
        let j = settings.joints - 1u - back;
        let at = settings.at_joints + 6u * j;
        var sum = bones[base + j * BONE_SUMS];
        for (var chunk = topology[at + 4u]; chunk < topology[at + 5u]; chunk++) {
            sum += partials[(slot * settings.chunks + chunk) * BONE_SUMS + o];
        }
        if (o >= BONE_HESSIAN) {
            var g = vec3<f32>(0.0);
            for (var l = 0u; l < settings.joints; l++) {
                let limb = settings.at_joints + 6u * l;
                let pull = vec3<f32>(scratch[3u * l], scratch[3u * l + 1u], scratch[3u * l + 2u]);
                g += select(vec3<f32>(0.0), pull, topology[limb + 3u] == j);
                g -= select(vec3<f32>(0.0), pull, topology[limb + 2u] == j);
            }
            let i = o - BONE_HESSIAN;
            if (i < 3u) {
                sum += cross(position_of(slot, j), g)[i];
            } else if (i < 6u) {
                sum += g[i - 3u];
            } else {
                sum += dot(joints[slot * MAX_JOINTS + j].moved[i - 6u].xyz, g);
            }
        }
        bones[base + j * BONE_SUMS] = sum;
        if (j > 0u) {
            bones[base + topology[at] * BONE_SUMS] += sum;
        }
    }
}

// Entry (r, c), r <= c, of J^T W J below joint j.
fn below(slot: u32, j: u32, r: u32, c: u32) -> f32 {
    // Rows before r hold 16, 15, ... entries.
    let first = r * COLUMNS - r * (r + 1u) / 2u;
    return bones[(slot * MAX_JOINTS + j) * BONE_SUMS + first + c];
}

fn pulled(slot: u32, j: u32, i: u32) -> f32 {
    return bones[(slot * MAX_JOINTS + j) * BONE_SUMS + BONE_HESSIAN + i];
}

// Columns of the 3 x 3 block of rows `r` and columns `c`, r + 2 <= c or r == c.
fn block_of(slot: u32, j: u32, r: u32, c: u32) -> mat3x3<f32> {
    var m: mat3x3<f32>;
    for (var x = 0u; x < 3u; x++) {
        for (var y = 0u; y < 3u; y++) {
            let low = min(r + y, c + x);
            let high = max(r + y, c + x);
            m[x][y] = below(slot, j, low, high);
        }
    }
    return m;
}

fn is_active(slot: u32, i: u32) -> bool {
    let all = states[slot].legs[states[slot].leg].all != 0u;
    let translation = 3u * settings.joints;
    if (i >= translation + 3u) {
        return all && settings.shape != 0u;
    }
    return all || i < 3u || i >= translation;
}

// Gradient of the slot; for THREADS threads. `bones` must be complete.
fn finish_gradient(slot: u32, thread: u32) {
    let to = gradient_at(slot);
    let betas = 3u * settings.joints + 3u;
    for (var task = thread; task < settings.joints + 1u + MAX_BETAS; task += THREADS) {
        if (task < settings.joints) {
            let j = task;
            let moment = vec3<f32>(pulled(slot, j, 0u), pulled(slot, j, 1u), pulled(slot, j, 2u));
            let force = vec3<f32>(pulled(slot, j, 3u), pulled(slot, j, 4u), pulled(slot, j, 5u));
            var g = transpose(global_of(slot, j)) * (moment - cross(position_of(slot, j), force));
            if (settings.posedirs > 0u && j > 0u) {
                g += feature_gradient(slot, j);
            }
            for (var a = 0u; a < 3u; a++) {
                let i = 3u * j + a;
                let whole = g[a] + prior_system[slot * PRIOR_SYSTEM + i];
                system[to + i] = select(0.0, whole, is_active(slot, i));
            }
        } else if (task == settings.joints) {
            for (var a = 0u; a < 3u; a++) {
                system[to + 3u * settings.joints + a] = pulled(slot, 0u, 3u + a);
            }
        } else {
            let b = task - settings.joints - 1u;
            let whole = pulled(slot, 0u, 6u + b)
                + settings.w_betas * states[slot].trial.betas[b / 4u][b % 4u];
            system[to + betas + b] = select(0.0, whole, is_active(slot, betas + b));
        }
    }
}

// What turning joint j does through the pose blend shapes.
fn feature_gradient(slot: u32, j: u32) -> vec3<f32> {
    let runs = (settings.vertices + CHUNK - 1u) / CHUNK;
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
    let a = transpose(matrix_of(states[slot].trial.rotations[j])) * by_r;
    return vec3<f32>(a[1].z - a[2].y, a[2].x - a[0].z, a[0].y - a[1].x);
}

fn put(slot: u32, r: u32, c: u32, x: f32) {
    let moves = is_active(slot, r) && is_active(slot, c);
    system[slot * SYSTEM + packed(r, c)] = select(0.0, x, moves);
}

// S_j^T I of joint j against turns and shifts.
fn against_turn(slot: u32, j: u32) -> mat3x3<f32> {
    let arm = cross_matrix(position_of(slot, j));
    return transpose(global_of(slot, j))
        * (block_of(slot, j, 0u, 0u) - arm * transpose(block_of(slot, j, 0u, 3u)));
}

fn against_shift(slot: u32, j: u32) -> mat3x3<f32> {
    let arm = cross_matrix(position_of(slot, j));
    return transpose(global_of(slot, j))
        * (block_of(slot, j, 0u, 3u) - arm * block_of(slot, j, 3u, 3u));
}

// Packed lower triangle of the slot; for THREADS threads. `bones` must be complete.
fn finish_system(slot: u32, thread: u32) {
    let n = settings.params;
    let translation = 3u * settings.joints;
    let betas = translation + 3u;
    let size = packed(n, 0u);
    let prior = slot * PRIOR_SYSTEM + ROTATIONS;
    // Pairs that are not above one another meet in the prior alone.
    for (var i = thread; i < packed(translation, 0u); i += THREADS) {
        system[slot * SYSTEM + i] = 0.0;
    }
    storageBarrier();
    workgroupBarrier();
    for (var i = thread; i < settings.joints * settings.joints; i += THREADS) {
        let j = i / settings.joints;
        let l = i % settings.joints;
        if (l > j) {
            continue;
        }
        for (var r = 0u; r < 3u; r++) {
            for (var c = 0u; c < 3u; c++) {
                let row = 3u * j + r;
                let column = 3u * l + c;
                if (column <= row) {
                    put(slot, row, column, prior_system[prior + packed(row, column)]);
                }
            }
        }
    }
    storageBarrier();
    workgroupBarrier();
    for (var i = thread; i < settings.pairs; i += THREADS) {
        let j = topology[settings.at_pairs + 2u * i];
        let l = topology[settings.at_pairs + 2u * i + 1u];
        let block = (against_turn(slot, j) + against_shift(slot, j) * cross_matrix(position_of(slot, l)))
            * global_of(slot, l);
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
        let turn = vec3<f32>(below(slot, j, 0u, 6u + b), below(slot, j, 1u, 6u + b), below(slot, j, 2u, 6u + b));
        let shift = vec3<f32>(below(slot, j, 3u, 6u + b), below(slot, j, 4u, 6u + b), below(slot, j, 5u, 6u + b));
        let row = transpose(global_of(slot, j)) * (turn - cross(position_of(slot, j), shift));
        for (var a = 0u; a < 3u; a++) {
            put(slot, betas + b, 3u * j + a, row[a]);
        }
    }
    for (var r = thread; r < 3u + MAX_BETAS; r += THREADS) {
        for (var c = 0u; c <= r; c++) {
            let weight = select(0.0, settings.w_betas, r == c && r >= 3u);
            put(slot, translation + r, translation + c, below(slot, 0u, 3u + c, 3u + r) + weight);
        }
    }
}
