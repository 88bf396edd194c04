//! The page's thread: accepts connections, develops shots, sends figures.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use neuralsmpl_health::metrics::Metrics;
use neuralsmpl_health::process::VitalsReader;
use neuralsmpl_sinks::Monitor;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::time::Instant;

use crate::config::WebConfig;
use crate::desk::{Desk, Shared};
use crate::develop::{Darkroom, Developed, model_name};
use crate::figures::{Gauges, Record, SourceState};
use crate::guard::Guard;
use crate::limits::{
    CONNECTIONS, FIGURES_EVERY, FLUSH, HTTP_BUFFER, NICENESS, POLL, REQUEST_TIMEOUT, SEND_BUFFER,
    STACK,
};
use crate::record::{Progress, Recorded};
use crate::{Poser, Topology, WebError, api};

/// Pause after an accept that failed (no more file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the page shows, beside shots.
pub struct Setup {
    /// The program's version.
    pub version: &'static str,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Memory and heat.
    pub vitals: VitalsReader,
    /// Outputs.
    pub sinks: Monitor,
    /// The source's state; called on the page's thread.
    pub source: Box<dyn Fn() -> SourceState + Send + Sync>,
    /// Poses the body that is fitted.
    pub poser: Box<dyn Poser>,
}

/// The page, served until this is dropped.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Serves the page that the configuration asks for; `None` where it asks for none. The address is
    /// bound when this returns.
    ///
    /// # Errors
    /// [`WebError`] for a value out of range, a page for others without a token, an address that
    /// cannot be had, or no thread.
    pub fn open(config: &WebConfig, setup: Setup) -> Result<Option<(Self, Desk)>, WebError> {
        config.validate()?;
        let Some(address) = config.listen else {
            return Ok(None);
        };
        let token = config.secret()?;
        let failed = |source| WebError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared::new();
        let desk = Desk::new(Arc::clone(&shared), config.fps);
        let (darkroom, topology) = Darkroom::new(setup.poser, config.quality);
        let hall = Arc::new(Hall {
            guard: Guard::new(&config.hosts, token),
            gauges: Gauges {
                version: setup.version,
                metrics: setup.metrics,
                vitals: setup.vitals,
                sinks: setup.sinks,
                source: setup.source,
            },
            body: Mutex::new(body_text(&topology)),
            places: Arc::new(Semaphore::new(config.viewers)),
            frames: watch::Sender::new(None),
            figures: watch::Sender::new(Utf8Bytes::default()),
            wake: Notify::new(),
            skipped: AtomicU64::new(0),
            recording: tokio::sync::Mutex::new(()),
            record: Mutex::new(RecordState::default()),
            snapshot: Mutex::new(None),
            config: config.clone(),
            shared,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("nsmpl-web".into())
            .stack_size(STACK)
            .spawn(move || {
                give_way();
                runtime.block_on(async move {
                    tokio::spawn(accept(listener, api::router(Arc::clone(&hall))));
                    tokio::spawn(develop(hall, darkroom));
                    // Ends with the message, or when its sender is gone.
                    let _ = stopped.await;
                });
                runtime.shutdown_background();
            })?;
        let page = Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok(Some((page, desk)))
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by its hook.
            let _ = thread.join();
        }
    }
}

/// Lets every other thread go first.
fn give_way() {
    let own = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(own), NICENESS) {
        log::info!("the page's thread keeps its priority: {error}");
    }
}

/// What the tasks of the page's thread share.
pub(crate) struct Hall {
    pub shared: Arc<Shared>,
    pub config: WebConfig,
    pub guard: Guard,
    pub gauges: Gauges,
    /// The body's mesh as JSON.
    pub body: Mutex<Bytes>,
    /// Viewers' places.
    pub places: Arc<Semaphore>,
    /// The newest picture.
    pub frames: watch::Sender<Option<Arc<Developed>>>,
    /// The newest figures.
    pub figures: watch::Sender<Utf8Bytes>,
    /// Somebody has come.
    pub wake: Notify,
    /// Pictures left out for viewers who were not ready.
    pub skipped: AtomicU64,
    /// Held while a recording is started or ended.
    pub recording: tokio::sync::Mutex<()>,
    pub record: Mutex<RecordState>,
    pub snapshot: Mutex<Option<api::Snapshot>>,
}

/// Recordings, as the page's thread knows them.
#[derive(Default)]
pub(crate) struct RecordState {
    pub running: Option<Progress>,
    pub last: Option<Recorded>,
    pub fault: Option<String>,
}

/// What a task leaves is whole after each statement: a panic spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the frame thread hand over shots while it lives.
pub(crate) struct Watching(Arc<Shared>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hall {
    pub fn watch(&self) -> Watching {
        self.shared.viewers.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
        Watching(Arc::clone(&self.shared))
    }

    pub fn record_now(&self) -> Record {
        let record = lock(&self.record);
        let fault = record.running.as_ref().and_then(Progress::fault);
        Record {
            possible: self.config.folder.is_some(),
            running: record.running.as_ref().map(Progress::now),
            last: record.last.clone(),
            fault: fault.or_else(|| record.fault.clone()),
        }
    }

    /// Closes a recording that the frame thread has let go of.
    pub async fn collect(&self) {
        while let Some(recorder) = self.shared.ended.pop() {
            let closed = tokio::task::spawn_blocking(move || recorder.close(FLUSH)).await;
            let mut record = lock(&self.record);
            record.running = None;
            match closed {
                Ok(recorded) => record.last = Some(recorded),
                Err(error) => record.fault = Some(error.to_string()),
            }
        }
    }

    pub fn tell_figures(&self) {
        let skipped = self.skipped.load(Ordering::Relaxed);
        let viewers = self.config.viewers;
        match self
            .gauges
            .read(&self.shared, self.record_now(), viewers, skipped)
        {
            Ok(text) => drop(self.figures.send_replace(text.into())),
            Err(error) => log::warn!("the page's figures: {error}"),
        }
    }
}

fn body_text(topology: &Topology) -> Bytes {
    #[derive(serde::Serialize)]
    struct Text<'a> {
        model: String,
        joints: &'a [&'a str],
        #[serde(flatten)]
        topology: &'a Topology,
    }
    let text = serde_json::to_vec(&Text {
        model: model_name(topology.model_id),
        joints: &neuralsmpl_packet::pose::JOINT_NAMES,
        topology,
    });
    // Cannot fail for numbers and names.
    Bytes::from(text.unwrap_or_default())
}

/// Takes shots while somebody views, and sleeps while nobody does.
async fn develop(hall: Arc<Hall>, mut darkroom: Darkroom) {
    let mut figures_due = Instant::now();
    loop {
        if let Some(poser) = hall.shared.poser.pop() {
            *lock(&hall.body) = body_text(&darkroom.set_poser(poser));
        }
        let mut newest = None;
        while let Some(shot) = hall.shared.full.pop() {
            if let Some(older) = newest.replace(shot) {
                // There are no more shots than places.
                let _ = hall.shared.free.push(older);
            }
        }
        if let Some(shot) = newest {
            let developed = darkroom.develop(&shot);
            let _ = hall.shared.free.push(shot);
            if developed.is_some() {
                hall.frames.send_replace(developed);
            }
        }
        if hall.shared.viewers.load(Ordering::Relaxed) == 0 {
            hall.frames.send_replace(None);
            hall.wake.notified().await;
            figures_due = Instant::now();
        } else {
            tokio::time::sleep(POLL).await;
        }
        if Instant::now() >= figures_due {
            figures_due = Instant::now() + FIGURES_EVERY;
            hall.collect().await;
            hall.tell_figures();
        }
    }
}

async fn accept(listener: TcpListener, router: Router) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the page is closed: {error}"),
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(HTTP_BUFFER)
        .keep_alive(false);
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("the page cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without these pictures would only come later.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        let service = TowerToHyperService::new(router.clone());
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move {
            // A client that is slow, gone or talks something else is its own concern.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, connection).await;
            drop(place);
        });
    }
}
