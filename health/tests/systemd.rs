//! The service manager's side of the socket, as sd_notify(3) describes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Counting, allocations};
use neuralsmpl_health::systemd::Notifier;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Manager {
            socket,
            path,
            _folder: folder,
        }
    }

    fn connect(&self, watchdog: Option<Duration>) -> Notifier {
        Notifier::connect(self.path.as_os_str(), watchdog).unwrap()
    }

    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let silent = self.socket.recv(&mut [0; 64]).map_err(|error| error.kind());
        self.socket.set_nonblocking(false).unwrap();
        silent == Err(ErrorKind::WouldBlock)
    }
}

#[test]
fn messages() {
    let manager = Manager::new();
    let mut notifier = manager.connect(None);
    assert!(notifier.is_connected());
    notifier.ready();
    assert_eq!(manager.next(), "READY=1");
    notifier.status(format_args!("{:.1} fps, {} persons\nand more", 29.96, 2));
    assert_eq!(manager.next(), "STATUS=30.0 fps, 2 persons");
    notifier.status(format_args!("{}", "ä".repeat(1000)));
    assert_eq!(manager.next(), format!("STATUS={}", "ä".repeat(128)));
    notifier.reloading();
    let reloading = manager.next();
    let time = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(time.parse::<u64>().unwrap() > 0);
    notifier.stopping();
    assert_eq!(manager.next(), "STOPPING=1");
    notifier.feed(Instant::now());
    assert!(manager.is_silent(), "no watchdog was asked for");
    assert_eq!(notifier.failures(), 0);
}

#[test]
fn the_watchdog_is_fed_four_times_an_interval() {
    let manager = Manager::new();
    let mut notifier = manager.connect(Some(Duration::from_secs(4)));
    assert_eq!(notifier.watchdog(), Some(Duration::from_secs(4)));
    let start = Instant::now();
    // Four seconds of a loop at 100 Hz.
    let mut fed = 0;
    for turn in 0..400 {
        notifier.feed(start + Duration::from_millis(10) * turn);
        while !manager.is_silent() {
            fed += 1;
        }
    }
    assert_eq!(fed, 4);
    // A loop that hung: fed at once when it comes round, and only then.
    notifier.feed(start + Duration::from_secs(60));
    assert_eq!(manager.next(), "WATCHDOG=1");
    assert!(manager.is_silent());
}

#[test]
fn nothing_allocates_or_blocks() {
    let manager = Manager::new();
    let mut notifier = manager.connect(Some(Duration::from_millis(4)));
    let start = Instant::now();
    notifier.ready();
    let before = allocations();
    // Nobody reads: the queue fills up.
    for turn in 0..2000 {
        notifier.feed(start + Duration::from_millis(1) * turn);
        notifier.status(format_args!("{turn} frames"));
        notifier.reloading();
    }
    assert_eq!(allocations(), before);
    assert!(notifier.failures() > 1000);
    assert_eq!(manager.next(), "READY=1");
}

#[test]
fn abstract_sockets_and_faulty_names() {
    let name = format!("neuralsmpl-health-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let mut notifier = Notifier::connect(OsStr::new(&format!("@{name}")), None).unwrap();
    notifier.ready();
    let mut buffer = [0; 64];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"READY=1");

    let error = Notifier::connect(OsStr::new("/nowhere/notify"), None).unwrap_err();
    assert!(
        error.to_string().contains("NOTIFY_SOCKET=/nowhere/notify"),
        "{error}"
    );
    let mut nobody = Notifier::nobody();
    nobody.ready();
    nobody.feed(Instant::now());
    assert_eq!((nobody.is_connected(), nobody.failures()), (false, 0));
}

/// Runs in a process of its own, which `from_the_environment` starts.
#[test]
#[ignore = "the child of another test"]
fn child_of_a_manager() {
    let mut notifier = Notifier::from_env().unwrap();
    notifier.ready();
    notifier.feed(Instant::now());
    assert_eq!(notifier.watchdog(), Some(Duration::from_secs(10)));
}

#[test]
fn from_the_environment() {
    let manager = Manager::new();
    let run = |watchdog_pid: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "child_of_a_manager", "--ignored"])
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "10000000")
            .env_remove("WATCHDOG_PID");
        if let Some(pid) = watchdog_pid {
            child.env("WATCHDOG_PID", pid);
        }
        child.output().unwrap().status.success()
    };
    assert!(run(None));
    assert_eq!(manager.next(), "READY=1");
    assert_eq!(manager.next(), "WATCHDOG=1");
    // A watchdog of another process is not ours.
    assert!(!run(Some("1")));
    assert_eq!(manager.next(), "READY=1");
    assert!(manager.is_silent());
}
