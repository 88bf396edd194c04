//! Adam in the tangent space (Kingma & Ba 2015).
//!
//! Twin: shaders/step.wgsl

use super::{Active, Evaluator, Outcome, Problem};
use crate::cpu::Want;
use crate::limits::MAX_PARAMS;
use crate::pack::AdamSettings;

const EPSILON: f32 = 1e-8;

/// Moments.
#[derive(Clone, Debug)]
pub struct State {
    first: [f32; MAX_PARAMS],
    second: [f32; MAX_PARAMS],
}

impl Default for State {
    fn default() -> Self {
        Self {
            first: [0.0; MAX_PARAMS],
            second: [0.0; MAX_PARAMS],
        }
    }
}

pub(super) fn descend(
    evaluator: &mut Evaluator<'_>,
    state: &mut State,
    settings: &AdamSettings,
    problem: &Problem<'_>,
    active: &Active,
    steps: u32,
    outcome: &mut Outcome,
    trace: &mut dyn FnMut(f64),
) {
    *state = State::default();
    let mut pose = outcome.pose.clone();
    let mut best = outcome.after.total();
    for step in 1..=steps {
        if evaluator.late() {
            outcome.late = true;
            break;
        }
        let terms = evaluator.evaluate(problem, &pose, Want::Gradient);
        if terms.total() < best {
            best = terms.total();
            outcome.pose.clone_from(&pose);
            outcome.after = terms;
        }
        let correct1 = 1.0 - settings.beta1.powi(step as i32);
        let correct2 = 1.0 - settings.beta2.powi(step as i32);
        let mut delta = [0.0f32; MAX_PARAMS];
        for i in (0..MAX_PARAMS).filter(|&i| active[i]) {
            let g = evaluator.workspace.gradient[i];
            let m = &mut state.first[i];
            *m += (1.0 - settings.beta1) * (g - *m);
            let v = &mut state.second[i];
            *v += (1.0 - settings.beta2) * (g * g - *v);
            delta[i] = -settings.lr * (*m / correct1) / ((*v / correct2).sqrt() + EPSILON);
        }
        pose = pose.retract(problem.body.layout(), &delta);
        outcome.steps += 1;
        trace(terms.total());
    }
    let terms = evaluator.evaluate(problem, &pose, Want::Energy);
    if terms.total() < best {
        outcome.pose.clone_from(&pose);
        outcome.after = terms;
    }
}
