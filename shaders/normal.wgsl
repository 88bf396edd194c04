// uses: layout, points
//
// Normal: each bone gathers J^T W J and J^T g of its points, J = [-[p]x  I  dx/dbetas].
//
// In:  accumulators, landmarks, points, joints, shapes, weights
// Out: partials (sums of one chunk of a bone's points), with pose blend shapes also the gradient on
//      their coefficients
// Twin: src/cpu/normal.rs (points), src/cpu/adjoint.rs (points)
//
// One workgroup sums one chunk of pairs of point and bone: threads first spread J, W J and g of a
// pair each, then own a few sums each. Nothing is added atomically, so the order never changes.

@group(0) @binding(1) var<storage, read> frames: array<Frame>;
@group(0) @binding(14) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(19) var<storage, read> accumulators: array<i32>;
@group(0) @binding(21) var<storage, read_write> counters: array<atomic<u32>>;
@group(0) @binding(23) var<storage, read> landmarks: array<f32>;
@group(0) @binding(24) var<storage, read_write> partials: array<f32>;
@group(0) @binding(28) var<storage, read_write> feature_partials: array<f32>;

// One number of all pairs after the other: [column][axis][pair].
var<workgroup> columns: array<f32, 3u * COLUMNS * CHUNK>;
var<workgroup> weighted: array<f32, 3u * (COLUMNS + 1u) * CHUNK>;

fn put_column(pair: u32, column: u32, x: vec3<f32>) {
    columns[(3u * column) * CHUNK + pair] = x.x;
    columns[(3u * column + 1u) * CHUNK + pair] = x.y;
    columns[(3u * column + 2u) * CHUNK + pair] = x.z;
}

fn put_weighted(pair: u32, column: u32, x: vec3<f32>) {
    weighted[(3u * column) * CHUNK + pair] = x.x;
    weighted[(3u * column + 1u) * CHUNK + pair] = x.y;
    weighted[(3u * column + 2u) * CHUNK + pair] = x.z;
}

// Gradient and curvature at a camera-frame point.
struct Force {
    g: vec3<f32>,
    w: mat3x3<f32>,
}

fn force_at(slot: u32, i: u32) -> Force {
    var force: Force;
    if (i >= settings.vertices) {
        let at = (slot * MAX_KEYPOINTS + i - settings.vertices) * LANDMARK;
        force.g = vec3<f32>(landmarks[at], landmarks[at + 1u], landmarks[at + 2u]);
        force.w = mat3x3<f32>(
            vec3<f32>(landmarks[at + 3u], landmarks[at + 4u], landmarks[at + 5u]),
            vec3<f32>(landmarks[at + 4u], landmarks[at + 6u], landmarks[at + 7u]),
            vec3<f32>(landmarks[at + 5u], landmarks[at + 7u], landmarks[at + 8u]),
        );
        return force;
    }
    let p = points[slot * settings.vertices + i].xyz;
    if (p.z <= NEAR_M) {
        return force;
    }
    let at = slot * (ACCUMULATORS * settings.vertices + MAX_JOINTS * MAX_COMPONENTS) + ACCUMULATORS * i;
    let person = person_of(slot);
    let u = (frames[person].row0.xyz - vec3<f32>(0.0, 0.0, p.x / p.z)) / p.z;
    let v = (frames[person].row1.xyz - vec3<f32>(0.0, 0.0, p.y / p.z)) / p.z;
    let gradient = 1.0 / states[slot].gradient_scale;
    let a = gradient * vec3<f32>(f32(accumulators[at]), f32(accumulators[at + 1u]), f32(accumulators[at + 2u]));
    force.g = a.x * u + a.y * v + vec3<f32>(0.0, 0.0, a.z / p.z);
    let curvature = 1.0 / states[slot].curvature_scale;
    let c = curvature * vec3<f32>(f32(accumulators[at + 3u]), f32(accumulators[at + 4u]), f32(accumulators[at + 5u]));
    let cu = c.x * u + c.y * v;
    let cv = c.y * u + c.z * v;
    force.w = mat3x3<f32>(cu * u.x + cv * v.x, cu * u.y + cv * v.y, cu * u.z + cv * v.z);
    return force;
}

// Largest fixed-point numbers of a vertex, for the scales of the next evaluation.
fn measure(slot: u32, i: u32) {
    let at = slot * (ACCUMULATORS * settings.vertices + MAX_JOINTS * MAX_COMPONENTS) + ACCUMULATORS * i;
    let g = max(abs(accumulators[at]), max(abs(accumulators[at + 1u]), abs(accumulators[at + 2u])));
    let c = max(abs(accumulators[at + 3u]), max(abs(accumulators[at + 4u]), abs(accumulators[at + 5u])));
    if (g != 0) {
        atomicMax(&counters[slot * COUNTERS + LARGEST_GRADIENT], u32(g));
    }
    if (c != 0) {
        atomicMax(&counters[slot * COUNTERS + LARGEST_CURVATURE], u32(c));
    }
}

// Spreads one pair: point i carried by `bone` with weight `share`.
fn spread(slot: u32, pair: u32, bone: u32, i: u32, share: f32) {
    let x = rest_point(slot, i);
    let p = carried(slot, bone, x);
    let force = force_at(slot, i);
    let w = force.w * share;
    put_weighted(pair, COLUMNS, share * force.g);
    let turn = array<vec3<f32>, 3>(
        vec3<f32>(0.0, -p.z, p.y),
        vec3<f32>(p.z, 0.0, -p.x),
        vec3<f32>(-p.y, p.x, 0.0),
    );
    put_column(pair, 0u, turn[0]);
    put_column(pair, 1u, turn[1]);
    put_column(pair, 2u, turn[2]);
    put_weighted(pair, 0u, w * turn[0]);
    put_weighted(pair, 1u, w * turn[1]);
    put_weighted(pair, 2u, w * turn[2]);
    put_column(pair, 3u, vec3<f32>(1.0, 0.0, 0.0));
    put_column(pair, 4u, vec3<f32>(0.0, 1.0, 0.0));
    put_column(pair, 5u, vec3<f32>(0.0, 0.0, 1.0));
    put_weighted(pair, 3u, w[0]);
    put_weighted(pair, 4u, w[1]);
    put_weighted(pair, 5u, w[2]);
    var blend = mat3x3<f32>();
    let weight = weights[i];
    for (var k = 0u; k < 4u; k++) {
        if (weight[k] > 0.0) {
            blend += global_of(slot, carrier(i, k)) * weight[k];
        }
    }
    let at = SHAPE_ROWS * i;
    for (var b = 0u; b < MAX_BETAS; b++) {
        let q = b / 4u;
        let r = b % 4u;
        var by_beta = blend * vec3<f32>(shapes[at + q][r], shapes[at + 3u + q][r], shapes[at + 6u + q][r]);
        for (var k = 0u; k < 4u; k++) {
            if (weight[k] > 0.0) {
                by_beta += weight[k] * joints[slot * MAX_JOINTS + carrier(i, k)].offset[b].xyz;
            }
        }
        put_column(pair, 6u + b, by_beta);
        put_weighted(pair, 6u + b, w * by_beta);
    }
}

// Sum over the chunk's pairs of column r of J times column c of [W J | g].
fn product_of(r: u32, c: u32, count: u32) -> f32 {
    var sum = 0.0;
    let a = 3u * r * CHUNK;
    let b = 3u * c * CHUNK;
    for (var i = 0u; i < count; i++) {
        sum += columns[a + i] * weighted[b + i]
            + columns[a + CHUNK + i] * weighted[b + CHUNK + i]
            + columns[a + 2u * CHUNK + i] * weighted[b + 2u * CHUNK + i];
    }
    return sum;
}

// Gradient on the pose blend shapes' coefficients from one run of CHUNK vertices.
fn gather_feature(slot: u32, run: u32, runs: u32, local: u32) {
    let first = run * CHUNK;
    let i = first + local;
    var back = vec3<f32>(0.0);
    if (i < settings.vertices) {
        let g = force_at(slot, i).g;
        let weight = weights[i];
        for (var k = 0u; k < 4u; k++) {
            if (weight[k] > 0.0) {
                back += weight[k] * (transpose(global_of(slot, carrier(i, k))) * g);
            }
        }
    }
    put_column(local, 0u, back);
    workgroupBarrier();
    let count = min(CHUNK, settings.vertices - first);
    for (var n = local; n < settings.posedirs; n += CHUNK) {
        var sum = 0.0;
        for (var v = 0u; v < count; v++) {
            let at = 3u * ((first + v) * settings.posedirs + n);
            sum += columns[v] * posedirs[at] + columns[CHUNK + v] * posedirs[at + 1u]
                + columns[2u * CHUNK + v] * posedirs[at + 2u];
        }
        feature_partials[(slot * runs + run) * settings.posedirs + n] = sum;
    }
}

@compute @workgroup_size(32)
fn normal(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slot = slot_of(group.y);
    let want = states[slot].want;
    if (want < GRADIENT) {
        return;
    }
    if (group.x >= settings.chunks) {
        gather_feature(slot, group.x - settings.chunks, groups.x - settings.chunks, local);
        return;
    }
    let chunk = settings.at_chunks + CHUNK_WORDS * group.x;
    let bone = topology[chunk];
    let first = settings.at_entries + topology[chunk + 1u];
    let count = topology[chunk + 2u];
    if (local < count) {
        let entry = topology[first + local];
        let i = entry >> 2u;
        spread(slot, local, bone, i, weights[i][entry & 3u]);
        if (i < settings.vertices) {
            measure(slot, i);
        }
    }
    workgroupBarrier();
    let to = (slot * settings.chunks + group.x) * BONE_SUMS;
    if (local < COLUMNS) {
        partials[to + BONE_HESSIAN + local] = product_of(local, COLUMNS, count);
    }
    if (want < HESSIAN) {
        return;
    }
    for (var o = local; o < BONE_HESSIAN; o += CHUNK) {
        // Row and column of the o-th entry of the upper triangle, by rows.
        var r = 0u;
        var left = o;
        while (left >= COLUMNS - r) {
            left -= COLUMNS - r;
            r++;
        }
        partials[to + o] = product_of(r, r + left, count);
    }
}
