//! A room to run the real program in, and what it must look like afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use image::{DynamicImage, RgbImage, imageops::FilterType};
use tempfile::TempDir;

/// A folder of its own; the program runs inside it.
pub struct Room {
    folder: TempDir,
}

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Room {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the room.
    pub fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Writes a picture into the room; the name's ending gives the format.
    pub fn put_image(&self, name: &str, picture: &DynamicImage) -> &Self {
        picture.save(self.path(name)).unwrap();
        self
    }

    /// Names in a folder of the room, sorted.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The program in this room, with the shipped pack.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neuralsmpl"));
        command
            .current_dir(self.folder.path())
            .env("NEURALSMPL_PACK", repository("models/person"))
            .env("NEURALSMPL_PIPELINE_CACHE", "none");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    /// Runs what must succeed and returns stdout.
    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must be refused with `code`: one line on stderr with all `words`, nothing on
    /// stdout, and the room as it was. Returns the line.
    pub fn refuse(&self, code: i32, args: &[&str], words: &[&str]) -> String {
        let before = self.list(".");
        let output = self.run(args);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {line}");
        assert!(
            line.starts_with("error: ") && line.ends_with('\n') && line.lines().count() == 1,
            "{args:?}: {line}"
        );
        for word in words {
            assert!(line.contains(word), "{args:?}: no `{word}` in: {line}");
        }
        assert!(
            output.stdout.is_empty(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert_eq!(self.list("."), before, "{args:?} left something behind");
        line
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The man of the sample photo, small.
pub fn man() -> DynamicImage {
    let photo = image::open(repository("samples/balance.jpg")).unwrap();
    photo.resize(270, 480, FilterType::Triangle)
}

/// A picture with nobody in it.
pub fn nobody() -> DynamicImage {
    RgbImage::from_fn(96, 64, |x, y| image::Rgb([x as u8, y as u8, 90])).into()
}

/// A copy of the shipped pack whose files may be replaced.
pub fn pack_copy(room: &Room, name: &str) -> PathBuf {
    let folder = room.path(name);
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(repository("models/person")).unwrap() {
        let from = entry.unwrap().path();
        let to = folder.join(from.file_name().unwrap());
        let large = fs::metadata(&from).unwrap().len() > 1 << 20;
        if !(large && link(&from, &to)) {
            fs::copy(&from, &to).unwrap();
        }
    }
    folder
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> bool {
    std::os::unix::fs::symlink(from, to).is_ok()
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> bool {
    false
}

/// Replaces a file of a pack, which may be a link.
pub fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
