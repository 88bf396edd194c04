//! Looks at a machine before the program lives on it: board, kernel, memory, limits, cameras and
//! serial lines. Each look gives a [`Finding`], with the command that helps where something is wrong.
//!
//! All files are read below a [`Root`], so that a test can show a machine that is not there:
//!
//! ```
//! use neuralsmpl_doctor::{Root, State, Wanted, examine};
//!
//! let machine = tempfile::tempdir()?;
//! let findings = examine(&Root::new(machine.path()), &Wanted::default());
//! let cameras = findings.iter().find(|f| f.name == "cameras").unwrap();
//! assert_eq!(cameras.state, State::Warn);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! No device is opened: opening a serial port would reset the microcontroller behind it.

#![forbid(unsafe_code)]

mod board;
mod cameras;
mod finding;
mod identity;
mod limits;
mod render;
mod root;
mod serial;
mod system;

pub use cameras::{Camera, cameras};
pub use finding::{Area, Counts, Finding, State, counts, worst};
pub use identity::Identity;
pub use render::text;
pub use root::Root;
pub use serial::{SerialPort, serial_ports};

use std::path::PathBuf;

/// What the machine is meant to do, as far as it changes the judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Memory is to be locked (`memory.lock`).
    pub lock: bool,
    /// The camera that the configuration names.
    pub camera: Option<PathBuf>,
    /// The serial devices that the configuration names.
    pub serial: Vec<PathBuf>,
    /// The program can open cameras itself (feature `v4l2`).
    pub v4l2: bool,
}

/// Everything that can be told from files, in the order of the report.
pub fn examine(root: &Root, wanted: &Wanted) -> Vec<Finding> {
    let identity = Identity::read(root);
    let mut findings = vec![
        system::kernel(root),
        board::board(root),
        system::user(&identity),
    ];
    findings.extend(board::tegra(root));
    findings.extend(board::power(root));
    findings.extend([
        system::cores(root),
        system::memory(root),
        system::temperature(root),
        limits::locked_memory(root, wanted.lock),
        limits::open_files(root),
        limits::control_group(root),
        cameras::findings(root, &identity, wanted),
    ]);
    findings.extend(serial::findings(root, &identity, &wanted.serial));
    findings
}
