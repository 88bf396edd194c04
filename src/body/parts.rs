//! Parts of the body that a network can name: classes of the `parts` output (docs/pack.md).

/// Names of the classes in the network's order; class 0 is everything that is not the person.
pub const PARTS: [&str; 15] = [
    "background",
    "head",
    "torso",
    "left_upper_arm",
    "right_upper_arm",
    "left_lower_arm",
    "right_lower_arm",
    "left_hand",
    "right_hand",
    "left_upper_leg",
    "right_upper_leg",
    "left_lower_leg",
    "right_lower_leg",
    "left_foot",
    "right_foot",
];

/// Class of the vertices that belong to a joint of this name; `None` for a name SMPL does not have.
pub fn part_of_joint(name: &str) -> Option<u8> {
    Some(match name {
        "neck" | "head" => 1,
        "pelvis" | "spine1" | "spine2" | "spine3" | "left_collar" | "right_collar" => 2,
        "left_shoulder" => 3,
        "right_shoulder" => 4,
        "left_elbow" => 5,
        "right_elbow" => 6,
        "left_wrist" | "left_hand" => 7,
        "right_wrist" | "right_hand" => 8,
        "left_hip" => 9,
        "right_hip" => 10,
        "left_knee" => 11,
        "right_knee" => 12,
        "left_ankle" | "left_foot" => 13,
        "right_ankle" | "right_foot" => 14,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_and_names_agree() {
        for (joint, part) in [
            ("left_shoulder", "left_upper_arm"),
            ("right_elbow", "right_lower_arm"),
            ("left_hand", "left_hand"),
            ("right_hip", "right_upper_leg"),
            ("left_knee", "left_lower_leg"),
            ("right_foot", "right_foot"),
            ("spine2", "torso"),
            ("neck", "head"),
        ] {
            assert_eq!(part_of_joint(joint).map(|p| PARTS[p as usize]), Some(part));
        }
        assert_eq!(part_of_joint("tail"), None);
    }
}
