//! The sender's side: no allocation, no waiting, refusal of bad tables.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::*;
use neuralsmpl_packet::{CommandRepr, Message, PoseRepr};
use neuralsmpl_sinks::{DropCause, Hub};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One sink of every kind that needs no device, one that is absent and one that fails.
fn many(folder: &std::path::Path) -> Hub {
    let place = folder.display();
    hub(&format!(
        r#"
        [[sink]]
        type = "tcp"
        listen = "127.0.0.1:0"
        control = true
        [[sink]]
        type = "udp"
        target = "127.0.0.1:9"
        rate_hz = 10
        [[sink]]
        type = "file"
        path = "{place}/pose.bin"
        queue = 8192
        [[sink]]
        type = "jsonl"
        path = "{place}/pose.jsonl"
        [[sink]]
        type = "serial"
        device = "{place}/none"
        [[sink]]
        type = "file"
        path = "/dev/full"
        "#
    ))
}

#[test]
fn sending_neither_allocates_nor_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = many(folder.path());
    let address = stats(&hub).address.unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut client, &command(CommandRepr::default())).unwrap();
    assert!(until(|| stats(&hub).commands == 1));

    let mut times = Vec::with_capacity(10_000);
    let before = COUNT.get();
    for n in 0..10_000_u32 {
        if n.is_multiple_of(10) {
            // A frame's packets come together, and the sinks' threads have fallen asleep before.
            std::thread::sleep(Duration::from_millis(1));
        }
        let message = pose(n);
        let start = Instant::now();
        hub.send(&message).unwrap();
        times.push(start.elapsed());
        if let Some((token, command)) = hub.commands() {
            hub.apply(token, &command);
            hub.reply(token, Default::default());
        }
        if n % 100 == 0 {
            let sent: u64 = hub.stats().map(|sink| sink.sent).sum();
            std::hint::black_box(sent);
        }
    }
    assert_eq!(COUNT.get() - before, 0, "allocations while sending");

    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "send to six sinks: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    let flushed = hub.close(Duration::from_secs(20));
    assert!(flushed.sinks.iter().all(|sink| sink.ended), "{flushed:?}");
}

#[test]
fn nothing_is_lost_without_a_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = many(folder.path());
    for n in 0..3_000 {
        hub.send(&pose(n)).unwrap();
    }
    assert!(until(|| hub.stats().all(|sink| sink.queued == 0)));
    // A packet may be on its way from the queue to its count.
    assert!(
        until(|| hub.stats().enumerate().all(|(index, sink)| {
            let dropped: u64 = sink.dropped.iter().map(|(_, n)| n).sum();
            let meant = if index == 1 { 1_000 } else { 3_000 };
            sink.sent + dropped == meant
        })),
        "{:#?}",
        hub.stats().collect::<Vec<_>>()
    );
}

#[test]
fn a_message_that_cannot_be_written_is_the_senders_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = many(folder.path());
    let bad = PoseRepr {
        translation: [f32::NAN; 3],
        ..PoseRepr::default()
    };
    assert!(hub.send(&Message::Pose(bad)).is_err());
    assert!(hub.stats().all(|sink| sink.queued == 0 && sink.sent == 0));
}

#[test]
fn a_pause_stops_poses_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = many(folder.path());
    let file = |hub: &Hub| hub.stats().nth(2).unwrap().sent;
    hub.set_paused(2, true);
    hub.send(&pose(0)).unwrap();
    hub.send(&status()).unwrap();
    assert!(until(|| file(&hub) == 1));
    hub.set_paused(2, false);
    hub.send(&pose(1)).unwrap();
    assert!(until(|| file(&hub) == 2));
    hub.set_paused(99, true); // no such sink
    assert_eq!(hub.set_rate(99, Some(5.0)), None);
    assert_eq!(hub.set_rate(1, Some(5.0)), Some(5.0));
    assert_eq!(
        hub.set_rate(1, Some(50.0)),
        Some(10.0),
        "its table allows 10 Hz"
    );
    assert_eq!(hub.set_rate(1, None), Some(10.0));
    assert_eq!(hub.set_rate(2, None), None);
}

#[test]
fn the_memory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plan = many(folder.path()).memory_plan();
    assert_eq!(plan.len(), 1 + 6 * 3);
    let total: usize = plan.iter().map(|line| line.bytes).sum();
    assert!((1 << 20..8 << 20).contains(&total), "{total}");
    assert!(
        plan.iter()
            .any(|line| line.owner == "udp:127.0.0.1:9 queue")
    );
}

#[test]
fn no_sinks_are_fine() {
    let mut hub = hub("sink = []");
    hub.send(&pose(0)).unwrap();
    assert!(hub.close(Duration::ZERO).sinks.is_empty());
}

#[test]
fn a_hub_that_is_forgotten_ends_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = many(folder.path());
    hub.send(&pose(0)).unwrap();
    assert_eq!(dropped(&hub, DropCause::Shutdown), 0);
    drop(hub);
}

#[test]
fn bad_tables_are_refused_with_key_value_and_range() {
    let tcp = "[[sink]]\ntype = \"tcp\"\nlisten = ";
    let file = "[[sink]]\ntype = \"file\"\npath = \"pose.bin\"\n";
    let udp = "[[sink]]\ntype = \"udp\"\ntarget = \"127.0.0.1:7100\"\n";
    let serial = "[[sink]]\ntype = \"serial\"\ndevice = \"/dev/none\"\n";
    let cases = [
        (
            format!("{tcp}\"0.0.0.0:7100\""),
            "sink[0].listen is 0.0.0.0:7100, expected a loopback address, a `key_file`, or `allow_plain = true`",
        ),
        (
            format!("{tcp}\"0.0.0.0:7100\"\ncontrol = true"),
            "whoever reaches the port could give commands",
        ),
        (
            format!("{tcp}\"somewhere:7100\""),
            "address and port as in 127.0.0.1:7100",
        ),
        (
            format!("{tcp}\"127.0.0.1:0\"\nclients = 9"),
            "sink[0].clients is 9, expected 1 to 8",
        ),
        (
            format!("{tcp}\"127.0.0.1:0\"\nclient_buffer = 10"),
            "sink[0].client_buffer is 10, expected 1024 to 1048576",
        ),
        (
            format!("{tcp}\"127.0.0.1:0\"\nkey_file = \"/no/such/key\""),
            "openssl rand -hex 32 > /no/such/key",
        ),
        (
            format!("{udp}ttl = 0"),
            "sink[0].ttl is 0, expected 1 to 255",
        ),
        (
            format!("{udp}interface = \"lo\""),
            "no such key where `target` is unicast",
        ),
        (
            format!("{udp}queue = 7"),
            "sink[0].queue is 7, expected 8 to 8192",
        ),
        (
            format!("{udp}rate_hz = 0"),
            "sink[0].rate_hz is 0, expected 0.01 to 1000",
        ),
        (format!("{udp}rate_hz = nan"), "sink[0].rate_hz is NaN"),
        (format!("{udp}colour = 1"), "unknown field `colour`"),
        (
            "[[sink]]\ntype = \"udp\"\ntarget = \"host:7100\"".to_owned(),
            "sink[0].target is host:7100",
        ),
        (
            "[[sink]]\ntype = \"pigeon\"".to_owned(),
            "unknown variant `pigeon`",
        ),
        (
            format!("{serial}baud = 300"),
            "sink[0].baud is 300, expected 1200 to 12000000",
        ),
        (
            format!("{file}file_bytes = 1"),
            "sink[0].file_bytes is 1, expected 4096 to",
        ),
        (
            format!("{file}total_bytes = 70000000"),
            "sink[0].total_bytes is 70000000, expected 134217728 to",
        ),
        (
            format!("{file}sync_s = -1"),
            "sink[0].sync_s is -1, expected 0 to 3600",
        ),
        (
            format!("{udp}{file}{file}"),
            "sink[2].name is file:pose.bin, expected a name that no other sink has",
        ),
        (
            format!("{file}name = \"a\"\n{file}"),
            "sink[1].path is pose.bin, expected a file or device that no other sink has",
        ),
        (udp.repeat(9), "9 sinks, expected at most 8"),
    ];
    for (toml, expected) in cases {
        let said = refused(&toml);
        assert!(said.contains(expected), "{toml}\n{said}");
    }
    if !cfg!(feature = "mcap") {
        let said = refused("[[sink]]\ntype = \"mcap\"\npath = \"a.mcap\"");
        assert!(said.contains("built without the feature `mcap`"), "{said}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_configuration() {
    let page = include_str!("../../docs/sinks.md");
    let example = page.split("```toml").nth(1).unwrap();
    let config = tables(example.split("```").next().unwrap());
    let kinds: Vec<_> = config.iter().map(|sink| sink.kind()).collect();
    assert_eq!(kinds, ["serial", "tcp", "mcap"]);
}
