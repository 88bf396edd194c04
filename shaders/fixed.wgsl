// Fixed-point sums: integer addition does not depend on its order, so two runs agree in every bit.
// A sum that leaves its range, or a number that does not fit, is counted; `step` then repeats the
// evaluation with a smaller scale.

@group(0) @binding(19) var<storage, read_write> accumulators: array<atomic<i32>>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;

// Largest single number: a quarter of the range.
const LARGEST: f32 = 536870912.0;

// What this thread has seen; `report_overflows` hands it over.
var<private> overflows: u32 = 0u;

fn report_overflows(slot: u32) {
    if (overflows > 0u) {
        atomicAdd(&counters[slot * COUNTERS + OVERFLOWS], overflows);
    }
}

// `x` as fixed point; counted where it does not fit.
fn fixed(x: f32, scale: f32) -> i32 {
    let y = x * scale;
    // Written so that not-a-number counts too.
    if (!(abs(y) <= LARGEST)) {
        overflows += 1u;
        return 0;
    }
    return i32(round(y));
}

fn add(at: u32, x: f32, scale: f32) {
    let delta = fixed(x, scale);
    if (delta == 0) {
        return;
    }
    let old = atomicAdd(&accumulators[at], delta);
    let now = old + delta;
    if (((old ^ now) & (delta ^ now)) < 0) {
        overflows += 1u;
    }
}
