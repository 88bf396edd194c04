//! The endpoint: `/metrics` for Prometheus, `/healthz` for supervisors.
//!
//! One thread with a single-threaded runtime. Connections are bounded in number and time, and
//! each serves one request. A live page may share it: [`Endpoint::serve`] takes any router.

mod verdict;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use axum;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};

use crate::config::{ConfigError, HealthConfig};
use crate::limits::{HTTP_BUFFER, HTTP_STACK};
use crate::metrics::{Metrics, TEXT_FORMAT};
pub use verdict::{Condition, Verdict};

/// Pause after an accept that failed (no more file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A value is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be had.
    #[error("`health.listen`: cannot listen on {address}: {source}; is another one running?")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No runtime or no thread.
    #[error("cannot start the endpoint's thread: {0}")]
    Thread(#[from] io::Error),
}

/// Bounds of the endpoint's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At once; further ones wait in the system's queue.
    pub connections: usize,
    /// For a request and its answer together.
    pub timeout: Duration,
}

/// The running endpoint; it closes when dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// `/metrics` and `/healthz`.
pub fn router(metrics: Arc<Metrics>, stale_after: Duration) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .with_state(Shown {
            metrics,
            stale_after,
        })
}

impl Endpoint {
    /// Opens the endpoint that the configuration asks for; `None` where it asks for none.
    ///
    /// # Errors
    /// [`HttpError`] for a value out of range, an address that cannot be had, or no thread.
    pub fn open(config: &HealthConfig, metrics: Arc<Metrics>) -> Result<Option<Self>, HttpError> {
        config.validate()?;
        let Some(address) = config.listen else {
            return Ok(None);
        };
        let bounds = Bounds {
            connections: config.max_connections,
            timeout: config.timeout(),
        };
        let router = router(metrics, config.stale_after());
        Self::serve(address, bounds, router).map(Some)
    }

    /// Serves a router. The address is bound when this returns.
    ///
    /// # Errors
    /// [`HttpError`] for an address that cannot be had, or no thread.
    pub fn serve(address: SocketAddr, bounds: Bounds, router: Router) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("nsmpl-http".into())
            .stack_size(HTTP_STACK)
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::spawn(accept(listener, bounds, router));
                    // Ends with the message, or when its sender is gone.
                    let _ = stopped.await;
                });
                runtime.shutdown_background();
            })?;
        Ok(Endpoint {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by its hook.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, bounds: Bounds, router: Router) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the endpoint is closed: {error}"),
    };
    let room = Arc::new(Semaphore::new(bounds.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.timeout)
        .max_buf_size(HTTP_BUFFER)
        .keep_alive(false);
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("the endpoint cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move {
            // A client that is slow, gone or talks something else is its own concern.
            let _ = tokio::time::timeout(bounds.timeout, connection).await;
            drop(place);
        });
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    stale_after: Duration,
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    match shown.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn show_health(State(shown): State<Shown>) -> Response {
    let verdict = Verdict::of(&shown.metrics.snapshot(), shown.stale_after);
    let status = if verdict.is_healthy() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&verdict) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
