// uses: layout, rotation, solve
//
// Step: judges the evaluation, solves the system and moves the trial pose.
//
// In:  energies, counters, system; the slot's state
// Out: the slot's state: best pose, next trial pose, what is wanted next
// Twin: src/fit/gauss_newton.rs, src/fit/adam.rs, src/fit/mod.rs (legs)
//
// A slot is a small state machine: every evaluation ends here, and here it is decided what the next
// one is. Early stop and rejected steps need no other commands than the recorded ones.

@group(0) @binding(1) var<storage, read> frames: array<Frame>;
@group(0) @binding(21) var<storage, read> counters: array<u32>;
@group(0) @binding(22) var<storage, read> energies: array<vec2<f32>>;

// Verdicts.
const STOP: u32 = 0u;     // nothing more to compute now
const TAKE: u32 = 1u;     // the evaluation gives the next system
const KEEP: u32 = 2u;     // rejected: the last system with more damping

// What all threads do after the verdict.
const BEST_FROM_TRIAL: u32 = 1u;
const CURRENT_FROM_TRIAL: u32 = 2u;
const TRIAL_FROM_BEST: u32 = 4u;
const CLEAR_VELOCITY: u32 = 8u;
const CLEAR_MOMENTS: u32 = 16u;

var<workgroup> want: u32;
var<workgroup> verdict: u32;
var<workgroup> actions: u32;

// The first thread gets the sum.
fn sum_energies(slot: u32, thread: u32) -> Terms {
    let tiles = settings.tiles * settings.tiles;
    let first = slot * energy_count();
    var sum = vec3<f32>(0.0);
    for (var i = thread; i < tiles; i += THREADS) {
        sum += vec3<f32>(energies[first + i], energies[first + tiles + i].x);
    }
    scratch[3u * thread] = sum.x;
    scratch[3u * thread + 1u] = sum.y;
    scratch[3u * thread + 2u] = sum.z;
    workgroupBarrier();
    if (thread == 0u) {
        for (var i = 1u; i < THREADS; i++) {
            sum += vec3<f32>(scratch[3u * i], scratch[3u * i + 1u], scratch[3u * i + 2u]);
        }
    }
    let person = person_of(slot);
    let rest = first + 2u * tiles;
    var terms: Terms;
    terms.likelihood = -frames[person].weight * sum.x;
    terms.mask = -frames[person].mask_weight * sum.y;
    terms.parts = -frames[person].parts_weight * sum.z;
    terms.keypoints = energies[rest].x;
    terms.depth = energies[rest].y;
    terms.prior = energies[rest + 1u].x + energies[rest + 2u].y;
    terms.limits = energies[rest + 1u].y;
    terms.betas = energies[rest + 2u].x;
    terms.total = terms.likelihood + terms.mask + terms.parts + terms.keypoints + terms.depth + terms.prior
        + terms.limits + terms.betas;
    return terms;
}

// A scale that brings the largest sum to 2^24, leaving six bits for the next evaluation to grow.
fn rescaled(scale: f32, largest: u32) -> f32 {
    if (largest == 0u) {
        return scale;
    }
    let shift = 24 - i32(firstLeadingBit(largest));
    return clamp(ldexp(scale, clamp(shift, -30, 30)), 1e-12, 1e24);
}

fn update_scales(slot: u32, overflow: bool) {
    if (overflow) {
        states[slot].gradient_scale *= 1.0 / 256.0;
        states[slot].curvature_scale *= 1.0 / 256.0;
        states[slot].gate_scale *= 1.0 / 256.0;
        return;
    }
    if (states[slot].want < GRADIENT) {
        return;
    }
    let at = slot * COUNTERS;
    states[slot].gradient_scale = rescaled(states[slot].gradient_scale, counters[at + LARGEST_GRADIENT]);
    states[slot].curvature_scale = rescaled(states[slot].curvature_scale, counters[at + LARGEST_CURVATURE]);
    states[slot].gate_scale = rescaled(states[slot].gate_scale, counters[at + LARGEST_GATE]);
}

fn pose_is_finite(slot: u32) -> bool {
    var fine = true;
    for (var j = 0u; j < settings.joints; j++) {
        let q = states[slot].trial[j];
        fine = fine && is_finite(q.x) && is_finite(q.y) && is_finite(q.z) && is_finite(q.w);
    }
    let t = states[slot].trial[TRANSLATION];
    return fine && is_finite(t.x) && is_finite(t.y) && is_finite(t.z);
}

// Goes on with the next leg that has steps, or ends.
fn next_leg(slot: u32) {
    actions |= TRIAL_FROM_BEST;
    states[slot].evaluation = 0u;
    states[slot].fresh = 1u;
    var leg = states[slot].leg + 1u;
    while (leg < 2u && states[slot].legs[min(leg, 1u)].steps == 0u) {
        leg++;
    }
    states[slot].leg = min(leg, 1u);
    if (leg >= 2u) {
        states[slot].finishing = 1u;
        states[slot].want = select(ENERGY, IDLE, states[slot].trying != 0u);
    }
}

// Counts a step that gained `gain`; whether the leg goes on.
fn spend(slot: u32, gain: f32) -> bool {
    let little = gain < settings.tolerance * max(abs(states[slot].after.total), 1e-6);
    states[slot].idle = select(0u, states[slot].idle + 1u, little);
    let over = states[slot].evaluation > states[slot].legs[states[slot].leg].steps;
    let stuck = settings.tolerance > 0.0 && states[slot].idle >= PATIENCE;
    return !(over || stuck || states[slot].damping > MAX_DAMPING);
}

fn start_leg(slot: u32, terms: Terms) {
    states[slot].fresh = 0u;
    if (states[slot].started == 0u) {
        states[slot].started = 1u;
        states[slot].before = terms;
        states[slot].after = terms;
    }
    actions |= CURRENT_FROM_TRIAL | CLEAR_VELOCITY | CLEAR_MOMENTS;
    states[slot].damping = settings.damping;
    states[slot].idle = 0u;
    states[slot].accepted = 0u;
    states[slot].power1 = 1.0;
    states[slot].power2 = 1.0;
    states[slot].recent = vec4<f32>(terms.total);
}

fn judge_gauss_newton(slot: u32, terms: Terms) -> u32 {
    states[slot].evaluation += 1u;
    if (states[slot].fresh != 0u) {
        start_leg(slot, terms);
        states[slot].after = terms;
        return TAKE;
    }
    states[slot].steps += 1u;
    let recent = states[slot].recent;
    let worst = max(recent.x, max(recent.y, recent.z));
    var gain = 0.0;
    var verdict = KEEP;
    if (is_finite(terms.total) && terms.total < worst && pose_is_finite(slot)) {
        gain = states[slot].after.total - terms.total;
        if (gain > 0.0) {
            actions |= BEST_FROM_TRIAL;
            states[slot].after = terms;
        }
        actions |= CURRENT_FROM_TRIAL;
        states[slot].damping = max(states[slot].damping * settings.lower, MIN_DAMPING);
        states[slot].recent[states[slot].accepted % ENERGY_MEMORY] = terms.total;
        states[slot].accepted += 1u;
        verdict = TAKE;
    } else {
        actions |= CLEAR_VELOCITY;
        states[slot].damping *= settings.raise;
        states[slot].rejected += 1u;
    }
    if (!spend(slot, gain)) {
        next_leg(slot);
        return STOP;
    }
    return verdict;
}

fn judge_adam(slot: u32, terms: Terms) -> u32 {
    states[slot].evaluation += 1u;
    if (states[slot].fresh != 0u) {
        start_leg(slot, terms);
    }
    if (terms.total < states[slot].after.total) {
        actions |= BEST_FROM_TRIAL;
        states[slot].after = terms;
    }
    if (states[slot].evaluation > states[slot].legs[states[slot].leg].steps) {
        next_leg(slot);
        return STOP;
    }
    states[slot].steps += 1u;
    states[slot].power1 *= settings.beta1;
    states[slot].power2 *= settings.beta2;
    return TAKE;
}

// For all threads: carries out what was decided, a row of a pose each.
fn act(slot: u32, thread: u32) {
    let todo = actions;
    if (thread < POSE_ROWS) {
        // A leg may end with the step that was the best so far.
        let kept = (todo & TRIAL_FROM_BEST) != 0u && (todo & BEST_FROM_TRIAL) == 0u;
        let row = select(states[slot].trial[thread], states[slot].best[thread], kept);
        if ((todo & BEST_FROM_TRIAL) != 0u) {
            states[slot].best[thread] = row;
        }
        if ((todo & CURRENT_FROM_TRIAL) != 0u) {
            states[slot].current[thread] = row;
        }
        if ((todo & TRIAL_FROM_BEST) != 0u) {
            states[slot].trial[thread] = row;
        }
    }
    if (thread < MAX_PARAMS) {
        let base = slot * SYSTEM;
        if ((todo & CLEAR_VELOCITY) != 0u) {
            system[base + VELOCITY + thread] = 0.0;
        }
        if ((todo & CLEAR_MOMENTS) != 0u) {
            system[base + FIRST + thread] = 0.0;
            system[base + SECOND + thread] = 0.0;
        }
    }
    storageBarrier();
    workgroupBarrier();
}

// For one thread: what the evaluation means.
fn judge(slot: u32, terms: Terms) -> u32 {
    let at = slot * COUNTERS;
    states[slot].near = unordered(counters[at + NEAR_DEPTH]);
    states[slot].far = unordered(counters[at + FAR_DEPTH]);
    states[slot].near_skipped = counters[at + NEAR_SKIPPED];
    let overflow = counters[at + OVERFLOWS];
    states[slot].overflows += overflow;
    if (overflow > 0u) {
        // The sums are wrong: the same pose again, at the price of a step.
        states[slot].evaluation += 1u;
        states[slot].steps += 1u;
        if (states[slot].evaluation > states[slot].legs[states[slot].leg].steps) {
            if (states[slot].started == 0u) {
                states[slot].started = 1u;
                states[slot].before = terms;
                states[slot].after = terms;
            }
            next_leg(slot);
        }
        return STOP;
    }
    if (states[slot].finishing != 0u) {
        if (states[slot].started == 0u) {
            states[slot].started = 1u;
            states[slot].before = terms;
        }
        states[slot].after = terms;
        states[slot].want = IDLE;
        return STOP;
    }
    if (settings.solver == ADAM) {
        return judge_adam(slot, terms);
    }
    return judge_gauss_newton(slot, terms);
}

@compute @workgroup_size(96)
fn step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let slot = slot_of(group.y);
    if (thread == 0u) {
        want = states[slot].want;
    }
    if (workgroupUniformLoad(&want) == IDLE) {
        return;
    }
    let terms = sum_energies(slot, thread);
    if (thread == 0u) {
        let overflow = counters[slot * COUNTERS + OVERFLOWS] > 0u;
        update_scales(slot, overflow);
        actions = 0u;
        verdict = judge(slot, terms);
    }
    storageBarrier();
    let decided = workgroupUniformLoad(&verdict);
    act(slot, thread);
    if (decided == STOP) {
        return;
    }
    if (settings.solver == ADAM) {
        adam(slot, thread);
        retract(slot, thread);
        return;
    }
    if (decided == TAKE) {
        for (var i = thread; i < TRIANGLE + MAX_PARAMS; i += THREADS) {
            system[slot * SYSTEM + i] = system[slot * SYSTEM + TRIAL + i];
        }
        storageBarrier();
        workgroupBarrier();
    }
    loop {
        factor(slot, thread);
        substitute(thread);
        if (workgroupUniformLoad(&solved) != 0u) {
            break;
        }
        // More damping, at the price of a step.
        if (thread == 0u) {
            states[slot].steps += 1u;
            states[slot].evaluation += 1u;
            states[slot].unsolved += 1u;
            states[slot].damping *= settings.raise;
            verdict = select(STOP, KEEP, spend(slot, 0.0));
            actions = 0u;
            if (verdict == STOP) {
                next_leg(slot);
            }
        }
        storageBarrier();
        if (workgroupUniformLoad(&verdict) == STOP) {
            act(slot, thread);
            return;
        }
    }
    limit_step(slot, thread);
    retract(slot, thread);
}
