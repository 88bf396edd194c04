//! Reading `pose.json` back, with every number checked before it is used.

use std::fs;
use std::path::{Path, PathBuf};

use glam::{Mat3, Quat, Vec3};

use super::pose_json::{FORMAT, PersonRecord, PoseFile, VERSION};
use crate::body::Pose;
use crate::limits::{MAX_BETAS, MAX_JOINTS};

/// Largest file in bytes: four people take 40 kB.
const MAX_FILE: u64 = 4 << 20;

/// Largest deviation of a quaternion's length from one.
const UNIT: f32 = 1e-3;

/// Why a file cannot be used as `pose.json`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoseFileError {
    /// The file cannot be read.
    #[error("{}: cannot read ({source}); check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not JSON of this format.
    #[error("{}: {message}, expected {FORMAT} version {VERSION} (docs/pose-json.md); write it again with `neuralsmpl fit`", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and field.
        message: String,
    },
    /// A field has a value that cannot be.
    #[error("{}: field `{field}` is {found}, expected {expected}; correct it or write the file again", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
}

/// Reads and checks a file; `joints` are the names of the pack's body.
///
/// # Errors
/// [`PoseFileError`] with the first fault.
pub fn read_pose_file(path: &Path, joints: &[String]) -> Result<PoseFile, PoseFileError> {
    let io = |source| PoseFileError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(io)?.len();
    let syntax = |message: String| PoseFileError::Syntax {
        path: path.to_owned(),
        message,
    };
    if size > MAX_FILE {
        return Err(syntax(format!("{size} bytes")));
    }
    let file: PoseFile =
        serde_json::from_slice(&fs::read(path).map_err(io)?).map_err(|e| syntax(e.to_string()))?;
    if file.format != FORMAT || file.version != VERSION {
        return Err(syntax(format!(
            "this is \"{}\" version {}",
            file.format, file.version
        )));
    }
    for (i, person) in file.persons.iter().enumerate() {
        check(person, joints).map_err(|(field, found, expected)| PoseFileError::Field {
            path: path.to_owned(),
            field: format!("persons[{i}].{field}"),
            found,
            expected,
        })?;
    }
    Ok(file)
}

/// Field, found, expected.
type Fault = (String, String, String);

fn check(person: &PersonRecord, joints: &[String]) -> Result<(), Fault> {
    let count = |field: &str, found: usize, expected: usize| match found == expected {
        true => Ok(()),
        false => Err((
            field.to_owned(),
            format!("a list of {found}"),
            format!("a list of {expected}"),
        )),
    };
    let finite = |field: &str, values: &[f32]| match values.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err((
            field.to_owned(),
            format!("{values:?}"),
            "finite numbers".to_owned(),
        )),
    };
    finite("box", &person.box_px)?;
    finite("translation_m", &person.translation_m)?;
    finite("betas", &person.betas)?;
    count("betas", person.betas.len(), MAX_BETAS)?;
    count("joints", person.joints.len(), joints.len())?;
    for (j, (joint, name)) in person.joints.iter().zip(joints).enumerate() {
        if joint.name != *name {
            return Err((
                format!("joints[{j}].name"),
                format!("\"{}\"", joint.name),
                format!("\"{name}\" as in the pack"),
            ));
        }
        let length = Quat::from_array(joint.rotation_xyzw).length();
        if (length - 1.0).abs() > UNIT || length.is_nan() {
            return Err((
                format!("joints[{j}].rotation_xyzw"),
                format!("{:?}", joint.rotation_xyzw),
                "a unit quaternion".to_owned(),
            ));
        }
    }
    Ok(())
}

impl PersonRecord {
    /// The pose that was written.
    pub fn pose(&self) -> Pose {
        let mut pose = Pose {
            translation: Vec3::from(self.translation_m),
            ..Pose::default()
        };
        for (r, joint) in pose.rotations.iter_mut().zip(&self.joints).take(MAX_JOINTS) {
            *r = Mat3::from_quat(Quat::from_array(joint.rotation_xyzw).normalize());
        }
        for (b, beta) in pose.betas.iter_mut().zip(&self.betas) {
            *b = *beta;
        }
        pose
    }
}

#[cfg(test)]
mod tests {
    use super::super::pose_json::{
        BackendInfo, Energy, ImageInfo, IntrinsicsInfo, JointRecord, PackInfo, TermsRecord,
        TimingsRecord,
    };
    use super::*;
    use crate::readout::Visibility;

    fn names() -> Vec<String> {
        vec!["pelvis".to_owned(), "left_hip".to_owned()]
    }

    fn sample() -> PoseFile {
        let terms = TermsRecord {
            likelihood: -1.5,
            mask: 0.0,
            parts: 0.0,
            keypoints: 0.25,
            depth: 0.0,
            prior: 0.0,
            limits: 0.0,
            betas: 0.0,
            total: -1.25,
        };
        let joint = |name: String| JointRecord {
            name,
            position_m: [0.1, -0.2, 3.0],
            position_px: None,
            rotation_xyzw: [0.6, 0.0, 0.0, 0.8],
            visibility: Visibility::SelfOccluded,
            confidence: 0.5,
        };
        PoseFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            image: ImageInfo {
                file: "a.jpg".to_owned(),
                width: 640,
                height: 480,
            },
            intrinsics: IntrinsicsInfo {
                fx: 600.0,
                fy: 600.0,
                cx: 320.0,
                cy: 240.0,
                k1: 0.0,
                k2: 0.0,
                p1: 0.0,
                p2: 0.0,
                source: "fov".to_owned(),
            },
            pack: PackInfo {
                name: "person".to_owned(),
                model_id: 7,
            },
            backend: Some(BackendInfo {
                name: "cpu".to_owned(),
                device: None,
                switches: 1,
                overflows: 0,
            }),
            persons: vec![PersonRecord {
                id: 1,
                score: 0.9,
                box_px: [1.0, 2.0, 3.0, 4.0],
                translation_m: [0.0, 0.3, 3.0],
                betas: vec![0.5; MAX_BETAS],
                joints: names().into_iter().map(joint).collect(),
                coco17: Vec::new(),
                fit_quality: 0.75,
                energy: Energy {
                    kind: "paper".to_owned(),
                    before: terms,
                    after: terms,
                },
                steps: 3,
                solver: "adam".to_owned(),
                timings_ms: TimingsRecord {
                    locate: 1.0,
                    init: 2.0,
                    fit: 3.0,
                },
            }],
        }
    }

    fn read(text: &str) -> Result<PoseFile, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read_pose_file(file.path(), &names()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = String::from_utf8(sample().to_text().unwrap()).unwrap();
        assert_eq!(read(&text), Ok(sample()));
        assert_eq!(read(&sample().to_line().unwrap()), Ok(sample()));
        assert!(
            text.contains("\n  \"persons\": [\n    {\n      \"id\": 1,\n"),
            "{text}"
        );
        assert!(
            text.contains("\n        {\"name\": \"left_hip\", \"position_m\": [0.1,-0.2,3.0],"),
            "{text}"
        );
        assert!(text.ends_with("\n      }\n    }\n  ]\n}\n"), "{text}");
        assert!(!text.lines().any(|l| l.ends_with(' ')), "{text}");
    }

    #[test]
    fn faults_name_line_and_field() {
        let text = String::from_utf8(sample().to_text().unwrap()).unwrap();
        for (from, to, words) in [
            ("\"steps\": 3", "\"steps\": \"x\"", "line "),
            ("      \"steps\": 3,\n", "", "missing field `steps`"),
            (
                "\"version\": 1",
                "\"version\": 2",
                "version 2, expected neuralsmpl.pose version 1",
            ),
            (
                "\"left_hip\"",
                "\"hip\"",
                "field `persons[0].joints[1].name` is \"hip\", expected \"left_hip\"",
            ),
            (
                "[0.6,0.0,0.0,0.8]",
                "[0.6,0.0,0.0,0.0]",
                "expected a unit quaternion",
            ),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert_ne!(damaged, text, "{from}");
            let message = read(&damaged).unwrap_err();
            assert!(
                message.contains(words) && !message.contains('\n'),
                "{message}"
            );
        }
        // Refused by the parser or by the check of the field, as serde_json's features have it.
        let infinite = text.replacen("[0.0,0.3,3.0]", "[0.0,0.3,1e39]", 1);
        assert_ne!(infinite, text);
        assert!(read(&infinite).is_err());
        assert!(read("").unwrap_err().contains("docs/pose-json.md"));
    }
}
