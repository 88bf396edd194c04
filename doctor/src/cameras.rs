//! Cameras of the Linux kernel: `/dev/video*`, told apart by what `/sys` says of them.

use std::path::{Path, PathBuf};

use crate::Wanted;
use crate::finding::{Area, Finding};
use crate::identity::{Identity, shown};
use crate::root::Root;

const NAME: &str = "cameras";

/// A video node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its place, below the root that was looked at.
    pub path: PathBuf,
    /// The driver's name of it.
    pub card: String,
    /// Whether this user may read and write it.
    pub usable: bool,
}

/// All video nodes that may give pictures. A USB camera's second node, which carries metadata, is
/// left out.
pub fn cameras(root: &Root, identity: &Identity) -> Vec<Camera> {
    root.names("/dev", "video")
        .into_iter()
        .filter(|name| name["video".len()..].bytes().all(|b| b.is_ascii_digit()))
        .filter(|name| {
            let index = root.line(format!("/sys/class/video4linux/{name}/index"));
            index.is_none_or(|index| index == "0")
        })
        .filter_map(|name| {
            let path = root.join(format!("/dev/{name}"));
            let usable = identity.may_use(&std::fs::metadata(&path).ok()?);
            let card = root
                .line(format!("/sys/class/video4linux/{name}/name"))
                .unwrap_or_else(|| "no name".to_owned());
            Some(Camera { path, card, usable })
        })
        .collect()
}

pub(crate) fn findings(root: &Root, identity: &Identity, wanted: &Wanted) -> Finding {
    let all = cameras(root, identity);
    if let Some(path) = &wanted.camera {
        let place = root.join(path);
        return match std::fs::metadata(&place) {
            Err(_) => Finding::fail(
                Area::Devices,
                NAME,
                format!(
                    "{} is not there, and the configuration asks for it{}",
                    path.display(),
                    listed(root, &all).map_or(String::new(), |list| format!("; there is {list}"))
                ),
                "plug the camera in, look at `dmesg | tail` and `ls -l /dev/v4l/by-id`, and set `source.source`",
            ),
            Ok(of) if !identity.may_use(&of) => Finding::fail(
                Area::Devices,
                NAME,
                format!("{}: {} may not use it", path.display(), identity.name),
                identity.remedy(root, &place),
            ),
            Ok(_) if !wanted.v4l2 => {
                unreadable(format!("{} is there", path.display()), Finding::fail)
            }
            Ok(_) => Finding::ok(
                Area::Devices,
                NAME,
                format!("{}, as the configuration asks", path.display()),
            ),
        };
    }
    let Some(list) = listed(root, &all) else {
        return Finding::warn(
            Area::Devices,
            NAME,
            "no camera at /dev/video*",
            "plug one in and look at `dmesg | tail`; recordings and streams need none",
        );
    };
    if let Some(closed) = all.iter().find(|camera| !camera.usable) {
        return Finding::warn(
            Area::Devices,
            NAME,
            format!(
                "{list}; {} may not use {}",
                identity.name,
                shown(root, &closed.path).display()
            ),
            identity.remedy(root, &closed.path),
        );
    }
    if wanted.v4l2 {
        Finding::ok(Area::Devices, NAME, list)
    } else {
        unreadable(list, Finding::warn)
    }
}

/// The program cannot open cameras itself.
fn unreadable(found: String, kind: fn(Area, &str, String, &'static str) -> Finding) -> Finding {
    kind(
        Area::Devices,
        NAME,
        format!("{found}; this program was built without the feature v4l2"),
        "cargo build --release --features v4l2, or pipe: ffmpeg -f v4l2 -i /dev/video0 -f yuv4mpegpipe -pix_fmt yuv420p - | neuralsmpl run --source -",
    )
}

fn listed(root: &Root, all: &[Camera]) -> Option<String> {
    let name = |camera: &Camera| format!("{} ({})", place(root, &camera.path), camera.card);
    let names: Vec<String> = all.iter().map(name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn place(root: &Root, path: &Path) -> String {
    shown(root, path).display().to_string()
}
