//! Which board this is, and whether it may run as fast as it can.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use neuralsmpl_health::process::board;

use crate::finding::{Area, Finding};
use crate::root::Root;

/// Longest wait for `nvpmodel -q`.
const PATIENCE: Duration = Duration::from_secs(3);

/// The board's name, as its firmware gives it.
pub(crate) fn board(root: &Root) -> Finding {
    match board::name_below(root.path()) {
        Some(name) => Finding::ok(Area::System, "board", name),
        None => Finding::skipped(
            Area::System,
            "board",
            "neither a device tree nor DMI names it; a container or a virtual machine",
        ),
    }
}

/// On a Jetson: the version of L4T, NVIDIA's Linux.
pub(crate) fn tegra(root: &Root) -> Option<Finding> {
    let line = root.line("/etc/nv_tegra_release")?;
    Some(match release(&line) {
        Some((major, minor)) => {
            let jetpack = match major {
                32 => "JetPack 4",
                34 | 35 => "JetPack 5",
                36 => "JetPack 6",
                38.. => "JetPack 7 or newer",
                _ => "a JetPack unknown to this program",
            };
            let found = format!("R{major}.{minor} ({jetpack})");
            if major < 32 {
                Finding::warn(
                    Area::System,
                    "l4t",
                    found,
                    "flash a newer JetPack with NVIDIA's SDK Manager",
                )
            } else {
                Finding::ok(Area::System, "l4t", found)
            }
        }
        None => Finding::skipped(
            Area::System,
            "l4t",
            format!(
                "/etc/nv_tegra_release says \"{line}\", expected \"# R36 (release), REVISION: 4.3\""
            ),
        ),
    })
}

/// `# R36 (release), REVISION: 4.3, GCID: …`: 36 and `4.3`.
fn release(line: &str) -> Option<(u32, String)> {
    let major = line
        .trim_start_matches(['#', ' '])
        .strip_prefix('R')?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    let minor = line.split("REVISION:").nth(1)?;
    let minor = minor.split(',').next()?.trim();
    Some((major, minor.to_owned()))
}

/// What bounds the clocks: a Jetson's power mode, a Raspberry Pi's supply, the governor.
pub(crate) fn power(root: &Root) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(power_mode(root));
    findings.extend(supply(root));
    findings.extend(governor(root));
    findings
}

/// A Jetson's power mode.
fn power_mode(root: &Root) -> Option<Finding> {
    const NAME: &str = "power-mode";
    let config = root.text("/etc/nvpmodel.conf").unwrap_or_default();
    let modes = modes(&config);
    let (number, name) = match (asked(root), root.line("/var/lib/nvpmodel/status")) {
        (Some(mode), _) => mode,
        (None, Some(status)) => {
            let number = status.strip_prefix("pmode:")?.split_whitespace().next()?;
            let number = number.parse().ok()?;
            let named = modes.iter().find(|(id, _)| *id == number);
            (
                number,
                named.map_or_else(|| format!("mode {number}"), |m| m.1.clone()),
            )
        }
        (None, None) if modes.is_empty() => return None,
        (None, None) => {
            return Some(Finding::skipped(
                Area::System,
                NAME,
                "neither nvpmodel nor /var/lib/nvpmodel/status tells",
            ));
        }
    };
    let best = modes.iter().find(|(_, name)| name.starts_with("MAXN"));
    Some(match best {
        Some((id, most)) if *id != number => Finding::warn(
            Area::System,
            NAME,
            format!("{name} (number {number}); {most} is faster, if supply and cooling allow"),
            format!("sudo nvpmodel -m {id} && sudo jetson_clocks"),
        ),
        _ => Finding::ok(Area::System, NAME, format!("{name} (number {number})")),
    })
}

/// Number and name of each mode in `nvpmodel.conf`.
fn modes(config: &str) -> Vec<(u32, String)> {
    config
        .lines()
        .filter_map(|line| {
            let fields = line.trim().strip_prefix("< POWER_MODEL ")?;
            let value = |key: &str| {
                fields
                    .split_whitespace()
                    .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
            };
            Some((value("ID")?.parse().ok()?, value("NAME")?.to_owned()))
        })
        .collect()
}

/// What `nvpmodel -q` answers: `NV Power Mode: 15W`, and the number on a line of its own.
fn asked(root: &Root) -> Option<(u32, String)> {
    let mut child = Command::new(root.join("/usr/sbin/nvpmodel"))
        .arg("-q")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            // It is of no use any more; that it has gone already is no fault.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("NV Power Mode:"))?
        .trim()
        .to_owned();
    let number = text.lines().find_map(|line| line.trim().parse().ok())?;
    Some((number, name))
}

/// A Raspberry Pi's firmware says whether the supply's voltage was ever too low.
fn supply(root: &Root) -> Option<Finding> {
    const NOW: u64 = 1;
    const EVER: u64 = 1 << 16;
    let text = root.line("/sys/devices/platform/soc/soc:firmware/get_throttled")?;
    let bits = u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()?;
    let when = match (bits & NOW != 0, bits & EVER != 0) {
        (true, _) => "the voltage is too low now",
        (false, true) => "the voltage was too low since the start",
        (false, false) => return Some(Finding::ok(Area::System, "supply", "never too low")),
    };
    Some(Finding::warn(
        Area::System,
        "supply",
        when,
        "use the board's own supply (27 W for a Raspberry Pi 5) and a short cable",
    ))
}

/// Drivers whose `powersave` also goes up to the full clock.
const CLEVER: [&str; 3] = ["intel_pstate", "amd-pstate", "amd-pstate-epp"];

fn governor(root: &Root) -> Option<Finding> {
    let folder = "/sys/devices/system/cpu/cpu0/cpufreq";
    let governor = root.line(format!("{folder}/scaling_governor"))?;
    let driver = root
        .line(format!("{folder}/scaling_driver"))
        .unwrap_or_default();
    let found = format!("{governor} ({driver})");
    Some(
        if governor == "powersave" && !CLEVER.contains(&driver.as_str()) {
            Finding::warn(
                Area::System,
                "governor",
                format!("{found}: cores stay at their lowest clock"),
                "echo schedutil | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
            )
        } else {
            Finding::ok(Area::System, "governor", found)
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_release_line_of_l4t() {
        let line = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64";
        assert_eq!(release(line), Some((36, "4.3".to_owned())));
        let line = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref";
        assert_eq!(release(line), Some((32, "7.1".to_owned())));
        assert_eq!(release("# something else"), None);
    }
}
