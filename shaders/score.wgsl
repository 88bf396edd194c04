// uses: layout, project, edges, likelihood, parts, fixed, crossings
//
// Score: how well each covered cell's feature fits the mesh (slides, Eq. 2), and its gradient.
//
// In:  keys, points, features, evidence, part_ratios, means, mixture, gates
// Out: ratios (ratio, posterior, gain of the part); adds gradient and curvature at the points and the gradient on the
//      gates to the accumulators
// Twin: src/cpu/score.rs, src/cpu/parts.rs
//
// The workgroups behind those of the tiles find crossings.

@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(18) var<storage, read_write> ratios: array<vec4<f32>>;

fn turned(v: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(v.y, -v.x);
}

struct Slopes {
    x: vec3<f32>,
    y: vec3<f32>,
}

// Slopes of the barycentrics along image x and y: e_0 = u_2 x u_1 and so on, du_i/dc = -z_i.
fn barycentric_slopes(seen: Seen, z: vec3<f32>) -> Slopes {
    let inv = 1.0 / seen.sum;
    let b = seen.b;
    let x = vec3<f32>(
        z.y * seen.u2.y - z.z * seen.u1.y,
        z.z * seen.u0.y - z.x * seen.u2.y,
        z.x * seen.u1.y - z.y * seen.u0.y,
    );
    let y = vec3<f32>(
        z.z * seen.u1.x - z.y * seen.u2.x,
        z.x * seen.u2.x - z.z * seen.u0.x,
        z.y * seen.u0.x - z.x * seen.u1.x,
    );
    return Slopes((x - b * (x.x + x.y + x.z)) * inv, (y - b * (y.x + y.y + y.z)) * inv);
}

// Adds gradient and curvature of one corner.
fn corner(slot: u32, vertex: u32, p: vec3<f32>, d: vec2<f32>, c: vec2<f32>, share: f32, h: vec3<f32>) {
    // Relative to the corner's own image, so that one scale serves all three numbers.
    let a = p.z * d;
    let at = sums_of(slot) + ACCUMULATORS * vertex;
    let gradient = states[slot].gradient_scale;
    let curvature = states[slot].curvature_scale;
    add(at, a.x, gradient);
    add(at + 1u, a.y, gradient);
    add(at + 2u, dot(p.xy / p.z - c, a), gradient);
    add(at + 3u, share * h.x, curvature);
    add(at + 4u, share * h.y, curvature);
    add(at + 5u, share * h.z, curvature);
}

// The part's gain at a covered cell; adds its gradient and curvature.
fn score_parts(slot: u32, cell: u32, key: u32, c: vec2<f32>) -> f32 {
    let person = person_of(slot);
    let at = settings.at_faces + 3u * (key & ((1u << ID_BITS) - 1u));
    let face = vec3<u32>(topology[at], topology[at + 1u], topology[at + 2u]);
    let parts = parts_of(face);
    if (parts.x == parts.y && parts.y == parts.z) {
        return parts_at(person, parts, vec3<f32>(1.0, 0.0, 0.0), cell).gain;
    }
    let base = slot * settings.vertices;
    let p0 = points[base + face.x].xyz;
    let p1 = points[base + face.y].xyz;
    let p2 = points[base + face.z].xyz;
    let seen = seen_at(p0, p1, p2, c);
    let s = parts_at(person, parts, seen.b, cell);
    if (states[slot].want < GRADIENT) {
        return s.gain;
    }
    let b = seen.b;
    let inv = 1.0 / seen.sum;
    let g = -frames[person].parts_weight * s.d_b;
    let h = (g - dot(g, b)) * inv;
    let slopes = barycentric_slopes(seen, vec3<f32>(p0.z, p1.z, p2.z));
    // Curvature: the absolute gain along the border's normal.
    let slope = vec2<f32>(dot(g, slopes.x), dot(g, slopes.y));
    let size = length(slope);
    let curvature = vec3<f32>(slope.x * slope.x, slope.x * slope.y, slope.y * slope.y)
        / select(size, 1.0, size == 0.0);
    corner(slot, face.x, p0, turned(h.y * seen.u2 - h.z * seen.u1), c, b.x, curvature);
    corner(slot, face.y, p1, turned(h.z * seen.u0 - h.x * seen.u2), c, b.y, curvature);
    corner(slot, face.z, p2, turned(h.x * seen.u1 - h.y * seen.u0), c, b.z, curvature);
    return s.gain;
}

fn score_cell(slot: u32, cell: u32, key: u32, c: vec2<f32>) -> vec2<f32> {
    let t = key & ((1u << ID_BITS) - 1u);
    let at = settings.at_faces + 3u * t;
    let face = vec3<u32>(topology[at], topology[at + 1u], topology[at + 2u]);
    let base = slot * settings.vertices;
    let p0 = points[base + face.x].xyz;
    let p1 = points[base + face.y].xyz;
    let p2 = points[base + face.z].xyz;
    let seen = seen_at(p0, p1, p2, c);
    let s = likelihood_at(slot, t, face, seen.b, cell);
    if (states[slot].want < GRADIENT) {
        return vec2<f32>(s.ratio, s.posterior);
    }
    let weight = frames[person_of(slot)].weight;
    let b = seen.b;
    let inv = 1.0 / seen.sum;

    // Gradient by barycentrics to the three homogeneous image points.
    let g = -weight * s.d_b;
    let h = (g - dot(g, b)) * inv;

    let slopes = barycentric_slopes(seen, vec3<f32>(p0.z, p1.z, p2.z));
    var curvature = vec3<f32>(0.0);
    for (var k = 0u; k < COMPONENTS; k++) {
        let m = gram_of(t, k);
        let gram = mat3x3<f32>(
            vec3<f32>(m[0], m[3], m[4]),
            vec3<f32>(m[3], m[1], m[5]),
            vec3<f32>(m[4], m[5], m[2]),
        );
        let w = weight * s.weight[k];
        let gx = gram * slopes.x;
        let gy = gram * slopes.y;
        curvature += w * vec3<f32>(dot(slopes.x, gx), dot(slopes.x, gy), dot(slopes.y, gy));
    }
    corner(slot, face.x, p0, turned(h.y * seen.u2 - h.z * seen.u1), c, b.x, curvature);
    corner(slot, face.y, p1, turned(h.z * seen.u0 - h.x * seen.u2), c, b.y, curvature);
    corner(slot, face.z, p2, turned(h.x * seen.u1 - h.y * seen.u0), c, b.z, curvature);
    let scale = states[slot].gate_scale;
    let to = gate_sums_of(slot) + cell % REPLICAS * (MAX_JOINTS * MAX_COMPONENTS);
    for (var k = 0u; k < COMPONENTS; k++) {
        let d = -weight * s.d_alpha[k];
        add(to + limb_of(face.x) * MAX_COMPONENTS + k, b.x * d, scale);
        add(to + limb_of(face.y) * MAX_COMPONENTS + k, b.y * d, scale);
        add(to + limb_of(face.z) * MAX_COMPONENTS + k, b.z * d, scale);
    }
    return vec2<f32>(s.ratio, s.posterior);
}

@compute @workgroup_size(64)
fn score(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = slot_of(group.y);
    if (states[slot].want == IDLE) {
        return;
    }
    let cells = settings.grid * settings.grid;
    let tile = vec2<u32>(group.x % settings.tiles, group.x / settings.tiles);
    let at = tile * TILE + vec2<u32>(local % TILE, local / TILE);
    let cell = at.y * settings.grid + at.x;
    let here = group.x < settings.score_groups && at.x < settings.grid && at.y < settings.grid;
    if (here) {
        let key = keys[slot * cells + cell];
        let c = vec2<f32>(at) + 0.5;
        // Without a likelihood a covered cell counts as seen.
        var result = vec4<f32>(0.0, select(1.0, 0.0, key == EMPTY), 0.0, 0.0);
        if (key != EMPTY && frames[person_of(slot)].weight > 0.0) {
            result = vec4<f32>(score_cell(slot, cell, key, c), 0.0, 0.0);
        }
        if (key != EMPTY && frames[person_of(slot)].parts_weight > 0.0) {
            result.z = score_parts(slot, cell, key, c);
        }
        ratios[slot * cells + cell] = result;
    }
    if (group.x >= settings.score_groups) {
        cross_outlines(slot, (group.x - settings.score_groups) * 64u + local);
    }
    report_overflows(slot);
}
