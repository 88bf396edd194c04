//! Damped Gauss–Newton (Levenberg 1944, Marquardt 1963) with a hard cap on steps.
//!
//! A part of the last step is carried on (Polyak 1964), and a step may end a little above the
//! last energy as long as it stays below the worst of the recent ones (Grippo et al. 1986): the
//! outline's part of the energy is rough at the scale of a cell. The best pose met is kept.
//!
//! Twin: shaders/step.wgsl

use nalgebra::{Cholesky, SMatrix, SVector};

use super::{Active, Evaluator, Outcome, Problem};
use crate::body::ParamLayout;
use crate::constants::{ENERGY_MEMORY, MAX_DAMPING, MAX_SHIFT, MAX_TURN, MIN_DAMPING, PATIENCE};
use crate::cpu::{Want, Workspace};
use crate::limits::MAX_PARAMS;
use crate::pack::GaussNewtonSettings;

type Matrix = SMatrix<f64, MAX_PARAMS, MAX_PARAMS>;
type Vector = SVector<f64, MAX_PARAMS>;

/// The normal equations of the last accepted pose.
pub struct System {
    hessian: Matrix,
    gradient: Vector,
}

impl Default for System {
    fn default() -> Self {
        Self {
            hessian: Matrix::zeros(),
            gradient: Vector::zeros(),
        }
    }
}

impl System {
    fn read(&mut self, workspace: &Workspace, active: &Active) {
        for c in 0..MAX_PARAMS {
            for r in 0..MAX_PARAMS {
                let use_it = active[r] && active[c];
                self.hessian[(r, c)] = if use_it {
                    f64::from(workspace.hessian[r * MAX_PARAMS + c])
                } else {
                    0.0
                };
            }
            self.gradient[c] = if active[c] {
                f64::from(workspace.gradient[c])
            } else {
                0.0
            };
        }
    }

    /// −(H + λ D + ε)⁻¹ g, or `None` when the matrix is not positive definite. D is the diagonal of
    /// H, with the largest of each joint's three entries for all of them: what twists freely is
    /// damped like what swings.
    fn step(&self, layout: ParamLayout, damping: f64) -> Option<Vector> {
        let mut matrix = self.hessian;
        let mean = self.hessian.trace() / layout.len() as f64;
        let mut scale = self.hessian.diagonal();
        for at in (0..layout.betas()).step_by(3) {
            let largest = scale.fixed_rows::<3>(at).max();
            scale.fixed_rows_mut::<3>(at).fill(largest);
        }
        for i in 0..MAX_PARAMS {
            matrix[(i, i)] += damping * scale[i] + 1e-6 * mean + 1e-9;
        }
        let factor = Cholesky::new(matrix)?;
        let mut step = -self.gradient;
        factor.solve_mut(&mut step);
        step.iter().all(|x| x.is_finite()).then_some(step)
    }
}

/// Shortened as a whole so that no joint turns and no body shifts too far.
fn limited(step: Vector, layout: ParamLayout) -> Vector {
    let norm = |at: usize| step.fixed_rows::<3>(at).norm().max(1e-12);
    let turns = (0..layout.joints).map(|j| MAX_TURN / norm(layout.rotation(j)));
    let scale = turns.fold(MAX_SHIFT / norm(layout.translation()), f64::min);
    step * scale.min(1.0)
}

pub(super) fn descend(
    evaluator: &mut Evaluator<'_>,
    system: &mut System,
    settings: &GaussNewtonSettings,
    problem: &Problem<'_>,
    active: &Active,
    steps: u32,
    tolerance: f64,
    outcome: &mut Outcome,
    trace: &mut dyn FnMut(f64),
) {
    let layout = problem.body.layout();
    let (raise, lower) = (f64::from(settings.raise), f64::from(settings.lower));
    let momentum = f64::from(settings.momentum);
    let mut damping = f64::from(settings.damping);
    if evaluator.late() {
        outcome.late = true;
        return;
    }
    let mut pose = outcome.pose.clone();
    outcome.after = evaluator.evaluate(problem, &pose, Want::Hessian);
    system.read(evaluator.workspace, active);
    let mut recent = [outcome.after.total(); ENERGY_MEMORY];
    let mut accepted = 0;
    let mut velocity = Vector::zeros();
    let mut idle = 0;
    for _ in 0..steps {
        if evaluator.late() {
            outcome.late = true;
            break;
        }
        outcome.steps += 1;
        let mut gain = 0.0;
        if let Some(step) = system.step(layout, damping) {
            let step = limited(step + velocity * momentum, layout);
            let delta = std::array::from_fn(|i| step[i] as f32);
            let trial = pose.retract(layout, &delta);
            let found = evaluator.evaluate(problem, &trial, Want::Hessian);
            let energy = found.total();
            if trial.is_finite() && energy < recent.iter().copied().fold(f64::MIN, f64::max) {
                gain = outcome.after.total() - energy;
                if gain > 0.0 {
                    outcome.pose.clone_from(&trial);
                    outcome.after = found;
                }
                pose = trial;
                velocity = step;
                damping = (damping * lower).max(MIN_DAMPING);
                recent[accepted % ENERGY_MEMORY] = energy;
                accepted += 1;
                system.read(evaluator.workspace, active);
            } else {
                velocity = Vector::zeros();
                damping *= raise;
            }
        } else {
            damping *= raise;
        }
        trace(outcome.after.total());
        let little = gain < tolerance * outcome.after.total().abs().max(1e-6);
        idle = if little { idle + 1 } else { 0 };
        if tolerance > 0.0 && idle >= PATIENCE || damping > MAX_DAMPING {
            break;
        }
    }
}
