//! Loader, instance, logical device.

use std::sync::Arc;

use vulkano::device::{Device, DeviceCreateInfo, Queue, QueueCreateInfo};
use vulkano::instance::debug::{
    DebugUtilsMessageSeverity, DebugUtilsMessageType, DebugUtilsMessenger,
    DebugUtilsMessengerCallback, DebugUtilsMessengerCreateInfo, ValidationFeatureEnable,
};
use vulkano::instance::{Instance, InstanceCreateFlags, InstanceCreateInfo, InstanceExtensions};
use vulkano::{Validated, Version, VulkanLibrary};

use super::choose::{DeviceChoice, NEEDED};
use super::context::Options;
use super::error::VulkanError;

/// Name of Khronos' validation layer.
pub(super) const VALIDATION: &str = "VK_LAYER_KHRONOS_validation";

/// Loads the library and opens an instance.
pub(super) fn instance(options: &Options) -> Result<Arc<Instance>, VulkanError> {
    let library = VulkanLibrary::new().map_err(|e| VulkanError::NoLoader(e.to_string()))?;
    if library.api_version() < NEEDED {
        return Err(VulkanError::NoneUsable(format!(
            "the Vulkan loader is version {}, needs {NEEDED}",
            library.api_version()
        )));
    }
    let mut info = InstanceCreateInfo {
        flags: InstanceCreateFlags::ENUMERATE_PORTABILITY,
        application_name: Some("neuralsmpl".to_owned()),
        max_api_version: Some(Version::V1_1),
        ..InstanceCreateInfo::default()
    };
    if options.messages.is_some() {
        info.enabled_layers = vec![VALIDATION.to_owned()];
        info.enabled_extensions = InstanceExtensions {
            ext_debug_utils: true,
            ext_validation_features: true,
            ..InstanceExtensions::empty()
        };
        info.enabled_validation_features = vec![ValidationFeatureEnable::SynchronizationValidation];
    }
    Instance::new(library, info).map_err(|e| match e {
        // What the loader answers where no driver is installed.
        Validated::Error(vulkano::VulkanError::IncompatibleDriver) => VulkanError::NoDevice,
        other => refused("Vulkan", "opening an instance", other),
    })
}

/// Hands every message of the validation layer to the options' receiver.
pub(super) fn listen(
    instance: &Arc<Instance>,
    options: &Options,
) -> Result<Option<DebugUtilsMessenger>, VulkanError> {
    let Some(receive) = options.messages.clone() else {
        return Ok(None);
    };
    // SAFETY: the callback makes no Vulkan calls.
    let callback = unsafe {
        DebugUtilsMessengerCallback::new(move |severity, _, data| {
            receive(&format!("{severity:?}: {}", data.message));
        })
    };
    let info = DebugUtilsMessengerCreateInfo {
        message_severity: DebugUtilsMessageSeverity::ERROR | DebugUtilsMessageSeverity::WARNING,
        message_type: DebugUtilsMessageType::VALIDATION | DebugUtilsMessageType::PERFORMANCE,
        ..DebugUtilsMessengerCreateInfo::user_callback(callback)
    };
    DebugUtilsMessenger::new(instance.clone(), info)
        .map(Some)
        .map_err(|e| refused("Vulkan", "listening to the validation layer", e))
}

/// Opens a device with one compute queue and no optional feature.
pub(super) fn open(choice: &DeviceChoice) -> Result<(Arc<Device>, Arc<Queue>), VulkanError> {
    let name = &choice.info.name;
    let info = DeviceCreateInfo {
        queue_create_infos: vec![QueueCreateInfo {
            queue_family_index: choice.queue_family,
            ..QueueCreateInfo::default()
        }],
        ..DeviceCreateInfo::default()
    };
    let (device, mut queues) = Device::new(choice.physical.clone(), info)
        .map_err(|e| refused(name, "opening the device", e))?;
    let queue = queues.next().ok_or_else(|| VulkanError::Refused {
        device: name.clone(),
        what: "opening the device",
        why: "it has no queue".to_owned(),
    })?;
    Ok((device, queue))
}

/// An error of vulkano as ours.
pub(super) fn refused(
    device: &str,
    what: &'static str,
    error: Validated<vulkano::VulkanError>,
) -> VulkanError {
    match error {
        Validated::Error(source) => VulkanError::Call {
            device: device.to_owned(),
            what,
            source,
        },
        Validated::ValidationError(why) => VulkanError::Refused {
            device: device.to_owned(),
            what,
            why: why.to_string(),
        },
    }
}
