//! Who fits a frame: a Vulkan device, or the CPU where there is none or it has failed.
//!
//! In: the people of a frame with their start poses. Out: every person's outcome. No fault of a
//! device loses a frame: the CPU fits the same one, and all that follow.

mod choice;
mod staged;

use std::sync::Arc;

pub use choice::{BackendChoice, BackendKind, Opened};

use crate::body::Body;
use crate::cpu::Stage;
use crate::energy::EnergyModel;
use crate::fit::{Backend, Batch, Done, Fitter};
use crate::pack::FitSettings;
use crate::texture::Texture;
use crate::vulkan::{Context, Fault, VulkanError, VulkanFitter};
use staged::Staged;

/// What has happened since an engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendReport {
    /// Frames fitted.
    pub frames: u64,
    /// Of these, frames that a Vulkan device fitted.
    pub device_frames: u64,
    /// Times that the CPU took over from a Vulkan device, or from one that was asked for and is not
    /// there: 0 or 1, for it keeps what it has taken.
    pub switches: u32,
    /// Fixed-point numbers that left their range on the device; each was computed again.
    pub overflows: u64,
    /// Triangles left out at the near plane, in the last evaluation of each person.
    pub near_skipped: u64,
}

/// Fits frames; owns all memory of the fit on the host and on the device.
pub struct Engine {
    fitter: Fitter,
    runner: Runner,
    /// The device that runs.
    device: Option<String>,
    report: BackendReport,
}

/// Who runs besides the CPU's fitter.
enum Runner {
    Cpu,
    Vulkan(Box<VulkanFitter>),
    /// The CPU's solver with some stages on the device.
    Staged(Box<Staged>),
}

/// What a fitter is made from.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// Body model.
    pub body: &'a Body,
    /// Neural mesh.
    pub texture: Option<&'a Texture>,
    /// The energy.
    pub model: &'a EnergyModel,
    /// Cells a side of the grid.
    pub grid: usize,
    /// Solver settings.
    pub fit: &'a FitSettings,
}

impl Engine {
    /// Allocates on the host, and on the device if one is open. Where the device fails at that, one
    /// warning says so and the CPU runs.
    pub fn new(opened: Opened, setting: &Setting<'_>) -> Self {
        let mut engine = Self {
            fitter: Fitter::new(setting.body, setting.grid, setting.fit.clone()),
            runner: Runner::Cpu,
            device: None,
            report: BackendReport {
                switches: opened.switches,
                ..BackendReport::default()
            },
        };
        if let Some(context) = opened.context {
            let name = context.info().name.clone();
            let made = runner(context, opened.until, setting);
            engine.device = Some(name);
            match made {
                Ok(runner) => engine.runner = runner,
                Err(fault) => engine.take_over(&fault),
            }
        }
        log::info!("the fit runs on {}", engine.device_name());
        engine
    }

    /// Fits all people of a frame, at most [`MAX_PERSONS`](crate::limits::MAX_PERSONS). `done`
    /// receives each of them.
    /// Allocates nothing after the first frame of a schedule, unless a device fails.
    pub fn fit_batch(&mut self, batch: &Batch<'_>, done: &mut Done<'_>) {
        self.report.frames += 1;
        match &mut self.runner {
            Runner::Cpu => {}
            Runner::Vulkan(fitter) => match fitter.fit_batch(batch, done) {
                Ok(()) => {
                    self.report.device_frames += 1;
                    self.count();
                    return;
                }
                Err(fault) => {
                    self.count();
                    self.take_over(&fault);
                }
            },
            Runner::Staged(staged) => {
                let near_skipped = fit(&mut staged.fitter, batch, done);
                let seen = staged.seen();
                self.report.near_skipped += near_skipped;
                self.report.overflows = seen.overflows;
                if seen.failed {
                    self.report.switches += 1;
                    self.runner = Runner::Cpu;
                    self.device = None;
                } else {
                    self.report.device_frames += 1;
                }
                return;
            }
        }
        self.report.near_skipped += fit(&mut self.fitter, batch, done);
    }

    /// Takes the device's counters over.
    fn count(&mut self) {
        if let Runner::Vulkan(fitter) = &self.runner {
            let counters = fitter.counters();
            self.report.overflows = counters.overflows;
            self.report.near_skipped = counters.near_skipped;
        }
    }

    /// Leaves the device for good.
    fn take_over(&mut self, fault: &VulkanError) {
        let device = self.device.take().unwrap_or_default();
        let text = fault.to_string();
        if text.starts_with(&device) {
            log::warn!("{text}; the CPU takes over");
        } else {
            log::warn!("{device}: {text}; the CPU takes over");
        }
        self.report.switches += 1;
        let gone = std::mem::replace(&mut self.runner, Runner::Cpu);
        if fault.leaves_work_pending() {
            // The device may still be using the buffers.
            std::mem::forget(gone);
        }
    }

    /// What has happened so far.
    pub fn report(&self) -> BackendReport {
        self.report
    }

    /// The Vulkan device that runs; `None` for the CPU.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// What runs, in a word or two: `cpu`, or the Vulkan device's name.
    pub fn device_name(&self) -> &str {
        self.device().unwrap_or("cpu")
    }

    /// The CPU's fitter, for start poses and single evaluations.
    pub fn cpu(&mut self) -> &mut Fitter {
        &mut self.fitter
    }

    /// The device's fitter, where whole fits run on one.
    pub fn vulkan(&mut self) -> Option<&mut VulkanFitter> {
        match &mut self.runner {
            Runner::Vulkan(fitter) => Some(fitter),
            Runner::Cpu | Runner::Staged(_) => None,
        }
    }

    /// Lets something go wrong on the device, for tests; without one nothing happens.
    pub fn inject(&mut self, fault: Fault) {
        if let Some(fitter) = self.vulkan() {
            fitter.inject(fault);
        }
    }
}

/// Fits on the CPU; returns how many triangles last evaluations have left out.
fn fit(fitter: &mut Fitter, batch: &Batch<'_>, done: &mut Done<'_>) -> u64 {
    let mut near_skipped = 0;
    let Ok(()) = fitter.fit_batch(batch, &mut |i, outcome, workspace| {
        near_skipped += u64::from(workspace.near_skipped);
        done(i, outcome, workspace);
    });
    near_skipped
}

fn runner(
    context: Arc<Context>,
    until: Option<Stage>,
    setting: &Setting<'_>,
) -> Result<Runner, VulkanError> {
    Ok(match until {
        Some(stage) => Runner::Staged(Box::new(Staged::new(context, setting, stage)?)),
        None => Runner::Vulkan(Box::new(VulkanFitter::new(
            context,
            setting.body,
            setting.texture,
            setting.model,
            setting.grid,
            setting.fit.clone(),
        )?)),
    })
}
