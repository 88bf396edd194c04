//! Why results cannot be read or written.

use std::path::PathBuf;

/// Why results cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot write ({source}); check permissions and free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It has no header.
    #[error("{}: holds no results, expected a header and records; name a folder that `eval run` or `eval merge` wrote", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line is not valid.
    #[error("{}: line {line}: {found}, expected {expected}; delete the line, or the file to begin again", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Another process writes it.
    #[error("{}: another process writes it; wait for it, or choose another --out", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The results come from another run.
    #[error("{}: `{field}` is {found}, expected {expected}; go on with the same settings, or choose another --out", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: String,
        /// There.
        found: String,
        /// Here.
        expected: String,
    },
    /// The same record again.
    #[error("{}: {key}: is there already; skip what Store::has knows", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The record.
        key: String,
    },
    /// Two stores disagree.
    #[error("{}: {key}: differs from the record in {}; results of one run agree, so run both again", path.display(), first.display())]
    Conflict {
        /// The later file.
        path: PathBuf,
        /// The earlier file.
        first: PathBuf,
        /// The record.
        key: String,
    },
    /// Nothing to merge, or into a folder that is merged.
    #[error("{}: {found}, expected {expected}; correct the command", path.display())]
    Merge {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}
