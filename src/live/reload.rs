//! A new pack while the process runs: loaded on a thread of its own, taken between two frames; the old
//! one stays where the new one is bad.

use std::path::PathBuf;
use std::thread::JoinHandle;

use super::{LiveError, RunConfig, Session};
use crate::backbone::Workers;
use crate::engine::BackendChoice;
use crate::fit::{Schedule, Solver};
use crate::pack::Pack;
use crate::pipeline::{EstimateOptions, Estimator};
use crate::texture::EnergyKind;
use crate::vulkan::{Options, Preference};

/// A pack on its way.
pub(super) struct Loader(JoinHandle<Result<Estimator, LiveError>>);

impl Loader {
    /// Starts to load; the thread is only waited for once it has ended.
    fn start(root: PathBuf, config: RunConfig) -> std::io::Result<Self> {
        let thread = std::thread::Builder::new().name("reload".to_owned());
        Ok(Self(
            thread.spawn(move || build(Pack::load(&root)?, &config))?,
        ))
    }
}

/// Loads the networks of a pack, and the pack onto the device that the configuration asks for.
pub(super) fn build(pack: Pack, config: &RunConfig) -> Result<Estimator, LiveError> {
    let model = &config.model;
    let choice = BackendChoice {
        kind: model.backend,
        vulkan: Options {
            device: model
                .device
                .as_deref()
                .map_or(Preference::Best, Preference::from),
            ..Options::default()
        },
        until: None,
    };
    let threads = match model.threads {
        0 => Workers::all_cores(),
        n => n,
    };
    let options = EstimateOptions {
        schedule: Schedule::new(Solver::GaussNewton, config.budget.steps),
        energy: EnergyKind::Paper,
        box_px: None,
        threads,
        max_persons: config.track.persons,
        hypotheses: config.budget.hypotheses,
    };
    Ok(Estimator::with_backend(pack, options, choice.open()?)?)
}

impl Session {
    /// Begins to load the pack anew.
    pub(super) fn reload(&mut self) {
        if self.loader.is_some() {
            log::warn!("a pack is being loaded; this request is left out");
            return;
        }
        self.notifier.reloading();
        match Loader::start(self.root.clone(), self.config.clone()) {
            Ok(loader) => self.loader = Some(loader),
            Err(error) => {
                log::error!("cannot start the thread that loads the pack: {error}");
                self.metrics.reloaded(false);
                self.notifier.ready();
            }
        }
    }

    /// Takes a pack that has been loaded.
    pub(super) fn poll_reload(&mut self) {
        let Some(loader) = self.loader.take_if(|loader| loader.0.is_finished()) else {
            return;
        };
        let taken = match loader.0.join() {
            Ok(Ok(estimator)) => {
                log::warn!(
                    "the pack {} is in use now, model {:08x}",
                    self.root.display(),
                    estimator.pack().model_id()
                );
                if let Some(page) = &mut self.page {
                    page.body_changed(estimator.pack());
                }
                self.follower.replace(estimator);
                true
            }
            Ok(Err(error)) => {
                log::error!("{error}; the pack in use stays");
                false
            }
            Err(_) => {
                log::error!("loading the pack panicked; the pack in use stays");
                false
            }
        };
        self.metrics.reloaded(taken);
        self.notifier.ready();
        neuralsmpl_health::process::give_back_free_memory();
    }
}
