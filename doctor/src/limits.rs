//! What the process may use.

use neuralsmpl_health::process::memory_limit_below;

use crate::finding::{Area, Finding};
use crate::root::Root;

/// Descriptors that are needed at most: camera, sinks with eight clients each, endpoint, logs.
const FILES: u64 = 256;

/// A control group below this kills the process while it loads, MiB.
const LEAST_MIB: f64 = 300.0;

/// Soft limit of a row of `/proc/self/limits`; `None` where it is missing, `u64::MAX` without limit.
fn soft(root: &Root, row: &str) -> Option<u64> {
    let text = root.text("/proc/self/limits")?;
    let line = text.lines().find_map(|line| line.strip_prefix(row))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

pub(crate) fn locked_memory(root: &Root, wanted: bool) -> Finding {
    const NAME: &str = "memlock";
    let root_user = crate::Identity::read(root).uid == 0;
    match soft(root, "Max locked memory") {
        None => Finding::skipped(Area::Limits, NAME, "/proc/self/limits does not tell"),
        Some(u64::MAX) => Finding::ok(Area::Limits, NAME, "unlimited"),
        Some(bytes) => {
            let found = format!("{} KiB may be locked", bytes >> 10);
            if root_user {
                Finding::ok(Area::Limits, NAME, format!("{found}, root is exempt"))
            } else if wanted {
                Finding::fail(
                    Area::Limits,
                    NAME,
                    format!("{found}, and `memory.lock` is set"),
                    "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit (the packaged one has it)",
                )
            } else {
                Finding::ok(
                    Area::Limits,
                    NAME,
                    format!("{found}; enough while `memory.lock` is off"),
                )
            }
        }
    }
}

pub(crate) fn open_files(root: &Root) -> Finding {
    const NAME: &str = "nofile";
    match soft(root, "Max open files") {
        None => Finding::skipped(Area::Limits, NAME, "/proc/self/limits does not tell"),
        Some(files) if files < FILES => Finding::warn(
            Area::Limits,
            NAME,
            format!("{files} files at once, expected {FILES} or more"),
            format!("ulimit -n {FILES}, or LimitNOFILE={FILES} in the unit"),
        ),
        Some(u64::MAX) => Finding::ok(Area::Limits, NAME, "unlimited"),
        Some(files) => Finding::ok(Area::Limits, NAME, format!("{files} files at once")),
    }
}

pub(crate) fn control_group(root: &Root) -> Finding {
    const NAME: &str = "cgroup";
    let memory = memory_limit_below(root.path()).map(|bytes| bytes as f64 / f64::from(1 << 20));
    let cores = cores(root);
    let mut parts = Vec::new();
    if let Some(mib) = memory {
        parts.push(format!("{mib:.0} MiB"));
    }
    if let Some(cores) = cores {
        parts.push(format!("{cores:.1} cores"));
    }
    if parts.is_empty() {
        return Finding::ok(Area::Limits, NAME, "no limit on memory or processor time");
    }
    let found = format!("at most {}", parts.join(" and "));
    if memory.is_some_and(|mib| mib < LEAST_MIB) {
        Finding::fail(
            Area::Limits,
            NAME,
            format!("{found}; loading the pack takes more"),
            "MemoryMax=400M in the unit, or --memory 400m for the container",
        )
    } else if cores.is_some_and(|cores| cores < 1.0) {
        Finding::warn(
            Area::Limits,
            NAME,
            found,
            "CPUQuota=200% in the unit, or --cpus 2 for the container",
        )
    } else {
        Finding::ok(Area::Limits, NAME, found)
    }
}

/// Cores' worth of time in `cpu.max` of the group or one above it.
fn cores(root: &Root) -> Option<f64> {
    let groups = root.text("/proc/self/cgroup")?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = std::path::Path::new("/sys/fs/cgroup");
    let inner = mount.join(group.trim_start_matches('/'));
    inner
        .ancestors()
        .take_while(|folder| folder.starts_with(mount))
        .filter_map(|folder| {
            let line = root.line(folder.join("cpu.max"))?;
            let (quota, period) = line.split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
        })
        .min_by(f64::total_cmp)
}
