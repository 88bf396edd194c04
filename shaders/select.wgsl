// uses: layout
//
// Select: the better of a person's two hypotheses goes on with the steps that are left.
//
// In:  the states of both slots
// Out: the state of the person's first slot
// Twin: src/fit/mod.rs (fit_best)

@group(0) @binding(12) var<storage, read_write> states: array<State>;

@compute @workgroup_size(1)
fn choose(@builtin(workgroup_id) group: vec3<u32>) {
    let first = group.y;
    let second = group.y + MAX_PERSONS;
    let spent = states[first].steps + states[second].steps;
    states[first].overflows += states[second].overflows;
    if (states[second].after.total < states[first].after.total) {
        states[first].best = states[second].best;
        states[first].after = states[second].after;
    }
    let left = settings.steps - min(spent, settings.steps);
    states[first].trial = states[first].best;
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
