//! Log lines that do not repeat and never make their caller wait.
//!
//! A line goes into a bounded queue; a thread of its own writes it. The same call site (with the
//! same level and target) gets one line an interval through; the others are counted and reported
//! with the next: `no frame from the camera (29 more in 1.0 s)`. A caller allocates nothing,
//! held back or not.

mod format;
mod limiter;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::limits::{HELPER_STACK, LOG_EXCERPT, LOG_LINE, LOG_QUEUE, LOG_SITES, LOG_TARGET};
use crate::text::Text;
pub use format::{for_journal, goes_to_journal};
use limiter::{Limiter, Verdict};

/// Repeats of call sites that fell silent are looked for this often at least.
const SWEEP: Duration = Duration::from_millis(250);

/// Longest wait for the queue to be written, when flushing.
const FLUSH: Duration = Duration::from_secs(1);

static REPEATS: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// What the process's log did not write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Lines held back as repeats.
    pub repeats: u64,
    /// Lines lost because the queue was full.
    pub lost: u64,
}

/// The counts now.
pub fn stats() -> LogStats {
    LogStats {
        repeats: REPEATS.load(Ordering::Relaxed),
        lost: LOST.load(Ordering::Relaxed),
    }
}

/// The log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The process has one already.
    #[error("the log was started before; a process has one")]
    Twice(#[from] log::SetLoggerError),
    /// No thread.
    #[error("cannot start the log's thread: {0}")]
    Thread(#[from] io::Error),
}

/// Makes `inner` the process's log, behind the queue and the limit of one line per call site and
/// `interval`.
///
/// # Errors
/// [`LogError`] where the process has a log, or no thread can be started.
pub fn install(
    inner: Box<dyn Log>,
    most: LevelFilter,
    interval: Duration,
) -> Result<LogGuard, LogError> {
    let (front, guard) = start(inner, interval)?;
    log::set_boxed_logger(Box::new(front))?;
    log::set_max_level(most);
    Ok(guard)
}

/// Writes what is queued and ends the log's thread when dropped.
#[derive(Debug)]
pub struct LogGuard {
    shared: Arc<Shared>,
    queue: SyncSender<Option<Line>>,
    thread: Option<JoinHandle<()>>,
}

impl LogGuard {
    /// Waits, a second at most, until everything that was logged is written.
    pub fn flush(&self) {
        self.shared.flush();
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.flush();
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the thread; a full queue keeps it awake anyway.
        let _ = self.queue.try_send(None);
        if let Some(thread) = self.thread.take().filter(|_| self.shared.is_written()) {
            // A panic of that thread has been reported by its hook.
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicU64,
    written: AtomicU64,
    ended: AtomicBool,
}

impl Shared {
    fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire) >= self.queued.load(Ordering::Acquire)
    }

    fn flush(&self) {
        let begun = Instant::now();
        while !self.is_written() && begun.elapsed() < FLUSH {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A line on its way to the thread.
#[derive(Debug)]
struct Line {
    level: Level,
    slot: usize,
    held: u32,
    over: u64,
    target: Text<LOG_TARGET>,
    text: Text<LOG_LINE>,
    module: Option<&'static str>,
    file: Option<&'static str>,
    number: Option<u32>,
}

/// What callers see.
struct Front {
    inner: Arc<dyn Log>,
    limiter: Arc<Limiter>,
    queue: SyncSender<Option<Line>>,
    shared: Arc<Shared>,
    start: Instant,
}

fn start(inner: Box<dyn Log>, interval: Duration) -> io::Result<(Front, LogGuard)> {
    let inner: Arc<dyn Log> = Arc::from(inner);
    let interval = interval.max(Duration::from_millis(1));
    let limiter = Arc::new(Limiter::new(interval.as_millis() as u64));
    let shared = Arc::new(Shared::default());
    let (queue, lines) = mpsc::sync_channel(LOG_QUEUE);
    let start = Instant::now();
    let mut writer = Writer {
        inner: Arc::clone(&inner),
        limiter: Arc::clone(&limiter),
        shared: Arc::clone(&shared),
        excerpts: vec![None; LOG_SITES],
        start,
    };
    let thread = std::thread::Builder::new()
        .name("nsmpl-log".into())
        .stack_size(HELPER_STACK)
        .spawn(move || writer.run(&lines, SWEEP.min(interval / 4)))?;
    let guard = LogGuard {
        shared: Arc::clone(&shared),
        queue: queue.clone(),
        thread: Some(thread),
    };
    let front = Front {
        inner,
        limiter,
        queue,
        shared,
        start,
    };
    Ok((front, guard))
}

impl Log for Front {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.inner.enabled(record.metadata()) {
            return;
        }
        let now = self.start.elapsed().as_millis() as u64;
        let Verdict::Emit { slot, held, over } = self.limiter.admit(key(record), now) else {
            REPEATS.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let line = Line {
            level: record.level(),
            slot,
            held,
            over,
            target: Text::of(format_args!("{}", record.target())),
            text: Text::of(*record.args()),
            module: record.module_path_static(),
            file: record.file_static(),
            number: record.line(),
        };
        self.shared.queued.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(Some(line)).is_err() {
            self.shared.queued.fetch_sub(1, Ordering::AcqRel);
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        self.shared.flush();
    }
}

/// Tells call sites apart: file and line, level, target.
fn key(record: &Record<'_>) -> u64 {
    // FNV-1a; the file's address stands for its name.
    let site = record.file_static().map_or(0, |file| file.as_ptr().addr());
    let number = (u64::from(record.line().unwrap_or(0)) << 3) | record.level() as u64;
    (site as u64)
        .to_le_bytes()
        .into_iter()
        .chain(number.to_le_bytes())
        .chain(record.target().bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// What a report of repeats quotes.
#[derive(Clone)]
struct Excerpt {
    level: Level,
    target: Text<LOG_TARGET>,
    text: Text<LOG_EXCERPT>,
}

/// The thread's side.
struct Writer {
    inner: Arc<dyn Log>,
    limiter: Arc<Limiter>,
    shared: Arc<Shared>,
    excerpts: Vec<Option<Excerpt>>,
    start: Instant,
}

impl Writer {
    fn run(&mut self, lines: &Receiver<Option<Line>>, tick: Duration) {
        let mut swept = Instant::now();
        loop {
            match lines.recv_timeout(tick) {
                Ok(None) => {}
                Ok(Some(line)) => {
                    self.write(&line);
                    self.shared.written.fetch_add(1, Ordering::AcqRel);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if swept.elapsed() >= tick {
                swept = Instant::now();
                self.sweep();
            }
            if self.shared.ended.load(Ordering::Acquire) && self.shared.is_written() {
                break;
            }
        }
        self.inner.flush();
    }

    fn write(&mut self, line: &Line) {
        if let Some(excerpt) = self.excerpts.get_mut(line.slot) {
            *excerpt = Some(Excerpt {
                level: line.level,
                target: line.target,
                text: Text::of(format_args!("{}", line.text.as_str())),
            });
        }
        let cut = if line.text.is_cut() { "…" } else { "" };
        let text = line.text.as_str();
        let mut record = Record::builder();
        record
            .level(line.level)
            .target(line.target.as_str())
            .module_path_static(line.module)
            .file_static(line.file)
            .line(line.number);
        if line.held == 0 {
            let args = format_args!("{text}{cut}");
            self.inner.log(&record.args(args).build());
        } else {
            let args = format_args!(
                "{text}{cut} ({} more in {:.1} s)",
                line.held,
                line.over as f64 / 1000.0
            );
            self.inner.log(&record.args(args).build());
        }
    }

    /// Reports repeats of call sites that fell silent.
    fn sweep(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        self.limiter.sweep(now, |slot, held, over| {
            let Some(Some(excerpt)) = self.excerpts.get(slot) else {
                return;
            };
            let cut = if excerpt.text.is_cut() { "…" } else { "" };
            let args = format_args!(
                "{}{cut} ({held} more in {:.1} s)",
                excerpt.text.as_str(),
                over as f64 / 1000.0
            );
            self.inner.log(
                &Record::builder()
                    .level(excerpt.level)
                    .target(excerpt.target.as_str())
                    .args(args)
                    .build(),
            );
        });
    }
}

#[cfg(test)]
mod tests;
