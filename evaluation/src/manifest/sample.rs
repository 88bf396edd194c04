//! One person in one picture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glam::{Mat3, Quat, Vec2, Vec3};

use super::ManifestError;
use super::error::At;
use super::fields::Fields;

/// Every field that a line may have.
pub const FIELDS: [&str; 20] = [
    "image",
    "frame",
    "clip",
    "dataset",
    "person",
    "box",
    "intrinsics",
    "units",
    "joints_camera_m",
    "visible",
    "occluded",
    "joints_px",
    "head_px",
    "body_model",
    "pose",
    "rotations",
    "betas",
    "translation_m",
    "vertices",
    "occlusion_mask",
];

/// Farther from the camera than a person can be seen, metres: such a number is not in metres.
const FAR_M: f32 = 500.0;

/// Joints of the body model.
const JOINTS: usize = 24;

/// One person in one picture, with what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Picture, relative to the manifest's folder unless it is absolute.
    pub image: PathBuf,
    /// Number of the frame in its clip.
    pub frame: u32,
    /// The clip; its frames are drawn together when intervals are computed, and give accelerations.
    pub clip: Option<String>,
    /// The data set.
    pub dataset: Option<String>,
    /// The person, the same in all frames of a clip; `0` where the line does not say.
    pub person: String,
    /// x, y, width, height in pixels of the picture.
    pub box_px: Option<[f32; 4]>,
    /// fx, fy, cx, cy, k1, k2, p1, p2 (OpenCV's), pixels of the picture.
    pub intrinsics: Option<[f32; 8]>,
    /// Joints by name, camera frame (x right, y down, z forward), metres.
    pub joints_m: BTreeMap<String, Vec3>,
    /// Whether a joint is seen; joints without an entry are not known.
    pub visible: BTreeMap<String, bool>,
    /// Points in the picture by joint name.
    pub joints_px: BTreeMap<String, PointTruth>,
    /// Size of the head in the picture as the data set defines it for PCKh, pixels.
    pub head_px: Option<f32>,
    /// The true body.
    pub body: Option<BodyTruth>,
    /// File of the true vertices, relative to the manifest's folder; [`super::Manifest::vertices`] reads it.
    pub vertices: Option<PathBuf>,
    /// 8-bit picture of the size of the image, 255 where something in front hides the person, relative to
    /// the manifest's folder.
    pub occlusion_mask: Option<PathBuf>,
}

/// A labelled point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointTruth {
    /// Pixels of the picture; pixel centres lie at +0.5.
    pub px: Vec2,
    /// 0 to 1; 0 is not labelled and never counts.
    pub confidence: f32,
}

/// Pose and shape of the true body.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyTruth {
    /// Which body model, for instance `smpl-neutral`; errors of vertices need the same one.
    pub model: String,
    /// Rotation of each joint in its parent's frame; entry 0 takes the body to the camera's frame.
    pub rotations: Vec<Mat3>,
    /// Shape.
    pub betas: Vec<f32>,
    /// Added to the root joint, camera frame, metres.
    pub translation_m: Vec3,
}

impl Sample {
    /// Names the sample for ever: data set, clip (or, without one, picture), frame and person.
    pub fn key(&self) -> String {
        let place = match &self.clip {
            Some(clip) => clip.as_str().into(),
            None => self.image.to_string_lossy(),
        };
        let set = self
            .dataset
            .as_deref()
            .map_or_else(String::new, |d| format!("{d}/"));
        format!("{set}{place}#{}.{}", self.frame, self.person)
    }

    /// What is drawn together in a bootstrap: the person's clip, else the sample alone.
    pub fn cluster(&self) -> String {
        match &self.clip {
            Some(clip) => format!(
                "{}/{clip}.{}",
                self.dataset.as_deref().unwrap_or(""),
                self.person
            ),
            None => self.key(),
        }
    }

    pub(super) fn from_line(line: &str, at: At<'_>) -> Result<Self, ManifestError> {
        let mut f = Fields::parse(line, at, &FIELDS)?;
        if let Some(units) = f.text("units")?.filter(|u| u != "m") {
            return Err(at.field(
                "units",
                format!("`{units}`"),
                "`m`",
                "convert all lengths to metres",
            ));
        }
        let Some(image) = f.path("image")? else {
            return Err(at.field(
                "image",
                "missing",
                "a path, relative to the manifest",
                "add it",
            ));
        };
        let mut sample = Self {
            image,
            frame: f.whole("frame")?.unwrap_or(0),
            clip: f.text("clip")?,
            dataset: f.text("dataset")?,
            person: f.text("person")?.unwrap_or_else(|| "0".to_owned()),
            box_px: read_box(&mut f)?,
            intrinsics: read_intrinsics(&mut f)?,
            joints_m: read_joints(&mut f)?,
            visible: f.flags("visible")?,
            joints_px: read_points(&mut f)?,
            head_px: f.number("head_px", "pixels above 0", |x| x > 0.0)?,
            body: read_body(&mut f)?,
            vertices: f.path("vertices")?,
            occlusion_mask: f.path("occlusion_mask")?,
        };
        for (name, hidden) in f.flags("occluded")? {
            if sample.visible.insert(name.clone(), !hidden).is_some() {
                return Err(at.field(
                    format!("occluded.{name}"),
                    "also in `visible`",
                    "one of both",
                    "leave out `occluded`, which is the older field",
                ));
            }
        }
        Ok(sample)
    }
}

fn read_box(f: &mut Fields<'_>) -> Result<Option<[f32; 4]>, ManifestError> {
    let expected = "x, y, width, height in pixels, the sizes above 0";
    let Some(n) = f.numbers("box", &[4], expected)? else {
        return Ok(None);
    };
    match <[f32; 4]>::try_from(n.as_slice()) {
        Ok(b) if b[2] > 0.0 && b[3] > 0.0 => Ok(Some(b)),
        _ => Err(f.wrong("box", &serde_json::json!(n), expected)),
    }
}

fn read_intrinsics(f: &mut Fields<'_>) -> Result<Option<[f32; 8]>, ManifestError> {
    let expected = "fx, fy, cx, cy in pixels, then k1, k2, p1, p2 or nothing; fx and fy above 0";
    let Some(mut n) = f.numbers("intrinsics", &[4, 8], expected)? else {
        return Ok(None);
    };
    n.resize(8, 0.0);
    match <[f32; 8]>::try_from(n.as_slice()) {
        Ok(k) if k[0] > 0.0 && k[1] > 0.0 => Ok(Some(k)),
        _ => Err(f.wrong("intrinsics", &serde_json::json!(n), expected)),
    }
}

fn read_joints(f: &mut Fields<'_>) -> Result<BTreeMap<String, Vec3>, ManifestError> {
    let points = f.points("joints_camera_m", &[3], "x, y, z in metres")?;
    let mut out = BTreeMap::new();
    for (name, p) in points {
        let p = Vec3::from_slice(&p);
        if p.length() > FAR_M {
            return Err(f.at.field(
                format!("joints_camera_m.{name}"),
                format!("{:.0} from the camera", p.length()),
                format!("at most {FAR_M:.0} m"),
                "convert millimetres to metres",
            ));
        }
        out.insert(name, p);
    }
    Ok(out)
}

fn read_points(f: &mut Fields<'_>) -> Result<BTreeMap<String, PointTruth>, ManifestError> {
    let expected = "x, y in pixels, then a confidence from 0 to 1 or nothing";
    let points = f.points("joints_px", &[2, 3], expected)?;
    let mut out = BTreeMap::new();
    for (name, p) in points {
        let confidence = p.get(2).copied().unwrap_or(1.0);
        if !(0.0..=1.0).contains(&confidence) {
            return Err(f.wrong(
                &format!("joints_px.{name}"),
                &serde_json::json!(p),
                expected,
            ));
        }
        let px = Vec2::from_slice(&p);
        out.insert(name, PointTruth { px, confidence });
    }
    Ok(out)
}

fn read_body(f: &mut Fields<'_>) -> Result<Option<BodyTruth>, ManifestError> {
    let model = f.text("body_model")?;
    let pose = f.table::<3>("pose", JOINTS, "24 axis-angles of 3 numbers, radians")?;
    let matrices = f.table::<9>(
        "rotations",
        JOINTS,
        "24 rotations of 3 × 3 numbers, row by row",
    )?;
    let betas = f.numbers("betas", &[], "a list of numbers")?;
    let translation = f.numbers("translation_m", &[3], "x, y, z in metres")?;
    if let (Some(_), Some(_)) = (&pose, &matrices) {
        return Err(f
            .at
            .field("rotations", "beside `pose`", "one of both", "leave out one"));
    }
    let rotations = match (pose, matrices) {
        (Some(pose), None) => pose
            .into_iter()
            .map(|v| Mat3::from_quat(Quat::from_scaled_axis(Vec3::from(v))))
            .collect(),
        (None, Some(m)) => checked_rotations(f, &m)?,
        _ => {
            let alone = [
                ("betas", betas.is_some()),
                ("translation_m", translation.is_some()),
            ];
            return match alone.into_iter().find(|(_, there)| *there) {
                Some((field, _)) => Err(f.at.field(
                    field,
                    "alone",
                    "`pose` or `rotations` beside it",
                    "add the pose or leave it out",
                )),
                None => Ok(None),
            };
        }
    };
    let need = |field: &str| {
        f.at.field(
            field,
            "missing",
            "a value beside the pose",
            "add it or leave out the pose",
        )
    };
    Ok(Some(BodyTruth {
        model: model.ok_or_else(|| need("body_model"))?,
        rotations,
        betas: betas.ok_or_else(|| need("betas"))?,
        translation_m: Vec3::from_slice(&translation.ok_or_else(|| need("translation_m"))?),
    }))
}

fn checked_rotations(f: &Fields<'_>, rows: &[[f32; 9]]) -> Result<Vec<Mat3>, ManifestError> {
    let mut out = Vec::with_capacity(rows.len());
    for (j, m) in rows.iter().enumerate() {
        let r = Mat3::from_cols_array(m).transpose();
        let off = (r * r.transpose() - Mat3::IDENTITY).to_cols_array();
        if off.iter().any(|x| x.abs() > 2e-3) || r.determinant() < 0.0 {
            return Err(f.at.field(
                format!("rotations[{j}]"),
                "no rotation",
                "orthogonal rows and determinant 1",
                "write the joint's rotation row by row",
            ));
        }
        out.push(r);
    }
    Ok(out)
}

pub(super) fn read_vertices(path: &Path) -> Result<Vec<Vec3>, ManifestError> {
    let bytes = std::fs::read(path).map_err(|source| ManifestError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |found: String| ManifestError::Vertices {
        path: path.to_owned(),
        found,
    };
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
    let tensor = file.tensor("vertices").map_err(|e| wrong(e.to_string()))?;
    let shape = tensor.shape();
    if tensor.dtype() != safetensors::Dtype::F32 || shape.len() != 2 || shape[1] != 3 {
        return Err(wrong(format!("holds {:?} {shape:?}", tensor.dtype())));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let (points, _) = numbers.as_chunks::<3>();
    let points: Vec<Vec3> = points
        .iter()
        .map(|p| Vec3::from(p.map(f32::from_le_bytes)))
        .collect();
    match points.iter().position(|p| !p.is_finite()) {
        Some(v) => Err(wrong(format!("vertex {v} is not finite"))),
        None => Ok(points),
    }
}
