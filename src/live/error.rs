//! Why the live process cannot start or go on.

use crate::backbone::BackboneError;
use crate::pack::PackError;
use crate::vulkan::VulkanError;

/// A fault that ends the live process, or keeps it from starting. What can pass is counted instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A setting.
    #[error("{place}: {message}")]
    Config {
        /// File and key.
        place: String,
        /// What was found, what was expected.
        message: String,
    },
    /// The source refuses for good.
    #[error(transparent)]
    Source(#[from] neuralsmpl_sources::SourceError),
    /// The source was given up.
    #[error("{0}")]
    SourceFailed(String),
    /// A sink.
    #[error(transparent)]
    Sink(#[from] neuralsmpl_sinks::SinkError),
    /// The pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A network of the pack.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// The device that was asked for.
    #[error(transparent)]
    Vulkan(#[from] VulkanError),
    /// The tracker's settings.
    #[error("[track]: {0}")]
    Track(#[from] neuralsmpl_track::ConfigError),
    /// The endpoint.
    #[error(transparent)]
    Http(#[from] neuralsmpl_health::http::HttpError),
    /// The live page.
    #[error(transparent)]
    Web(#[from] neuralsmpl_web::WebError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] neuralsmpl_health::metrics::MetricsError),
    /// The service manager's socket.
    #[error(transparent)]
    Notify(#[from] neuralsmpl_health::systemd::NotifyError),
    /// The inference pool.
    #[error("[memory]: {0}")]
    Pool(#[from] neuralsmpl_health::pool::ReserveError),
    /// Locking memory.
    #[error("[memory]: {0}")]
    Lock(#[from] neuralsmpl_health::process::LockError),
    /// A thread or a signal handler.
    #[error("cannot start {what}: {source}")]
    Start {
        /// What.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}
