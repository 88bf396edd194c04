//! The memory limit that the control group sets (`MemoryMax=` of a unit, a container's limit).

use std::path::{Path, PathBuf};

use super::probe::read_line;

/// The version 1 hierarchy writes "no limit" as a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// Bytes that this process may use with its group; `None` without limit.
pub fn memory_limit() -> Option<u64> {
    memory_limit_below(Path::new("/"))
}

/// The same for the machine whose root is this folder.
pub fn memory_limit_below(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    limit_below(&groups, &root.join("sys/fs/cgroup"))
}

/// The least limit of the group and those above it.
fn limit_below(groups: &str, root: &Path) -> Option<u64> {
    groups.lines().filter_map(|line| of_group(line, root)).min()
}

fn of_group(line: &str, root: &Path) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let controllers = fields.next()?;
    let group = fields.next()?.trim_start_matches('/');
    let (mount, file): (PathBuf, &str) = if controllers.is_empty() {
        (root.to_owned(), "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        (root.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    let inner = mount.join(group);
    inner
        .ancestors()
        .take_while(|folder| folder.starts_with(&mount))
        .filter_map(|folder| read_line(&folder.join(file))?.parse::<u64>().ok())
        .filter(|bytes| *bytes < NO_LIMIT)
        .min()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_least_limit_on_the_way_up_holds() {
        let root = tempfile::tempdir().unwrap();
        let put = |folder: &str, file: &str, text: &str| {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(file), text).unwrap();
        };
        put("system.slice/x.service", "memory.max", "max\n");
        let groups = "4:cpu:/y\n0::/system.slice/x.service\n";
        assert_eq!(limit_below(groups, root.path()), None);
        put("system.slice", "memory.max", "1000000\n");
        assert_eq!(limit_below(groups, root.path()), Some(1_000_000));
        put("system.slice/x.service", "memory.max", "4096\n");
        assert_eq!(limit_below(groups, root.path()), Some(4096));

        put("memory/a", "memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_below("8:cpu,memory:/a\n", root.path()), None);
        put("memory", "memory.limit_in_bytes", "77\n");
        assert_eq!(limit_below("8:cpu,memory:/a\n", root.path()), Some(77));
        assert_eq!(limit_below("broken\n", root.path()), None);
    }
}
