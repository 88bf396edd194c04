//! Names of joints. A data set's joints keep their names; two sides are compared on the names that both have.
//!
//! The same name can mean places some centimetres apart in different data sets (a hip of SMPL and a hip of
//! COCO). Importers say where their joints come from; `docs/datasets.md` lists them.

use glam::Vec3;

/// SMPL's joints in SMPL's order, as packets have them.
pub use neuralsmpl_packet::pose::JOINT_NAMES as SMPL;

/// BlazePose's landmarks in their order.
pub const BLAZEPOSE: [&str; 33] = [
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
];

/// The twelve limb joints, with their indices in [`BLAZEPOSE`].
pub const LIMBS: [(&str, usize); 12] = [
    ("left_shoulder", 11),
    ("right_shoulder", 12),
    ("left_elbow", 13),
    ("right_elbow", 14),
    ("left_wrist", 15),
    ("right_wrist", 16),
    ("left_hip", 23),
    ("right_hip", 24),
    ("left_knee", 25),
    ("right_knee", 26),
    ("left_ankle", 27),
    ("right_ankle", 28),
];

/// Names that other data sets add to [`SMPL`] and [`BLAZEPOSE`].
pub const OTHERS: [&str; 8] = [
    "head_top",
    "thorax",
    "spine",
    "jaw",
    "chin",
    "left_toe",
    "right_toe",
    "root",
];

/// Whether a joint is one of LSP's fourteen: limbs, neck and head. The head is `head_top` where the truth
/// names it, else `head`.
pub fn is_lsp(name: &str, has_head_top: bool) -> bool {
    match name {
        "neck" => true,
        "head_top" => has_head_top,
        "head" => !has_head_top,
        _ => LIMBS.iter().any(|(limb, _)| *limb == name),
    }
}

/// A name that `name` was probably meant to be: known, and one or two letters away.
pub fn meant(name: &str) -> Option<&'static str> {
    let known = || SMPL.iter().chain(&BLAZEPOSE).chain(&OTHERS).copied();
    if known().any(|k| k == name) {
        return None;
    }
    known()
        .map(|k| (strsim::osa_distance(k, name), k))
        .filter(|(distance, k)| *distance <= 2 && k.len() > 4)
        .min()
        .map(|(_, k)| k)
}

/// The point that root-centred errors subtract: `pelvis`, else the middle of the hips; none where neither is there.
pub fn root<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    point: impl Fn(usize) -> Vec3,
) -> Option<Vec3> {
    let at = |wanted: &str| names.clone().position(|n| n == wanted).map(&point);
    at("pelvis").or_else(|| Some(0.5 * (at("left_hip")? + at("right_hip")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_are_where_they_say() {
        for (name, index) in LIMBS {
            assert_eq!(BLAZEPOSE[index], name);
        }
        assert_eq!(SMPL.iter().filter(|n| is_lsp(n, false)).count(), 14);
        assert!(is_lsp("head_top", true) && !is_lsp("head", true));
    }

    #[test]
    fn slips_are_seen_and_other_names_left_alone() {
        assert_eq!(meant("left_sholder"), Some("left_shoulder"));
        assert_eq!(meant("left_shoulder"), None);
        assert_eq!(meant("lid_hinge"), None);
    }

    #[test]
    fn the_root_is_the_pelvis_or_between_the_hips() {
        let points = [Vec3::X, Vec3::Y, Vec3::Z];
        let of = |names: &[&str]| root(names.iter().copied(), |i| points[i]);
        assert_eq!(of(&["left_hip", "right_hip", "pelvis"]), Some(Vec3::Z));
        assert_eq!(
            of(&["left_hip", "right_hip", "nose"]),
            Some(Vec3::new(0.5, 0.5, 0.0))
        );
        assert_eq!(of(&["left_hip", "nose", "neck"]), None);
    }
}
