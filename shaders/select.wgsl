// uses: layout
//
// Select: the better of a person's two hypotheses goes on with the steps that are left.
//
// In:  the states of both slots
// Out: the state of the person's first slot
// Twin: src/fit/mod.rs (fit_best)

@group(0) @binding(12) var<storage, read_write> states: array<State>;

@compute @workgroup_size(32)
fn choose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first = group.y;
    let second = group.y + MAX_PERSONS;
    let better = states[second].after.total < states[first].after.total;
    if (thread < POSE_ROWS) {
        let row = select(states[first].best[thread], states[second].best[thread], better);
        states[first].best[thread] = row;
        states[first].trial[thread] = row;
    }
    storageBarrier();
    workgroupBarrier();
    if (thread > 0u || states[first].trying == 0u) {
        return;
    }
    let spent = states[first].steps + states[second].steps;
    let left = settings.steps - min(spent, settings.steps);
    if (better) {
        states[first].after = states[second].after;
    }
    states[first].overflows += states[second].overflows;
    states[first].unsolved += states[second].unsolved;
    states[first].steps = spent;
    states[first].trying = 0u;
    states[first].leg = 0u;
    states[first].evaluation = 0u;
    states[first].fresh = 1u;
    states[first].legs[0].steps = left;
    states[first].legs[0].all = 1u;
    states[first].legs[1].steps = 0u;
    states[first].finishing = select(0u, 1u, left == 0u);
    states[first].want = select(select(HESSIAN, GRADIENT, settings.solver == ADAM), ENERGY, left == 0u);
    states[second].want = IDLE;
}
