// uses: layout, project, edges, likelihood, parts, fixed
//
// Silhouette: the gradient that hard visibility hides, from the motion of outlines.
//
// In:  crossings, ratios, and what score reads
// Out: energies of the tile, those of its cells included; adds gradient and curvature at the points to
//      the accumulators
// Twin: src/cpu/silhouette.rs (gains)

@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(17) var<storage, read> crossings: array<u32>;
@group(0) @binding(18) var<storage, read> ratios: array<vec4<f32>>;
@group(0) @binding(22) var<storage, read_write> energies: array<vec2<f32>>;

const SLOTS: u32 = 2u * TILE * TILE;
// Partial sums of the slots' energies.
const SUMMED: u32 = 8u;

// Few slots of a tile hold an outline: they are gathered, so that whole vectors of threads work.
var<workgroup> found: array<u32, SLOTS>;
var<workgroup> count: atomic<u32>;
var<workgroup> gained: array<vec3<f32>, SLOTS>;

fn end_gradient(slot: u32, vertex: u32, axis: u32, gradient: f32, curvature: f32) {
    let at = sums_of(slot) + ACCUMULATORS * vertex;
    add(at + axis, gradient, states[slot].gradient_scale);
    add(at + 3u + 2u * axis, curvature, states[slot].curvature_scale);
}

// Shares of ratio, mask and part.
fn gain(slot: u32, pair: u32, axis: u32, key: u32) -> vec3<f32> {
    let grid = settings.grid;
    let cells = grid * grid;
    let person = person_of(slot);
    let side = side_of(slot, CROSSING_LAST_EDGE - (key & CROSSING_LAST_EDGE));
    if (!side.outline) {
        return vec3<f32>(0.0);
    }
    let row = pair / grid;
    let column = pair % grid;
    let along = select(row, column, axis == 0u);
    let line = f32(select(column, row, axis == 0u)) + 0.5;
    let across = 1u - axis;
    let s = (line - side.q0[across]) / (side.q1[across] - side.q0[across]);
    let position = side.q0[axis] + s * (side.q1[axis] - side.q0[axis]);
    let step = select(grid, 1u, axis == 0u);
    let sign = outward(side, axis);
    let outer = select(pair, pair + step, sign > 0.0);
    // The sample lies in the lower cell of the pair up to the border between the two.
    let border = f32(along + 1u);
    let cell = select(pair + step, pair, position < border);
    let z = edge_depth(side, s);
    let weight = frames[person].weight;
    let parts_weight = frames[person].parts_weight;
    let at = settings.at_faces + 3u * side.triangle;
    let face = vec3<u32>(topology[at], topology[at + 1u], topology[at + 2u]);
    let b0 = (1.0 - s) / side.p0.z * z;
    let b1 = s / side.p1.z * z;
    let b = select(vec3<f32>(0.0), vec3<f32>(b0), face == vec3<u32>(side.ends.x))
        + select(vec3<f32>(0.0), vec3<f32>(b1), face == vec3<u32>(side.ends.y));
    var part = 0.0;
    if (parts_weight > 0.0) {
        part = parts_at(person, parts_of(face), b, cell).gain;
    }
    var ratio = 0.0;
    if (weight > 0.0) {
        ratio = likelihood_at(slot, side.triangle, face, b, cell).ratio;
    }
    var mask = 0.0;
    if (keys[slot * cells + outer] != EMPTY) {
        ratio -= ratios[slot * cells + outer].x;
        part -= ratios[slot * cells + outer].z;
    } else {
        mask = evidence[person * cells + cell].y;
    }
    if (states[slot].want >= GRADIENT) {
        let amount = weight * ratio + frames[person].mask_weight * mask
            + parts_weight * part;
        end_gradient(slot, side.ends.x, axis, -amount * sign * (1.0 - s), abs(amount) * (1.0 - s));
        end_gradient(slot, side.ends.y, axis, -amount * sign * s, abs(amount) * s);
    }
    let d = side.q1 - side.q0;
    let normal = select(d.x * d.x, d.y * d.y, axis == 0u) / dot(d, d);
    return sign * (position - border) * normal * vec3<f32>(ratio, mask, part);
}

@compute @workgroup_size(64)
fn silhouette(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want == IDLE) {
        return;
    }
    if (local == 0u) {
        atomicStore(&count, 0u);
    }
    workgroupBarrier();
    let tile = vec2<u32>(group.x % settings.tiles, group.x / settings.tiles) * TILE;
    let at = tile + vec2<u32>(local % TILE, local / TILE);
    let base = slot * settings.grid * settings.grid;
    let inside = at.x < settings.grid && at.y < settings.grid;
    let own = base + at.y * settings.grid + at.x;
    gained[2u * local] = vec3<f32>(0.0);
    gained[2u * local + 1u] = vec3<f32>(0.0);
    if (inside) {
        if (keys[own] != EMPTY) {
            let mask = evidence[person_of(slot) * settings.grid * settings.grid + own - base].y;
            gained[2u * local] = vec3<f32>(ratios[own].x, mask, ratios[own].z);
        }
        if (crossings[2u * own] != 0u) {
            found[atomicAdd(&count, 1u)] = 2u * local;
        }
        if (crossings[2u * own + 1u] != 0u) {
            found[atomicAdd(&count, 1u)] = 2u * local + 1u;
        }
    }
    workgroupBarrier();
    let samples = atomicLoad(&count);
    for (var i = local; i < samples; i += 64u) {
        let which = found[i];
        let cell = tile + vec2<u32>((which / 2u) % TILE, (which / 2u) / TILE);
        let pair = cell.y * settings.grid + cell.x;
        // The order of `found` differs from run to run, the places of `gained` do not.
        gained[which] += gain(slot, pair, which % 2u, crossings[2u * (base + pair) + which % 2u]);
    }
    workgroupBarrier();
    for (var i = local; i < SUMMED; i += 64u) {
        var sum = vec3<f32>(0.0);
        for (var j = 0u; j < SLOTS; j += SUMMED) {
            sum += gained[i + j];
        }
        gained[i] = sum;
    }
    workgroupBarrier();
    for (var i = local; i < 1u; i += 64u) {
        var sum = vec3<f32>(0.0);
        for (var j = 0u; j < SUMMED; j++) {
            sum += gained[j];
        }
        let at = slot * energy_count() + group.x;
        energies[at] = sum.xy;
        energies[at + settings.tiles * settings.tiles] = vec2<f32>(sum.z, 0.0);
    }
    report_overflows(slot);
}
