//! Kernel, cores, memory, heat, user.

use neuralsmpl_health::process::Thermal;

use crate::finding::{Area, Finding};
use crate::identity::Identity;
use crate::root::Root;

/// Memory that must be free, MiB: 239 while the shipped pack is loaded, and a little more.
const NEEDED_MIB: f64 = 300.0;

/// Memory below which other programs will be pushed out, MiB.
const COMFORTABLE_MIB: f64 = 600.0;

/// A processor at this heat will soon be slowed down, degrees Celsius.
const HOT_C: f64 = 85.0;

pub(crate) fn kernel(root: &Root) -> Finding {
    let version = root.line("/proc/sys/kernel/osrelease");
    let system = root.text("/etc/os-release").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    match version {
        Some(version) => Finding::ok(
            Area::System,
            "kernel",
            format!(
                "Linux {version}, {}",
                system.as_deref().unwrap_or("a system without a name")
            ),
        ),
        None => Finding::skipped(Area::System, "kernel", "/proc is not there"),
    }
}

pub(crate) fn user(identity: &Identity) -> Finding {
    if identity.uid == 0 {
        Finding::ok(
            Area::System,
            "user",
            "root; not needed: the service runs as a user of its own",
        )
    } else {
        Finding::ok(Area::System, "user", identity.name.clone())
    }
}

pub(crate) fn cores(root: &Root) -> Finding {
    let text = root.text("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let online = root
        .line("/sys/devices/system/cpu/online")
        .map_or(0, |list| counted(&list))
        .max(text.lines().filter(|l| l.starts_with("processor")).count());
    let name = field("model name")
        .or_else(|| field("Hardware"))
        .or_else(|| Some(arm_core(&field("CPU part")?).to_owned()))
        .unwrap_or_else(|| "a processor without a name".to_owned());
    match online {
        0 => Finding::skipped(Area::System, "cores", "/proc/cpuinfo names none"),
        1 => Finding::warn(
            Area::System,
            "cores",
            format!("1 core: {name}"),
            "give the machine two cores or more: camera, networks and sinks share this one",
        )
        .with_value(1.0),
        _ => Finding::ok(Area::System, "cores", format!("{online} cores: {name}"))
            .with_value(online as f64),
    }
}

/// Cores in a list such as `0-3,6`.
fn counted(list: &str) -> usize {
    list.split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let first: usize = first.trim().parse().ok()?;
            let last: usize = last.trim().parse().ok()?;
            Some(last.checked_sub(first)? + 1)
        })
        .sum()
}

/// Arm's own numbers (Main ID Register), of the boards this program is meant for.
fn arm_core(part: &str) -> &str {
    match part {
        "0xd03" => "Cortex-A53",
        "0xd04" => "Cortex-A35",
        "0xd07" => "Cortex-A57",
        "0xd08" => "Cortex-A72",
        "0xd0b" => "Cortex-A76",
        "0xd41" => "Cortex-A78",
        "0xd42" => "Cortex-A78AE",
        "0x004" => "NVIDIA Carmel",
        other => other,
    }
}

pub(crate) fn memory(root: &Root) -> Finding {
    let text = root.text("/proc/meminfo").unwrap_or_default();
    let mib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib / 1024.0)
    };
    let (Some(all), Some(free)) = (mib("MemTotal:"), mib("MemAvailable:")) else {
        return Finding::skipped(Area::System, "memory_mib", "/proc/meminfo does not tell");
    };
    let swap = mib("SwapTotal:").unwrap_or(0.0);
    let found = format!("{free:.0} of {all:.0} MiB free, {swap:.0} MiB swap");
    let less =
        "stop other programs; `systemctl set-default multi-user.target` does without a desktop";
    if free < NEEDED_MIB {
        let found = format!("{found}; at least {NEEDED_MIB:.0} are needed");
        Finding::fail(Area::System, "memory_mib", found, less)
    } else if free < COMFORTABLE_MIB {
        Finding::warn(Area::System, "memory_mib", found, less)
    } else {
        Finding::ok(Area::System, "memory_mib", found)
    }
    .with_value(free)
}

pub(crate) fn temperature(root: &Root) -> Finding {
    const NAME: &str = "temperature";
    let mut thermal = Thermal::open_below(&root.join("/sys"));
    let slowed = thermal.is_throttled();
    let Some(heat) = thermal.hottest() else {
        return Finding::skipped(Area::System, NAME, "the board shows no sensor");
    };
    let degrees = f64::from(heat.milli_c) / 1e3;
    let sensor = thermal.sensor(heat.sensor).unwrap_or("a sensor");
    let found = format!("{degrees:.0} °C at {sensor}");
    let cool = "give it a fan or a larger heat sink, or choose a lower power mode";
    match slowed {
        Some(true) => Finding::warn(
            Area::System,
            NAME,
            format!("{found}; heat slows the processor down"),
            cool,
        ),
        _ if degrees >= HOT_C => Finding::warn(Area::System, NAME, found, cool),
        _ => Finding::ok(Area::System, NAME, found),
    }
    .with_value(degrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores() {
        assert_eq!(counted("0-5"), 6);
        assert_eq!(counted("0-3,6"), 5);
        assert_eq!(counted("0"), 1);
        assert_eq!(counted("broken"), 0);
    }
}
