//! Who can run the stages: the CPU, and a Vulkan device where there is one.
//!
//! `NEURALSMPL_TEST_DEVICE` names the device (number or part of the name); by default the first one, a
//! CPU device such as lavapipe included. Without any, tests say that they skip it.

use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use neuralsmpl::cpu::{CpuStages, Stage, Stages};
use neuralsmpl::energy::Problem;
use neuralsmpl::pack::FitSettings;
use neuralsmpl::vulkan::{Context, Options, Preference, VulkanStages};

/// Someone who runs the stages.
pub struct Named {
    pub name: String,
    pub stages: Box<dyn Stages>,
}

/// Solver settings of the shipped pack.
pub fn fit_settings() -> FitSettings {
    super::pack().manifest.fit
}

/// Held by every test that uses a device: Mesa's CPU device stalls now and then when several threads
/// of one process wait for devices of their own.
pub fn alone() -> MutexGuard<'static, ()> {
    static DEVICE: Mutex<()> = Mutex::new(());
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Options for the device under test.
pub fn options() -> Options {
    let device = std::env::var("NEURALSMPL_TEST_DEVICE");
    Options {
        device: device.map_or(Preference::Number(0), |name| Preference::from(&*name)),
        ..Options::default()
    }
}

/// The device under test, opened; `None`, said aloud, where there is none.
pub fn device() -> Option<Arc<Context>> {
    static SAID: Once = Once::new();
    match Context::open(&options()) {
        Ok(context) => Some(context),
        Err(fault) => {
            SAID.call_once(|| eprintln!("SKIPPED, Vulkan: {fault}"));
            None
        }
    }
}

/// The CPU, and the device with all stages.
pub fn all(problem: &Problem<'_>, grid: usize) -> Vec<Named> {
    let mut out = vec![Named {
        name: "cpu".to_owned(),
        stages: Box::new(CpuStages),
    }];
    if let Some(context) = device() {
        out.push(Named {
            name: context.info().name.clone(),
            stages: Box::new(stages(context, problem, grid, Stage::Priors)),
        });
    }
    out
}

/// The device's stages up to `until`.
pub fn stages(
    context: Arc<Context>,
    problem: &Problem<'_>,
    grid: usize,
    until: Stage,
) -> VulkanStages {
    VulkanStages::new(
        context,
        problem.body,
        problem.texture,
        problem.model,
        grid,
        fit_settings(),
        until,
    )
    .unwrap()
}

/// What the validation layer has said.
pub type Said = Arc<Mutex<Vec<String>>>;

/// A device under Khronos' validation layer, and what the layer has said.
pub fn watched() -> Option<(Arc<Context>, Said)> {
    if !Context::has_validation() {
        eprintln!("SKIPPED, validation layer: VK_LAYER_KHRONOS_validation is not installed");
        return None;
    }
    let said = Arc::new(Mutex::new(Vec::new()));
    let hear = said.clone();
    let options = Options {
        messages: Some(Arc::new(move |text: &str| {
            hear.lock().unwrap().push(text.to_owned());
        })),
        ..options()
    };
    match Context::open(&options) {
        Ok(context) => Some((context, said)),
        Err(fault) => {
            eprintln!("SKIPPED, Vulkan: {fault}");
            None
        }
    }
}
