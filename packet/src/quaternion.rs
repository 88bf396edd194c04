//! Rotations in 48 bits: the smallest three components of a unit quaternion.
//!
//! A unit quaternion and its negative are the same rotation, so the component of largest
//! magnitude can be made positive, left out, and recovered from the unit norm. The other three
//! lie within ±1/√2 and take 15 bits each.

/// Steps from 0 to 1/√2 in one stored component.
const STEPS: f32 = 16383.0;

/// What is added to a stored component to make it unsigned.
const OFFSET: i32 = 16384;

/// Value of one step of a stored component.
const STEP: f32 = core::f32::consts::FRAC_1_SQRT_2 / STEPS;

/// Square of the unit norm in steps: 2 · 16383².
const UNIT: i32 = 2 * 16383 * 16383;

/// Bits that carry the rotation; bit 47 is reserved.
const USED_BITS: u64 = (1 << 47) - 1;

/// A unit quaternion `w + xi + yj + zk`: the active rotation by angle 2·acos(w) about (x, y, z).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quaternion {
    /// Real part: cosine of half the angle.
    pub w: f32,
    /// Imaginary part along the x axis.
    pub x: f32,
    /// Imaginary part along the y axis.
    pub y: f32,
    /// Imaginary part along the z axis.
    pub z: f32,
}

impl Quaternion {
    /// No rotation.
    pub const IDENTITY: Self = Quaternion {
        w: 1.0,
        x: 0.0,
        y: 0.0,
        z: 0.0,
    };

    /// The rotation matrix, rows first: a column vector turns as `v' = R v`.
    ///
    /// ```
    /// use neuralsmpl_packet::Quaternion;
    ///
    /// // A quarter turn about z takes x to y.
    /// let half = core::f32::consts::FRAC_1_SQRT_2;
    /// let matrix = Quaternion { w: half, x: 0.0, y: 0.0, z: half }.to_matrix();
    /// let turned = matrix.map(|row| row[0]); // R · (1, 0, 0)
    /// assert!((turned[1] - 1.0).abs() < 1e-6);
    /// ```
    pub fn to_matrix(self) -> [[f32; 3]; 3] {
        let Quaternion { w, x, y, z } = self;
        [
            [
                1.0 - 2.0 * (y * y + z * z),
                2.0 * (x * y - w * z),
                2.0 * (x * z + w * y),
            ],
            [
                2.0 * (x * y + w * z),
                1.0 - 2.0 * (x * x + z * z),
                2.0 * (y * z - w * x),
            ],
            [
                2.0 * (x * z - w * y),
                2.0 * (y * z + w * x),
                1.0 - 2.0 * (x * x + y * y),
            ],
        ]
    }
}

/// The quaternion has no direction: a component is not finite, or the norm is far from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quaternion is not a rotation: its norm must lie between 0.001 and 1000")]
pub struct NotARotation;

/// A rotation as it travels: 48 bits, always decodable.
///
/// Bits, counted from the least significant of the little-endian 48-bit integer:
///
/// | bits | meaning |
/// |---|---|
/// | 0–14, 15–29, 30–44 | the three components that are kept, in the order w, x, y, z; each is its value · √2 · 16383, rounded, plus 16384 |
/// | 45–46 | the component left out: 0 = w, 1 = x, 2 = y, 3 = z |
/// | 47 | reserved: written 0, ignored |
///
/// Converting a rotation changes it by at most [`Rotation::MAX_ANGLE_ERROR`]. The identity is
/// exact. Constructors refuse bits whose three components exceed the unit norm, so every value
/// decodes to a unit quaternion.
///
/// ```
/// use neuralsmpl_packet::{Quaternion, Rotation};
///
/// let turn = Quaternion { w: 0.8, x: 0.0, y: -0.6, z: 0.0 };
/// let rotation = Rotation::from_quaternion(turn)?;
/// let back = rotation.to_quaternion();
/// assert!((back.y - turn.y).abs() < 1e-4);
/// assert_eq!(Rotation::from_bits(rotation.to_bits()), Some(rotation));
/// # Ok::<(), neuralsmpl_packet::NotARotation>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rotation([u8; 6]);

impl Rotation {
    /// No rotation.
    pub const IDENTITY: Self = Rotation([0x00, 0x40, 0x00, 0x20, 0x00, 0x10]);

    /// Largest angle in radians between a rotation and what its 48 bits decode to (0.009°).
    ///
    /// Each kept component is off by at most h = 1/(2·√2·16383); the one left out follows by at
    /// most (|a|+|b|+|c|)/d · h ≤ 3h. The angle is twice the distance on the unit sphere:
    /// 2·√(3h² + 9h²) = 1.495e-4 rad, reached near (½, ½, ½, ½). The rest is f32 rounding.
    pub const MAX_ANGLE_ERROR: f32 = 1.57e-4;

    /// Rounds a quaternion, which need not be exactly of unit norm, to 48 bits.
    ///
    /// # Errors
    /// [`NotARotation`] where a component is not finite or the norm is outside 0.001..=1000.
    pub fn from_quaternion(q: Quaternion) -> Result<Self, NotARotation> {
        let squared = q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z;
        if !(1e-6..=1e6).contains(&squared) {
            return Err(NotARotation);
        }
        // A quaternion and its negative are the same rotation: the largest becomes positive.
        let (left_out, largest, kept) = split([q.w, q.x, q.y, q.z]);
        let scale = 1.0 / (libm::copysignf(libm::sqrtf(squared), largest) * STEP);
        let [a, b, c] = kept.map(|component| {
            let steps = libm::roundf(component * scale).clamp(-STEPS, STEPS);
            (steps as i32 + OFFSET) as u64
        });
        let bits = a | b << 15 | c << 30 | left_out << 45;
        // The three smallest hold at most 3/4 of the squared norm, so the bits are always valid.
        Self::from_bits(bits).ok_or(NotARotation)
    }

    /// The unit quaternion; its largest component is positive.
    pub fn to_quaternion(self) -> Quaternion {
        let [a, b, c] = self.steps();
        let rest = UNIT - (a * a + b * b + c * c);
        let d = libm::sqrtf(rest.max(0) as f32 / UNIT as f32);
        let [a, b, c] = [a, b, c].map(|steps| steps as f32 * STEP);
        let [w, x, y, z] = match self.to_bits() >> 45 {
            0 => [d, a, b, c],
            1 => [a, d, b, c],
            2 => [a, b, d, c],
            _ => [a, b, c, d],
        };
        Quaternion { w, x, y, z }
    }

    /// The 48 bits in the low end of an integer.
    pub fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// Takes 48 bits; `None` where the three kept components exceed the unit norm.
    ///
    /// Bit 47 and everything above is ignored.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let [a, b, c, d, e, f, _, _] = (bits & USED_BITS).to_le_bytes();
        let rotation = Rotation([a, b, c, d, e, f]);
        let [a, b, c] = rotation.steps();
        (a * a + b * b + c * c <= UNIT).then_some(rotation)
    }

    /// The six bytes as they travel.
    pub fn to_bytes(self) -> [u8; 6] {
        self.0
    }

    /// Takes six bytes; `None` as in [`Rotation::from_bits`].
    pub fn from_bytes(bytes: [u8; 6]) -> Option<Self> {
        let [a, b, c, d, e, f] = bytes;
        Self::from_bits(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// The three kept components in steps, −16384..=16383.
    fn steps(self) -> [i32; 3] {
        let bits = self.to_bits();
        [bits, bits >> 15, bits >> 30].map(|field| (field & 0x7fff) as i32 - OFFSET)
    }
}

/// Index and value of the component of largest magnitude (the first of equals), and the others.
fn split([w, x, y, z]: [f32; 4]) -> (u64, f32, [f32; 3]) {
    let mut best = (0, w, [x, y, z]);
    for candidate in [(1, x, [w, y, z]), (2, y, [w, x, z]), (3, z, [w, x, y])] {
        if candidate.1.abs() > best.1.abs() {
            best = candidate;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_exact() {
        let rotation = Rotation::from_quaternion(Quaternion::IDENTITY);
        assert_eq!(rotation, Ok(Rotation::IDENTITY));
        assert_eq!(Rotation::IDENTITY.to_quaternion(), Quaternion::IDENTITY);
    }

    #[test]
    fn negated_quaternion_is_the_same_rotation() {
        let [w, x, y, z] = [-0.5, 0.5, -0.5, 0.5_f32];
        assert_eq!(
            Rotation::from_quaternion(Quaternion { w, x, y, z }),
            Rotation::from_quaternion(Quaternion {
                w: -w,
                x: -x,
                y: -y,
                z: -z
            })
        );
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        for bad in [0.0, f32::NAN, f32::INFINITY, 1e-4, 1e30] {
            let q = Quaternion {
                w: bad,
                x: 0.0,
                y: 0.0,
                z: 0.0,
            };
            assert_eq!(Rotation::from_quaternion(q), Err(NotARotation), "{bad}");
        }
    }

    #[test]
    fn bits_beyond_the_unit_norm_are_refused() {
        assert_eq!(Rotation::from_bytes([0; 6]), None);
        assert_eq!(Rotation::from_bytes([0xff; 6]), None);
    }

    #[test]
    fn the_reserved_bit_is_ignored() {
        let bits = Rotation::IDENTITY.to_bits() | 1 << 47;
        assert_eq!(Rotation::from_bits(bits), Some(Rotation::IDENTITY));
    }
}
