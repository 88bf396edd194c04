//! Signals to a real process: this test, started again as a child.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use neuralsmpl_health::signals::Signals;
use rustix::process::{Pid, Signal, kill_process};

#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let signals = Signals::install().unwrap();
    println!("\nready");
    let mut shut_down = false;
    // Ends by itself if the parent is gone.
    for _ in 0..60_000 {
        if signals.take_reload() {
            println!("reload");
        }
        if signals.take_report() {
            println!("report");
        }
        if signals.shutdown() && !shut_down {
            shut_down = true;
            println!("shutdown by {}", signals.shutdown_by().unwrap());
            if std::env::var_os("STUCK").is_none() {
                std::process::exit(0);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::exit(99);
}

struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(stuck: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .stdout(Stdio::piped());
        if stuck {
            command.env("STUCK", "1");
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Process { child, lines };
        process.expect("ready");
        process
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn expect(&mut self, wanted: &str) {
        for line in &mut self.lines {
            let line = line.unwrap();
            if line == wanted {
                return;
            }
            assert!(
                line.is_empty() || line.starts_with("running") || line.contains("child"),
                "{line}, wanted {wanted}"
            );
        }
        panic!("ended before {wanted}");
    }
}

#[test]
fn flags_and_a_clean_end() {
    let mut process = Process::start(false);
    process.send(Signal::HUP);
    process.expect("reload");
    process.send(Signal::USR1);
    process.expect("report");
    process.send(Signal::HUP);
    process.expect("reload");
    process.send(Signal::TERM);
    process.expect("shutdown by SIGTERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_stuck_process() {
    let mut process = Process::start(true);
    process.send(Signal::INT);
    process.expect("shutdown by SIGINT");
    process.send(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(128 + 15));
}
