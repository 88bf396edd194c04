// Keypoints: robust 2D reprojection, and offsets from the hips in 3D.
//
// In:  posed keypoints, targets
// Out: landmarks (gradient and curvature at the camera-frame points), energies
// Twin: src/cpu/keypoints.rs

@group(0) @binding(4) var<storage, read> targets: array<Target>;
@group(0) @binding(23) var<storage, read_write> landmarks: array<f32>;

var<workgroup> offsets: array<vec3<f32>, MAX_KEYPOINTS>;
var<workgroup> keypoint_energy: array<vec2<f32>, MAX_KEYPOINTS>;

// A point in the camera frame under the joints of this workgroup, metres. Keypoints have no pose blend
// shapes.
fn posed(slot: u32, i: u32) -> vec3<f32> {
    let at = SHAPE_ROWS * i;
    var x: vec3<f32>;
    for (var a = 0u; a < 3u; a++) {
        x[a] = dot(shapes[at + 3u * a], states[slot].trial[BETAS + 0])
            + dot(shapes[at + 3u * a + 1u], states[slot].trial[BETAS + 1])
            + dot(shapes[at + 3u * a + 2u], states[slot].trial[BETAS + 2]);
    }
    let w = weights[i];
    let carriers = topology[settings.at_skin + i];
    var p = vec3<f32>(0.0);
    for (var k = 0u; k < 4u; k++) {
        if (w[k] > 0.0) {
            let j = (carriers >> (8u * k)) & 255u;
            p += w[k] * (globals[j] * (x - rests[j]) + positions[j]);
        }
    }
    return p;
}

// For a workgroup of at least MAX_KEYPOINTS threads that holds the posed joints.
fn score_keypoints(slot: u32, i: u32) {
    let count = settings.keypoints;
    let person = person_of(slot);
    var energy = vec2<f32>(0.0);
    var g = vec3<f32>(0.0);
    var diagonal = vec3<f32>(0.0);
    var planar = 0.0;
    var x = vec3<f32>(0.0);
    var row0 = vec3<f32>(0.0);
    var row1 = vec3<f32>(0.0);
    if (i < count) {
        let to = targets[person * MAX_KEYPOINTS + i];
        x = posed(slot, settings.vertices + i);
        let p = homogeneous(person, x);
        if (to.confidence > 0.0 && p.z > 0.0) {
            let q = p.xy / p.z;
            let s2 = settings.keypoint_sigma * settings.keypoint_sigma;
            let w = settings.w_keypoints * to.confidence;
            let r = q - to.position;
            let d = dot(r, r) + s2;
            energy.x = w * (1.0 - s2 / d);
            planar = 2.0 * w * s2 / (d * d);
            row0 = pixel_row(frames[person].row0.xyz, q.x, p.z);
            row1 = pixel_row(frames[person].row1.xyz, q.y, p.z);
            g = planar * (r.x * row0 + r.y * row1);
        }
        var pull = vec3<f32>(0.0);
        if (settings.w_depth > 0.0 && to.offset_confidence > 0.0) {
            let middle = 0.5 * (posed(slot, settings.vertices + settings.root_a)
                + posed(slot, settings.vertices + settings.root_b));
            let s2 = settings.depth_sigma * settings.depth_sigma;
            let w = settings.w_depth * to.offset_confidence;
            let r = (x - middle - to.offset.xyz) * settings.axes.xyz;
            let d = dot(r, r) + s2;
            energy.y = w * (1.0 - s2 / d);
            let slope = 2.0 * w * s2 / (d * d);
            pull = slope * r;
            g += pull;
            diagonal = slope * settings.axes.xyz;
        }
        offsets[i] = pull;
        keypoint_energy[i] = energy;
    }
    workgroupBarrier();
    if (i < count) {
        // The hips carry half of every offset's gradient each.
        let share = select(0.0, 0.5, i == settings.root_a) + select(0.0, 0.5, i == settings.root_b);
        if (share > 0.0) {
            for (var k = 0u; k < count; k++) {
                g -= share * offsets[k];
            }
        }
        let at = (slot * MAX_KEYPOINTS + i) * LANDMARK;
        landmarks[at] = g.x;
        landmarks[at + 1u] = g.y;
        landmarks[at + 2u] = g.z;
        landmarks[at + 3u] = planar * (row0.x * row0.x + row1.x * row1.x) + diagonal.x;
        landmarks[at + 4u] = planar * (row0.x * row0.y + row1.x * row1.y);
        landmarks[at + 5u] = planar * (row0.x * row0.z + row1.x * row1.z);
        landmarks[at + 6u] = planar * (row0.y * row0.y + row1.y * row1.y) + diagonal.y;
        landmarks[at + 7u] = planar * (row0.y * row0.z + row1.y * row1.z);
        landmarks[at + 8u] = planar * (row0.z * row0.z + row1.z * row1.z) + diagonal.z;
    }
    if (i == 0u) {
        var sum = vec2<f32>(0.0);
        for (var k = 0u; k < count; k++) {
            sum += keypoint_energy[k];
        }
        energies[(slot + 1u) * energy_count() - 3u] = sum;
    }
}
