//! Who asks, and what the permissions of a device say about that.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::root::Root;

/// The user and groups of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Effective user.
    pub uid: u32,
    /// Effective group and all further ones.
    pub groups: Vec<u32>,
    /// The user's name, or the number where nobody knows it.
    pub name: String,
}

impl Identity {
    /// From `/proc/self/status`; where that cannot be read, of this process.
    pub fn read(root: &Root) -> Self {
        let status = root.text("/proc/self/status").unwrap_or_default();
        // Real, effective, saved, file system.
        let effective = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let uid = effective("Uid:").unwrap_or_else(|| rustix::process::geteuid().as_raw());
        let gid = effective("Gid:").unwrap_or_else(|| rustix::process::getegid().as_raw());
        let more = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap_or_default();
        let mut groups = vec![gid];
        groups.extend(
            more.split_whitespace()
                .filter_map(|g| g.parse::<u32>().ok()),
        );
        Self {
            uid,
            groups,
            name: name_of(root, "/etc/passwd", uid).unwrap_or_else(|| uid.to_string()),
        }
    }

    /// Whether the permission bits let this user read and write.
    pub fn may_use(&self, of: &Metadata) -> bool {
        let bits = if self.uid == 0 {
            return true;
        } else if of.uid() == self.uid {
            of.mode() >> 6
        } else if self.groups.contains(&of.gid()) {
            of.mode() >> 3
        } else {
            of.mode()
        };
        bits & 0o6 == 0o6
    }

    /// The command that gives access to a device, for a path below the root.
    pub fn remedy(&self, root: &Root, path: &Path) -> String {
        let group = std::fs::metadata(path)
            .ok()
            .filter(|of| of.mode() & 0o060 == 0o060)
            .and_then(|of| name_of(root, "/etc/group", of.gid()));
        match group {
            Some(group) => format!(
                "sudo usermod -aG {group} {}   # then log out and in again",
                self.name
            ),
            None => format!(
                "sudo chmod g+rw {} and give it a group that {} is in, best by a udev rule",
                shown(root, path).display(),
                self.name
            ),
        }
    }
}

/// A path as it is called on the machine that is looked at.
pub(crate) fn shown(root: &Root, path: &Path) -> std::path::PathBuf {
    Path::new("/").join(path.strip_prefix(root.path()).unwrap_or(path))
}

/// The name with this number in `/etc/passwd` or `/etc/group`.
fn name_of(root: &Root, file: &str, id: u32) -> Option<String> {
    root.text(file)?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        (number == id).then(|| name.to_owned())
    })
}
