//! What can go wrong with a network or the place a user points it at.

/// Why people cannot be looked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The file is not a network the runtime can run.
    #[error(
        "{network} network: cannot be loaded ({message}); restore the ONNX file, or make it again as training/README.md says"
    )]
    Load {
        /// Which network.
        network: &'static str,
        /// The engine's message, on one line.
        message: String,
    },
    /// The input is not the expected crop.
    #[error(
        "{network} network: input is {found}, expected {expected}; use a network made for this pack"
    )]
    Input {
        /// Which network.
        network: &'static str,
        /// Inputs of the file.
        found: String,
        /// The input it should have.
        expected: String,
    },
    /// An output is missing.
    #[error(
        "{network} network: output `{name}` is missing, found {found}; make the file again as training/README.md says"
    )]
    OutputMissing {
        /// Which network.
        network: &'static str,
        /// Name of the output.
        name: &'static str,
        /// Names of the file's outputs.
        found: String,
    },
    /// An output has another shape or type.
    #[error(
        "{network} network: output `{name}` is {found}, expected {expected}; use a network made for this pack"
    )]
    OutputShape {
        /// Which network.
        network: &'static str,
        /// Name of the output.
        name: &'static str,
        /// Type and shape of the file's output.
        found: String,
        /// Type and shape it should have.
        expected: String,
    },
    /// A run failed.
    #[error("{network} network: the run failed ({message}); this frame is not used")]
    Run {
        /// Which network.
        network: &'static str,
        /// The engine's message, on one line.
        message: String,
    },
    /// A run gave a value that is not a number.
    #[error(
        "{network} network: output `{name}` holds {value} at flat index {index}, expected finite numbers; this frame is not used"
    )]
    NotFinite {
        /// Which network.
        network: &'static str,
        /// Name of the output.
        name: &'static str,
        /// The value.
        value: f32,
        /// Where it is.
        index: usize,
    },
    /// The threads for the networks cannot be had.
    #[error("{threads} threads for the networks: {message}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// Why not.
        message: String,
    },
    /// A box given by the user holds no part of the photo.
    #[error(
        "box {found}: expected x,y,width,height in pixels with positive sizes, overlapping the photo of {width} x {height}; correct it"
    )]
    Box {
        /// The box.
        found: String,
        /// Width of the photo.
        width: u32,
        /// Height of the photo.
        height: u32,
    },
}

/// An error and its causes on one line.
pub(super) fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
