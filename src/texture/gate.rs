//! Orientation gates: mixture weights α_k from the angle between a limb and the optical axis.
//!
//! Twin: shaders/pose.wgsl

use super::Alphas;
use crate::constants::{GATE_EDGE, GATE_POLE};
use crate::limits::{MAX_COMPONENTS, MAX_JOINTS};

/// α of every limb and its derivative by c = l·z₊.
#[derive(Clone, Debug)]
pub struct Gates {
    /// α_k per limb.
    pub alpha: [Alphas; MAX_JOINTS],
    /// dα_k/dc per limb.
    pub slope: [Alphas; MAX_JOINTS],
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            alpha: [[0.0; MAX_COMPONENTS]; MAX_JOINTS],
            slope: [[0.0; MAX_COMPONENTS]; MAX_JOINTS],
        }
    }
}

/// Which gate function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// Slides, Eq. 6: K soft sectors of γ = arccos(c).
    Paper {
        /// K.
        components: usize,
        /// τ.
        tau: f32,
    },
    /// The authors' code, in the order of Eq. 6's sectors: away from the camera, sideways, towards it.
    /// It knows three; with K ≠ 3 all components count alike.
    Released {
        /// K.
        components: usize,
        /// τ.
        tau: f32,
    },
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn logistic_slope(x: f32) -> f32 {
    let s = logistic(x);
    s * (1.0 - s)
}

impl Gate {
    /// α and dα/dc at c = l·z₊ in −1..=1.
    pub fn at(self, c: f32) -> (Alphas, Alphas) {
        let mut alpha = [0.0; MAX_COMPONENTS];
        let mut slope = [0.0; MAX_COMPONENTS];
        match self {
            Self::Paper { components, tau } => {
                let clamped = c.clamp(-GATE_POLE, GATE_POLE);
                let gamma = clamped.acos();
                let dgamma = if clamped == c {
                    -1.0 / (1.0 - c * c).sqrt()
                } else {
                    0.0
                };
                let width = std::f32::consts::PI / components as f32;
                for k in 0..components {
                    let low = tau * (gamma - k as f32 * width);
                    let high = tau * (gamma - (k + 1) as f32 * width);
                    alpha[k] = logistic(low) - logistic(high);
                    slope[k] = tau * (logistic_slope(low) - logistic_slope(high)) * dgamma;
                }
            }
            Self::Released { components: 3, tau } => {
                let (away, towards) = (tau * (c - GATE_EDGE), tau * (-c - GATE_EDGE));
                alpha[0] = logistic(away);
                slope[0] = tau * logistic_slope(away);
                alpha[1] = logistic(-away) + logistic(-towards) - 1.0;
                slope[1] = tau * (logistic_slope(towards) - logistic_slope(away));
                alpha[2] = logistic(towards);
                slope[2] = -tau * logistic_slope(towards);
            }
            Self::Released { components, .. } => alpha[..components].fill(1.0 / components as f32),
        }
        (alpha, slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_gate_partitions_the_half_circle() {
        let gate = Gate::Paper {
            components: 3,
            tau: 10.0,
        };
        let (alpha, _) = gate.at(0.0);
        assert!(
            alpha[1] > 0.98 && alpha[0] < 0.01 && alpha[2] < 0.01,
            "{alpha:?}"
        );
        let (alpha, _) = gate.at((0.3f32).cos());
        assert!(alpha[0] > 0.9, "{alpha:?}");
    }

    #[test]
    fn slopes_match_central_differences() {
        for gate in [
            Gate::Paper {
                components: 5,
                tau: 10.0,
            },
            Gate::Released {
                components: 3,
                tau: 10.0,
            },
        ] {
            for i in 1..40 {
                let c = -0.98 + i as f32 * 0.049;
                let h = 1e-3;
                let (up, down, (_, slope)) = (gate.at(c + h).0, gate.at(c - h).0, gate.at(c));
                for k in 0..5 {
                    let numeric = (up[k] - down[k]) / (2.0 * h);
                    assert!(
                        (numeric - slope[k]).abs() < 2e-2,
                        "{gate:?} c={c} k={k}: {numeric} {}",
                        slope[k]
                    );
                }
            }
        }
    }
}
