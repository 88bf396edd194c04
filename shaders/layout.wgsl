// What all stages share: the structs of the buffers and where things lie in them.
//
// Constants in capitals that are not declared here come from src/limits.rs and src/shared.rs;
// build.rs writes them in front. The host's structs are generated from the ones below.
//
// A slot is one person under one hypothesis: slot = hypothesis * MAX_PERSONS + person.
// Dispatches run over workgroups of one slot in x and over slots in y.

// Wants of a slot: what the coming evaluation must yield.
const IDLE: u32 = 0u;
const ENERGY: u32 = 1u;
const GRADIENT: u32 = 2u;
const HESSIAN: u32 = 3u;

const ADAM: u32 = 0u;
const GAUSS_NEWTON: u32 = 1u;

const PAPER: u32 = 0u;
const RELEASED: u32 = 1u;

// Cells of a tile's side; one workgroup scores one tile.
const TILE: u32 = 8u;

// vec4s of one point or joint in `shapes`: x, y, z over the betas (lanes 0..10) and the template (lane 11).
const SHAPE_ROWS: u32 = 9u;

// Fixed-point numbers of a vertex in `accumulators`: gradient (u, v, ln z), curvature (uu, uv, vv).
const ACCUMULATORS: u32 = 6u;

// Sums of every gate in `accumulators`, behind the vertices: neighbouring cells add to different ones, or
// all would wait for the same few addresses.
const REPLICAS: u32 = 16u;
const GATE_SUMS: u32 = REPLICAS * MAX_JOINTS * MAX_COMPONENTS;

// Numbers of a keypoint in `landmarks`: gradient (x, y, z), curvature (xx, xy, xz, yy, yz, zz).
const LANDMARK: u32 = 9u;

// Sums of a bone: J^T W J of turns with turns (3 x 3), turns with shifts, shifts with shifts, turns with
// betas, shifts with betas, by columns; then moment and force.
const MIXED: u32 = 9u;
const SHIFT: u32 = 18u;
const TURN_BETAS: u32 = 27u;
const SHIFT_BETAS: u32 = 57u;
const MOMENT: u32 = 87u;
const FORCE: u32 = 90u;
const BONE_SUMS: u32 = 93u;

// Threads of a workgroup that gathers, and points that one such workgroup gathers for the betas.
const GATHER: u32 = 32u;
const BETA_RUN: u32 = 128u;
// Sums over all points: the lower triangle of dx/dbetas^T W dx/dbetas, then dx/dbetas^T g.
const BETA_HESSIAN: u32 = MAX_BETAS * (MAX_BETAS + 1u) / 2u;
const BETA_SUMS: u32 = BETA_HESSIAN + MAX_BETAS;

// Entries of `counters` per slot.
const NEAR_DEPTH: u32 = 0u;
const FAR_DEPTH: u32 = 1u;
const NEAR_SKIPPED: u32 = 2u;
const OVERFLOWS: u32 = 3u;
const LARGEST_GRADIENT: u32 = 4u;
const LARGEST_CURVATURE: u32 = 5u;
const LARGEST_GATE: u32 = 6u;
const COUNTERS: u32 = 8u;

// Numbers of a slot in `system`: the accepted pose's packed lower triangle and gradient, the last step,
// Adam's two moments.
const TRIANGLE: u32 = MAX_PARAMS * (MAX_PARAMS + 1u) / 2u;
const VELOCITY: u32 = TRIANGLE + MAX_PARAMS;
const FIRST: u32 = TRIANGLE + 2u * MAX_PARAMS;
const SECOND: u32 = TRIANGLE + 3u * MAX_PARAMS;
// Then the trial pose's triangle and gradient.
const TRIAL: u32 = TRIANGLE + 4u * MAX_PARAMS;
const TRIAL_GRADIENT: u32 = TRIAL + TRIANGLE;
const SYSTEM: u32 = TRIAL_GRADIENT + MAX_PARAMS;

// Numbers of a slot in `prior_system`: gradient and packed lower triangle of the rotations.
const ROTATIONS: u32 = 3u * MAX_JOINTS;
const PRIOR_SYSTEM: u32 = ROTATIONS + ROTATIONS * (ROTATIONS + 1u) / 2u;

// Numbers of one joint in the pose VAE: two columns of its rotation.
const VAE_NUMBERS: u32 = 6u;

struct Settings {
    vertices: u32,
    keypoints: u32,
    joints: u32,
    faces: u32,
    edges: u32,
    grid: u32,
    tiles: u32,          // along one side
    channels: u32,       // in vec4s
    beta_runs: u32,
    levels: u32,         // depth of the kinematic tree
    limits: u32,
    persons: u32,        // in this frame
    params: u32,
    posedirs: u32,       // directions per vertex, 0 without pose blend shapes
    kind: u32,
    silhouette: u32,
    solver: u32,
    shape: u32,          // whether betas move
    steps: u32,
    at_faces: u32,       // offsets in `topology`
    at_edges: u32,
    at_skin: u32,
    at_vertex_limb: u32,
    at_vertex_part: u32,
    at_joints: u32,      // parent, level, limb from, limb to, first entry, end of entries
    at_above: u32,       // joint by joint: 1 where the second is above the first, or the same
    at_entries: u32,     // of the bones: point, weight
    score_groups: u32,   // workgroups of `score` before those of the edges
    at_limits: u32,      // offset in `prior`: axis, min, max, joint
    at_gram: u32,        // offset in `mixture`
    root_a: u32,
    root_b: u32,
    visible_prior: f32,
    mask_visible_prior: f32,
    temperature: f32,
    tau: f32,
    keypoint_sigma: f32, // cells
    depth_sigma: f32,    // metres
    w_keypoints: f32,
    w_depth: f32,
    w_prior: f32,
    w_limits: f32,
    w_betas: f32,
    lr: f32,
    beta1: f32,
    beta2: f32,
    damping: f32,
    raise: f32,
    lower: f32,
    momentum: f32,
    tolerance: f32,
    dims: f32,           // channels without padding
    w_vae: f32,
    at_vae: u32,         // offset in `prior`: layers of encoder and decoder, deviations
    vae_hidden: u32,     // 0: none
    vae_latent: u32,
    axes: vec4<f32>,     // of keypoint offsets
}

// One person of the frame.
struct Frame {
    row0: vec4<f32>,     // projection: u z, v z
    row1: vec4<f32>,
    weight: f32,         // of -ratio
    mask_weight: f32,
    parts_weight: f32,   // of -gain
    gradient_scale: f32, // fixed-point numbers per unit, to begin with
    curvature_scale: f32,
    gate_scale: f32,
    pad0: f32,
    pad1: f32,
}

struct Target {
    position: vec2<f32>, // cells
    confidence: f32,
    offset_confidence: f32,
    offset: vec4<f32>,   // metres, camera frame
}

// Rows of a pose: quaternions x, y, z, w of the joints, the translation, the betas (lane 11 is 1).
const TRANSLATION: u32 = MAX_JOINTS;
const BETAS: u32 = MAX_JOINTS + 1u;
const POSE_ROWS: u32 = MAX_JOINTS + 4u;

struct Terms {
    likelihood: f32,
    mask: f32,
    parts: f32,
    keypoints: f32,
    depth: f32,
    prior: f32,
    limits: f32,
    betas: f32,
    total: f32,
    pad0: f32,
    pad1: f32,
    pad2: f32,
}

// A run of steps with one set of moving parameters.
struct Leg {
    steps: u32,
    all: u32,            // 0: only global_orient and translation
}

struct State {
    trial: array<vec4<f32>, POSE_ROWS>,   // the pose that is evaluated
    current: array<vec4<f32>, POSE_ROWS>, // the last accepted one
    best: array<vec4<f32>, POSE_ROWS>,
    before: Terms,
    after: Terms,        // at the best pose
    legs: array<Leg, 2>,
    leg: u32,
    evaluation: u32,     // within the leg
    want: u32,
    trying: u32,         // 1: pause for the selection when the legs are done
    finishing: u32,      // 1: the last evaluation, at the best pose
    started: u32,
    steps: u32,          // spent
    idle: u32,
    accepted: u32,
    overflows: u32,
    near_skipped: u32,
    pad1: u32,
    damping: f32,
    gradient_scale: f32,
    curvature_scale: f32,
    gate_scale: f32,
    near: f32,           // depth window of the last evaluation
    far: f32,
    power1: f32,         // Adam: beta1 and beta2 to the power of the steps taken
    power2: f32,
    recent: vec4<f32>,   // energies that a new one is compared with
    fresh: u32,          // 1: the coming evaluation is the first of its leg
    rejected: u32,
    unsolved: u32,       // systems that could not be factored
    pad0: u32,
}

struct Joint {
    global: array<vec4<f32>, 3>,           // columns of G
    local: array<vec4<f32>, 3>,            // rows of R - I
    position: vec4<f32>,
    rest: vec4<f32>,
    moved: array<vec4<f32>, MAX_BETAS>,    // dt/dbeta
    offset: array<vec4<f32>, 9>,           // dt/dbeta - G dJ/dbeta: x, y, z over the betas
}

struct Gate {
    alpha: array<f32, MAX_COMPONENTS>,
    slope: array<f32, MAX_COMPONENTS>,
}

@group(0) @binding(0) var<uniform> settings: Settings;

// The slot of row `y` of a dispatch.
fn slot_of(y: u32) -> u32 {
    return (y / settings.persons) * MAX_PERSONS + y % settings.persons;
}

fn person_of(slot: u32) -> u32 {
    return slot % MAX_PERSONS;
}

fn cross2(a: vec2<f32>, b: vec2<f32>) -> f32 {
    return a.x * b.y - a.y * b.x;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// Where entry (r, c), c <= r, of a packed lower triangle lies.
fn packed(r: u32, c: u32) -> u32 {
    return r * (r + 1u) / 2u + c;
}

// Order of floats as order of unsigned numbers, and back.
fn ordered(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn unordered(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}

// Numbers of a pose in the VAE, and turns it is about.
fn vae_width() -> u32 {
    return VAE_NUMBERS * (settings.joints - 1u);
}

fn vae_turns() -> u32 {
    return 3u * (settings.joints - 1u);
}

// Where the rows of a slot in `vae_columns` begin: one for each latent mean and residual, a turn a column.
fn vae_columns_of(slot: u32) -> u32 {
    return slot * (settings.vae_latent + vae_width()) * vae_turns();
}

// Entries of a slot in `energies`: ratios and mask by tile, parts by tile, keypoints and depth, prior
// and limits, betas and pose VAE.
fn energy_count() -> u32 {
    return 2u * settings.tiles * settings.tiles + 3u;
}

// Where the fixed-point sums of a slot begin.
fn sums_of(slot: u32) -> u32 {
    return slot * (ACCUMULATORS * settings.vertices + GATE_SUMS);
}

fn gate_sums_of(slot: u32) -> u32 {
    return sums_of(slot) + ACCUMULATORS * settings.vertices;
}
