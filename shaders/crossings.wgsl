// Crossings: the first half of the silhouette stage, which finds where outlines pass between
// neighbouring cell centres. It runs beside `score` in one dispatch: neither needs the other.
//
// In:  points, keys, front
// Out: crossings, the key of the outermost outline between two centres, 0 where there is none
// Twin: src/cpu/silhouette.rs (find)

@group(0) @binding(17) var<storage, read_write> crossings: array<atomic<u32>>;

// Records where the edge passes between cell centres along `axis`.
fn cross_lines(slot: u32, edge: u32, side: Side, axis: u32, near: f32, far: f32) {
    let across = 1u - axis;
    let start = side.q0[across];
    let to = side.q1[across];
    let low = min(start, to);
    let high = max(start, to);
    let limit = f32(settings.grid);
    let sign = outward(side, axis);
    for (var line = max(ceil(low - 0.5), 0.0) + 0.5; line < high && line < limit; line += 1.0) {
        let s = (line - start) / (to - start);
        let position = side.q0[axis] + s * (side.q1[axis] - side.q0[axis]);
        let below = floor(position - 0.5);
        if (below < 0.0 || below + 1.0 >= limit) {
            continue;
        }
        let l = u32(line);
        let a = u32(below);
        let pair = select(a * settings.grid + l, l * settings.grid + a, axis == 0u);
        let next = pair + select(settings.grid, 1u, axis == 0u);
        let inner = cell_depth(slot, select(next, pair, sign > 0.0), near, far);
        let outer = cell_depth(slot, select(pair, next, sign > 0.0), near, far);
        let z = edge_depth(side, s);
        if (inner < 0.0 || inner < z - BULGE_M || (outer >= 0.0 && outer < z + GAP_M)) {
            continue;
        }
        let offset = position - (below + 0.5);
        let beyond = clamp(select(1.0 - offset, offset, sign > 0.0), 0.0, 1.0);
        let key = (select(0u, 1u, sign > 0.0) << 31u)
            | (u32(beyond * CROSSING_STEPS) << CROSSING_EDGE_BITS)
            | (CROSSING_LAST_EDGE - edge);
        let cells = settings.grid * settings.grid;
        atomicMax(&crossings[2u * (slot * cells + pair) + axis], key);
    }
}

fn cross_outlines(slot: u32, edge: u32) {
    if (edge >= settings.edges || settings.silhouette == 0u) {
        return;
    }
    let side = side_of(slot, edge);
    if (!side.outline) {
        return;
    }
    let near = unordered(atomicLoad(&counters[slot * COUNTERS + NEAR_DEPTH]));
    let far = unordered(atomicLoad(&counters[slot * COUNTERS + FAR_DEPTH]));
    cross_lines(slot, edge, side, 0u, near, far);
    cross_lines(slot, edge, side, 1u, near, far);
}
