//! The bounded fit: solvers, schedule, hypotheses, best iterate.

mod adam;
mod backend;
mod gauss_newton;
mod hypotheses;

pub use backend::{Backend, Batch, Done, Job};
pub use hypotheses::{mirror_pairs, mirrored};

use std::time::Instant;

pub use crate::energy::Problem;

use crate::body::{Body, Pose};
use crate::cpu::{CpuStages, Stages, Want, Workspace};
use crate::energy::Terms;
use crate::limits::MAX_PARAMS;
use crate::pack::FitSettings;

/// How the energy is descended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// The paper's: Adam on the gradient.
    Adam,
    /// Levenberg–Marquardt on frozen responsibilities: few steps.
    #[default]
    GaussNewton,
}

/// Which parameters move in which steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Solver.
    pub solver: Solver,
    /// Hard cap on gradient steps.
    pub steps: u32,
    /// Of these, steps that move only global orientation and translation.
    pub global_steps: u32,
    /// Whether betas move.
    pub shape: bool,
    /// Stop when a step gains less than this fraction of the energy; 0 runs all steps.
    pub tolerance: f64,
}

impl Schedule {
    /// A third of Adam's steps are global (40 of 120, as published). Gauss–Newton moves all at
    /// once: a global stage only cost it steps (`neuralsmpl eval solvers`).
    pub fn new(solver: Solver, steps: u32) -> Self {
        Self {
            solver,
            steps,
            global_steps: match solver {
                Solver::Adam => steps / 3,
                Solver::GaussNewton => 0,
            },
            shape: true,
            tolerance: match solver {
                Solver::Adam => 0.0,
                Solver::GaussNewton => 1e-4,
            },
        }
    }

    /// The same with another cap on steps; its share of global steps stays.
    pub fn with_steps(self, steps: u32) -> Self {
        let share = f64::from(self.global_steps) / f64::from(self.steps.max(1));
        Self {
            steps,
            global_steps: (share * f64::from(steps)) as u32,
            ..self
        }
    }
}

/// What a fit ends with.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Best pose met.
    pub pose: Pose,
    /// Energy at the start.
    pub before: Terms,
    /// Energy at the best pose.
    pub after: Terms,
    /// Gradient steps spent.
    pub steps: u32,
    /// Whether time ended the fit before its steps were used up.
    pub late: bool,
}

/// Parameters that may move.
type Active = [bool; MAX_PARAMS];

/// A fitter owns all its memory; `fit` allocates nothing.
pub struct Fitter {
    /// The stages' buffers; after a fit they hold the best pose's evaluation.
    pub workspace: Workspace,
    /// No step begins after this; a fit overruns it by one step and one evaluation at most.
    pub until: Option<Instant>,
    stages: Box<dyn Stages>,
    settings: FitSettings,
    mirror: Option<Vec<usize>>,
    adam: adam::State,
    normal: Box<gauss_newton::System>,
}

impl Fitter {
    /// Allocates for a body and a grid.
    pub fn new(body: &Body, grid: usize, settings: FitSettings) -> Self {
        Self {
            workspace: Workspace::new(body, grid),
            until: None,
            stages: Box::new(CpuStages),
            settings,
            mirror: mirror_pairs(body),
            adam: adam::State::default(),
            normal: Box::default(),
        }
    }

    /// Lets `stages` run every evaluation; the solvers stay here.
    pub fn with_stages(mut self, stages: Box<dyn Stages>) -> Self {
        self.stages = stages;
        self
    }

    /// Energy at a pose.
    pub fn energy(&mut self, problem: &Problem<'_>, pose: &Pose) -> Terms {
        self.stages
            .evaluate(&mut self.workspace, problem, pose, Want::Energy)
    }

    /// Each joint's counterpart on the other side; `None` for bodies without left and right.
    pub fn mirror(&self) -> Option<&[usize]> {
        self.mirror.as_deref()
    }

    /// Descends from `start`. The result is never worse than the start.
    /// `trace`, when given, receives the energy after every step.
    pub fn fit(
        &mut self,
        problem: &Problem<'_>,
        start: &Pose,
        schedule: &Schedule,
        trace: &mut dyn FnMut(f64),
    ) -> Outcome {
        let before = self.energy(problem, start);
        let mut outcome = Outcome {
            pose: start.clone(),
            before,
            after: before,
            steps: 0,
            late: false,
        };
        let global = schedule.global_steps.min(schedule.steps);
        for (steps, all) in [(global, false), (schedule.steps - global, true)] {
            if steps == 0 {
                continue;
            }
            let active = active(problem.body, all, schedule.shape);
            let evaluator = &mut Evaluator {
                workspace: &mut self.workspace,
                stages: &mut *self.stages,
                until: self.until,
            };
            match schedule.solver {
                Solver::Adam => adam::descend(
                    evaluator,
                    &mut self.adam,
                    &self.settings.adam,
                    problem,
                    &active,
                    steps,
                    &mut outcome,
                    trace,
                ),
                Solver::GaussNewton => gauss_newton::descend(
                    evaluator,
                    &mut self.normal,
                    &self.settings.gauss_newton,
                    problem,
                    &active,
                    steps,
                    schedule.tolerance,
                    &mut outcome,
                    trace,
                ),
            }
        }
        outcome.after = self.energy(problem, &outcome.pose);
        outcome
    }

    /// Gives the start and its mirror hypothesis a quarter of the steps each, and the rest to the
    /// better. With fewer than four steps only the start is descended from.
    pub fn fit_best(
        &mut self,
        problem: &Problem<'_>,
        start: &Pose,
        schedule: &Schedule,
    ) -> Outcome {
        let Some(other) = self.mirror.as_ref().map(|pairs| mirrored(pairs, start)) else {
            return self.fit(problem, start, schedule, &mut |_| ());
        };
        let steps = schedule.steps / 4;
        if steps == 0 {
            return self.fit(problem, start, schedule, &mut |_| ());
        }
        let trial = Schedule {
            steps,
            global_steps: schedule.global_steps.min(steps / 2),
            ..*schedule
        };
        let first = self.fit(problem, start, &trial, &mut |_| ());
        let second = self.fit(problem, &other, &trial, &mut |_| ());
        let best = if second.after.total() < first.after.total() {
            &second
        } else {
            &first
        };
        let spent = first.steps + second.steps;
        let rest = Schedule {
            steps: schedule.steps.saturating_sub(spent),
            global_steps: 0,
            ..*schedule
        };
        let mut outcome = self.fit(problem, &best.pose, &rest, &mut |_| ());
        outcome.before = first.before;
        outcome.steps += spent;
        outcome.late |= first.late || second.late;
        outcome
    }
}

/// What the solvers see of an evaluation: who runs the stages, and where the results lie.
struct Evaluator<'a> {
    workspace: &'a mut Workspace,
    stages: &'a mut dyn Stages,
    until: Option<Instant>,
}

impl Evaluator<'_> {
    fn evaluate(&mut self, problem: &Problem<'_>, pose: &Pose, want: Want) -> Terms {
        self.stages.evaluate(self.workspace, problem, pose, want)
    }

    /// Whether the time for steps is over.
    fn late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

fn active(body: &Body, all: bool, shape: bool) -> Active {
    let layout = body.layout();
    let mut active = [false; MAX_PARAMS];
    active[..layout.len()].fill(true);
    if !all {
        active[3..layout.translation()].fill(false);
    }
    if !(all && shape) {
        active[layout.betas()..].fill(false);
    }
    active
}
