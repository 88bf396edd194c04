//! Image files, in natural order of their names.

use std::path::{Path, PathBuf};

use crate::clock::{Clock, Rate};
use crate::limits::MAX_FILES;
use crate::{Frame, Read, Source, SourceConfig, SourceError, load_image};

const EXTENSIONS: [&str; 11] = [
    "jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "pnm", "ppm", "pgm", "pbm",
];

/// Whether a file name looks like that of a photograph.
pub(crate) fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

pub(crate) struct Folder {
    name: String,
    files: Vec<PathBuf>,
    at: usize,
    looped: bool,
    good: bool,
    rate: Rate,
    clock: Clock,
}

impl Folder {
    /// The images directly in a folder, hidden files excluded.
    pub(crate) fn open(folder: &Path, config: &SourceConfig) -> Result<Self, SourceError> {
        let io = |cause| SourceError::Io {
            source_name: config.source.clone(),
            cause,
        };
        let entries = std::fs::read_dir(folder).map_err(io)?;
        let mut files = Vec::new();
        for entry in entries.take(2 * MAX_FILES) {
            let path = entry.map_err(io)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if !hidden && is_image(&path) {
                files.push(path);
            }
        }
        Self::new(files, config)
    }

    /// The files that a pattern such as `shots/cam1_*.png` matches.
    pub(crate) fn matching(pattern: &str, config: &SourceConfig) -> Result<Self, SourceError> {
        let paths = glob::glob(pattern).map_err(|e| {
            SourceError::unusable(
                &config.source,
                e.to_string(),
                "a pattern of paths",
                "quote it, so that the shell leaves it alone",
            )
        })?;
        let files = paths.filter_map(Result::ok).filter(|p| p.is_file());
        Self::new(files.take(MAX_FILES + 1).collect(), config)
    }

    pub(crate) fn new(mut files: Vec<PathBuf>, config: &SourceConfig) -> Result<Self, SourceError> {
        if files.is_empty() || files.len() > MAX_FILES {
            return Err(SourceError::unusable(
                &config.source,
                format!("{} image files", files.len()),
                format!("1 to {MAX_FILES} ({})", EXTENSIONS.join(", ")),
                "check the path, or divide the folder",
            ));
        }
        files.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
        Ok(Self {
            name: config.source.clone(),
            files,
            at: 0,
            looped: config.looped,
            good: false,
            rate: config.rate().unwrap_or_default(),
            clock: Clock::start(),
        })
    }
}

impl Source for Folder {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        if self.at == self.files.len() {
            if !self.looped || !self.good {
                return Ok(Read::End);
            }
            (self.at, self.good) = (0, false);
        }
        let path = &self.files[self.at];
        self.at += 1;
        match load_image(path) {
            Ok(picture) => {
                self.good = true;
                into.image = picture;
                self.clock.stamp_media(self.rate, into);
                Ok(Read::Frame)
            }
            Err(error) => {
                self.clock.skip();
                Err(error.into())
            }
        }
    }

    fn describe(&self) -> String {
        format!(
            "{}: {} image files at {} Hz",
            self.name,
            self.files.len(),
            self.rate.hertz()
        )
    }

    fn live(&self) -> bool {
        false
    }
}
