//! What health costs: resident memory of each part, and time of each call on the frame thread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neuralsmpl_health::config::HealthConfig;
use neuralsmpl_health::http::Endpoint;
use neuralsmpl_health::logs;
use neuralsmpl_health::metrics::{Faults, FrameReport, Metrics, MetricsSetup};
use neuralsmpl_health::percentiles::StagePercentiles;
use neuralsmpl_health::pool::{self, Lock, PoolAllocator};
use neuralsmpl_health::process::{MemoryProbe, VitalsWatch};
use neuralsmpl_health::signals::Signals;
use neuralsmpl_health::systemd::Notifier;

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

/// Prints what came to resident memory since the last call.
struct Ledger {
    probe: MemoryProbe,
    last: u64,
}

impl Ledger {
    fn entry(&mut self, what: &str) {
        let now = self.probe.read().unwrap_or_default().resident;
        let grown = now.saturating_sub(self.last) >> 10;
        println!("{what:<40} {grown:>8} kB   {:>8} kB in all", now >> 10);
        self.last = now;
    }
}

/// Prints the median time of a call, over batches.
fn timed(what: &str, mut call: impl FnMut()) {
    let mut times: Vec<f64> = (0..201)
        .map(|_| {
            let begun = Instant::now();
            (0..500).for_each(|_| call());
            begun.elapsed().as_secs_f64() / 500.0 * 1e9
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<40} {:>8.0} ns", times[100]);
}

fn scrape(address: std::net::SocketAddr) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ledger = Ledger {
        probe: MemoryProbe::open(),
        last: 0,
    };
    ledger.entry("the process alone");
    let inner = env_logger::Builder::new().build();
    let log = logs::install(
        Box::new(inner),
        log::LevelFilter::Info,
        Duration::from_secs(1),
    )?;
    ledger.entry("log");
    let signals = Signals::install()?;
    ledger.entry("signals");
    let vitals = VitalsWatch::start(Duration::from_secs(1))?;
    ledger.entry("vitals");
    let setup = MetricsSetup {
        version: "0",
        devices: &["CPU", "GPU"],
        sinks: &["serial", "udp", "tcp", "file"],
        ..MetricsSetup::default()
    };
    let metrics = Arc::new(Metrics::new(&setup, vitals.reader())?);
    ledger.entry("metrics");
    let mut percentiles = StagePercentiles::new();
    ledger.entry(&format!(
        "percentiles ({} kB counted)",
        percentiles.bytes() >> 10
    ));
    let config = HealthConfig {
        listen: Some(([127, 0, 0, 1], 0).into()),
        ..HealthConfig::default()
    };
    let endpoint = Endpoint::open(&config, Arc::clone(&metrics))?.ok_or("no endpoint")?;
    ledger.entry("endpoint, idle");
    let size = scrape(endpoint.address())?;
    ledger.entry(&format!("first scrape ({size} B)"));
    for _ in 0..2000 {
        scrape(endpoint.address())?;
    }
    ledger.entry("2,000 scrapes more");
    pool::reserve(16 << 20, Lock::IfAllowed)?;
    ledger.entry("pool of 16 MiB");

    let ms = |ms| Some(Duration::from_millis(ms));
    let frame = FrameReport {
        stages: [ms(1), ms(12), ms(20), ms(1), ms(34)],
        steps: 25,
        persons: 1,
        overrun: false,
        detected: false,
    };
    timed("Metrics::frame_done", || metrics.frame_done(&frame));
    timed("Metrics::set_faults", || metrics.set_faults(Faults::CLOCK));
    timed("Metrics::snapshot", || {
        std::hint::black_box(metrics.snapshot());
    });
    timed("StagePercentiles::record", || {
        percentiles.record(&frame.stages)
    });
    timed("VitalsWatch::latest", || {
        std::hint::black_box(vitals.latest());
    });
    timed("Signals, all three flags", || {
        std::hint::black_box((
            signals.shutdown(),
            signals.take_reload(),
            signals.take_report(),
        ));
    });
    timed("a log line held back", || log::error!("again"));
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path)?;
    manager.set_nonblocking(true)?;
    let mut notifier = Notifier::connect(path.as_os_str(), Some(Duration::from_secs(1)))?;
    let start = Instant::now();
    timed("Notifier::feed, not due", || notifier.feed(start));
    let mut later = start;
    timed("Notifier::feed, due (and taken)", || {
        later += Duration::from_secs(1);
        notifier.feed(later);
        let _ = manager.recv(&mut [0; 64]);
    });
    timed("Metrics::render (not on the frame thread)", || {
        std::hint::black_box(metrics.render().map_or(0, |text| text.len()));
    });
    println!("{} feeds refused", notifier.failures());
    drop(log);
    Ok(())
}
