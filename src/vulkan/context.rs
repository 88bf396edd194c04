//! A device that is open: queue, allocators, pipeline cache.

use std::path::PathBuf;
use std::sync::Arc;

use vulkano::command_buffer::allocator::StandardCommandBufferAllocator;
use vulkano::descriptor_set::allocator::StandardDescriptorSetAllocator;
use vulkano::device::{Device, Queue};
use vulkano::instance::debug::DebugUtilsMessenger;
use vulkano::memory::allocator::StandardMemoryAllocator;
use vulkano::pipeline::cache::{PipelineCache, PipelineCacheCreateInfo};

use super::choose::{DeviceInfo, Preference, choose};
use super::device::{instance, listen, open, refused};
use super::error::VulkanError;
use super::{cache, device};

/// Receives the validation layer's messages.
pub type Messages = Arc<dyn Fn(&str) + Send + Sync + std::panic::RefUnwindSafe>;

/// How a device is opened.
#[derive(Clone, Default)]
pub struct Options {
    /// Which device.
    pub device: Preference,
    /// Where compiled pipelines are kept; nowhere without a path.
    pub pipeline_cache: Option<PathBuf>,
    /// Loads Khronos' validation layer, synchronisation validation included, and receives what it
    /// says. For tests: it costs time and memory.
    pub messages: Option<Messages>,
}

/// An open device. Everything on it is allocated when a fitter or stages are made.
pub struct Context {
    pub(super) info: DeviceInfo,
    pub(super) device: Arc<Device>,
    pub(super) queue: Arc<Queue>,
    pub(super) memory: Arc<StandardMemoryAllocator>,
    pub(super) commands: Arc<StandardCommandBufferAllocator>,
    pub(super) sets: Arc<StandardDescriptorSetAllocator>,
    pub(super) cache: Arc<PipelineCache>,
    cache_path: Option<PathBuf>,
    _messenger: Option<DebugUtilsMessenger>,
}

impl Context {
    /// Opens the device that the options name.
    ///
    /// # Errors
    /// [`VulkanError`]: no loader, no driver, no such device, too old a version, out of memory.
    pub fn open(options: &Options) -> Result<Arc<Self>, VulkanError> {
        let instance = instance(options)?;
        let messenger = listen(&instance, options)?;
        let choice = choose(&instance, &options.device)?;
        let (device, queue) = open(&choice)?;
        let initial_data = match options.pipeline_cache.as_deref().map(cache::load) {
            Some(Ok(Some(data))) => data,
            Some(Err(fault)) => {
                log::warn!("{fault}");
                Vec::new()
            }
            Some(Ok(None)) | None => Vec::new(),
        };
        // SAFETY: the data was stored by this program behind a hash; drivers check the header, which
        // names their device and version, themselves.
        let cache = unsafe {
            PipelineCache::new(
                device.clone(),
                PipelineCacheCreateInfo {
                    initial_data,
                    ..PipelineCacheCreateInfo::default()
                },
            )
        }
        .map_err(|e| refused(&choice.info.name, "making the pipeline cache", e))?;
        Ok(Arc::new(Self {
            memory: Arc::new(StandardMemoryAllocator::new_default(device.clone())),
            commands: Arc::new(StandardCommandBufferAllocator::new(
                device.clone(),
                Default::default(),
            )),
            sets: Arc::new(StandardDescriptorSetAllocator::new(
                device.clone(),
                Default::default(),
            )),
            info: choice.info,
            device,
            queue,
            cache,
            cache_path: options.pipeline_cache.clone(),
            _messenger: messenger,
        }))
    }

    /// What the list of devices says of it.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Whether the validation layer is installed.
    pub fn has_validation() -> bool {
        vulkano::VulkanLibrary::new().is_ok_and(|library| {
            library
                .layer_properties()
                .is_ok_and(|mut layers| layers.any(|l| l.name() == device::VALIDATION))
        })
    }

    /// Keeps the compiled pipelines for the next start; a failure is a warning.
    pub(super) fn keep_pipelines(&self) {
        let Some(path) = &self.cache_path else { return };
        match self.cache.get_data() {
            Ok(data) => {
                if let Err(fault) = cache::store(path, &data) {
                    log::warn!("{fault}");
                }
            }
            Err(fault) => log::warn!("{}: {fault}", path.display()),
        }
    }

    pub(super) fn call(&self, what: &'static str, source: vulkano::VulkanError) -> VulkanError {
        VulkanError::Call {
            device: self.info.name.clone(),
            what,
            source,
        }
    }

    pub(super) fn refused(
        &self,
        what: &'static str,
        error: vulkano::Validated<vulkano::VulkanError>,
    ) -> VulkanError {
        refused(&self.info.name, what, error)
    }
}
