// Rotations in plain arithmetic: the built-in sine, cosine and arc functions may be off by 5e-4.
// Twin: glam's quaternions, as src/body/pose.rs and src/cpu/priors.rs use them.

// Columns of the rotation matrix of a unit quaternion.
fn matrix_of(q: vec4<f32>) -> mat3x3<f32> {
    let d = q + q;
    let xx = q.x * d.x; let xy = q.x * d.y; let xz = q.x * d.z;
    let yy = q.y * d.y; let yz = q.y * d.z; let zz = q.z * d.z;
    let wx = q.w * d.x; let wy = q.w * d.y; let wz = q.w * d.z;
    return mat3x3<f32>(
        vec3<f32>(1.0 - (yy + zz), xy + wz, xz - wy),
        vec3<f32>(xy - wz, 1.0 - (xx + zz), yz + wx),
        vec3<f32>(xz + wy, yz - wx, 1.0 - (xx + yy)),
    );
}

fn product(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        a.w * b.xyz + b.w * a.xyz + cross(a.xyz, b.xyz),
        a.w * b.w - dot(a.xyz, b.xyz),
    );
}

// exp of a rotation vector of at most two radians: Taylor series of the half angle.
fn quaternion_of(turn: vec3<f32>) -> vec4<f32> {
    let h = 0.25 * dot(turn, turn);
    let s = 1.0 + h * (-1.0 / 6.0 + h * (1.0 / 120.0 + h * (-1.0 / 5040.0 + h * (1.0 / 362880.0))));
    let c = 1.0 + h * (-0.5 + h * (1.0 / 24.0 + h * (-1.0 / 720.0 + h * (1.0 / 40320.0 - h * (1.0 / 3628800.0)))));
    return vec4<f32>(0.5 * s * turn, c);
}

// Abramowitz & Stegun 4.4.46, off by at most 2e-8.
fn arc_cosine(x: f32) -> f32 {
    let a = abs(x);
    let p = 1.5707963050 + a * (-0.2145988016 + a * (0.0889789874 + a * (-0.0501743046
        + a * (0.0308918810 + a * (-0.0170881256 + a * (0.0066700901 - a * 0.0012624911))))));
    let r = sqrt(1.0 - a) * p;
    return select(r, 3.14159265 - r, x < 0.0);
}

// Arc tangent of y / x for y, x >= 0; Abramowitz & Stegun 4.4.49, off by at most 2e-8.
fn arc_tangent(y: f32, x: f32) -> f32 {
    let low = min(x, y);
    let high = max(x, y);
    let t = low / max(high, 1e-30);
    let s = t * t;
    let a = t * (1.0 + s * (-0.3333314528 + s * (0.1999355085 + s * (-0.1420889944
        + s * (0.1065626393 + s * (-0.0752896400 + s * (0.0429096138 + s * (-0.0161657367
        + s * 0.0028662257))))))));
    return select(a, 1.57079633 - a, y > x);
}

// Rotation vector of a unit quaternion.
fn rotation_vector(q: vec4<f32>) -> vec3<f32> {
    let p = select(q, -q, q.w < 0.0);
    let l = length(p.xyz);
    if (l < 1e-8) {
        return vec3<f32>(0.0);
    }
    return p.xyz * (2.0 * arc_tangent(l, p.w) / l);
}

// The matrix of v x.
fn cross_matrix(v: vec3<f32>) -> mat3x3<f32> {
    return mat3x3<f32>(
        vec3<f32>(0.0, v.z, -v.y),
        vec3<f32>(-v.z, 0.0, v.x),
        vec3<f32>(v.y, -v.x, 0.0),
    );
}

// d log(R exp(delta)) / d delta at 0: the inverse right Jacobian of SO(3).
fn log_jacobian(q: vec4<f32>, theta: vec3<f32>) -> mat3x3<f32> {
    let k = cross_matrix(theta);
    let a2 = dot(theta, theta);
    var c = 1.0 / 12.0 + a2 / 720.0;
    if (a2 >= 1e-4) {
        // (1 + cos a) / sin a is the cotangent of a / 2.
        let l = length(q.xyz);
        c = 1.0 / a2 - abs(q.w) / (l * 2.0 * sqrt(a2));
    }
    let kk = k * k;
    return mat3x3<f32>(
        vec3<f32>(1.0, 0.0, 0.0) + 0.5 * k[0] + c * kk[0],
        vec3<f32>(0.0, 1.0, 0.0) + 0.5 * k[1] + c * kk[1],
        vec3<f32>(0.0, 0.0, 1.0) + 0.5 * k[2] + c * kk[2],
    );
}
