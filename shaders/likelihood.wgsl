// Likelihood: one cell's log-likelihood ratio and its derivatives; the inner function of score and
// silhouette.
// Twin: src/cpu/likelihood.rs

@group(0) @binding(2) var<storage, read> features: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> evidence: array<vec2<f32>>; // background, mask
@group(0) @binding(9) var<storage, read> means: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> mixture: array<f32>;
@group(0) @binding(20) var<storage, read> gates: array<Gate>;

struct CellScore {
    ratio: f32,
    posterior: f32,
    d_b: vec3<f32>,
    d_alpha: array<f32, COMPONENTS>,
    weight: array<f32, COMPONENTS>,
}

// A triangle seen from one cell centre.
struct Seen {
    u0: vec2<f32>,
    u1: vec2<f32>,
    u2: vec2<f32>,
    sum: f32,
    b: vec3<f32>,
}

// p - z c without the rounding of the product, which triangles of a cell's width would notice: c has
// nine significant bits, and so either half of z times c is exact. (A fused multiply-add may not be fused.)
fn relative(p: vec3<f32>, c: vec2<f32>) -> vec2<f32> {
    let high = bitcast<f32>(bitcast<u32>(p.z) & 0xfffff000u);
    return (p.xy - high * c) - (p.z - high) * c;
}

fn seen_at(p0: vec3<f32>, p1: vec3<f32>, p2: vec3<f32>, c: vec2<f32>) -> Seen {
    var s: Seen;
    s.u0 = relative(p0, c);
    s.u1 = relative(p1, c);
    s.u2 = relative(p2, c);
    let e = vec3<f32>(cross2(s.u2, s.u1), cross2(s.u0, s.u2), cross2(s.u1, s.u0));
    s.sum = e.x + e.y + e.z;
    s.b = e * (1.0 / s.sum);
    return s;
}

// Inner products of a triangle's means of one component: 00, 11, 22, 01, 02, 12.
fn gram_of(t: u32, k: u32) -> array<f32, 6> {
    let at = settings.at_gram + 6u * (t * COMPONENTS + k);
    return array<f32, 6>(mixture[at], mixture[at + 1u], mixture[at + 2u], mixture[at + 3u], mixture[at + 4u], mixture[at + 5u]);
}

fn limb_of(vertex: u32) -> u32 {
    return topology[settings.at_vertex_limb + vertex];
}

// Scores cell `cell` of the grid under triangle `t` at barycentrics `b`.
fn likelihood_at(slot: u32, t: u32, face: vec3<u32>, b: vec3<f32>, cell: u32) -> CellScore {
    let n = settings.channels;
    let person = person_of(slot);
    let cells = settings.grid * settings.grid;
    let f_at = (person * cells + cell) * n;
    let background = evidence[person * cells + cell].x;
    let gate0 = slot * MAX_JOINTS + limb_of(face.x);
    let gate1 = slot * MAX_JOINTS + limb_of(face.y);
    let gate2 = slot * MAX_JOINTS + limb_of(face.z);
    let row = vec3<u32>(face.x, face.y, face.z) * (COMPONENTS * n);

    var dots: array<vec3<f32>, COMPONENTS>;
    for (var j = 0u; j < n; j++) {
        let f = features[f_at + j];
        for (var k = 0u; k < COMPONENTS; k++) {
            let at = row + vec3<u32>(k * n + j);
            dots[k] += vec3<f32>(dot(f, means[at.x]), dot(f, means[at.y]), dot(f, means[at.z]));
        }
    }

    var out: CellScore;
    if (settings.kind == PAPER) {
        let dims = settings.dims;
        var x: array<f32, COMPONENTS>;
        var dx: array<vec3<f32>, COMPONENTS>;
        var inverse: array<f32, COMPONENTS>;
        var top = 0.0;
        for (var k = 0u; k < COMPONENTS; k++) {
            let g = gram_of(t, k);
            let m = vec3<f32>(
                b.x * g[0] + b.y * g[3] + b.z * g[4],
                b.x * g[3] + b.y * g[1] + b.z * g[5],
                b.x * g[4] + b.y * g[5] + b.z * g[2],
            );
            let s = vec3<f32>(
                mixture[face.x * COMPONENTS + k],
                mixture[face.y * COMPONENTS + k],
                mixture[face.z * COMPONENTS + k],
            );
            let sigma = dot(b, s);
            // Features have unit norm; rounding must not make the distance negative.
            let square = max(1.0 - 2.0 * dot(b, dots[k]) + dot(b, m), 0.0);
            let inv = 1.0 / (sigma * sigma);
            inverse[k] = inv;
            x[k] = settings.temperature * (-dims * log(sigma) - 0.5 * inv * square - background);
            let d_sigma = (square * inv - dims) / sigma;
            dx[k] = settings.temperature * (inv * (dots[k] - m) + d_sigma * s);
            top = max(top, x[k]);
        }
        let pi = settings.visible_prior;
        var total = (1.0 - pi) * exp(-top);
        for (var k = 0u; k < COMPONENTS; k++) {
            let alpha = b.x * gates[gate0].alpha[k] + b.y * gates[gate1].alpha[k] + b.z * gates[gate2].alpha[k];
            out.d_alpha[k] = pi * exp(x[k] - top);
            out.weight[k] = alpha * out.d_alpha[k];
            total += out.weight[k];
        }
        // With no outlier process and a hopeless fit everything underflows; stay finite.
        total = max(total, 1.17549435e-38);
        let inv_total = 1.0 / total;
        for (var k = 0u; k < COMPONENTS; k++) {
            out.d_alpha[k] *= inv_total;
            let w = out.weight[k] * inv_total;
            out.posterior += w;
            out.weight[k] = w * settings.temperature * inverse[k];
            let by_gate = vec3<f32>(gates[gate0].alpha[k], gates[gate1].alpha[k], gates[gate2].alpha[k]);
            out.d_b += w * dx[k] + out.d_alpha[k] * by_gate;
        }
        out.ratio = top + log(total);
    } else {
        var score = 0.0;
        for (var k = 0u; k < COMPONENTS; k++) {
            let g = gram_of(t, k);
            let m = vec3<f32>(
                b.x * g[0] + b.y * g[3] + b.z * g[4],
                b.x * g[3] + b.y * g[1] + b.z * g[5],
                b.x * g[4] + b.y * g[5] + b.z * g[2],
            );
            let by_gate = vec3<f32>(gates[gate0].alpha[k], gates[gate1].alpha[k], gates[gate2].alpha[k]);
            let alpha = dot(b, by_gate);
            let norm2 = max(dot(b, m), 1e-12);
            let inv = 1.0 / sqrt(norm2);
            let cosine = dot(b, dots[k]) * inv;
            score += alpha * cosine;
            out.d_alpha[k] = cosine;
            out.weight[k] = alpha / norm2;
            out.d_b += alpha * (dots[k] * inv - cosine * m / norm2) + cosine * by_gate;
        }
        let fg = 0.5 * (score + 1.0);
        let z = (fg - background) / SOFT_MAX_TEMPERATURE;
        let q = 1.0 / (1.0 + exp(-z));
        out.posterior = q;
        out.ratio = q * (fg - background);
        let slope = 0.5 * q * (1.0 + (1.0 - q) * z);
        out.d_b *= slope;
        for (var k = 0u; k < COMPONENTS; k++) {
            out.d_alpha[k] *= slope;
            out.weight[k] *= max(slope, 0.0);
        }
    }
    return out;
}
