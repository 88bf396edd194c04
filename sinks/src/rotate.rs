//! Files that give way: one that is written, earlier ones beside it, a cap on all together.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Digits of the number in an earlier file's name.
const DIGITS: usize = 6;

/// A file and those that were written before it, `NAME.000001.EXT` and up.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    path: PathBuf,
    /// Size at which a new file begins, bytes.
    pub file_bytes: u64,
    /// Size of all files, bytes.
    total_bytes: u64,
}

impl Rotation {
    pub fn new(path: &Path, file_bytes: u64, total_bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            file_bytes,
            total_bytes,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives what lies at the path a number, and deletes the oldest until a new file fits.
    ///
    /// Only regular files that are not empty move: a device stays where it is.
    pub fn retire(&self) -> io::Result<()> {
        let mut earlier = self.earlier()?;
        match fs::metadata(&self.path) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => {
                let number = earlier.last().map_or(1, |last| last.number + 1);
                let path = self.numbered(number);
                fs::rename(&self.path, &path)?;
                earlier.push(Earlier {
                    number,
                    path,
                    bytes: meta.len(),
                });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let keep = self.total_bytes.saturating_sub(self.file_bytes);
        let mut sum: u64 = earlier.iter().map(|file| file.bytes).sum();
        for file in &earlier {
            if sum <= keep {
                break;
            }
            fs::remove_file(&file.path)?;
            sum -= file.bytes;
        }
        self.sync_folder();
        Ok(())
    }

    /// Deletes the file that is written, if it is one.
    #[cfg(feature = "mcap")]
    pub fn discard(&self) {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.is_file()) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Makes the folder where it is missing.
    pub fn make_folder(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder())
    }

    /// Makes names last through a loss of power. Not every file system can; then they do not.
    pub fn sync_folder(&self) {
        let _ = File::open(self.folder()).and_then(|folder| folder.sync_all());
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = OsString::from(self.path.file_stem().unwrap_or_default());
        name.push(format!(".{number:0DIGITS$}"));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    /// The earlier files, oldest first.
    fn earlier(&self) -> io::Result<Vec<Earlier>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            let entry = entry?;
            let Some(number) = self.number_of(&entry.path()) else {
                continue;
            };
            let meta = entry.metadata()?;
            if meta.is_file() {
                found.push(Earlier {
                    number,
                    path: entry.path(),
                    bytes: meta.len(),
                });
            }
        }
        found.sort_by_key(|file| file.number);
        Ok(found)
    }

    fn number_of(&self, other: &Path) -> Option<u64> {
        let stem = Path::new(other.file_stem()?);
        let same = other.extension() == self.path.extension();
        let digits = match self.path.extension() {
            Some(_) => stem.extension()?,
            None => other.extension()?,
        };
        let base = match self.path.extension() {
            Some(_) => stem.file_stem()?,
            None => other.file_stem()?,
        };
        let own = (same || self.path.extension().is_none()) && base == self.path.file_stem()?;
        let digits = digits.to_str()?;
        let all = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        (own && all).then(|| digits.parse().ok())?
    }
}

/// A file that was written before.
struct Earlier {
    number: u64,
    path: PathBuf,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn earlier_files_get_numbers_and_the_oldest_goes() {
        for (name, second, third) in [
            ("pose.bin", "pose.000002.bin", "pose.000003.bin"),
            ("pose", "pose.000002", "pose.000003"),
            ("a.pose.bin", "a.pose.000002.bin", "a.pose.000003.bin"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let other = folder.path().join("pose.12.bin");
            fs::write(&other, [0; 900]).unwrap();
            let rotation = Rotation::new(&folder.path().join(name), 100, 300);
            for _ in 0..3 {
                fs::write(rotation.path(), [0; 100]).unwrap();
                rotation.retire().unwrap();
            }
            assert_eq!(
                names(folder.path()),
                [second, third, "pose.12.bin"]
                    .map(String::from)
                    .into_iter()
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect::<Vec<_>>()
            );
            rotation.retire().unwrap();
            assert_eq!(names(folder.path()).len(), 3, "nothing to retire");
        }
    }

    #[test]
    fn devices_and_empty_files_stay() {
        Rotation::new(Path::new("/dev/full"), 100, 300)
            .retire()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation::new(&folder.path().join("pose.bin"), 100, 300);
        fs::write(rotation.path(), []).unwrap();
        rotation.retire().unwrap();
        assert_eq!(names(folder.path()), ["pose.bin"]);
    }
}
