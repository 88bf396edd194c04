//! The log of a whole process: limited, in the journal's form, and without allocation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Counting, allocations};
use log::LevelFilter;
use neuralsmpl_health::logs;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
#[ignore = "the child of the other tests"]
fn child() {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Info).format_target(false);
    logs::for_journal(&mut builder);
    let inner = builder.build();
    let most = inner.filter();
    let guard = logs::install(Box::new(inner), most, Duration::from_secs(3600)).unwrap();
    let second = env_logger::Builder::new().build();
    assert!(logs::install(Box::new(second), most, Duration::from_secs(1)).is_err());
    log::warn!("first, with {}", "an argument");
    let before = allocations();
    for turn in 0..1000 {
        log::info!("turn {turn}");
        log::debug!("not wanted {turn}");
    }
    assert_eq!(allocations(), before);
    assert_eq!(logs::stats().repeats, 999);
    log::error!("two\nlines");
    drop(guard);
    std::process::exit(7);
}

#[test]
fn a_process_logs() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert_eq!(
        text,
        "<4>first, with an argument\n<6>turn 0\n<3>two\n<3>lines\n"
    );
}
