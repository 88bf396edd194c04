//! Numbers that the stages on the CPU and their shader twins must agree on. build.rs writes them,
//! and the capacities of `limits.rs`, in front of every shader.

/// Bits of a raster key that hold the triangle; the others hold the depth.
pub const ID_BITS: u32 = 14;

/// Raster key of an uncovered cell.
pub const EMPTY: u32 = u32::MAX;

/// Steps of a raster key's depth; one less than fits, so that no covered cell looks empty.
pub const DEPTH_STEPS: f32 = ((1u32 << (32 - ID_BITS)) - 2) as f32;

/// No second triangle at an edge.
pub const NO_TRIANGLE: u32 = u32::MAX;

/// What lies less than this behind an edge, on its outer side, is the same surface going on; metres.
pub const GAP_M: f32 = 0.01;

/// On the inner side a surface bulges towards the camera within a cell; only more than this hides the edge; metres.
pub const BULGE_M: f32 = 0.06;

/// Bits of a crossing's key that hold the edge, counted down from [`CROSSING_LAST_EDGE`].
pub const CROSSING_EDGE_BITS: u32 = 16;

/// Largest edge number that a crossing's key can hold.
pub const CROSSING_LAST_EDGE: u32 = (1 << CROSSING_EDGE_BITS) - 1;

/// Steps of a crossing between two cell centres in its key.
pub const CROSSING_STEPS: f32 = 32_767.0;

/// |c| beyond this is flattened: the slope of a `paper` gate is unbounded at the poles.
pub const GATE_POLE: f32 = 0.999_9;

/// |c| at which a `released` gate changes its component.
pub const GATE_EDGE: f32 = 0.3;

/// Parts of the body with the background, padded to whole vectors: numbers of a cell in `parts`.
pub const PART_LANES: usize = 16;

/// Temperature of the `released` energy's soft maximum.
pub const SOFT_MAX_TEMPERATURE: f32 = 0.1;

/// Largest turn of a joint in one Gauss–Newton step, radians: beyond it the linear model means nothing.
pub const MAX_TURN: f64 = 0.5;

/// Largest shift in one Gauss–Newton step, metres.
pub const MAX_SHIFT: f64 = 0.4;

/// Recent energies that a new one is compared with.
pub const ENERGY_MEMORY: usize = 3;

/// Steps without progress before a fit with a tolerance stops.
pub const PATIENCE: u32 = 4;

/// Least damping.
pub const MIN_DAMPING: f64 = 1e-9;

/// Damping beyond which a step no longer moves anything.
pub const MAX_DAMPING: f64 = 1e7;
