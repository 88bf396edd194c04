//! Every capacity of the page: one home, a unit and a reason each.

use std::time::Duration;

/// Most people of a frame, as the fit has.
pub const MAX_PERSONS: usize = 4;

/// Widest picture that is shown, pixels: a phone's width twice, a laptop's half.
pub const PICTURE_WIDTH: u32 = 640;

/// Highest picture that is shown, pixels: an upright 1080p camera at half its size.
pub const PICTURE_HEIGHT: u32 = 960;

/// Cells of the finest map of visibility.
pub const MAP_CELLS: usize = 128 * 128;

/// Shots that circulate: one is being filled, one waits, one is being encoded. 1.9 MB each.
pub const SHOTS: usize = 3;

/// Commands that wait for the frame thread: buttons pressed within one frame.
pub const COMMANDS: usize = 8;

/// Most viewers at once that may be configured.
pub const MAX_VIEWERS: usize = 16;

/// Most pictures a second that may be configured.
pub const MAX_FPS: f32 = 30.0;

/// Least share of the frame thread's time that is left over for `web.fps` pictures a second.
pub const SPARE: f32 = 0.1;

/// Least time between two pictures where less is left over: the frame path then has no core to give away.
pub const BUSY_EVERY: Duration = Duration::from_millis(400);

/// HTTP connections at once; further ones wait in the system's queue. A browser opens six.
pub const CONNECTIONS: usize = 32;

/// Most bytes read of a request's head before it is refused.
pub const HTTP_BUFFER: usize = 16 << 10;

/// Longest time for a request and its answer; the largest file takes this at 60 kB/s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message of a viewer, bytes: all it has to say is that it is ready.
pub const VIEWER_MESSAGE: usize = 128;

/// Pictures that may be on their way to a viewer: one is drawn, one travels.
pub const IN_FLIGHT: u32 = 2;

/// Bytes that the kernel holds for a viewer: a picture or two, no longer a queue.
pub const SEND_BUFFER: usize = 192 << 10;

/// Longest time for one message to leave for a viewer; then the viewer is let go.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of a viewer to whom pictures are on their way.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Time between two looks for a new shot while somebody views.
pub const POLL: Duration = Duration::from_millis(10);

/// Time between two sets of figures.
pub const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the frame thread to do what a button asks, and for a picture of a snapshot.
pub const OBEY_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before a wrong token is answered: guessing stays slow.
pub const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(300);

/// Characters of a token: 16 of 65 kinds are 96 bits.
pub const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// Largest token file, bytes.
pub const TOKEN_FILE: u64 = 1 << 10;

/// Most names by which the page may be asked for.
pub const MAX_HOSTS: usize = 16;

/// Most snapshots kept in the folder; a full one refuses further ones. About 100 kB each.
pub const MAX_SNAPSHOTS: usize = 1_000;

/// Time for a recording's queue to be written when it ends.
pub const FLUSH: Duration = Duration::from_secs(2);

/// Stack of the page's thread, bytes: the router's futures are deep.
pub const STACK: usize = 1 << 20;

/// How much nicer the page's thread is than the process: where it and the frame path want the same core,
/// the frame path gets all but a sixtieth of it.
pub const NICENESS: i32 = 19;

/// Vertices are sent as 16-bit offsets from the pelvis in steps of this, metres: ±2 m.
pub const VERTEX_STEP_M: f32 = 2.0 / 32_767.0;
