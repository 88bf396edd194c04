//! What can be wrong.

/// An operation that cannot be part of a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("node `{node}` ({op}): {reason}")]
pub struct GraphError {
    /// Its name.
    pub node: String,
    /// What it does.
    pub op: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Buffers that do not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {index}: {found} elements, expected {expected}")]
pub struct RunError {
    /// Input or output.
    pub what: &'static str,
    /// Which.
    pub index: usize,
    /// Elements given.
    pub found: usize,
    /// Elements of the program.
    pub expected: usize,
}
