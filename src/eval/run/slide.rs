//! Slides patches over people: errors at every position.

use std::collections::HashMap;

use indicatif::ProgressBar;
use neuralsmpl_evaluation::{Reading, Sample};

use super::args::texture_seed;
use super::bench::Bench;
use super::search::Search;
use super::share::share;
use super::{Run, Task};
use crate::eval::EvalError;
use crate::eval::advocc::{Kind, Occluder};
use crate::eval::subject::Subject;
use crate::eval::systems::{PatchAt, Spec};

impl Run<'_> {
    /// Slides every patch that a task needs over its person.
    pub(super) fn slide(
        &self,
        subjects: &[(&Sample, Subject)],
        tasks: &[Task],
        benches: &mut [Bench<'_>],
        bar: &ProgressBar,
    ) -> Result<HashMap<(usize, Kind), Search>, EvalError> {
        let mut slides: Vec<(usize, Kind)> = Vec::new();
        for task in tasks.iter().filter(|t| self.is_searched(t.kind)) {
            if !slides.contains(&(task.subject, task.kind)) {
                slides.push((task.subject, task.kind));
            }
        }
        let own = self.args.readings().contains(&Reading::Own);
        let mut out = HashMap::new();
        for (index, kind) in slides {
            let subject = &subjects[index].1;
            let occluder = self.occluder(subject, kind);
            let along = Occluder::along(kind.side(), self.args.stride).len();
            let corners = Occluder::corners(kind.side(), self.args.stride);
            let items: Vec<(usize, [u32; 2])> = corners.iter().copied().enumerate().collect();
            let found = share(benches, &items, |bench, &(i, corner)| {
                let patch = PatchAt {
                    occluder: &occluder,
                    corner,
                };
                let step = self.args.own_stride as usize;
                let coarse = (i % along).is_multiple_of(step) && (i / along).is_multiple_of(step);
                let tried = |spec: &Spec| own && (coarse || !spec.is_slow());
                let made = self.at(bench, subject, patch, &tried);
                bar.inc(1);
                made
            });
            let truth = subject.truth_under(None);
            let joints = subject.measured(&truth).map(|(name, _)| name.to_owned());
            let mut search = Search {
                sample: subject.id.clone(),
                occlusion: kind,
                seed: occluder.seed(),
                stride: self.args.stride,
                corners,
                joints: joints.collect(),
                start_visible_mm: Vec::new(),
                errors_mm: self
                    .systems
                    .iter()
                    .map(|s| (s.label.clone(), Vec::new()))
                    .collect(),
            };
            for (visible, errors) in found {
                search.start_visible_mm.push(visible);
                for (spec, errors) in self.systems.iter().zip(errors) {
                    if let Some(list) = search.errors_mm.get_mut(&spec.label) {
                        list.push(errors);
                    }
                }
            }
            search
                .errors_mm
                .retain(|_, e| e.iter().any(Option::is_some));
            search.save(&self.args.out)?;
            out.insert((index, kind), search);
        }
        Ok(out)
    }

    /// At one position: the start's error over visible joints, and errors of the start and of every system that is tried.
    fn at(
        &self,
        bench: &mut Bench<'_>,
        subject: &Subject,
        patch: PatchAt<'_>,
        tried: &dyn Fn(&Spec) -> bool,
    ) -> (Option<f32>, Vec<Option<Vec<f32>>>) {
        let body = &self.pack.body;
        let start = match bench.start(subject, Some(patch)) {
            Ok(start) => start,
            Err(error) => {
                log::debug!("{}: {error}", subject.id);
                return (None, vec![None; self.systems.len()]);
            }
        };
        let errors = subject.errors(body, &start);
        let truth = subject.truth_under(Some((patch.occluder, patch.corner)));
        let seen: Vec<f32> = errors
            .iter()
            .zip(subject.measured(&truth))
            .filter(|(_, (_, seen))| *seen)
            .map(|(e, _)| *e)
            .collect();
        let visible = (!seen.is_empty()).then(|| seen.iter().sum::<f32>() / seen.len() as f32);
        let mut all = vec![Some(Search::rounded(&errors))];
        for (index, spec) in self.systems.iter().enumerate().skip(1) {
            let found = tried(spec)
                .then(|| bench.system(index, subject, Some(patch)).ok())
                .flatten();
            all.push(found.map(|(pose, _)| Search::rounded(&subject.errors(body, &pose))));
        }
        (visible, all)
    }

    fn occluder(&self, subject: &Subject, kind: Kind) -> Occluder {
        let seed = texture_seed(self.args.seed, &subject.id, kind.side());
        Occluder::new(kind.side(), seed, self.textures)
    }
}
