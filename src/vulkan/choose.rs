//! Which device: every one is listed with the reason why it is or is not used.

use std::sync::Arc;

use vulkano::Version;
use vulkano::device::QueueFlags;
use vulkano::device::physical::{PhysicalDevice, PhysicalDeviceType};
use vulkano::instance::Instance;
use vulkano::memory::MemoryHeapFlags;

use super::error::VulkanError;
use super::shaders::{SHADERS, binding};

/// Least version a device must have.
pub(super) const NEEDED: Version = Version::V1_1;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// The best GPU.
    #[default]
    Best,
    /// A device by its number in the list.
    Number(usize),
    /// A device by a part of its name, in any case.
    Name(String),
}

impl From<&str> for Preference {
    /// A number, or else a name.
    fn from(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Name(text.to_lowercase()), Self::Number)
    }
}

/// Whether a device can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is chosen without being asked for.
    Usable,
    /// It runs on the CPU: only when asked for.
    OnRequest,
    /// It lacks something.
    Unusable(String),
}

/// A device as `neuralsmpl devices` lists it.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Number for `--device`.
    pub number: usize,
    /// The driver's name of it.
    pub name: String,
    /// `discrete-gpu`, `integrated-gpu`, `virtual-gpu`, `cpu` or `other`.
    pub kind: &'static str,
    /// Vulkan version.
    pub version: String,
    /// Driver and its version.
    pub driver: String,
    /// Bytes of device memory.
    pub memory: u64,
    /// Whether it can be used.
    pub verdict: Verdict,
}

/// A device that was chosen.
pub struct DeviceChoice {
    /// What the list says of it.
    pub info: DeviceInfo,
    pub(super) physical: Arc<PhysicalDevice>,
    pub(super) queue_family: u32,
}

/// All devices of this machine.
///
/// # Errors
/// [`VulkanError`] when there is no loader or no driver.
pub fn list_devices() -> Result<Vec<DeviceInfo>, VulkanError> {
    let instance = super::device::instance(&super::Options::default())?;
    Ok(listed(&instance)?
        .into_iter()
        .map(|(info, _)| info)
        .collect())
}

/// Chooses among the devices of an instance.
pub(super) fn choose(
    instance: &Arc<Instance>,
    preference: &Preference,
) -> Result<DeviceChoice, VulkanError> {
    let all = listed(instance)?;
    let described = || {
        let names: Vec<String> = all
            .iter()
            .map(|(d, _)| match &d.verdict {
                Verdict::Usable => format!("{} {}", d.number, d.name),
                Verdict::OnRequest => {
                    format!("{} {} (a CPU device: only with --device)", d.number, d.name)
                }
                Verdict::Unusable(why) => format!("{} {} ({why})", d.number, d.name),
            })
            .collect();
        names.join(", ")
    };
    let found = match preference {
        Preference::Best => all
            .iter()
            .filter(|(d, _)| d.verdict == Verdict::Usable)
            .min_by_key(|(d, _)| rank(d.kind))
            .ok_or_else(|| VulkanError::NoneUsable(described()))?,
        Preference::Number(_) | Preference::Name(_) => all
            .iter()
            .find(|(d, _)| match preference {
                Preference::Number(n) => d.number == *n,
                Preference::Name(name) => d.name.to_lowercase().contains(name),
                Preference::Best => false,
            })
            .ok_or_else(|| VulkanError::NoSuchDevice {
                wanted: match preference {
                    Preference::Number(n) => n.to_string(),
                    Preference::Name(name) => name.clone(),
                    Preference::Best => String::new(),
                },
                found: described(),
            })?,
    };
    let (info, physical) = found;
    if let Verdict::Unusable(why) = &info.verdict {
        return Err(VulkanError::NoneUsable(format!("{} {why}", info.name)));
    }
    Ok(DeviceChoice {
        info: info.clone(),
        queue_family: compute_family(physical).unwrap_or(0),
        physical: physical.clone(),
    })
}

fn listed(instance: &Arc<Instance>) -> Result<Vec<(DeviceInfo, Arc<PhysicalDevice>)>, VulkanError> {
    let devices = instance
        .enumerate_physical_devices()
        .map_err(|source| VulkanError::Call {
            device: "Vulkan".to_owned(),
            what: "listing the devices",
            source,
        })?;
    let all: Vec<_> = devices
        .enumerate()
        .map(|(number, physical)| (describe(number, &physical), physical))
        .collect();
    if all.is_empty() {
        return Err(VulkanError::NoDevice);
    }
    Ok(all)
}

fn describe(number: usize, physical: &Arc<PhysicalDevice>) -> DeviceInfo {
    let properties = physical.properties();
    let memory = physical
        .memory_properties()
        .memory_heaps
        .iter()
        .filter(|heap| heap.flags.intersects(MemoryHeapFlags::DEVICE_LOCAL))
        .map(|heap| heap.size)
        .sum();
    let driver = match (&properties.driver_name, &properties.driver_info) {
        (Some(name), Some(info)) => format!("{name} {info}"),
        _ => format!("driver {:#x}", properties.driver_version),
    };
    DeviceInfo {
        number,
        name: properties.device_name.clone(),
        kind: kind(properties.device_type),
        version: properties.api_version.to_string(),
        driver,
        memory,
        verdict: verdict(physical),
    }
}

fn kind(kind: PhysicalDeviceType) -> &'static str {
    match kind {
        PhysicalDeviceType::DiscreteGpu => "discrete-gpu",
        PhysicalDeviceType::IntegratedGpu => "integrated-gpu",
        PhysicalDeviceType::VirtualGpu => "virtual-gpu",
        PhysicalDeviceType::Cpu => "cpu",
        _ => "other",
    }
}

fn rank(kind: &str) -> u32 {
    match kind {
        "discrete-gpu" => 0,
        "integrated-gpu" => 1,
        "virtual-gpu" => 2,
        _ => 3,
    }
}

fn compute_family(physical: &PhysicalDevice) -> Option<u32> {
    physical
        .queue_family_properties()
        .iter()
        .position(|family| family.queue_flags.contains(QueueFlags::COMPUTE))
        .and_then(|i| u32::try_from(i).ok())
}

fn verdict(physical: &Arc<PhysicalDevice>) -> Verdict {
    let properties = physical.properties();
    let shared = SHADERS.iter().map(|s| s.shared_bytes).max().unwrap_or(0);
    let threads = SHADERS.iter().map(|s| s.workgroup).max().unwrap_or(0);
    let lacks = [
        (
            physical.api_version() < NEEDED,
            format!("Vulkan {}, needs {NEEDED}", physical.api_version()),
        ),
        (
            compute_family(physical).is_none(),
            "no compute queue".to_owned(),
        ),
        (
            properties.max_per_stage_descriptor_storage_buffers < binding::COUNT,
            format!(
                "{} storage buffers a stage, needs {}",
                properties.max_per_stage_descriptor_storage_buffers,
                binding::COUNT
            ),
        ),
        (
            properties.max_compute_shared_memory_size < shared,
            format!(
                "{} bytes of workgroup memory, needs {shared}",
                properties.max_compute_shared_memory_size
            ),
        ),
        (
            properties.max_compute_work_group_invocations < threads,
            format!(
                "{} threads a workgroup, needs {threads}",
                properties.max_compute_work_group_invocations
            ),
        ),
    ];
    if let Some((_, why)) = lacks.into_iter().find(|(lacking, _)| *lacking) {
        return Verdict::Unusable(why);
    }
    match properties.device_type {
        PhysicalDeviceType::Cpu => Verdict::OnRequest,
        _ => Verdict::Usable,
    }
}
