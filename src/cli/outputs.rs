//! Where results go: planned before work starts, written whole or not at all.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use tempfile::{Builder, NamedTempFile};

/// Endings of the files that one image gives.
pub(super) const ENDINGS: [&str; 4] = [".pose.json", ".overlay.png", ".occlusion.png", ".pose.bin"];

/// Stems of the images' outputs; refuses plans in which a file would be overwritten.
pub(super) fn plan(images: &[PathBuf], folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let mut taken: HashMap<&OsStr, &Path> = HashMap::new();
    let mut stems = Vec::with_capacity(images.len());
    for image in images {
        let Some(stem) = image.file_stem() else {
            bail!(
                "{}: not the name of a file, expected a photograph; check the path",
                image.display()
            );
        };
        if let Some(other) = taken.insert(stem, image) {
            bail!(
                "{}: its results would overwrite those of {} (both are named {}.pose.json), expected different names; rename one or fit it with another --out",
                image.display(),
                other.display(),
                stem.display()
            );
        }
        stems.push(stem.to_owned());
    }
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let inputs: HashMap<PathBuf, &Path> = images
        .iter()
        .map(|image| (whole(image), image.as_path()))
        .collect();
    let folder = whole(folder);
    for (image, stem) in images.iter().zip(&stems) {
        if let Some(victim) = names(&folder, stem)
            .iter()
            .find_map(|output| inputs.get(output))
        {
            bail!(
                "{}: a result of {} would overwrite it, expected another folder; choose one with --out",
                victim.display(),
                image.display()
            );
        }
    }
    Ok(stems)
}

/// Paths of an image's results.
pub(super) fn names(folder: &Path, stem: &OsStr) -> [PathBuf; 4] {
    ENDINGS.map(|ending| {
        let mut name = stem.to_owned();
        name.push(ending);
        folder.join(name)
    })
}

/// A folder for results. Folders that were made for it and hold nothing in the end are removed.
pub(super) struct Folder {
    path: PathBuf,
    /// Folders that did not exist before, outermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Makes the folder if it is missing and tries whether it takes files.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("{shown}: is a file, expected a folder for the results; choose another --out");
        }
        let mut made: Vec<PathBuf> = path
            .ancestors()
            .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
            .map(Path::to_owned)
            .collect();
        made.reverse();
        let folder = Self {
            path: path.to_owned(),
            made,
        };
        let fault = |e| {
            anyhow!(
                "{shown}: cannot write ({e}), expected a folder that takes files; check its permissions or choose another --out"
            )
        };
        fs::create_dir_all(path).map_err(fault)?;
        temporary(path).map_err(fault)?;
        Ok(folder)
    }

    /// Writes all results of an image, or none.
    pub(super) fn write(&self, stem: &OsStr, contents: &[Vec<u8>; 4]) -> anyhow::Result<()> {
        let paths = names(&self.path, stem);
        let fault = |path: &Path, e| {
            anyhow!(
                "{}: cannot write ({e}), expected room for the results; check free space and permissions",
                path.display()
            )
        };
        let mut ready = Vec::with_capacity(paths.len());
        for (path, bytes) in paths.iter().zip(contents) {
            if path.is_dir() {
                bail!(
                    "{}: is a folder, expected a place for a result; remove it or choose another --out",
                    path.display()
                );
            }
            let mut file = temporary(&self.path).map_err(|e| fault(path, e))?;
            file.write_all(bytes)
                .and_then(|()| file.flush())
                .map_err(|e| fault(path, e))?;
            ready.push(file);
        }
        for (i, file) in ready.into_iter().enumerate() {
            if let Err(error) = file.persist(&paths[i]) {
                for done in &paths[..i] {
                    // What cannot be removed either is beyond help.
                    let _ = fs::remove_file(done);
                }
                return Err(fault(&paths[i], error.error));
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            // Fails, as it should, where something is inside.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A file that vanishes unless it is given its name; readable to all whom the umask lets.
fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".neuralsmpl-");
    #[cfg(unix)]
    let permissions = {
        use std::os::unix::fs::PermissionsExt;
        fs::Permissions::from_mode(0o666)
    };
    #[cfg(unix)]
    builder.permissions(permissions);
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn results_never_share_a_name_or_hit_an_image() {
        let out = Path::new("no-such-results");
        assert_eq!(
            plan(&paths(&["a/x.jpg", "b/y.jpg"]), out).unwrap(),
            ["x", "y"]
        );
        let error = plan(&paths(&["a/x.jpg", "b/x.png"]), out)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("b/x.png: ") && error.contains("a/x.jpg") && error.contains("--out"),
            "{error}"
        );
        let error = plan(
            &paths(&["no-such-results/x.jpg", "no-such-results/x.overlay.png"]),
            out,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("no-such-results/x.overlay.png: ") && error.contains("--out"),
            "{error}"
        );
        assert!(plan(&paths(&[".."]), out).is_err());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("new/inner");
        {
            let folder = Folder::open(&path).unwrap();
            fs::create_dir(path.join("x.pose.bin")).unwrap();
            let error = folder
                .write(OsStr::new("x"), &[const { Vec::new() }; 4])
                .unwrap_err();
            assert!(error.to_string().contains("x.pose.bin"));
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
            fs::remove_dir(path.join("x.pose.bin")).unwrap();
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
        let folder = Folder::open(&path).unwrap();
        folder
            .write(
                OsStr::new("x"),
                &[b"1".to_vec(), b"2".to_vec(), b"3".to_vec(), b"4".to_vec()],
            )
            .unwrap();
        drop(folder);
        assert_eq!(fs::read(path.join("x.occlusion.png")).unwrap(), b"3");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 4);
    }
}
