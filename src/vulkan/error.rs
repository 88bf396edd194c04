//! Why a Vulkan device does not run the fit.

use std::path::PathBuf;

/// A fault of the GPU path. None of them loses a frame: the CPU path takes over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VulkanError {
    /// The loader library is missing.
    #[error("no Vulkan loader ({0}); install libvulkan1, or the board's graphics packages")]
    NoLoader(String),
    /// The loader is there, but no driver.
    #[error(
        "the Vulkan loader found no device; install the driver of the GPU (on a PC without one: mesa-vulkan-drivers, a CPU device)"
    )]
    NoDevice,
    /// No device is fit for use; the reasons are in the text.
    #[error("no usable Vulkan device: {0}; see `neuralsmpl devices`")]
    NoneUsable(String),
    /// What the user asked for is not there.
    #[error("--device {wanted}: no such Vulkan device, expected one of: {found}")]
    NoSuchDevice {
        /// As typed.
        wanted: String,
        /// The devices there are.
        found: String,
    },
    /// A call failed.
    #[error("{device}: {what} failed ({source})")]
    Call {
        /// The device.
        device: String,
        /// What was being done.
        what: &'static str,
        /// The driver's answer.
        source: vulkano::VulkanError,
    },
    /// A call was refused before it reached the driver.
    #[error("{device}: {what} was refused: {why}")]
    Refused {
        /// The device.
        device: String,
        /// What was being done.
        what: &'static str,
        /// The reason.
        why: String,
    },
    /// The device did not finish a frame in time.
    #[error("{device}: a frame was not finished within {seconds} s")]
    Timeout {
        /// The device.
        device: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The device lacks memory.
    #[error(
        "{device}: out of memory for {bytes} bytes of buffers; use a smaller pack, or --backend cpu"
    )]
    OutOfMemory {
        /// The device.
        device: String,
        /// What was asked for in all.
        bytes: u64,
    },
    /// The batch does not fit what was recorded.
    #[error("{0}")]
    Batch(String),
}

impl VulkanError {
    /// Whether the device may still be using what was submitted: it must then never be freed.
    pub fn leaves_work_pending(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// Why a pipeline cache was not used or not written; a warning, never a failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The file cannot be read or written.
    #[error("{}: {source}; shaders are compiled again at the next start", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The content is not what was written.
    #[error("{}: the pipeline cache is damaged ({why}) and is ignored; it is written anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
}
