// uses: layout, rotation, project, keypoints
//
// Pose: from rotations, betas and translation to posed joints, the gates of their limbs, and what the
// keypoints say.
//
// In:  trial pose of the slot, shapes of the joints
// Out: joints, gates, landmarks, energies of the keypoints; resets the counters
// Twin: src/cpu/pose.rs, src/texture/gate.rs, src/cpu/keypoints.rs

@group(0) @binding(5) var<storage, read> shapes: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(13) var<storage, read_write> joints: array<Joint>;
@group(0) @binding(20) var<storage, read_write> gates: array<Gate>;
@group(0) @binding(21) var<storage, read_write> counters: array<u32>;
@group(0) @binding(22) var<storage, read_write> energies: array<vec2<f32>>;

var<workgroup> globals: array<mat3x3<f32>, MAX_JOINTS>;
var<workgroup> positions: array<vec3<f32>, MAX_JOINTS>;
var<workgroup> rests: array<vec3<f32>, MAX_JOINTS>;

// Axis `a` of a joint's shape direction `b`, or of its template (b = 11).
fn shape_lane(joint: u32, a: u32, b: u32) -> f32 {
    let point = settings.vertices + settings.keypoints + joint;
    return shapes[SHAPE_ROWS * point + 3u * a + b / 4u][b % 4u];
}

fn direction(joint: u32, b: u32) -> vec3<f32> {
    return vec3<f32>(shape_lane(joint, 0u, b), shape_lane(joint, 1u, b), shape_lane(joint, 2u, b));
}

fn rest_of(slot: u32, joint: u32) -> vec3<f32> {
    var x = direction(joint, 11u);
    for (var b = 0u; b < MAX_BETAS; b++) {
        x += direction(joint, b) * states[slot].trial[BETAS + b / 4u][b % 4u];
    }
    return x;
}

fn logistic(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn slope(x: f32) -> f32 {
    let s = logistic(x);
    return s * (1.0 - s);
}

// Mixture weights and their slopes at c = l . z+.
fn gate_at(c: f32) -> Gate {
    var gate: Gate;
    let tau = settings.tau;
    if (settings.kind == PAPER) {
        let clamped = clamp(c, -GATE_POLE, GATE_POLE);
        let gamma = arc_cosine(clamped);
        let dgamma = select(0.0, -1.0 / sqrt(max(1.0 - c * c, 1e-12)), clamped == c);
        let width = 3.14159265 / f32(COMPONENTS);
        for (var k = 0u; k < COMPONENTS; k++) {
            let low = tau * (gamma - f32(k) * width);
            let high = tau * (gamma - f32(k + 1u) * width);
            gate.alpha[k] = logistic(low) - logistic(high);
            gate.slope[k] = tau * (slope(low) - slope(high)) * dgamma;
        }
    } else if (COMPONENTS == 3u) {
        let away = tau * (c - GATE_EDGE);
        let towards = tau * (-c - GATE_EDGE);
        gate.alpha[0] = logistic(away);
        gate.slope[0] = tau * slope(away);
        gate.alpha[1] = logistic(-away) + logistic(-towards) - 1.0;
        gate.slope[1] = tau * (slope(towards) - slope(away));
        gate.alpha[2] = logistic(towards);
        gate.slope[2] = -tau * slope(towards);
    } else {
        for (var k = 0u; k < COMPONENTS; k++) {
            gate.alpha[k] = 1.0 / f32(COMPONENTS);
        }
    }
    return gate;
}

// Writes what later stages read of a posed joint.
fn finish_joint(slot: u32, j: u32) {
    let at = slot * MAX_JOINTS + j;
    let global = globals[j];
    for (var q = 0u; q < 3u; q++) {
        var rows: mat3x4<f32>;
        for (var lane = 0u; lane < 4u; lane++) {
            let b = 4u * q + lane;
            if (b < MAX_BETAS) {
                let offset = joints[at].moved[b].xyz - global * direction(j, b);
                rows[0][lane] = offset.x;
                rows[1][lane] = offset.y;
                rows[2][lane] = offset.z;
            }
        }
        joints[at].offset[q] = rows[0];
        joints[at].offset[3u + q] = rows[1];
        joints[at].offset[6u + q] = rows[2];
    }
    for (var c = 0u; c < 3u; c++) {
        joints[at].global[c] = vec4<f32>(global[c], 0.0);
    }
    joints[at].position = vec4<f32>(positions[j], 0.0);
    joints[at].rest = vec4<f32>(rests[j], 0.0);
    let start = topology[settings.at_joints + 6u * j + 2u];
    let to = topology[settings.at_joints + 6u * j + 3u];
    let arm = positions[to] - positions[start];
    let length2 = dot(arm, arm);
    gates[at] = gate_at(select(0.0, arm.z / sqrt(length2), length2 > 0.0));
}

@compute @workgroup_size(64)
fn pose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) j: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want == IDLE) {
        return;
    }
    if (j < COUNTERS) {
        counters[slot * COUNTERS + j] = select(0u, 0xffffffffu, j == NEAR_DEPTH);
    }
    let at = slot * MAX_JOINTS + j;
    let is_joint = j < settings.joints;
    var local = mat3x3<f32>();
    var parent = 0u;
    var level = 0xffffffffu;
    if (is_joint) {
        local = matrix_of(states[slot].trial[j]);
        parent = topology[settings.at_joints + 6u * j];
        level = topology[settings.at_joints + 6u * j + 1u];
        rests[j] = rest_of(slot, j);
        for (var r = 0u; r < 3u; r++) {
            var row = vec3<f32>(local[0][r], local[1][r], local[2][r]);
            row[r] -= 1.0;
            joints[at].local[r] = vec4<f32>(row, 0.0);
        }
    }
    workgroupBarrier();
    for (var l = 0u; l < settings.levels; l++) {
        if (level == l) {
            if (l == 0u) {
                globals[j] = local;
                positions[j] = rests[j] + states[slot].trial[TRANSLATION].xyz;
                for (var b = 0u; b < MAX_BETAS; b++) {
                    joints[at].moved[b] = vec4<f32>(direction(j, b), 0.0);
                }
            } else {
                globals[j] = globals[parent] * local;
                positions[j] = positions[parent] + globals[parent] * (rests[j] - rests[parent]);
                for (var b = 0u; b < MAX_BETAS; b++) {
                    let above = joints[slot * MAX_JOINTS + parent].moved[b].xyz;
                    let arm = direction(j, b) - direction(parent, b);
                    joints[at].moved[b] = vec4<f32>(above + globals[parent] * arm, 0.0);
                }
            }
        }
        storageBarrier();
        workgroupBarrier();
    }
    if (is_joint) {
        finish_joint(slot, j);
    }
    score_keypoints(slot, j);
}
