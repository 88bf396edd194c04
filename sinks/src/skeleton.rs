//! Joints of a body, from a pose and a shape.

use neuralsmpl_packet::pose::JOINTS;
use neuralsmpl_packet::subject::BETAS;
use neuralsmpl_packet::{PoseRepr, Quaternion};

/// The joints of a body model at rest, which the sender fills from its model pack.
///
/// Body frame: x to the person's left, y up, z forward; metres.
#[derive(Debug, Clone, PartialEq)]
pub struct Skeleton {
    /// Parent of each joint, `None` for the root, which is joint 0. Parents come before children.
    pub parents: [Option<u8>; JOINTS],
    /// Position of each joint at rest with the mean shape.
    pub rest_joints: [[f32; 3]; JOINTS],
    /// What one standard deviation of each shape coefficient adds: joint, axis, coefficient.
    pub shape_directions: [[[f32; BETAS]; 3]; JOINTS],
}

impl Skeleton {
    /// Joints at rest with this shape, metres, body frame.
    pub fn rest(&self, betas: &[f32; BETAS]) -> [[f32; 3]; JOINTS] {
        std::array::from_fn(|joint| {
            std::array::from_fn(|axis| {
                let directions = &self.shape_directions[joint][axis];
                let grown: f32 = directions.iter().zip(betas).map(|(d, b)| d * b).sum();
                self.rest_joints[joint][axis] + grown
            })
        })
    }

    /// The parent of a joint; `None` for the root and for what is no parent.
    pub fn parent(&self, joint: usize) -> Option<usize> {
        let parent = usize::from(self.parents.get(joint).copied().flatten()?);
        (parent < joint).then_some(parent)
    }

    /// Joints of a pose, metres, camera frame.
    pub fn posed(&self, pose: &PoseRepr, betas: &[f32; BETAS]) -> [[f32; 3]; JOINTS] {
        let rest = self.rest(betas);
        let mut turns = pose.rotations.map(|r| r.to_quaternion());
        let mut positions = [[0.0; 3]; JOINTS];
        for joint in 0..JOINTS {
            match self.parent(joint) {
                None => positions[joint] = sum(rest[joint], pose.translation),
                Some(parent) => {
                    let bone = difference(rest[joint], rest[parent]);
                    positions[joint] = sum(positions[parent], rotate(turns[parent], bone));
                    turns[joint] = product(turns[parent], turns[joint]);
                }
            }
        }
        positions
    }
}

pub(crate) fn sum(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + b[i])
}

pub(crate) fn difference(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|i| a[i] - b[i])
}

/// First `b`, then `a`.
pub(crate) fn product(a: Quaternion, b: Quaternion) -> Quaternion {
    Quaternion {
        w: a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
        x: a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
        y: a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
        z: a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
    }
}

pub(crate) fn conjugate(q: Quaternion) -> Quaternion {
    Quaternion {
        w: q.w,
        x: -q.x,
        y: -q.y,
        z: -q.z,
    }
}

/// Turns a vector.
pub(crate) fn rotate(q: Quaternion, v: [f32; 3]) -> [f32; 3] {
    let vector = Quaternion {
        w: 0.0,
        x: v[0],
        y: v[1],
        z: v[2],
    };
    let turned = product(product(q, vector), conjugate(q));
    [turned.x, turned.y, turned.z]
}

#[cfg(test)]
mod tests {
    use neuralsmpl_packet::Rotation;

    use super::*;

    #[test]
    fn a_chain_bends_at_its_joint() {
        // Joints one above the other, each the child of the one before.
        let skeleton = Skeleton {
            parents: std::array::from_fn(|j| j.checked_sub(1).map(|p| p as u8)),
            rest_joints: std::array::from_fn(|j| [0.0, j as f32, 0.0]),
            shape_directions: [[[0.0; BETAS]; 3]; JOINTS],
        };
        let half = std::f32::consts::FRAC_1_SQRT_2;
        // A quarter turn about x: y goes to z.
        let quarter = Quaternion {
            w: half,
            x: half,
            y: 0.0,
            z: 0.0,
        };
        let mut pose = PoseRepr {
            translation: [0.0, 0.0, 3.0],
            ..PoseRepr::default()
        };
        pose.rotations[1] = Rotation::from_quaternion(quarter).unwrap();
        let joints = skeleton.posed(&pose, &[0.0; BETAS]);
        let near = |a: [f32; 3], b: [f32; 3]| difference(a, b).iter().all(|d| d.abs() < 1e-3);
        assert!(near(joints[0], [0.0, 0.0, 3.0]));
        assert!(near(joints[1], [0.0, 1.0, 3.0]));
        assert!(near(joints[2], [0.0, 1.0, 4.0]), "{:?}", joints[2]);
        assert!(near(joints[23], [0.0, 1.0, 25.0]));
    }

    #[test]
    fn shape_moves_joints_at_rest() {
        let mut skeleton = Skeleton {
            parents: [None; JOINTS],
            rest_joints: [[1.0; 3]; JOINTS],
            shape_directions: [[[0.0; BETAS]; 3]; JOINTS],
        };
        skeleton.shape_directions[5][1][2] = 0.25;
        let mut betas = [0.0; BETAS];
        betas[2] = 2.0;
        assert_eq!(skeleton.rest(&betas)[5], [1.0, 1.5, 1.0]);
        assert_eq!(skeleton.rest(&betas)[4], [1.0; 3]);
    }
}
