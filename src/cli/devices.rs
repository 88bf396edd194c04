//! `neuralsmpl devices`: the Vulkan devices of this machine, and which one runs the fit.

use anyhow::Context as _;
use serde::Serialize;

use super::End;
use super::console::Console;
use crate::vulkan::{Context, DeviceInfo, Options, Verdict, VulkanError, list_devices};

const EXAMPLES: &str = "\
Examples:
  neuralsmpl devices
  neuralsmpl devices --json
  neuralsmpl fit photo.jpg --device 1      with the device of that number
  neuralsmpl fit photo.jpg --device orin   with the first whose name has this in it

Exits with 0 also where there is no device: then the fit runs on the CPU.";

/// Options of `neuralsmpl devices`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DevicesArgs {
    /// Print one line of JSON instead of words
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    /// What `--backend auto` runs on; null for the CPU.
    pub(super) default: Option<usize>,
    /// All Vulkan devices.
    pub(super) devices: Vec<DeviceRecord>,
    /// Why no device can be listed, or why the default cannot be opened.
    pub(super) fault: Option<String>,
}

/// One device.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DeviceRecord {
    pub(super) number: usize,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) vulkan: String,
    pub(super) driver: String,
    pub(super) memory_mib: u64,
    pub(super) used: &'static str,
    pub(super) why: String,
}

pub(super) fn run(args: &DevicesArgs, console: &Console) -> anyhow::Result<End> {
    let report = report();
    if args.json {
        let line = serde_json::to_string(&report).context("the list cannot be written as JSON")?;
        console.print(&line)?;
        return Ok(End::Done);
    }
    for device in &report.devices {
        console.print(&sentence(device, report.default))?;
    }
    if let Some(fault) = &report.fault {
        console.print(fault)?;
    }
    if report.default.is_none() {
        console.print("By default the fit runs on the CPU.")?;
    }
    Ok(End::Done)
}

/// Lists, and opens the one that `auto` would: what cannot be opened is not used.
pub(super) fn report() -> Report {
    let (devices, listing) = match list_devices() {
        Ok(devices) => (devices, None),
        Err(fault) => (Vec::new(), Some(fault.to_string())),
    };
    let usable = devices.iter().any(|d| d.verdict == Verdict::Usable);
    let (default, opening) = match usable.then(|| Context::open(&Options::default())) {
        None | Some(Err(VulkanError::NoneUsable(_))) => (None, None),
        Some(Ok(context)) => (Some(context.info().number), None),
        Some(Err(fault)) => (None, Some(fault.to_string())),
    };
    Report {
        default,
        devices: devices.iter().map(|d| device_record(d, default)).collect(),
        fault: listing.or(opening),
    }
}

fn device_record(device: &DeviceInfo, default: Option<usize>) -> DeviceRecord {
    let (used, why) = match &device.verdict {
        Verdict::Usable if default == Some(device.number) => {
            ("by-default", "used by default".to_owned())
        }
        Verdict::Usable => (
            "on-request",
            format!("used with --device {}", device.number),
        ),
        Verdict::OnRequest => (
            "on-request",
            format!("a CPU device: only with --device {}", device.number),
        ),
        Verdict::Unusable(why) => ("never", format!("not usable: {why}")),
    };
    DeviceRecord {
        number: device.number,
        name: device.name.clone(),
        kind: device.kind,
        vulkan: device.version.clone(),
        driver: device.driver.clone(),
        memory_mib: device.memory >> 20,
        used,
        why,
    }
}

/// One line for people; a star marks the default.
fn sentence(device: &DeviceRecord, default: Option<usize>) -> String {
    let mark = if default == Some(device.number) {
        '*'
    } else {
        ' '
    };
    format!(
        "{mark} {}: {} · {} · Vulkan {} · {} · {} MiB · {}",
        device.number,
        device.name,
        device.kind,
        device.vulkan,
        device.driver,
        device.memory_mib,
        device.why
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: usize, kind: &'static str, verdict: Verdict) -> DeviceInfo {
        DeviceInfo {
            number,
            name: format!("device {number}"),
            kind,
            version: "1.3.0".to_owned(),
            driver: "driver 7".to_owned(),
            memory: 2 << 30,
            verdict,
        }
    }

    #[test]
    fn each_line_says_whether_and_why() {
        let all = [
            (
                device(0, "cpu", Verdict::OnRequest),
                "  0: device 0 · cpu · Vulkan 1.3.0 · driver 7 · 2048 MiB · a CPU device: only with --device 0",
            ),
            (
                device(1, "integrated-gpu", Verdict::Usable),
                "* 1: device 1 · integrated-gpu · Vulkan 1.3.0 · driver 7 · 2048 MiB · used by default",
            ),
            (
                device(2, "integrated-gpu", Verdict::Usable),
                "  2: device 2 · integrated-gpu · Vulkan 1.3.0 · driver 7 · 2048 MiB · used with --device 2",
            ),
            (
                device(3, "other", Verdict::Unusable("no compute queue".to_owned())),
                "  3: device 3 · other · Vulkan 1.3.0 · driver 7 · 2048 MiB · not usable: no compute queue",
            ),
        ];
        for (device, line) in all {
            assert_eq!(sentence(&device_record(&device, Some(1)), Some(1)), line);
        }
    }
}
