// Points before and after skinning; the inner functions of skin and normal.
// Twin: src/cpu/skin.rs

@group(0) @binding(5) var<storage, read> shapes: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> topology: array<u32>;
@group(0) @binding(8) var<storage, read> posedirs: array<f32>;
@group(0) @binding(12) var<storage, read> states: array<State>;
@group(0) @binding(13) var<storage, read> joints: array<Joint>;

// Row `at` of a shape under the betas of the trial pose.
fn shaped(slot: u32, at: u32) -> f32 {
    return dot(shapes[at], states[slot].trial[BETAS + 0])
        + dot(shapes[at + 1u], states[slot].trial[BETAS + 1])
        + dot(shapes[at + 2u], states[slot].trial[BETAS + 2]);
}

// A point of the body frame: shape and pose blend shapes applied.
fn rest_point(slot: u32, i: u32) -> vec3<f32> {
    let at = SHAPE_ROWS * i;
    var x = vec3<f32>(shaped(slot, at), shaped(slot, at + 3u), shaped(slot, at + 6u));
    if (settings.posedirs > 0u && i < settings.vertices) {
        var dir = 3u * settings.posedirs * i;
        for (var j = 1u; j < settings.joints; j++) {
            for (var r = 0u; r < 3u; r++) {
                let row = joints[slot * MAX_JOINTS + j].local[r];
                for (var c = 0u; c < 3u; c++) {
                    x += row[c] * vec3<f32>(posedirs[dir], posedirs[dir + 1u], posedirs[dir + 2u]);
                    dir += 3u;
                }
            }
        }
    }
    return x;
}

// The k-th of the joints that carry a point.
fn carrier(i: u32, k: u32) -> u32 {
    return (topology[settings.at_skin + i] >> (8u * k)) & 255u;
}

fn global_of(slot: u32, joint: u32) -> mat3x3<f32> {
    let at = slot * MAX_JOINTS + joint;
    return mat3x3<f32>(joints[at].global[0].xyz, joints[at].global[1].xyz, joints[at].global[2].xyz);
}

// A point under the blend of its joints.
struct Blended {
    rest: vec3<f32>,               // body frame
    x: vec3<f32>,                  // camera frame, metres
    global: mat3x3<f32>,
    offset: array<vec4<f32>, 9>,   // what the betas do through the joints: x, y, z over the betas
}

fn blended(slot: u32, i: u32) -> Blended {
    var out: Blended;
    out.rest = rest_point(slot, i);
    let w = weights[i];
    let packed_carriers = topology[settings.at_skin + i];
    for (var k = 0u; k < 4u; k++) {
        if (w[k] > 0.0) {
            let at = slot * MAX_JOINTS + ((packed_carriers >> (8u * k)) & 255u);
            let global = mat3x3<f32>(joints[at].global[0].xyz, joints[at].global[1].xyz, joints[at].global[2].xyz);
            let arm = joints[at].position.xyz - global * joints[at].rest.xyz;
            out.x += w[k] * (global * out.rest + arm);
            out.global += w[k] * global;
            for (var q = 0u; q < 9u; q++) {
                out.offset[q] += w[k] * joints[at].offset[q];
            }
        }
    }
    return out;
}
