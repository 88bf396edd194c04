// Parts: the gain of covering a cell with a part of the body that a network names there; the inner
// function of score and silhouette.
// Twin: src/cpu/parts.rs

@group(0) @binding(30) var<storage, read> part_ratios: array<f32>;

struct PartScore {
    gain: f32,
    d_b: vec3<f32>,
}

// Parts of the three corners.
fn parts_of(face: vec3<u32>) -> vec3<u32> {
    let at = settings.at_vertex_part;
    return vec3<u32>(topology[at + face.x], topology[at + face.y], topology[at + face.z]);
}

// Scores cell `cell` of the grid under corners of these parts at barycentrics `b`.
fn parts_at(person: u32, parts: vec3<u32>, b: vec3<f32>, cell: u32) -> PartScore {
    let at = (person * settings.grid * settings.grid + cell) * PART_LANES;
    let r = vec3<f32>(part_ratios[at + parts.x], part_ratios[at + parts.y], part_ratios[at + parts.z]);
    let seen = settings.mask_visible_prior * exp(dot(b, r));
    let total = seen + 1.0 - settings.mask_visible_prior;
    var out: PartScore;
    out.gain = log(total);
    out.d_b = seen / total * r;
    return out;
}
