//! From a string to a source.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chaos::Chaos;
use crate::folder::{Folder, is_image};
use crate::pattern::Pattern;
use crate::stream::Stream;
use crate::{Source, SourceConfig, SourceError};

/// Opens what `config` names.
///
/// # Errors
/// [`SourceError::severity`] is `Transient` where a camera may yet appear, else `Fatal`.
pub fn open(config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    config.validate()?;
    let source = inner(config)?;
    Ok(match &config.chaos {
        None => source,
        Some(chaos) => Box::new(Chaos::new(source, chaos.clone())),
    })
}

fn inner(config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    let name = config.source.trim();
    if name == "-" {
        return Ok(Box::new(Stream::stdin(config)?));
    }
    if let Some(spec) = name.strip_prefix("test:") {
        return Ok(Box::new(Pattern::open(spec, config)?));
    }
    if let Some(pipeline) = name.strip_prefix("gst:") {
        return pipeline_source(pipeline, config);
    }
    if let Some(device) = name.strip_prefix("v4l2:") {
        return camera(Path::new(device), config);
    }
    if name.starts_with("/dev/video") {
        return camera(Path::new(name), config);
    }
    path(name, config)
}

fn path(name: &str, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    use std::os::unix::fs::FileTypeExt;
    let refuse = |found: &str, expected: &str, remedy: &str| {
        Err(SourceError::unusable(name, found, expected, remedy))
    };
    let path = PathBuf::from(name);
    let meta = match fs::metadata(&path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if name.contains(['*', '?', '[']) {
                return Ok(Box::new(Folder::matching(name, config)?));
            }
            return refuse(
                "no such file or folder",
                "a path, a pattern, `-`, or one of v4l2:, gst:, test:",
                "check the path",
            );
        }
        Err(cause) => {
            return Err(SourceError::Io {
                source_name: name.to_owned(),
                cause,
            });
        }
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok(Box::new(Folder::open(&path, config)?));
    }
    if kind.is_fifo() {
        return Ok(Box::new(Stream::fifo(&path, config)?));
    }
    if !kind.is_file() {
        return refuse(
            "neither a file, a folder nor a named pipe",
            "one of them",
            "write v4l2:PATH for a camera, - for standard input",
        );
    }
    if is_image(&path) {
        return Ok(Box::new(Folder::new(vec![path], config)?));
    }
    if is_mp4(&path).map_err(|cause| SourceError::Io {
        source_name: name.to_owned(),
        cause,
    })? {
        return movie(&path, config);
    }
    Ok(Box::new(Stream::file(&path, config)?))
}

/// Whether a file begins with a box of the ISO base media format.
fn is_mp4(path: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    fs::File::open(path)?.take(8).read_to_end(&mut head)?;
    let boxes: [&[u8]; 5] = [b"ftyp", b"moov", b"mdat", b"free", b"wide"];
    Ok(head.get(4..8).is_some_and(|name| boxes.contains(&name)))
}

#[cfg(feature = "h264")]
use crate::h264::movie;

#[cfg(not(feature = "h264"))]
fn movie(_: &Path, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    Err(SourceError::Feature {
        source_name: config.source.clone(),
        feature: "h264",
        remedy: "build with it, or pipe: ffmpeg -i IT -pix_fmt yuv420p -f yuv4mpegpipe - | … --source -",
    })
}

#[cfg(feature = "v4l2")]
use crate::v4l2::camera;

#[cfg(not(feature = "v4l2"))]
fn camera(_: &Path, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    Err(SourceError::Feature {
        source_name: config.source.clone(),
        feature: "v4l2",
        remedy: "build with it, or pipe: ffmpeg -f v4l2 -i IT -pix_fmt yuv420p -f yuv4mpegpipe - | … --source -",
    })
}

#[cfg(feature = "gstreamer")]
fn pipeline_source(
    description: &str,
    config: &SourceConfig,
) -> Result<Box<dyn Source>, SourceError> {
    Ok(Box::new(crate::gst::Pipeline::open(description, config)?))
}

#[cfg(not(feature = "gstreamer"))]
fn pipeline_source(_: &str, config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    Err(SourceError::Feature {
        source_name: config.source.clone(),
        feature: "gstreamer",
        remedy: "build with it, or pipe: gst-launch-1.0 -q IT ! videoconvert ! y4menc ! fdsink | … --source -",
    })
}
