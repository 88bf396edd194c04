// Fixed-point sums: integer addition does not depend on its order, so two runs agree in every bit.
// A sum that leaves its range, or a number that does not fit, is counted; `step` then repeats the
// evaluation with a smaller scale.

@group(0) @binding(19) var<storage, read_write> accumulators: array<atomic<i32>>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;

// Largest single number: a quarter of the range.
const LARGEST: f32 = 536870912.0;

fn count_overflow(slot: u32) {
    atomicAdd(&counters[slot * COUNTERS + OVERFLOWS], 1u);
}

// `x` as fixed point; counted where it does not fit.
fn fixed(slot: u32, x: f32, scale: f32) -> i32 {
    let y = x * scale;
    // Written so that not-a-number counts too.
    if (!(abs(y) <= LARGEST)) {
        count_overflow(slot);
        return 0;
    }
    return i32(round(y));
}

fn add(slot: u32, at: u32, x: f32, scale: f32) {
    let delta = fixed(slot, x, scale);
    if (delta == 0) {
        return;
    }
    let old = atomicAdd(&accumulators[at], delta);
    let now = old + delta;
    if (((old ^ now) & (delta ^ now)) < 0) {
        count_overflow(slot);
    }
}
