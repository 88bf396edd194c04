// uses: layout, rotation
//
// Pose VAE: energy and gradient, and the columns of its Jacobian.
//
// In:  trial pose, the network in `prior`
// Out: adds to the gradient in prior_system; energies; vae_columns (d(latent mean, residual) / d turns)
// Twin: src/cpu/pose_vae.rs
//
// Every workgroup runs the network. The first one then takes the gradient back through it, the others
// push the three turns of one joint forward: each a Jacobian's columns, with no sum between workgroups.

@group(0) @binding(11) var<storage, read> prior: array<f32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(22) var<storage, read_write> energies: array<vec2<f32>>;
@group(0) @binding(25) var<storage, read_write> prior_system: array<f32>;
@group(0) @binding(31) var<storage, read_write> vae_columns: array<f32>;

const THREADS: u32 = 128u;

// Where things lie in `room`.
const WIDTH: u32 = VAE_NUMBERS * (MAX_JOINTS - 1u);
const POSE: u32 = 0u;
const FIRST_LAYER: u32 = POSE + WIDTH;
const SECOND_LAYER: u32 = FIRST_LAYER + MAX_VAE_HIDDEN;
const SLOPES: u32 = SECOND_LAYER + MAX_VAE_HIDDEN;   // of the four hidden layers
const MEAN: u32 = SLOPES + 4u * MAX_VAE_HIDDEN;
const PULL: u32 = MEAN + MAX_VAE_LATENT;             // decoded pose, then residual / sigma
const LATENT_PULL: u32 = PULL + WIDTH;
const BY_POSE: u32 = LATENT_PULL + MAX_VAE_LATENT;
const MOTION: u32 = BY_POSE + WIDTH;                 // three tangents at once
const NEXT_MOTION: u32 = MOTION + 3u * MAX_VAE_HIDDEN;
const ROOM: u32 = NEXT_MOTION + 3u * MAX_VAE_HIDDEN;
const NO_SLOPE: u32 = ROOM;

var<workgroup> room: array<f32, ROOM>;

// One layer, y = W x + b.
struct Layer {
    at: u32,             // W, row by row, then b
    outputs: u32,
    inputs: u32,
}

// Layer `k` of the encoder, then of the decoder.
fn layer(k: u32) -> Layer {
    let width = vae_width();
    var sizes = array<u32, 7>(width, settings.vae_hidden, settings.vae_hidden, settings.vae_latent,
        settings.vae_hidden, settings.vae_hidden, width);
    var out: Layer;
    out.at = settings.at_vae;
    for (var i = 0u; i < k; i++) {
        out.at += sizes[i + 1u] * (sizes[i] + 1u);
    }
    out.outputs = sizes[k + 1u];
    out.inputs = sizes[k];
    return out;
}

fn sigma_of(number: u32) -> f32 {
    let last = layer(5u);
    return prior[last.at + last.outputs * (last.inputs + 1u) + number / VAE_NUMBERS];
}

// A layer's output, through squareplus unless there is no place for its slope.
fn forward(thread: u32, k: u32, source: u32, goal: u32, slope: u32) {
    let l = layer(k);
    for (var o = thread; o < l.outputs; o += THREADS) {
        var sum = prior[l.at + l.outputs * l.inputs + o];
        for (var i = 0u; i < l.inputs; i++) {
            sum += prior[l.at + o * l.inputs + i] * room[source + i];
        }
        if (slope != NO_SLOPE) {
            let root = sqrt(sum * sum + 4.0);
            room[slope + o] = 0.5 * (1.0 + sum / root);
            sum = 0.5 * (sum + root);
        }
        room[goal + o] = sum;
    }
    workgroupBarrier();
}

// A pull on a layer's output as one on its input, through the slope there.
fn back(thread: u32, k: u32, source: u32, goal: u32, slope: u32) {
    let l = layer(k);
    for (var i = thread; i < l.inputs; i += THREADS) {
        var sum = 0.0;
        for (var o = 0u; o < l.outputs; o++) {
            sum += prior[l.at + o * l.inputs + i] * room[source + o];
        }
        if (slope != NO_SLOPE) {
            sum *= room[slope + i];
        }
        room[goal + i] = sum;
    }
    workgroupBarrier();
}

// The motion of layer k's output `o` under three motions of its input.
fn motion_of(l: Layer, o: u32, source: u32) -> vec3<f32> {
    var sum = vec3<f32>(0.0);
    for (var i = 0u; i < l.inputs; i++) {
        let at = source + 3u * i;
        sum += prior[l.at + o * l.inputs + i] * vec3<f32>(room[at], room[at + 1u], room[at + 2u]);
    }
    return sum;
}

fn push(thread: u32, k: u32, source: u32, goal: u32, slope: u32) {
    let l = layer(k);
    for (var o = thread; o < l.outputs; o += THREADS) {
        var sum = motion_of(l, o, source);
        if (slope != NO_SLOPE) {
            sum *= room[slope + o];
        }
        keep_motion(goal + 3u * o, sum);
    }
    workgroupBarrier();
}

fn keep_motion(at: u32, motion: vec3<f32>) {
    room[at] = motion.x;
    room[at + 1u] = motion.y;
    room[at + 2u] = motion.z;
}

// (dx/d turn)^T g for the two columns' pulls.
fn turned(r: mat3x3<f32>, first: vec3<f32>, second: vec3<f32>) -> vec3<f32> {
    return vec3<f32>(dot(r[2], second), -dot(r[2], first), dot(r[1], first) - dot(r[0], second));
}

// Row `number` of dx/d turn for a joint.
fn own_motion(r: mat3x3<f32>, number: u32) -> vec3<f32> {
    var unit = vec3<f32>(0.0);
    unit[number % 3u] = 1.0;
    let zero = vec3<f32>(0.0);
    if (number < 3u) {
        return turned(r, unit, zero);
    }
    return turned(r, zero, unit);
}

fn room_vector(at: u32) -> vec3<f32> {
    return vec3<f32>(room[at], room[at + 1u], room[at + 2u]);
}

fn slopes(k: u32) -> u32 {
    return SLOPES + k * MAX_VAE_HIDDEN;
}

// Runs the network on the trial pose.
fn run(slot: u32, thread: u32) {
    if (thread > 0u && thread < settings.joints) {
        let r = matrix_of(states[slot].trial[thread]);
        let at = POSE + VAE_NUMBERS * (thread - 1u);
        keep_motion(at, r[0]);
        keep_motion(at + 3u, r[1]);
    }
    workgroupBarrier();
    forward(thread, 0u, POSE, FIRST_LAYER, slopes(0u));
    forward(thread, 1u, FIRST_LAYER, SECOND_LAYER, slopes(1u));
    forward(thread, 2u, SECOND_LAYER, MEAN, NO_SLOPE);
    forward(thread, 3u, MEAN, FIRST_LAYER, slopes(2u));
    forward(thread, 4u, FIRST_LAYER, SECOND_LAYER, slopes(3u));
    forward(thread, 5u, SECOND_LAYER, PULL, NO_SLOPE);
}

fn energy_and_gradient(slot: u32, thread: u32) {
    let width = vae_width();
    for (var i = thread; i < width; i += THREADS) {
        let sigma = sigma_of(i);
        let residual = (room[POSE + i] - room[PULL + i]) / sigma;
        room[BY_POSE + i] = residual * residual;
        room[PULL + i] = residual / sigma;
    }
    workgroupBarrier();
    if (thread == 0u) {
        var sum = 0.0;
        for (var i = 0u; i < width; i++) {
            sum += room[BY_POSE + i];
        }
        for (var i = 0u; i < settings.vae_latent; i++) {
            sum += room[MEAN + i] * room[MEAN + i];
        }
        energies[(slot + 1u) * energy_count() - 1u].y = 0.5 * settings.w_vae * sum;
    }
    workgroupBarrier();
    back(thread, 5u, PULL, FIRST_LAYER, slopes(3u));
    back(thread, 4u, FIRST_LAYER, SECOND_LAYER, slopes(2u));
    back(thread, 3u, SECOND_LAYER, LATENT_PULL, NO_SLOPE);
    for (var i = thread; i < settings.vae_latent; i += THREADS) {
        room[LATENT_PULL + i] = room[MEAN + i] - room[LATENT_PULL + i];
    }
    workgroupBarrier();
    back(thread, 2u, LATENT_PULL, FIRST_LAYER, slopes(1u));
    back(thread, 1u, FIRST_LAYER, SECOND_LAYER, slopes(0u));
    back(thread, 0u, SECOND_LAYER, BY_POSE, NO_SLOPE);
    if (thread > 0u && thread < settings.joints) {
        let at = VAE_NUMBERS * (thread - 1u);
        let first = room_vector(BY_POSE + at) + room_vector(PULL + at);
        let second = room_vector(BY_POSE + at + 3u) + room_vector(PULL + at + 3u);
        let g = settings.w_vae * turned(matrix_of(states[slot].trial[thread]), first, second);
        let to = slot * PRIOR_SYSTEM + 3u * thread;
        prior_system[to] += g.x;
        prior_system[to + 1u] += g.y;
        prior_system[to + 2u] += g.z;
    }
}

fn keep_column(slot: u32, row: u32, joint: u32, motion: vec3<f32>) {
    let at = vae_columns_of(slot) + row * vae_turns() + 3u * (joint - 1u);
    vae_columns[at] = motion.x;
    vae_columns[at + 1u] = motion.y;
    vae_columns[at + 2u] = motion.z;
}

fn columns(slot: u32, joint: u32, thread: u32) {
    let r = matrix_of(states[slot].trial[joint]);
    let first = VAE_NUMBERS * (joint - 1u);
    let enter = layer(0u);
    for (var o = thread; o < enter.outputs; o += THREADS) {
        var sum = vec3<f32>(0.0);
        for (var i = 0u; i < VAE_NUMBERS; i++) {
            sum += prior[enter.at + o * enter.inputs + first + i] * own_motion(r, i);
        }
        keep_motion(MOTION + 3u * o, sum * room[slopes(0u) + o]);
    }
    workgroupBarrier();
    push(thread, 1u, MOTION, NEXT_MOTION, slopes(1u));
    push(thread, 2u, NEXT_MOTION, MOTION, NO_SLOPE);
    for (var i = thread; i < settings.vae_latent; i += THREADS) {
        keep_column(slot, i, joint, room_vector(MOTION + 3u * i));
    }
    push(thread, 3u, MOTION, NEXT_MOTION, slopes(2u));
    push(thread, 4u, NEXT_MOTION, MOTION, slopes(3u));
    let leave = layer(5u);
    for (var o = thread; o < leave.outputs; o += THREADS) {
        var motion = -motion_of(leave, o, MOTION);
        if (o >= first && o < first + VAE_NUMBERS) {
            motion += own_motion(r, o - first);
        }
        keep_column(slot, settings.vae_latent + o, joint, motion / sigma_of(o));
    }
}

@compute @workgroup_size(128)
fn pose_vae(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slot = slot_of(group.y);
    let want = states[slot].want;
    if (want == IDLE || settings.w_vae == 0.0 || (group.x > 0u && want < HESSIAN)) {
        return;
    }
    run(slot, thread);
    if (group.x == 0u) {
        energy_and_gradient(slot, thread);
    } else {
        columns(slot, group.x, thread);
    }
}
