//! A pose as Foxglove shows it: frames by the names of ROS4HRI (REP-155), and a drawn skeleton.

use neuralsmpl_packet::pose::{JOINT_NAMES, JOINTS, Visibility};
use neuralsmpl_packet::subject::BETAS;
use neuralsmpl_packet::{PoseRepr, Quaternion};
use serde_json::{Value, json};

use crate::Skeleton;
use crate::skeleton::{conjugate, difference, product, rotate, sum};

/// From REP-103's axes (x forward, y left, z up) to the body's (x left, y up, z forward).
const TO_BODY: Quaternion = Quaternion {
    w: 0.5,
    x: -0.5,
    y: -0.5,
    z: -0.5,
};

/// From a camera's optical axes (x right, y down, z forward) to REP-103's.
const FROM_OPTICAL: Quaternion = Quaternion {
    w: 0.5,
    x: -0.5,
    y: 0.5,
    z: -0.5,
};

/// How long Foxglove shows a person of whom no more comes, seconds and nanoseconds.
const LIFETIME: (u64, u32) = (0, 500_000_000);

/// Diameter of a joint and width of a bone, metres.
const JOINT_M: f64 = 0.05;
const BONE_M: f64 = 0.02;

/// The name that a joint has in ROS4HRI; joints that it does not have keep their own.
pub fn frame_name(joint: usize) -> String {
    let name = JOINT_NAMES.get(joint).copied().unwrap_or("joint");
    match name {
        "pelvis" => "body".to_owned(),
        "spine1" => "waist".to_owned(),
        "spine3" => "torso".to_owned(),
        _ => name.replacen("left_", "l_", 1).replacen("right_", "r_", 1),
    }
}

/// `foxglove.FrameTransforms`: the camera and each joint in its parent's frame, axes of REP-103.
pub fn transforms(
    pose: &PoseRepr,
    betas: &[f32; BETAS],
    skeleton: &Skeleton,
    camera: &str,
) -> Value {
    let stamp = time(pose.time_us);
    let id = pose.person_id;
    let optical = format!("{camera}_optical");
    let rest = skeleton.rest(betas);
    let transform = |parent: &str, child: String, at: [f32; 3], turn: Quaternion| {
        json!({
            "timestamp": stamp, "parent_frame_id": parent, "child_frame_id": child,
            "translation": vector(at), "rotation": quaternion(turn)
        })
    };
    let mut list = vec![transform(camera, optical.clone(), [0.0; 3], FROM_OPTICAL)];
    for joint in 0..JOINTS {
        let child = format!("{}_{id}", frame_name(joint));
        let turn = pose.rotations[joint].to_quaternion();
        list.push(match skeleton.parent(joint) {
            None => {
                let at = sum(rest[joint], pose.translation);
                transform(&optical, child, at, product(turn, TO_BODY))
            }
            Some(parent) => {
                let bone = difference(rest[joint], rest[parent]);
                let at = rotate(conjugate(TO_BODY), bone);
                let turn = product(product(conjugate(TO_BODY), turn), TO_BODY);
                let parent = format!("{}_{id}", frame_name(parent));
                transform(&parent, child, at, turn)
            }
        });
    }
    json!({ "transforms": list })
}

/// `foxglove.SceneUpdate`: bones as lines, joints as spheres, coloured by visibility.
pub fn scene(pose: &PoseRepr, betas: &[f32; BETAS], skeleton: &Skeleton, camera: &str) -> Value {
    let joints = skeleton.posed(pose, betas);
    let colours: Vec<Value> = (0..JOINTS).map(|joint| colour(pose, joint)).collect();
    let spheres: Vec<Value> = joints
        .iter()
        .zip(&colours)
        .map(|(at, colour)| {
            json!({
                "pose": place(*at),
                "size": {"x": JOINT_M, "y": JOINT_M, "z": JOINT_M},
                "color": colour
            })
        })
        .collect();
    let bones: Vec<usize> = (0..JOINTS)
        .filter_map(|joint| skeleton.parent(joint).map(|parent| [parent, joint]))
        .flatten()
        .collect();
    let points: Vec<Value> = joints.iter().map(|at| vector(*at)).collect();
    let name = format!("body_{}", pose.person_id);
    let above = sum(joints[15], [0.0, -0.3, 0.0]);
    json!({
        "deletions": [],
        "entities": [{
            "timestamp": time(pose.time_us),
            "frame_id": format!("{camera}_optical"),
            "id": name,
            "lifetime": {"sec": LIFETIME.0, "nsec": LIFETIME.1},
            "frame_locked": true,
            "metadata": [
                {"key": "fit_quality", "value": format!("{:.2}", pose.fit_quality.to_f32())},
                {"key": "fit_steps", "value": pose.fit_steps.to_string()},
                {"key": "latency_us", "value": pose.latency_us.to_string()}
            ],
            "arrows": [], "cubes": [], "spheres": spheres, "cylinders": [],
            "lines": [{
                "type": 2, // pairs of points
                "pose": place([0.0; 3]),
                "thickness": BONE_M,
                "scale_invariant": false,
                "points": points,
                "color": {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0},
                "colors": colours,
                "indices": bones
            }],
            "triangles": [],
            "texts": [{
                "pose": place(above),
                "billboard": true,
                "font_size": 0.12,
                "scale_invariant": false,
                "color": {"r": 1.0, "g": 1.0, "b": 1.0, "a": 1.0},
                "text": name
            }],
            "models": []
        }]
    })
}

/// Green where seen, yellow behind the own body, red behind something else, grey outside; the
/// less sure, the fainter.
fn colour(pose: &PoseRepr, joint: usize) -> Value {
    let (r, g, b) = match pose.visibility[joint] {
        Visibility::Visible => (0.2, 0.8, 0.3),
        Visibility::SelfOccluded => (0.95, 0.8, 0.2),
        Visibility::Occluded => (0.9, 0.25, 0.2),
        Visibility::OutOfFrame => (0.6, 0.6, 0.6),
    };
    let alpha = 0.3 + 0.7 * f64::from(pose.confidence[joint].to_f32());
    json!({"r": r, "g": g, "b": b, "a": short(alpha)})
}

fn place(at: [f32; 3]) -> Value {
    json!({
        "position": vector(at),
        "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
    })
}

fn time(time_us: u64) -> Value {
    json!({"sec": time_us / 1_000_000, "nsec": time_us % 1_000_000 * 1_000})
}

fn vector(v: [f32; 3]) -> Value {
    let [x, y, z] = v.map(|c| short(f64::from(c)));
    json!({"x": x, "y": y, "z": z})
}

fn quaternion(q: Quaternion) -> Value {
    let [x, y, z, w] = [q.x, q.y, q.z, q.w].map(|c| (f64::from(c) * 1e6).round() / 1e6);
    json!({"x": x, "y": y, "z": z, "w": w})
}

/// Tenths of a millimetre.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use neuralsmpl_packet::Rotation;

    use super::*;

    fn near(a: [f32; 3], b: [f32; 3]) -> bool {
        difference(a, b).iter().all(|d| d.abs() < 1e-3)
    }

    #[test]
    fn axes_are_those_of_rep_103() {
        assert!(
            near(rotate(TO_BODY, [1.0, 0.0, 0.0]), [0.0, 0.0, 1.0]),
            "forward"
        );
        assert!(
            near(rotate(TO_BODY, [0.0, 1.0, 0.0]), [1.0, 0.0, 0.0]),
            "left"
        );
        assert!(
            near(rotate(TO_BODY, [0.0, 0.0, 1.0]), [0.0, 1.0, 0.0]),
            "up"
        );
        assert!(
            near(rotate(FROM_OPTICAL, [0.0, 0.0, 1.0]), [1.0, 0.0, 0.0]),
            "forward"
        );
        assert!(
            near(rotate(FROM_OPTICAL, [1.0, 0.0, 0.0]), [0.0, -1.0, 0.0]),
            "right"
        );
        assert!(
            near(rotate(FROM_OPTICAL, [0.0, 1.0, 0.0]), [0.0, 0.0, -1.0]),
            "down"
        );
    }

    #[test]
    fn names_are_those_of_ros4hri() {
        let names: Vec<String> = (0..JOINTS).map(frame_name).collect();
        for expected in [
            "body",
            "waist",
            "torso",
            "head",
            "l_shoulder",
            "r_elbow",
            "l_wrist",
            "r_hip",
            "l_knee",
            "r_ankle",
        ] {
            assert!(names.iter().any(|n| n == expected), "{expected}");
        }
        assert_eq!(
            names
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            JOINTS
        );
    }

    /// A body bent at random: chaining the transforms must lead to the joints of the skeleton.
    #[test]
    fn chained_transforms_lead_to_the_joints() {
        let skeleton = Skeleton {
            parents: std::array::from_fn(|j| (j > 0).then(|| (j as u8 - 1) / 2)),
            rest_joints: std::array::from_fn(|j| {
                [0.1 * j as f32, 1.0 - 0.05 * j as f32, 0.02 * (j % 5) as f32]
            }),
            shape_directions: [[[0.01; BETAS]; 3]; JOINTS],
        };
        let betas = [0.5; BETAS];
        let mut pose = PoseRepr {
            translation: [0.2, -0.1, 3.0],
            ..PoseRepr::default()
        };
        for joint in 0..JOINTS {
            let angle = 0.3 * joint as f32;
            let q = Quaternion {
                w: angle.cos(),
                x: angle.sin() * 0.6,
                y: 0.0,
                z: angle.sin() * 0.8,
            };
            pose.rotations[joint] = Rotation::from_quaternion(q).unwrap();
        }
        let value = transforms(&pose, &betas, &skeleton, "camera");
        let expected = skeleton.posed(&pose, &betas);
        let number = |v: &Value, key: &str| v[key].as_f64().unwrap() as f32;
        let list = value["transforms"].as_array().unwrap();
        let find = |child: &str| list.iter().find(|t| t["child_frame_id"] == child).unwrap();
        for joint in 0..JOINTS {
            let mut at = [0.0; 3];
            let mut frame = format!("{}_0", frame_name(joint));
            while frame != "camera_optical" {
                let step = find(&frame);
                let (t, r) = (&step["translation"], &step["rotation"]);
                let turn = Quaternion {
                    w: number(r, "w"),
                    x: number(r, "x"),
                    y: number(r, "y"),
                    z: number(r, "z"),
                };
                let shift = [number(t, "x"), number(t, "y"), number(t, "z")];
                at = sum(rotate(turn, at), shift);
                frame = step["parent_frame_id"].as_str().unwrap().to_owned();
            }
            assert!(
                near(at, expected[joint]),
                "joint {joint}: {at:?} {:?}",
                expected[joint]
            );
        }
    }
}
