//! The format `neuralsmpl.pose`, version 1, field by field as docs/pose-json.md describes it.
//!
//! Later versions of the program may add fields; none is renamed, removed or given another
//! meaning within a version, and readers ignore fields they do not know.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

use crate::readout::Visibility;

/// Name of the format.
pub const FORMAT: &str = "neuralsmpl.pose";

/// Version of the format.
pub const VERSION: u32 = 1;

/// All results of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoseFile {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// The image.
    pub image: ImageInfo,
    /// Its camera.
    pub intrinsics: IntrinsicsInfo,
    /// The model pack.
    pub pack: PackInfo,
    /// What has fitted; files of earlier versions of the program do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendInfo>,
    /// Everybody who was found, surest first.
    pub persons: Vec<PersonRecord>,
}

/// An image, upright.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// File name without folders.
    pub file: String,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}

/// Pinhole camera with Brown–Conrady distortion, in pixels from the image's top left corner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntrinsicsInfo {
    /// Focal length along x, pixels.
    pub fx: f32,
    /// Focal length along y, pixels.
    pub fy: f32,
    /// Principal point, pixels.
    pub cx: f32,
    /// Principal point, pixels.
    pub cy: f32,
    /// Radial distortion, r².
    pub k1: f32,
    /// Radial distortion, r⁴.
    pub k2: f32,
    /// Tangential distortion.
    pub p1: f32,
    /// Tangential distortion.
    pub p2: f32,
    /// `given`, `fov` or `assumed`.
    pub source: String,
}

/// Which pack was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackInfo {
    /// Its name.
    pub name: String,
    /// As in packets: the first four bytes, little-endian, of the SHA-256 of `pack.toml`.
    pub model_id: u32,
}

/// What has fitted, and what happened to it since the program started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// `cpu` or `vulkan`.
    pub name: String,
    /// Name of the Vulkan device; null for the CPU.
    pub device: Option<String>,
    /// Times that the CPU took over from a Vulkan device.
    pub switches: u32,
    /// Fixed-point numbers that left their range on the device and were computed again.
    pub overflows: u64,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonRecord {
    /// Counts from 1; `person_id` in packets.
    pub id: u16,
    /// Score of the landmark network, 0 to 1.
    pub score: f32,
    /// Box around the fitted body: x, y, width, height, pixels.
    #[serde(rename = "box")]
    pub box_px: [f32; 4],
    /// Camera-frame translation of the body, metres.
    pub translation_m: [f32; 3],
    /// Shape, standard deviations.
    pub betas: Vec<f32>,
    /// Joints in the pack's order.
    pub joints: Vec<JointRecord>,
    /// The 17 keypoints of COCO.
    pub coco17: Vec<KeypointRecord>,
    /// Mean probability, over the cells that the body covers, that they show it.
    pub fit_quality: f32,
    /// Energy before and after.
    pub energy: Energy,
    /// Gradient steps spent.
    pub steps: u32,
    /// `gauss-newton` or `adam`.
    pub solver: String,
    /// Wall times by stage.
    pub timings_ms: TimingsRecord,
}

/// One joint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JointRecord {
    /// SMPL's name.
    pub name: String,
    /// Camera frame, metres.
    pub position_m: [f32; 3],
    /// Pixels of the image as it is, distortion included; null behind the camera.
    pub position_px: Option<[f32; 2]>,
    /// Unit quaternion to the parent's frame; the first joint's goes to the camera frame.
    pub rotation_xyzw: [f32; 4],
    /// Whether the camera sees it.
    pub visibility: Visibility,
    /// How sure the fit is of it, 0 to 1.
    pub confidence: f32,
}

/// One keypoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeypointRecord {
    /// COCO's name.
    pub name: String,
    /// Camera frame, metres.
    pub position_m: [f32; 3],
    /// Pixels of the image as it is, distortion included; null behind the camera.
    pub position_px: Option<[f32; 2]>,
    /// Confidence of the network's landmark, 0 to 1.
    pub confidence: f32,
}

/// The energy that was descended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// `paper` or `released`.
    pub kind: String,
    /// At the start.
    pub before: TermsRecord,
    /// At the result.
    pub after: TermsRecord,
}

/// Terms of the energy, weighted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the terms of crate::energy::Terms by the same names"
)]
pub struct TermsRecord {
    pub likelihood: f64,
    pub mask: f64,
    #[serde(default)]
    pub parts: f64,
    pub keypoints: f64,
    pub depth: f64,
    pub prior: f64,
    pub limits: f64,
    pub betas: f64,
    /// Sum of the others.
    pub total: f64,
}

/// Wall times, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingsRecord {
    /// Detector and networks, shared by all people of the image.
    pub locate: f64,
    /// Start pose.
    pub init: f64,
    /// Gradient steps.
    pub fit: f64,
}

impl PoseFile {
    /// The file's text: indented, one joint per line, closed by a newline.
    ///
    /// # Errors
    /// Never for the types here; the serialiser's interface asks for it.
    pub fn to_text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::new();
        self.serialize(&mut Serializer::with_formatter(&mut out, Layout::default()))?;
        out.push(b'\n');
        Ok(out)
    }

    /// The same on one line, without the closing newline.
    ///
    /// # Errors
    /// As [`PoseFile::to_text`].
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Readable JSON: the file and a person take a line per field, smaller objects one line each.
#[derive(Default)]
struct Layout {
    /// Open objects and arrays.
    depth: usize,
    /// Whether the next value belongs to a field.
    field: bool,
    /// Whether an object was the last thing closed.
    after_object: bool,
}

/// Depths of objects whose fields take a line each: the file, a person, its energy and timings.
const TALL: [usize; 3] = [1, 3, 4];

fn new_line<W: ?Sized + io::Write>(depth: usize, out: &mut W) -> io::Result<()> {
    out.write_all(b"\n")?;
    (0..depth).try_for_each(|_| out.write_all(b"  "))
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.after_object = false;
        out.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.field = false;
        out.write_all(if first { b"" } else { b"," })
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if std::mem::take(&mut self.after_object) {
            new_line(self.depth, out)?;
        }
        out.write_all(b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if !self.field && self.depth > 0 {
            new_line(self.depth, out)?;
        }
        self.depth += 1;
        out.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if TALL.contains(&self.depth) {
            return new_line(self.depth, out);
        }
        out.write_all(if first { b"" } else { b" " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.field = true;
        out.write_all(b": ")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        let tall = TALL.contains(&self.depth);
        self.depth -= 1;
        self.after_object = true;
        if tall {
            new_line(self.depth, out)?;
        }
        out.write_all(b"}")
    }
}
