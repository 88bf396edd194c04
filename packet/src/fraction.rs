//! Numbers between 0 and 1 in one byte.

/// A number in 0..=1 as a count of 255ths.
///
/// ```
/// use neuralsmpl_packet::Fraction;
///
/// assert_eq!(Fraction::from_f32(1.0), Fraction(255));
/// assert_eq!(Fraction::from_f32(-3.0), Fraction(0)); // clamped
/// assert!((Fraction::from_f32(0.3).to_f32() - 0.3).abs() <= 0.5 / 255.0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fraction(
    /// Count of 255ths.
    pub u8,
);

impl Fraction {
    /// Rounds to the nearest 255th; clamps to 0..=1, and takes NaN for 0.
    pub fn from_f32(value: f32) -> Self {
        // A float to integer cast saturates, and turns NaN into 0.
        Fraction(libm::roundf(value * 255.0) as u8)
    }

    /// The number, 0..=1.
    pub fn to_f32(self) -> f32 {
        f32::from(self.0) / 255.0
    }
}
