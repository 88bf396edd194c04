//! Where the files of the machine are: `/`, or a folder that shows another machine.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes read of a file: those of `/proc` and `/sys` have no size that could be asked for.
const MOST: u64 = 256 << 10;

/// A file system that is looked at.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The machine whose root is this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// This machine.
    pub fn here() -> Self {
        Self::new("/")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A place below it; `path` may be absolute.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A text file; what is not UTF-8 becomes question marks.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.join(path))
            .ok()?
            .take(MOST)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a text file without white space and zero bytes around it.
    pub fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.text(path)?;
        let line = text.lines().next()?;
        let line = line.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// Names in a folder that begin with `prefix`, in natural order of the number that follows.
    pub fn names(&self, folder: impl AsRef<Path>, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.join(folder))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort_by_key(|name| (number_after(name), name.clone()));
        names
    }

    /// Whether there is something, a link that leads nowhere included.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.join(path).symlink_metadata().is_ok()
    }
}

fn number_after(name: &str) -> Option<u64> {
    name.trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .ok()
}
