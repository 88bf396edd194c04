//! Damped Gauss–Newton (Levenberg 1944, Marquardt 1963) with a hard cap on steps.

use nalgebra::{Cholesky, SMatrix, SVector};

use super::{Active, Outcome, Problem, evaluate};
use crate::body::ParamLayout;
use crate::cpu::{Want, Workspace};
use crate::limits::MAX_PARAMS;
use crate::pack::GaussNewtonSettings;

type Matrix = SMatrix<f64, MAX_PARAMS, MAX_PARAMS>;
type Vector = SVector<f64, MAX_PARAMS>;

/// Largest turn of a joint in one step, radians: beyond it the linear model means nothing.
const MAX_TURN: f64 = 0.5;

/// Largest shift in one step, metres.
const MAX_SHIFT: f64 = 0.4;

/// Damping beyond which a step no longer moves anything.
const MAX_DAMPING: f64 = 1e7;

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
                self.hessian[(r, c)] = if use_it { f64::from(workspace.hessian[r * MAX_PARAMS + c]) } else { 0.0 };
            }
            self.gradient[c] = if active[c] { f64::from(workspace.gradient[c]) } else { 0.0 };
        }
    }

    /// −(H + λ diag H + ε)⁻¹ g, or `None` when the matrix is not positive definite.
    fn step(&self, damping: f64) -> Option<Vector> {
        let mut matrix = self.hessian;
        let mean = self.hessian.trace() / MAX_PARAMS as f64;
        for i in 0..MAX_PARAMS {
            let d = &mut matrix[(i, i)];
            *d += damping * *d + 1e-6 * mean + 1e-9;
        }
        let factor = Cholesky::new(matrix)?;
        let mut step = -self.gradient;
        factor.solve_mut(&mut step);
        step.iter().all(|x| x.is_finite()).then_some(step)
    }
}

fn limited(step: &Vector, layout: ParamLayout) -> [f32; MAX_PARAMS] {
    let norm = |at: usize| (step[at].powi(2) + step[at + 1].powi(2) + step[at + 2].powi(2)).sqrt();
    let mut scale = 1.0f64;
    for j in 0..layout.joints {
        scale = scale.min(MAX_TURN / norm(layout.rotation(j)).max(1e-12));
    }
    scale = scale.min(MAX_SHIFT / norm(layout.translation()).max(1e-12));
    std::array::from_fn(|i| (step[i] * scale) as f32)
}

pub(super) fn descend(
    workspace: &mut Workspace,
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
    let mut damping = f64::from(settings.damping);
    let mut terms = evaluate(workspace, problem, &outcome.pose, Want::Hessian);
    system.read(workspace, active);
    let mut small_gains = 0;
    for _ in 0..steps {
        let Some(step) = system.step(damping) else {
            damping *= f64::from(settings.raise);
            outcome.steps += 1;
            trace(terms.total());
            continue;
        };
        let trial = outcome.pose.retract(layout, &limited(&step, layout));
        let found = evaluate(workspace, problem, &trial, Want::Hessian);
        outcome.steps += 1;
        let gain = terms.total() - found.total();
        if gain > 0.0 && trial.is_finite() {
            outcome.pose = trial;
            terms = found;
            system.read(workspace, active);
            damping = (damping * f64::from(settings.lower)).max(1e-9);
            let little = gain < tolerance * terms.total().abs().max(1e-6);
            small_gains = if little { small_gains + 1 } else { 0 };
        } else {
            damping *= f64::from(settings.raise);
            small_gains += usize::from(gain.abs() < tolerance * terms.total().abs().max(1e-6));
        }
        trace(terms.total());
        if tolerance > 0.0 && small_gains >= 3 || damping > MAX_DAMPING {
            break;
        }
    }
    outcome.after = terms;
}
