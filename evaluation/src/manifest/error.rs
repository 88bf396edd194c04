//! Why a manifest cannot be used.

use std::path::{Path, PathBuf};

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A file cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is no text.
    #[error("{}: byte {offset} is not UTF-8, expected JSON lines; name the manifest, not a picture or an archive", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// It has no line.
    #[error("{}: holds no line, expected one for each person in each picture; import the data set again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line is no JSON.
    #[error("{}: line {line}: is no JSON ({message}), expected one object; {remedy}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// The parser's words.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A field is not valid.
    #[error(transparent)]
    Field(Box<FieldError>),
    /// A file of vertices is not valid.
    #[error("{}: {found}, expected tensor `vertices` f32 [V, 3] of finite metres; import the data set again", path.display())]
    Vertices {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
}

/// A field is not valid.
#[derive(Debug, thiserror::Error)]
#[error("{}: line {line}: `{field}` is {found}, expected {expected}; {remedy}", path.display())]
pub struct FieldError {
    /// The file.
    pub path: PathBuf,
    /// Line number from 1.
    pub line: usize,
    /// Name of the field, with the entry where there is one.
    pub field: String,
    /// What it holds.
    pub found: String,
    /// What it may hold.
    pub expected: String,
    /// What to do.
    pub remedy: String,
}

/// Where in a manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub path: &'a Path,
    pub line: usize,
}

impl At<'_> {
    pub fn field(
        self,
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ManifestError {
        ManifestError::Field(Box::new(FieldError {
            path: self.path.to_owned(),
            line: self.line,
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }))
    }

    pub fn json(self, text: &str, error: &serde_json::Error) -> ManifestError {
        let words = ["NaN", "Infinity"];
        ManifestError::Json {
            path: self.path.to_owned(),
            line: self.line,
            message: error.to_string(),
            remedy: if words.iter().any(|w| text.contains(w)) {
                "leave out what is not known instead of writing NaN or Infinity"
            } else {
                "correct the line"
            },
        }
    }
}
