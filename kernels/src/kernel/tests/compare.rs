//! What the tests expect of outputs.

use super::scene::{Codes, Output, Owner, Shape, UNTOUCHED, UNTOUCHED_CODE};

/// Error of an f32 sum over the sum of the magnitudes of its terms.
const SUM_F32: f32 = 1e-5;

/// Outputs of a kernel over f32: in one call, in two, in the place of what is added, by the
/// reference, and by the reference over magnitudes.
pub struct Reals {
    pub whole: Output<f32>,
    pub parts: Output<f32>,
    pub in_place: Output<f32>,
    pub expected: Output<f32>,
    pub magnitudes: Output<f32>,
}

impl Reals {
    pub fn new(shape: &Shape, channels: usize, lanes: usize) -> Self {
        let new = || Output::new(shape, channels, lanes, UNTOUCHED);
        Self {
            whole: new(),
            parts: new(),
            in_place: new(),
            expected: new(),
            magnitudes: new(),
        }
    }

    pub fn check(&self, shape: &Shape, channels: usize, lanes: usize) {
        for (i, owner) in self
            .whole
            .owners(shape, channels, lanes)
            .into_iter()
            .enumerate()
        {
            let [whole, parts, expected, magnitude] =
                [&self.whole, &self.parts, &self.expected, &self.magnitudes].map(|o| o.values[i]);
            assert_eq!(
                whole.to_bits(),
                parts.to_bits(),
                "element {i}: rows split over calls"
            );
            match owner {
                Owner::Channel => {
                    let error = (whole - expected).abs();
                    let most = SUM_F32 * magnitude.max(1.0);
                    assert!(error <= most, "element {i}: {whole}, expected {expected}");
                    if shape.added {
                        assert_eq!(whole, self.in_place.values[i], "element {i} in place");
                    }
                }
                Owner::Pad => assert!(whole.is_finite() && whole != UNTOUCHED, "pad {i}: {whole}"),
                Owner::Nobody => assert_eq!(whole, UNTOUCHED, "element {i} is not an output"),
            }
        }
    }
}

/// Outputs of a kernel over codes: in one call, in two, by the reference.
pub fn check_codes(outputs: &[Codes; 3], shape: &Shape, channels: usize, lanes: usize) {
    let [whole, parts, expected] = outputs;
    assert_eq!(whole.y.values, parts.y.values, "rows split over calls");
    assert_eq!(
        whole.y_real.values, parts.y_real.values,
        "rows split over calls"
    );
    let owners = whole.y.owners(shape, channels, lanes);
    for (i, owner) in owners.into_iter().enumerate() {
        let (code, real) = (whole.y.values[i], whole.y_real.values[i]);
        match owner {
            Owner::Channel => {
                assert_eq!(code, expected.y.values[i], "code {i}");
                assert_eq!(real, expected.y_real.values[i], "number {i}");
            }
            Owner::Pad => assert!(real.is_finite(), "pad {i}: {real}"),
            Owner::Nobody => {
                assert_eq!(code, UNTOUCHED_CODE, "code {i} is not an output");
                assert_eq!(real, UNTOUCHED, "number {i} is not an output");
            }
        }
    }
}
