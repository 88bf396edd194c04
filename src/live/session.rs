//! The process that lives on the robot: frames in, packets out, until the source ends or somebody
//! says stop. What can pass is counted and reported; only what cannot ends it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use neuralsmpl_health::http::Endpoint;
use neuralsmpl_health::metrics::{FrameReport as Measured, Metrics, MetricsSetup};
use neuralsmpl_health::percentiles::{Percentiles, StagePercentiles};
use neuralsmpl_health::pool;
use neuralsmpl_health::process::{VitalsWatch, board, lock_memory};
use neuralsmpl_health::signals::Signals;
use neuralsmpl_health::systemd::Notifier;
use neuralsmpl_packet::{Backend, Message};
use neuralsmpl_sinks::{Context, Flushed, Hub, Skeleton};
use neuralsmpl_sources::{Event, Grabber};
use neuralsmpl_track::PersonId;

use super::page::LivePage;
use super::reload::{Loader, build};
use super::report::{Counts, Summary};
use super::{Follower, FrameReport, LiveError, RunConfig, messages};
use crate::body::Body;
use crate::frame::Intrinsics;
use crate::frame::calibration::Camera;
use crate::limits::MAX_PERSONS;
use crate::pack::Pack;

/// Longest wait for a frame before the loop looks around, and so the least rate at which the watchdog
/// is fed.
const POLL: Duration = Duration::from_millis(100);

/// Time for queues to be written at the end.
const FLUSH: Duration = Duration::from_secs(2);

/// A running live process.
pub struct Session {
    pub(super) config: RunConfig,
    pub(super) root: PathBuf,
    pub(super) grabber: Grabber,
    pub(super) follower: Follower,
    pub(super) hub: Hub,
    pub(super) metrics: Arc<Metrics>,
    /// Serves the metrics until it is dropped.
    _endpoint: Option<Endpoint>,
    pub(super) page: Option<LivePage>,
    pub(super) notifier: Notifier,
    pub(super) signals: Signals,
    pub(super) vitals: VitalsWatch,
    pub(super) camera: Camera,
    /// Of the last frame's size.
    intrinsics: Option<((u32, u32), Intrinsics)>,
    pub(super) loader: Option<Loader>,
    /// When each person's subject packet went out last.
    subjects: [Option<(PersonId, Instant)>; MAX_PERSONS],
    pub(super) status_due: Instant,
    pub(super) started: Instant,
    pub(super) stages: StagePercentiles,
    /// From taking a frame to its queued packets.
    pub(super) frame_times: Percentiles,
    pub(super) over_deadline: Percentiles,
    pub(super) counts: Counts,
}

/// Why the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The source has no more frames.
    Source,
    /// As many frames as were asked for are done.
    Frames,
    /// A signal, by name.
    Signal(&'static str),
}

impl Session {
    /// Loads the pack and starts everything. Nothing is allocated for frames after this but what
    /// depends on their size.
    ///
    /// # Errors
    /// [`LiveError`] with what is wrong with a setting, file, device or address.
    pub fn open(config: RunConfig, root: &Path) -> Result<Self, LiveError> {
        config.check()?;
        let started = Instant::now();
        let signals = Signals::install().map_err(|source| LiveError::Start {
            what: "signal handlers",
            source,
        })?;
        let notifier = Notifier::from_env()?;
        if config.memory.pool_bytes() > 0 {
            reserve(&config)?;
        }
        let grabber = Grabber::start(&config.source)?;
        let pack = Pack::load(root)?;
        let camera = config.camera(pack.manifest.camera.fov_deg)?;
        let context = Context {
            persons: config.track.persons,
            rate_hz: config.source.fps.unwrap_or(0.0) as f32,
            skeleton: skeleton(&pack.body),
        };
        let hub = Hub::start(&config.sinks, context)?;
        let estimator = build(pack, &config)?;
        let follower = Follower::new(estimator, config.track, config.limits())?;
        let vitals = VitalsWatch::start(config.health.vitals_every()).map_err(|source| {
            LiveError::Start {
                what: "the thread that watches memory and temperature",
                source,
            }
        })?;
        let device = follower.estimator().engine().device_name().to_owned();
        let names: Vec<String> = hub.stats().map(|s| s.name.to_owned()).collect();
        let sinks: Vec<&str> = names.iter().map(String::as_str).collect();
        let devices = ["cpu", device.as_str()];
        let on_device = follower.estimator().engine().device().is_some();
        let metrics = Arc::new(Metrics::new(
            &MetricsSetup {
                version: env!("CARGO_PKG_VERSION"),
                board: &board::name().unwrap_or_default(),
                devices: &devices[..1 + usize::from(on_device)],
                sinks: &sinks,
            },
            vitals.reader(),
        )?);
        metrics.set_device(usize::from(on_device));
        let endpoint = Endpoint::open(&config.health, metrics.clone())?;
        if let Some(endpoint) = &endpoint {
            log::info!("metrics at http://{}/metrics", endpoint.address());
        }
        let page = LivePage::open(
            &config.web,
            metrics.clone(),
            vitals.reader(),
            &hub,
            &grabber,
            &config.source.source,
            follower.estimator().pack(),
        )?;
        lock_memory(config.memory.lock)?;
        neuralsmpl_health::process::give_back_free_memory();
        Ok(Self {
            config,
            root: root.to_owned(),
            grabber,
            follower,
            hub,
            metrics,
            _endpoint: endpoint,
            page,
            notifier,
            signals,
            vitals,
            camera,
            intrinsics: None,
            loader: None,
            subjects: [None; MAX_PERSONS],
            status_due: started,
            started,
            stages: StagePercentiles::new(),
            frame_times: Percentiles::new(),
            over_deadline: Percentiles::new(),
            counts: Counts::default(),
        })
    }

    /// Works until the source ends, a signal comes, or `frames` are done.
    ///
    /// # Errors
    /// [`LiveError::SourceFailed`] when the source is given up.
    pub fn run(&mut self, frames: Option<u64>) -> Result<Ended, LiveError> {
        self.notifier.ready();
        loop {
            if let Some(signal) = self.signals.shutdown_by() {
                return Ok(Ended::Signal(signal));
            }
            self.look_around();
            match self.next_frame() {
                Next::Frame | Next::Nothing => {}
                Next::Ended => {
                    let failed = self.grabber.stats().failed;
                    return match self.grabber.last_error().filter(|_| failed) {
                        Some(error) => Err(LiveError::SourceFailed(error)),
                        None => Ok(Ended::Source),
                    };
                }
            }
            self.notifier.feed(Instant::now());
            if frames.is_some_and(|most| self.counts.frames >= most) {
                return Ok(Ended::Frames);
            }
        }
    }

    /// Everything that is not a frame: signals, a new pack, commands, status.
    fn look_around(&mut self) {
        if self.signals.take_reload() {
            self.reload();
        }
        self.poll_reload();
        self.obey();
        if let Some(page) = &mut self.page {
            page.obey(&mut self.follower);
        }
        if Instant::now() >= self.status_due {
            self.report();
        }
        if self.signals.take_report() {
            self.log_status();
        }
    }

    fn next_frame(&mut self) -> Next {
        let frame = match self.grabber.newest(POLL) {
            Event::Frame(frame) => frame,
            Event::Timeout => return Next::Nothing,
            Event::Ended => return Next::Ended,
        };
        let taken = Instant::now();
        let size = frame.image.dimensions();
        let intrinsics = match self.intrinsics {
            Some((of, k)) if of == size => k,
            _ => match self.camera.intrinsics(size.0, size.1) {
                Ok(k) => {
                    self.intrinsics = Some((size, k));
                    k
                }
                Err(fault) => {
                    self.counts.wrong_size += 1;
                    log::warn!("camera.intrinsics: {fault}; this frame is not used");
                    return Next::Frame;
                }
            },
        };
        // Speeds are measured on the clock of the pictures, which never goes back.
        let time_us = u64::try_from(frame.stream_time.as_micros()).unwrap_or(u64::MAX);
        let follower = &mut self.follower;
        follower.keep_maps(self.page.as_mut().is_some_and(|page| page.begin(taken)));
        let followed = pool::run(self.config.memory.exhausted, || {
            follower.follow(&frame.image, time_us, taken, &intrinsics)
        });
        let (captured, wall_us) = (frame.captured, frame.time_us);
        self.counts.frames += 1;
        match followed {
            Ok(report) => self.send(&report, taken, captured, wall_us, &intrinsics, size),
            Err(exhausted) => {
                self.counts.pool += 1;
                self.counts.since.pool = true;
                log::warn!("{exhausted}; this frame is not used");
            }
        }
        Next::Frame
    }

    /// Hands the poses of a frame to the sinks, and counts what it has cost.
    fn send(
        &mut self,
        report: &FrameReport,
        taken: Instant,
        captured: Instant,
        time_us: u64,
        intrinsics: &Intrinsics,
        size: (u32, u32),
    ) {
        let clock = Instant::now();
        let on_device = self.follower.estimator().engine().device().is_some();
        let stamp = messages::Stamp {
            time_us,
            latency_us: u32::try_from(captured.elapsed().as_micros()).unwrap_or(u32::MAX),
            model_id: self.follower.estimator().pack().model_id(),
            backend: if on_device {
                Backend::Vulkan
            } else {
                Backend::Cpu
            },
            raw: self.config.output.raw,
        };
        let calibrated = matches!(self.camera, Camera::Given(_));
        let every = Duration::from_secs_f32(self.config.output.subject_s);
        let mut persons = 0u8;
        let (hub, page, counts) = (&mut self.hub, &mut self.page, &mut self.counts);
        let mut tell = |message: Message| {
            counts.told(hub.send(&message));
            if let Some(page) = page {
                page.record(&message);
            }
        };
        for person in self.follower.people() {
            persons += 1;
            let known = self
                .subjects
                .iter()
                .position(|s| s.is_some_and(|(id, _)| id == person.id));
            let due = known
                .and_then(|k| self.subjects[k])
                .is_none_or(|(_, at)| clock.duration_since(at) >= every);
            if due {
                let oldest = || {
                    let at = |k: &usize| self.subjects[*k].map(|(_, at)| at);
                    (0..MAX_PERSONS).min_by_key(at).unwrap_or(0)
                };
                let place = known.unwrap_or_else(oldest);
                self.subjects[place] = Some((person.id, clock));
                let subject = messages::subject(person, &stamp, intrinsics, calibrated, size);
                tell(Message::Subject(subject));
            }
            tell(Message::Pose(messages::pose(person, &stamp)));
        }
        let done = Instant::now();
        self.counts.took(report, persons);
        if report.late {
            self.over_deadline.record(
                report
                    .total
                    .saturating_sub(self.follower.scheduler().limits().deadline),
            );
        }
        if let Some(error) = self.follower.take_error() {
            log::warn!("{error}");
        }
        let stages = [
            Some(taken.saturating_duration_since(captured)),
            Some(report.locate),
            (report.fitted > 0).then_some(report.fit),
            Some(done - clock),
            Some(done.saturating_duration_since(captured)),
        ];
        self.stages.record(&stages);
        self.frame_times.record(done - taken);
        self.metrics.frame_done(&Measured {
            stages,
            steps: report.steps,
            persons,
            overrun: report.late,
            detected: report.detector.is_some(),
        });
        if let Some(page) = &mut self.page {
            let frame = self.grabber.current();
            page.show(frame, &self.follower, &stamp, &stages, intrinsics);
        }
    }

    /// Where the live page is served.
    pub fn page_address(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(LivePage::address)
    }

    /// Ends: the last status, queues written, the source closed.
    pub fn close(mut self) -> (Summary, Flushed) {
        self.notifier.stopping();
        self.report();
        self.grabber.stop();
        let summary = self.summary();
        if let Some(page) = self.page.take() {
            page.close(FLUSH);
        }
        (summary, self.hub.close(FLUSH))
    }
}

enum Next {
    Frame,
    Nothing,
    Ended,
}

fn reserve(config: &RunConfig) -> Result<(), LiveError> {
    use neuralsmpl_health::process::MemoryLock;
    let lock = match config.memory.lock {
        MemoryLock::Off => pool::Lock::IfAllowed,
        _ => pool::Lock::Must,
    };
    match pool::reserve(config.memory.pool_bytes(), lock) {
        Ok(_) | Err(pool::ReserveError::Twice) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The body as sinks draw it; `None` where it has other joints than SMPL's.
fn skeleton(body: &Body) -> Option<Skeleton> {
    let parents: [Option<u8>; 24] = body.parents.as_slice().try_into().ok()?;
    Some(Skeleton {
        parents,
        rest_joints: std::array::from_fn(|j| body.joint_template[j].to_array()),
        shape_directions: std::array::from_fn(|j| {
            std::array::from_fn(|axis| std::array::from_fn(|b| body.joint_shapedirs[j][b][axis]))
        }),
    })
}

/// Microseconds since the Unix epoch.
pub(super) fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
