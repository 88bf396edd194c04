use std::sync::Mutex;

use super::*;

/// Keeps what is written; may be made to wait.
#[derive(Clone, Default)]
struct Kept {
    lines: Arc<Mutex<Vec<String>>>,
    gate: Arc<Mutex<()>>,
}

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let _open = self.gate.lock().unwrap();
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        self.lines.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

fn say(front: &Front, number: u32, target: &str, text: &str) {
    front.log(
        &Record::builder()
            .level(Level::Warn)
            .target(target)
            .file_static(Some("loop.rs"))
            .line(Some(number))
            .args(format_args!("{text}"))
            .build(),
    );
}

#[test]
fn repeats_are_counted_and_reported() {
    let kept = Kept::default();
    let (front, guard) = start(Box::new(kept.clone()), Duration::from_millis(300)).unwrap();
    for _ in 0..20 {
        say(&front, 1, "camera", "no frame");
    }
    say(&front, 2, "camera", "another site");
    say(&front, 1, "other", "another target");
    guard.flush();
    let first = kept.lines.lock().unwrap().clone();
    assert_eq!(
        first,
        [
            "WARN camera no frame",
            "WARN camera another site",
            "WARN other another target"
        ]
    );
    // Nothing comes any more: the sweep reports.
    let begun = Instant::now();
    while kept.lines.lock().unwrap().len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no report");
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = kept.lines.lock().unwrap()[3].clone();
    assert!(
        report.starts_with("WARN camera no frame (19 more in "),
        "{report}"
    );
    assert!(stats().repeats >= 19);
}

#[test]
fn a_stuck_log_holds_nobody_up() {
    let kept = Kept::default();
    let (front, guard) = start(Box::new(kept.clone()), Duration::from_millis(1)).unwrap();
    let lost = stats().lost;
    let gate = kept.gate.lock().unwrap();
    for number in 0..LOG_QUEUE as u32 + 50 {
        say(&front, number, "t", "x");
    }
    // One is in the writer's hands at most.
    assert!(stats().lost >= lost + 49, "{:?}", stats());
    drop(gate);
    drop(guard);
    assert!(kept.lines.lock().unwrap().len() >= LOG_QUEUE);
}

#[test]
fn long_lines_are_cut_and_levels_kept_out() {
    let kept = Kept::default();
    let (front, guard) = start(Box::new(kept.clone()), Duration::from_secs(1)).unwrap();
    say(&front, 1, "t", &"ä".repeat(LOG_LINE));
    front.log(
        &Record::builder()
            .level(Level::Debug)
            .args(format_args!("not wanted"))
            .build(),
    );
    drop(guard);
    let lines = kept.lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("ä…") && lines[0].len() < LOG_LINE + 20);
}
