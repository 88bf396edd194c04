//! What the user wants to fit with, and the device that is opened for it.

use std::path::Path;
use std::sync::Arc;

use crate::cpu::Stage;
use crate::vulkan::{Context, Options, Preference, VulkanError};

/// Who fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// The best GPU that Vulkan offers, else the CPU
    #[default]
    Auto,
    /// The CPU
    Cpu,
    /// A Vulkan device; a warning says when the CPU has to take over
    Vulkan,
}

/// What the user wants to fit with.
#[derive(Clone, Default)]
pub struct BackendChoice {
    /// Who fits.
    pub kind: BackendKind,
    /// Which Vulkan device, and how it is opened.
    pub vulkan: Options,
    /// The last stage of every evaluation that runs on the device; the CPU runs the others and the
    /// solver. Slow: it finds a stage that differs. Without it whole fits run on the device.
    pub until: Option<Stage>,
}

/// What a choice has come to; an [`Engine`](super::Engine) is made from it.
#[derive(Clone)]
pub struct Opened {
    pub(super) context: Option<Arc<Context>>,
    pub(super) until: Option<Stage>,
    pub(super) switches: u32,
}

impl Opened {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            context: None,
            until: None,
            switches: 0,
        }
    }

    /// The device that is open; `None` for the CPU.
    pub fn context(&self) -> Option<&Arc<Context>> {
        self.context.as_ref()
    }
}

impl BackendChoice {
    /// Opens the device. Where that cannot be, the CPU takes over: with a warning if a device was
    /// asked for or one is broken, and only with a note if this machine just has no GPU.
    ///
    /// # Errors
    /// [`VulkanError::NoSuchDevice`] when the device that the options name is not there.
    pub fn open(&self) -> Result<Opened, VulkanError> {
        let mut opened = Opened {
            until: self.until,
            ..Opened::cpu()
        };
        if self.kind == BackendKind::Cpu {
            return Ok(opened);
        }
        if self.kind == BackendKind::Auto
            && self.vulkan.device == Preference::Best
            && !has_gpu_node(Path::new("/dev"))
        {
            log::info!(
                "no GPU under /dev; the CPU fits (--backend vulkan asks Vulkan all the same)"
            );
            return Ok(opened);
        }
        match Context::open(&self.vulkan) {
            Ok(context) => opened.context = Some(context),
            Err(fault @ VulkanError::NoSuchDevice { .. }) => return Err(fault),
            Err(fault) if self.tolerates(&fault) => log::info!("{fault}"),
            Err(fault) => {
                log::warn!("{fault}; the CPU takes over");
                opened.switches = 1;
            }
        }
        Ok(opened)
    }

    /// Whether a fault is what `auto` finds on a machine without a GPU.
    fn tolerates(&self, fault: &VulkanError) -> bool {
        self.kind == BackendKind::Auto
            && self.vulkan.device == Preference::Best
            && matches!(
                fault,
                VulkanError::NoLoader(_) | VulkanError::NoDevice | VulkanError::NoneUsable(_)
            )
    }
}

/// What Linux drivers of GPUs make under /dev: Mesa, NVIDIA, Tegra, WSL, Mali, Adreno, PowerVR, Vivante.
const GPU_NODES: [&str; 9] = [
    "dri", "nvidia", "nvhost", "nvmap", "dxg", "mali", "kgsl", "pvr", "galcore",
];

/// Whether a driver of a GPU has left a node. Without one Vulkan finds at most the CPU, which `auto`
/// never takes, and Mesa's driver for that stays in memory once it is loaded.
fn has_gpu_node(dev: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dev) else {
        return true;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        GPU_NODES.iter().any(|node| name.starts_with(node))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_gpus_are_told_from_others() {
        let dev = tempfile::tempdir().unwrap();
        let add = |name: &str| std::fs::write(dev.path().join(name), "").unwrap();
        add("null");
        add("ttyACM0");
        assert!(!has_gpu_node(dev.path()));
        add("nvhost-ctrl-gpu");
        assert!(has_gpu_node(dev.path()));
        assert!(has_gpu_node(&dev.path().join("unreadable")));
    }

    #[test]
    fn a_machine_without_a_gpu_is_a_fault_only_to_those_who_asked_for_one() {
        let auto = BackendChoice::default();
        let named = BackendChoice {
            vulkan: Options {
                device: Preference::Number(0),
                ..Options::default()
            },
            ..BackendChoice::default()
        };
        let vulkan = BackendChoice {
            kind: BackendKind::Vulkan,
            ..BackendChoice::default()
        };
        let memory = VulkanError::OutOfMemory {
            device: "gpu".to_owned(),
            bytes: 1,
        };
        assert!(auto.tolerates(&VulkanError::NoDevice));
        assert!(!auto.tolerates(&memory));
        assert!(!named.tolerates(&VulkanError::NoDevice));
        assert!(!vulkan.tolerates(&VulkanError::NoDevice));
    }

    #[test]
    fn the_cpu_needs_no_loader() {
        let choice = BackendChoice {
            kind: BackendKind::Cpu,
            vulkan: Options {
                device: Preference::Name("no such device".to_owned()),
                ..Options::default()
            },
            until: None,
        };
        assert!(choice.open().is_ok_and(|opened| opened.context.is_none()));
    }
}
