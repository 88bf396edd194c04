//! `neuralsmpl eval run`: systems on the samples of a manifest, as they are and under the worst patch.

mod args;
mod bench;
mod pictures;
mod replay;
mod search;
mod share;
mod slide;

use std::collections::HashMap;

use glam::Vec3;
use indicatif::ProgressBar;
use neuralsmpl_evaluation::{
    Entry, Header, Key, Manifest, Occlusion, Patch, Reading, Record, Results, Sample, Settings,
    Store,
};

pub use args::{ReadingName, RunArgs};
pub use pictures::skeletons;
pub use search::{FOLDER as SEARCHES, Search};

use super::EvalError;
use super::advocc::{Kind, Occluder, Textures};
use super::report::progress_of;
use super::subject::Subject;
use super::systems::{Opened, PatchAt, Spec};
use crate::body::Pose;
use crate::pack::Pack;
use args::pack_sha256;
use bench::Bench;
use replay::Replay;
use share::share;

/// What all threads read.
struct Run<'a> {
    args: &'a RunArgs,
    manifest: &'a Manifest,
    pack: &'a Pack,
    body_model: String,
    systems: &'a [Spec],
    textures: &'a Textures,
    replay: Option<Replay>,
}

/// Occlusion, reading and system of an answer that the store lacks.
type Missing = (Kind, Reading, usize);

/// One record to be made.
struct Task {
    /// Index of the subject in its batch.
    subject: usize,
    kind: Kind,
    reading: Reading,
    /// Index of the system.
    system: usize,
}

/// What became of a task.
struct Answer {
    record: Record,
    pose: Option<Pose>,
    /// The crop that was seen, where pictures are wanted.
    crop: Option<Vec<f32>>,
}

impl From<Record> for Answer {
    fn from(record: Record) -> Self {
        Self {
            record,
            pose: None,
            crop: None,
        }
    }
}

/// Runs.
///
/// # Errors
/// A bad manifest, pack, option or system, or results of another run. A picture that cannot be used is a failed record.
pub fn run(args: &RunArgs) -> Result<(), EvalError> {
    let manifest = Manifest::load(&args.manifest)?;
    let pack = Pack::load(&args.pack)?;
    let systems = args.all_systems()?;
    let textures = Textures::open(args.textures.as_deref())?;
    let specs = systems.iter().chain(std::iter::once(&args.start));
    let opened = Opened::read(specs, &pack)?;
    let replayed = match &args.replay {
        Some(folder) => Some((
            Replay::load(folder)?,
            Results::load(folder)?.header.settings_sha256,
        )),
        None => None,
    };
    let hash = replayed.as_ref().map(|(_, hash)| hash.as_str());
    let header = Header::new(Settings {
        settings: args.settings(&systems, &textures, hash),
        pack_sha256: pack_sha256(&pack)?,
        manifest_sha256: manifest.sha256.clone(),
    });
    let mut store = Store::open(&args.out, &header.with_shard(args.shard))?;
    let run = Run {
        args,
        manifest: &manifest,
        pack: &pack,
        body_model: args.body_model(&pack),
        systems: &systems,
        textures: &textures,
        replay: replayed.map(|(replay, _)| replay),
    };
    let limit = args.limit.map_or(usize::MAX, |n| n as usize);
    let mut samples: Vec<&Sample> = manifest.samples.iter().take(limit).collect();
    samples.retain(|s| args.shard.is_none_or(|shard| shard.takes(&s.key())));
    let before = store.len();
    let threads = args.threads as usize;
    let mut benches = (0..threads)
        .map(|_| Bench::new(&pack, &args.start, &systems, &opened))
        .collect::<Result<Vec<_>, _>>()?;
    let bar = progress_of(run.cost(&samples, &store), "looks and answers");
    for (i, batch) in samples.chunks(threads).enumerate() {
        let drawn = (args.pictures as usize).saturating_sub(i * threads);
        run.batch(batch, drawn, &mut benches, &mut store, &bar)?;
        store.sync()?;
    }
    bar.finish_and_clear();
    let (made, failed) = (store.len(), store.failed());
    store.close()?;
    println!(
        "{}: {made} records ({} new), {failed} failed; `neuralsmpl eval report {}` makes the tables",
        args.out.display(),
        made - before,
        args.out.display()
    );
    Ok(())
}

impl Run<'_> {
    /// Occlusions with their readings.
    fn conditions(&self) -> impl Iterator<Item = (Kind, Reading)> {
        let readings = self.args.readings();
        self.args.occlusion.iter().flat_map(move |&kind| {
            let all: &[Reading] = match kind {
                Kind::None => &[Reading::None],
                _ => readings,
            };
            all.iter().map(move |r| (kind, *r))
        })
    }

    fn missing<'s>(
        &'s self,
        sample: &'s Sample,
        store: &'s Store,
    ) -> impl Iterator<Item = (Kind, Reading, usize)> {
        let all = self
            .conditions()
            .flat_map(|(kind, reading)| (0..self.systems.len()).map(move |s| (kind, reading, s)));
        all.filter(move |(kind, reading, system)| {
            let key = Key {
                sample: sample.key(),
                occlusion: kind.name().to_owned(),
                reading: *reading,
                system: self.systems[*system].label.clone(),
            };
            !store.has(&key)
        })
    }

    /// Looks and answers that are left.
    fn cost(&self, samples: &[&Sample], store: &Store) -> u64 {
        let one = |sample: &&Sample| -> usize {
            let missing: Vec<_> = self.missing(sample, store).collect();
            let searched = |kind: Kind| missing.iter().any(|m| m.0 == kind);
            let slides = self.args.occlusion.iter().filter(|k| self.is_searched(**k));
            let slides = slides
                .filter(|k| searched(**k))
                .map(|k| Occluder::corners(k.side(), self.args.stride).len());
            missing.len() + slides.sum::<usize>()
        };
        samples.iter().map(one).sum::<usize>() as u64
    }

    fn is_searched(&self, kind: Kind) -> bool {
        kind != Kind::None && self.replay.is_none()
    }

    /// Some samples: load, slide patches, answer, keep.
    fn batch(
        &self,
        samples: &[&Sample],
        drawn: usize,
        benches: &mut [Bench<'_>],
        store: &mut Store,
        bar: &ProgressBar,
    ) -> Result<(), EvalError> {
        let mut wanted: Vec<(&Sample, Vec<Missing>)> = samples
            .iter()
            .map(|s| (*s, self.missing(s, store).collect()))
            .collect();
        wanted.retain(|(_, missing)| !missing.is_empty());
        let loaded = share(benches, &wanted, |_, (sample, _)| {
            Subject::load(self.manifest, sample, self.pack, &self.body_model)
        });
        let mut subjects = Vec::new();
        let mut tasks = Vec::new();
        for ((sample, missing), loaded) in wanted.iter().zip(loaded) {
            match loaded {
                Ok(subject) => {
                    let index = subjects.len();
                    tasks.extend(missing.iter().map(|&(kind, reading, system)| Task {
                        subject: index,
                        kind,
                        reading,
                        system,
                    }));
                    subjects.push((*sample, subject));
                }
                Err(error) => {
                    for &(kind, reading, system) in missing {
                        let entry = self.entry(sample, kind, reading, system, None);
                        store.append(&Record::failed(entry, error.to_string()))?;
                        bar.inc(1);
                    }
                }
            }
        }
        let searches = self.slide(&subjects, &tasks, benches, bar)?;
        let answers = share(benches, &tasks, |bench, task| {
            let made = self.answer(bench, &subjects[task.subject], task, &searches);
            bar.inc(1);
            made
        });
        for answer in &answers {
            store.append(&answer.record)?;
        }
        for (index, (_, subject)) in subjects.iter().enumerate().take(drawn) {
            let of = tasks
                .iter()
                .zip(&answers)
                .filter(|(t, _)| t.subject == index);
            self.draw(subject, &of.collect::<Vec<_>>(), &searches)?;
        }
        Ok(())
    }

    /// Does a task.
    fn answer(
        &self,
        bench: &mut Bench<'_>,
        (sample, subject): &(&Sample, Subject),
        task: &Task,
        searches: &HashMap<(usize, Kind), Search>,
    ) -> Answer {
        let spec = &self.systems[task.system];
        let patch = match self.patch(subject, task, searches) {
            Ok(patch) => patch,
            Err(message) => {
                let entry = self.entry(sample, task.kind, task.reading, task.system, None);
                return Record::failed(entry, message).into();
            }
        };
        let occluder = patch.map(|p| (Occluder::new(p.side, p.seed, self.textures), p.corner));
        let at = occluder.as_ref().map(|(occluder, corner)| PatchAt {
            occluder,
            corner: *corner,
        });
        let entry = self.entry(sample, task.kind, task.reading, task.system, patch);
        match bench.system(task.system, subject, at) {
            Ok((pose, time)) => {
                let truth = subject.truth_under(occluder.as_ref().map(|(o, c)| (o, *c)));
                let mut vertices = Vec::<Vec3>::new();
                let found = subject.found(&self.pack.body, &pose, &mut vertices);
                let took = (spec.label != "start").then_some(1e3 * time.as_secs_f64());
                let crop = (self.args.pictures > 0).then(|| bench.crop().to_vec());
                Answer {
                    record: Record::scored(entry, &found, &truth, took),
                    pose: Some(pose),
                    crop,
                }
            }
            Err(error) => Record::failed(entry, error.to_string()).into(),
        }
    }

    fn patch(
        &self,
        subject: &Subject,
        task: &Task,
        searches: &HashMap<(usize, Kind), Search>,
    ) -> Result<Option<Patch>, String> {
        if task.kind == Kind::None {
            return Ok(None);
        }
        let label = &self.systems[task.system].label;
        if let Some(replay) = &self.replay {
            let patch = replay.patch(&subject.id, task.kind, task.reading, label);
            let patch = patch.ok_or("the replayed results have no patch for this sample")?;
            return Ok(Some(patch));
        }
        let search = searches
            .get(&(task.subject, task.kind))
            .ok_or("no position was searched")?;
        let corner = match task.reading {
            Reading::Own => search.worst_for(label),
            _ => search.worst_for_start(),
        };
        Ok(Some(Patch {
            corner: corner.ok_or("there is no answer at any position of the patch")?,
            side: task.kind.side(),
            seed: search.seed,
        }))
    }

    fn entry(
        &self,
        sample: &Sample,
        kind: Kind,
        reading: Reading,
        system: usize,
        patch: Option<Patch>,
    ) -> Entry {
        let occlusion = Occlusion {
            name: kind.name().to_owned(),
            reading,
            patch,
        };
        Entry::new(sample, &self.systems[system].label, occlusion)
    }
}
