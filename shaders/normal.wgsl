// uses: layout, rotation, project, points, fixed, priors
//
// Normal: each bone gathers J^T W J and J^T g of its points, J = [-[p]x  I  dx/dbetas].
//
// In:  accumulators, landmarks, points, motions, joints
// Out: bones (sums of each bone), beta_partials (sums of one run of points over the betas), prior_system;
//      with pose blend shapes also the gradient on their coefficients
// Twin: src/cpu/normal.rs (points), src/cpu/adjoint.rs (points), src/cpu/priors.rs
//
// One workgroup gathers one bone, or one run of points. A thread adds up what its points give in its
// own registers; threads are summed in a fixed order at the end, so no run differs from another.

@group(0) @binding(14) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(22) var<storage, read_write> energies: array<vec2<f32>>;
@group(0) @binding(23) var<storage, read> landmarks: array<f32>;
@group(0) @binding(24) var<storage, read_write> beta_partials: array<f32>;
@group(0) @binding(26) var<storage, read_write> bones: array<f32>;
@group(0) @binding(28) var<storage, read_write> feature_partials: array<f32>;
@group(0) @binding(29) var<storage, read> motions: array<vec4<f32>>;

// One row a sum, one column a thread, and one that keeps rows apart.
const ROW: u32 = GATHER + 1u;
var<workgroup> gathered: array<f32, BONE_SUMS * ROW>;

// Gradient and curvature at a camera-frame point.
struct Force {
    g: vec3<f32>,
    w: mat3x3<f32>,
    any: bool,
}

fn force_at(slot: u32, i: u32) -> Force {
    var force: Force;
    let person = person_of(slot);
    if (i >= settings.vertices) {
        let at = (slot * MAX_KEYPOINTS + i - settings.vertices) * LANDMARK;
        force.g = vec3<f32>(landmarks[at], landmarks[at + 1u], landmarks[at + 2u]);
        force.w = mat3x3<f32>(
            vec3<f32>(landmarks[at + 3u], landmarks[at + 4u], landmarks[at + 5u]),
            vec3<f32>(landmarks[at + 4u], landmarks[at + 6u], landmarks[at + 7u]),
            vec3<f32>(landmarks[at + 5u], landmarks[at + 7u], landmarks[at + 8u]),
        );
        force.any = true;
        return force;
    }
    let at = sums_of(slot) + ACCUMULATORS * i;
    let fixed_g = vec3<i32>(sum_at(at), sum_at(at + 1u), sum_at(at + 2u));
    let fixed_c = vec3<i32>(sum_at(at + 3u), sum_at(at + 4u), sum_at(at + 5u));
    if (all(fixed_g == vec3<i32>(0)) && all(fixed_c == vec3<i32>(0))) {
        return force;
    }
    force.any = true;
    let p = points[slot * settings.vertices + i].xyz;
    let u = pixel_row(frames[person].row0.xyz, p.x / p.z, p.z);
    let v = pixel_row(frames[person].row1.xyz, p.y / p.z, p.z);
    let a = vec3<f32>(fixed_g) / states[slot].gradient_scale;
    let c = vec3<f32>(fixed_c) / states[slot].curvature_scale;
    force.g = a.x * u + a.y * v + vec3<f32>(0.0, 0.0, a.z / p.z);
    let cu = c.x * u + c.y * v;
    let cv = c.y * u + c.z * v;
    force.w = mat3x3<f32>(cu * u.x + cv * v.x, cu * u.y + cv * v.y, cu * u.z + cv * v.z);
    return force;
}

fn sum_at(at: u32) -> i32 {
    return atomicLoad(&accumulators[at]);
}

// How the betas move a point, one column a beta; the rest position is the last.
struct Motion {
    by_beta: array<vec3<f32>, MAX_BETAS>,
    rest: vec3<f32>,
}

fn motion_of(slot: u32, i: u32) -> Motion {
    var out: Motion;
    let at = SHAPE_ROWS * (slot * (settings.vertices + settings.keypoints) + i);
    var rows: array<vec4<f32>, SHAPE_ROWS>;
    for (var q = 0u; q < SHAPE_ROWS; q++) {
        rows[q] = motions[at + q];
    }
    for (var b = 0u; b < MAX_BETAS; b++) {
        out.by_beta[b] = vec3<f32>(rows[b / 4u][b % 4u], rows[3u + b / 4u][b % 4u], rows[6u + b / 4u][b % 4u]);
    }
    out.rest = vec3<f32>(rows[2].w, rows[5].w, rows[8].w);
    return out;
}

fn put_vector(thread: u32, at: u32, x: vec3<f32>) {
    gathered[at * ROW + thread] = x.x;
    gathered[(at + 1u) * ROW + thread] = x.y;
    gathered[(at + 2u) * ROW + thread] = x.z;
}

// Sum over the threads of row `o`.
fn sum_row(o: u32) -> f32 {
    var sum = 0.0;
    for (var t = 0u; t < GATHER; t++) {
        sum += gathered[o * ROW + t];
    }
    return sum;
}

fn gather_bone(slot: u32, bone: u32, thread: u32) {
    let at = settings.at_joints + 6u * bone;
    let first = topology[at + 4u];
    let end = topology[at + 5u];
    let global = global_of(slot, bone);
    let joint = slot * MAX_JOINTS + bone;
    let offset = joints[joint].position.xyz - global * joints[joint].rest.xyz;
    let hessian = states[slot].want >= HESSIAN;

    var turn = mat3x3<f32>();
    var mixed = mat3x3<f32>();
    var shift = mat3x3<f32>();
    var turn_betas: array<vec3<f32>, MAX_BETAS>;
    var shift_betas: array<vec3<f32>, MAX_BETAS>;
    var moment = vec3<f32>(0.0);
    var force_sum = vec3<f32>(0.0);
    for (var entry = first + thread; entry < end; entry += GATHER) {
        let i = topology[settings.at_entries + 2u * entry];
        let share = bitcast<f32>(topology[settings.at_entries + 2u * entry + 1u]);
        let force = force_at(slot, i);
        if (!force.any) {
            continue;
        }
        let motion = motion_of(slot, i);
        let p = global * motion.rest + offset;
        let g = share * force.g;
        force_sum += g;
        moment += cross(p, g);
        if (hessian) {
            let w = force.w * share;
            let arm = cross_matrix(p);
            let m = arm * w;
            shift += w;
            mixed += m;
            turn -= m * arm;
            for (var b = 0u; b < MAX_BETAS; b++) {
                let wb = w * motion.by_beta[b];
                shift_betas[b] += wb;
                turn_betas[b] += cross(p, wb);
            }
        }
    }
    for (var c = 0u; c < 3u; c++) {
        put_vector(thread, 3u * c, turn[c]);
        put_vector(thread, MIXED + 3u * c, mixed[c]);
        put_vector(thread, SHIFT + 3u * c, shift[c]);
    }
    for (var b = 0u; b < MAX_BETAS; b++) {
        put_vector(thread, TURN_BETAS + 3u * b, turn_betas[b]);
        put_vector(thread, SHIFT_BETAS + 3u * b, shift_betas[b]);
    }
    put_vector(thread, MOMENT, moment);
    put_vector(thread, FORCE, force_sum);
}

fn gather_betas(slot: u32, run: u32, thread: u32) {
    let count = settings.vertices + settings.keypoints;
    let end = min((run + 1u) * BETA_RUN, count);
    var hessian: array<f32, BETA_HESSIAN>;
    var gradient: array<f32, MAX_BETAS>;
    var largest = vec2<u32>(0u);
    for (var i = run * BETA_RUN + thread; i < end; i += GATHER) {
        let force = force_at(slot, i);
        if (!force.any) {
            continue;
        }
        let motion = motion_of(slot, i);
        for (var b = 0u; b < MAX_BETAS; b++) {
            let wb = force.w * motion.by_beta[b];
            gradient[b] += dot(motion.by_beta[b], force.g);
            for (var c = 0u; c <= b; c++) {
                hessian[b * (b + 1u) / 2u + c] += dot(motion.by_beta[c], wb);
            }
        }
        if (i < settings.vertices) {
            let at = sums_of(slot) + ACCUMULATORS * i;
            largest = max(largest, vec2<u32>(
                u32(max(abs(sum_at(at)), max(abs(sum_at(at + 1u)), abs(sum_at(at + 2u))))),
                u32(max(abs(sum_at(at + 3u)), max(abs(sum_at(at + 4u)), abs(sum_at(at + 5u))))),
            ));
        }
    }
    if (largest.x > 0u) {
        atomicMax(&counters[slot * COUNTERS + LARGEST_GRADIENT], largest.x);
    }
    if (largest.y > 0u) {
        atomicMax(&counters[slot * COUNTERS + LARGEST_CURVATURE], largest.y);
    }
    for (var o = 0u; o < BETA_HESSIAN; o++) {
        gathered[o * ROW + thread] = hessian[o];
    }
    for (var b = 0u; b < MAX_BETAS; b++) {
        gathered[(BETA_HESSIAN + b) * ROW + thread] = gradient[b];
    }
}

// Gradient on the pose blend shapes' coefficients from one run of GATHER vertices.
fn gather_feature(slot: u32, run: u32, thread: u32) {
    let i = run * GATHER + thread;
    var back = vec3<f32>(0.0);
    if (i < settings.vertices) {
        let g = force_at(slot, i).g;
        let weight = weights[i];
        for (var k = 0u; k < 4u; k++) {
            if (weight[k] > 0.0) {
                back += weight[k] * (transpose(global_of(slot, carrier(i, k))) * g);
            }
        }
    }
    put_vector(thread, 0u, back);
}

fn sum_feature(slot: u32, run: u32, runs: u32, thread: u32) {
    let first = run * GATHER;
    let count = min(GATHER, settings.vertices - first);
    for (var n = thread; n < settings.posedirs; n += GATHER) {
        var sum = 0.0;
        for (var v = 0u; v < count; v++) {
            let at = 3u * ((first + v) * settings.posedirs + n);
            sum += gathered[v] * posedirs[at] + gathered[ROW + v] * posedirs[at + 1u]
                + gathered[2u * ROW + v] * posedirs[at + 2u];
        }
        feature_partials[(slot * runs + run) * settings.posedirs + n] = sum;
    }
}

@compute @workgroup_size(32)
fn normal(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slot = slot_of(group.y);
    let want = states[slot].want;
    if (want == IDLE) {
        return;
    }
    let betas = settings.joints;
    let priors = betas + settings.beta_runs;
    let runs = groups.x - priors - 1u;
    let moving = want >= GRADIENT;
    let is_bone = group.x < betas && moving;
    let is_run = group.x >= betas && group.x < priors && moving;
    let is_prior = group.x == priors;
    let is_feature = group.x > priors && moving;
    // Barriers stay outside of the branches.
    if (is_bone) {
        gather_bone(slot, group.x, thread);
    }
    if (is_run) {
        gather_betas(slot, group.x - betas, thread);
    }
    if (is_feature) {
        gather_feature(slot, group.x - priors - 1u, thread);
    }
    if (is_prior) {
        priors_angles(slot, thread);
    }
    workgroupBarrier();
    for (var o = thread; is_bone && o < BONE_SUMS; o += GATHER) {
        bones[(slot * MAX_JOINTS + group.x) * BONE_SUMS + o] = sum_row(o);
    }
    for (var o = thread; is_run && o < BETA_SUMS; o += GATHER) {
        beta_partials[(slot * settings.beta_runs + group.x - betas) * BETA_SUMS + o] = sum_row(o);
    }
    if (is_feature) {
        sum_feature(slot, group.x - priors - 1u, runs, thread);
    }
    if (is_prior) {
        priors_pull(thread);
    }
    workgroupBarrier();
    if (is_prior) {
        priors_gradient(slot, thread);
    }
    workgroupBarrier();
    if (is_prior) {
        priors_system(slot, thread);
    }
}
