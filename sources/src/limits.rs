//! Every capacity of the sources: one home, a unit and a reason each.

/// Longest side of an image file in pixels; a wider one is refused before it is decoded.
pub const MAX_IMAGE_SIDE: u32 = 16_384;

/// Most pixels of an image file (64 MP: 192 MB as RGB).
pub const MAX_IMAGE_PIXELS: u64 = 64_000_000;

/// Shortest side of a picture in pixels: below it nobody can be found.
pub const MIN_IMAGE_SIDE: u32 = 16;

/// Longest side of a video frame in pixels: the widest that common cameras and codecs deliver.
pub const MAX_VIDEO_SIDE: u32 = 8_192;

/// Most pixels of a video frame (12.6 MP, a Raspberry Pi HQ sensor): 38 MB as RGB, three held.
pub const MAX_VIDEO_PIXELS: u64 = 4_096 * 3_072;

/// Largest compressed video frame in bytes: more than a byte per pixel of the largest frame.
pub const MAX_COMPRESSED: usize = 16 << 20;

/// Longest header line of a Y4M stream or frame in bytes; the crate `y4m` takes as many.
pub const MAX_Y4M_LINE: usize = 1_024;

/// Bytes asked for at once while the length of a frame is unknown: what a Linux pipe holds.
pub const CHUNK: usize = 64 << 10;

/// Most files of an image folder: their paths are held, about 100 bytes each.
pub const MAX_FILES: usize = 200_000;

/// Most samples of an MP4 track, 12 hours at 60 frames a second; each costs 32 bytes.
pub const MAX_SAMPLES: usize = 2_592_000;

/// Largest index (`moov`) of an MP4 file in bytes: [`MAX_SAMPLES`] need about 60 MB.
pub const MAX_INDEX: u64 = 64 << 20;

/// Highest frame rate that can be asked for, in hertz.
pub const MAX_FPS: f64 = 1_000.0;

/// Frame rate of material that states none, in hertz.
pub const DEFAULT_FPS: f64 = 30.0;

/// Longest uninterrupted wait for bytes in milliseconds: how late a stop may be noticed.
pub const POLL_MS: u64 = 50;

/// First and longest pause before a lost source is opened again, in milliseconds.
pub const BACKOFF_MS: (u64, u64) = (200, 5_000);

/// Longest wait for the capture thread after a stop, in milliseconds; a driver may hang.
pub const STOP_MS: u64 = 2_000;

/// Panics of a decoder in a row that are taken for corrupt frames before the source is given up.
pub const MAX_PANICS: u32 = 8;

/// How late playback of a file may be before its clock is shifted, in milliseconds: two frames
/// of a 100 Hz clip.
pub const MAX_LAG_MS: u64 = 20;

/// Step between the wall clock and the monotonic clock that counts as a jump, in microseconds.
pub const CLOCK_JUMP_US: u64 = 500_000;

/// Buffers asked of a V4L2 driver: one being filled, one waiting, one being decoded, one spare.
pub const V4L2_BUFFERS: u32 = 4;

/// Bytes of an RGB picture of this size.
#[must_use]
pub const fn picture_bytes(width: u32, height: u32) -> u64 {
    3 * width as u64 * height as u64
}

/// Whether a video frame of this size is accepted.
#[must_use]
pub const fn is_video_size(width: u32, height: u32) -> bool {
    width >= MIN_IMAGE_SIDE
        && height >= MIN_IMAGE_SIDE
        && width <= MAX_VIDEO_SIDE
        && height <= MAX_VIDEO_SIDE
        && width as u64 * height as u64 <= MAX_VIDEO_PIXELS
}
