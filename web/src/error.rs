//! What can keep the page from being served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// A value of `[web]` is out of range.
    #[error("`{key}`: found {found}, expected {expected}")]
    Config {
        /// The key with its table.
        key: &'static str,
        /// The value.
        found: String,
        /// What is allowed, and the remedy where there is one.
        expected: String,
    },
    /// The token's file cannot be used.
    #[error("`web.token_file`: {path}: {message}")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what helps.
        message: String,
    },
    /// The address cannot be had.
    #[error("`web.listen`: cannot listen on {address}: {source}; is another one running?")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No runtime or no thread.
    #[error("cannot start the page's thread: {0}")]
    Thread(#[from] io::Error),
}

/// A recording cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The sink refused the file.
    #[error("cannot record to {path}: {source}")]
    Sink {
        /// The file.
        path: PathBuf,
        /// Why.
        source: neuralsmpl_sinks::SinkError,
    },
    /// The file cannot be written.
    #[error("cannot record to {path}: {reason}; see that the folder exists and may be written to")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
