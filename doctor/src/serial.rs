//! Serial lines: who may use them, and who else does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::finding::{Area, Finding};
use crate::identity::{Identity, shown};
use crate::root::Root;

const NAME: &str = "serial";

/// USB adapters, USB microcontrollers, Tegra's high-speed ports, Arm's, the plain ones.
const KINDS: [&str; 5] = ["ttyUSB", "ttyACM", "ttyTHS", "ttyAMA", "ttyS"];

/// A serial device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialPort {
    /// Its place, below the root that was looked at.
    pub path: PathBuf,
    /// The link below `/dev/serial/by-id` or a udev rule's, which stays the same after replugging.
    pub stable: Option<String>,
    /// Whether this user may read and write it.
    pub usable: bool,
    /// Who else uses it: a console of the kernel, or a login service.
    pub taken: Option<&'static str>,
}

/// All serial devices that are really there.
pub fn serial_ports(root: &Root, identity: &Identity) -> Vec<SerialPort> {
    let links = stable_names(root);
    KINDS
        .iter()
        .flat_map(|kind| root.names("/dev", kind))
        // `ttyS` is also the beginning of nothing else; the kernel makes nodes for ports that are not.
        .filter(|name| !name.starts_with("ttyS") || is_real(root, name))
        .filter_map(|name| {
            let path = root.join(format!("/dev/{name}"));
            let usable = identity.may_use(&fs::metadata(&path).ok()?);
            Some(SerialPort {
                stable: links.get(&name).cloned(),
                taken: taken(root, &name),
                path,
                usable,
            })
        })
        .collect()
}

/// The kernel says 0 for the type of a port that it only reserves.
fn is_real(root: &Root, name: &str) -> bool {
    root.line(format!("/sys/class/tty/{name}/type"))
        .is_some_and(|kind| kind != "0")
}

/// Device name → link that stays the same.
fn stable_names(root: &Root) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    for folder in ["/dev/serial/by-id", "/dev/neuralsmpl"] {
        for entry in fs::read_dir(root.join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let target = fs::read_link(entry.path()).ok();
            let target = target.as_deref().and_then(Path::file_name);
            if let Some(name) = target.and_then(|name| name.to_str()) {
                let link = shown(root, &entry.path()).display().to_string();
                links.insert(name.to_owned(), link);
            }
        }
    }
    links
}

fn taken(root: &Root, name: &str) -> Option<&'static str> {
    let line = root.text("/proc/cmdline").unwrap_or_default();
    let console = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("console="))
        .any(|console| console.split(',').next() == Some(name));
    let wanted = "/etc/systemd/system/multi-user.target.wants";
    if console {
        Some("the kernel's console")
    } else if name.starts_with("ttyTHS") && root.has(format!("{wanted}/nvgetty.service")) {
        Some("the login service nvgetty")
    } else {
        None
    }
}

/// One finding for each device that the configuration asks for, or one for all that are there.
pub(crate) fn findings(root: &Root, identity: &Identity, wanted: &[PathBuf]) -> Vec<Finding> {
    let all = serial_ports(root, identity);
    if !wanted.is_empty() {
        return wanted
            .iter()
            .map(|path| asked(root, identity, &all, path))
            .collect();
    }
    if all.is_empty() {
        return vec![Finding::ok(
            Area::Devices,
            NAME,
            "no serial device; only a sink of type serial needs one",
        )];
    }
    let mut findings: Vec<Finding> = all
        .iter()
        .filter_map(|port| wrong(root, identity, port, Finding::warn))
        .collect();
    let rest: Vec<String> = all
        .iter()
        .filter(|port| port.usable && port.taken.is_none())
        .map(|port| named(root, port))
        .collect();
    if !rest.is_empty() {
        findings.push(Finding::ok(Area::Devices, NAME, rest.join(", ")));
    }
    findings
}

fn asked(root: &Root, identity: &Identity, all: &[SerialPort], path: &Path) -> Finding {
    let place = root.join(path);
    // A link is absolute on the machine itself and would leave a root that is not `/`.
    let target = fs::read_link(&place).ok();
    let device = match target.as_deref().and_then(Path::file_name) {
        Some(name) => root.join(Path::new("/dev").join(name)),
        None => place.clone(),
    };
    if let Some(port) = all.iter().find(|port| port.path == device) {
        return wrong(root, identity, port, Finding::fail)
            .unwrap_or_else(|| Finding::ok(Area::Devices, NAME, named(root, port)));
    }
    match fs::metadata(&device) {
        Ok(of) if identity.may_use(&of) => Finding::ok(
            Area::Devices,
            NAME,
            format!(
                "{} is there, of a kind unknown to this program",
                path.display()
            ),
        ),
        Ok(_) => Finding::fail(
            Area::Devices,
            NAME,
            format!("{}: {} may not use it", path.display(), identity.name),
            identity.remedy(root, &device),
        ),
        Err(_) => {
            let there: Vec<String> = all.iter().map(|port| named(root, port)).collect();
            let there = if there.is_empty() {
                "no serial device is there".to_owned()
            } else {
                format!("there is {}", there.join(", "))
            };
            Finding::warn(
                Area::Devices,
                NAME,
                format!(
                    "{} is not there, and a sink asks for it; {there}",
                    path.display()
                ),
                "plug it in (the sink waits for it), or set `device` to one of `ls -l /dev/serial/by-id`",
            )
        }
    }
}

fn wrong(
    root: &Root,
    identity: &Identity,
    port: &SerialPort,
    kind: fn(Area, &str, String, String) -> Finding,
) -> Option<Finding> {
    let name = named(root, port);
    if let Some(who) = port.taken {
        let remedy = if who.ends_with("nvgetty") {
            "sudo systemctl disable --now nvgetty && sudo udevadm trigger".to_owned()
        } else {
            "take `console=` with this port out of the kernel's command line (Raspberry Pi: sudo raspi-config, Interface Options, Serial Port)".to_owned()
        };
        return Some(kind(
            Area::Devices,
            NAME,
            format!("{name} is used by {who}"),
            remedy,
        ));
    }
    (!port.usable).then(|| {
        kind(
            Area::Devices,
            NAME,
            format!("{name}: {} may not use it", identity.name),
            identity.remedy(root, &port.path),
        )
    })
}

fn named(root: &Root, port: &SerialPort) -> String {
    let place = shown(root, &port.path).display().to_string();
    match &port.stable {
        Some(link) => format!("{place} ({link})"),
        None => place,
    }
}
