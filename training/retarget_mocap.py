"""Retargets motion capture to the shipped body's 24 joints and picks a varied set of poses.

What       each source joint's world rotation since its rest pose is given to the matching joint of the body's
           T-pose. Arms and legs are first turned to the rest directions of the source, so that limbs point the
           same way afterwards (printed per limb, in degrees, against the source's own forward kinematics, and
           per joint in millimetres, after the source is scaled to the body's size: `place_errors`);
           the trunk, collars and the pitch of the feet keep the body's own rest shape. Heading is removed.
           From the pool, poses are picked farthest-first by joint positions, so that walking and standing
           do not crowd out the rest, then mirrored.
Inputs     --assets with mocap/cmu-30fps.tar.xz and mocap/mesh2motion-{base,addon}.glb; the baked body.
Outputs    <out>/poses.safetensors: `poses` f32 [N, 24, 3], rotation vectors, joint 0 in a y-up world with the
           heading removed. <out>/pool.safetensors: all poses before the picking, `poses` f32 [M, 24, 3] and
           `clip` u32 [M], the recording each is from: an index into the lines of the text `clip_names` u8.
           models/person/poses_cc0.safetensors: at most 400, from Mesh2Motion alone.
           --sheet PNG: stick figures.
Licences   CMU: free for all uses, not to be resold: poses.safetensors is not committed. Mesh2Motion: CC0,
           so poses_cc0.safetensors is. CMU data: mocap.cs.cmu.edu, created with funding from NSF EIA-0196217.
Command    OMP_NUM_THREADS=1 python training/retarget_mocap.py --assets <assets> --sheet poses.png
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from body_file import JOINTS, PARENTS, joint, load_body, metadata
from mocap_sources import CMU_FPS, read_cmu, read_mesh2motion

FPS = 10
SIDES = (("left", "Left", "L", "l"), ("right", "Right", "R", "r"))

CMU = {"pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck1", "head": "Head"}
M2M_BASE = {"pelvis": "DEF-hips", "spine1": "DEF-spine.001", "spine2": "DEF-spine.002", "spine3": "DEF-spine.003",
            "neck": "DEF-neck", "head": "DEF-head"}
M2M_ADDON = {"pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03", "neck": "neck_01",
             "head": "head"}
PARTS = ("collar shoulder elbow wrist hand hip knee ankle foot").split()
for _side, _long, _upper, _lower in SIDES:
    for _map, _names in (
        (CMU, "{1}Shoulder {1}Arm {1}ForeArm {1}FingerBase {1}HandIndex1 {1}UpLeg {1}Leg {1}Foot {1}ToeBase"),
        (M2M_BASE, "DEF-shoulder.{2} DEF-upper_arm.{2} DEF-forearm.{2} DEF-hand.{2} DEF-f_middle.01.{2} "
                   "DEF-thigh.{2} DEF-shin.{2} DEF-foot.{2} DEF-toe.{2}"),
        (M2M_ADDON, "clavicle_{3} upperarm_{3} lowerarm_{3} hand_{3} middle_01_{3} "
                    "thigh_{3} calf_{3} foot_{3} ball_{3}"),
    ):
        _map |= dict(zip((f"{_side}_{p}" for p in PARTS), _names.format(_side, _long, _upper, _lower).split()))

LIMITS = {"ankle": 1.4, "foot": 1.2, "wrist": 1.7, "collar": 0.9, "knee": 2.7, "elbow": 2.8}
"""Radians from the T-pose beyond which a rig's pose is taken for a fault of the data."""
KNEE_SLACK = 0.25
"""Radians by which a knee may bend forwards: the body's T-pose has its knees a little bent."""
LIMBS = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "hand": ("wrist", "hand"),
         "thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "foot": ("ankle", "foot")}
TRUNK = {"trunk": ("pelvis", "neck"), "neck": ("neck", "head")}


def between(a, b):
    """The smallest rotation that takes direction a to direction b."""
    return Rotation.align_vectors(b[None], a[None])[0].as_matrix() if np.linalg.norm(np.cross(a, b)) else np.eye(3)


def heading_only(a, b, up):
    """The rotation about `up` that brings the heading of a to that of b."""
    return between(a - up * (a @ up), b - up * (b @ up))


def rest_alignment(target, source):
    """World rotations [24, 3, 3] that bring the body's T-pose to the source's rest pose, limb by limb.

    target [24, 3]: the body's joints; source: name to rest position. A limb inherits the turn of the one it
    hangs from, so that a leg spread in the source's rest pose carries its foot along.
    """
    turns = np.tile(np.eye(3), (len(JOINTS), 1, 1))
    for side, *_ in SIDES:
        for chain in (("shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot")):
            inherited = np.eye(3)
            for start, end in pairwise(chain):
                here, there = f"{side}_{start}", f"{side}_{end}"
                ours = inherited @ (target[joint(there)] - target[joint(here)])
                theirs = source[there] - source[here]
                if here.endswith("ankle"):
                    inherited = heading_only(ours, theirs, inherited @ np.array([0.0, 1, 0])) @ inherited
                else:
                    inherited = between(ours, theirs) @ inherited
                turns[joint(here)] = inherited
            turns[joint(there)] = inherited
    return turns


def retarget(clip, names, target):
    """World rotations [F, 24, 3, 3] of the body's joints."""
    index = [clip.joints.index(names[name]) for name in JOINTS]
    align = rest_alignment(target, dict(zip(JOINTS, clip.rest[index])))
    return clip.turns[:, index] @ align


def local_vectors(world):
    """Rotation vectors [F, 24, 3] relative to the parent joint; the root's loses its heading."""
    local = world.copy()
    local[:, 1:] = world[:, PARENTS[1:]].transpose(0, 1, 3, 2) @ world[:, 1:]
    quaternion = Rotation.from_matrix(world[:, 0]).as_quat()
    heading = 2 * np.arctan2(quaternion[:, 1], quaternion[:, 3])
    unturned = Rotation.from_rotvec(-heading[:, None] * [0.0, 1, 0])
    local[:, 0] = (unturned * Rotation.from_matrix(world[:, 0])).as_matrix()
    return Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(len(local), -1, 3)


def share_forearm_twist(world):
    """Moves half of each wrist's twist about the forearm to the elbow; limb directions stay.

    The rigs keep all pronation in the hand, where it would wring the wrist; a forearm twists along its length.
    """
    for side, *_ in SIDES:
        elbow, wrist = joint(f"{side}_elbow"), joint(f"{side}_wrist")
        local = Rotation.from_matrix(world[:, elbow].transpose(0, 2, 1) @ world[:, wrist]).as_quat()
        twist = 2 * np.arctan2(local[:, 0], local[:, 3])
        twist = (twist + np.pi) % (2 * np.pi) - np.pi
        world[:, elbow] = world[:, elbow] @ Rotation.from_rotvec(twist[:, None] / 2 * [1.0, 0, 0]).as_matrix()


def possible(poses):
    """Which of [N, 24, 3] poses keep within `LIMITS` and bend both knees backwards; rigs hold a few that do not."""
    angle = np.linalg.norm(poses, axis=-1)
    keep = np.ones(len(poses), bool)
    for part, limit in LIMITS.items():
        keep &= (angle[:, [joint(f"{side}_{part}") for side, *_ in SIDES]] < limit).all(1)
    return keep & (poses[:, [joint("left_knee"), joint("right_knee")], 0] > -KNEE_SLACK).all(1)


def joint_places(poses, target):
    """Joint positions [N, 24, 3] of poses [N, 24, 3], pelvis at the origin."""
    local = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(len(poses), -1, 3, 3)
    world, places = local.copy(), np.zeros((len(poses), len(JOINTS), 3))
    for k in range(1, len(JOINTS)):
        p = PARENTS[k]
        world[:, k] = world[:, p] @ local[:, k]
        places[:, k] = places[:, p] + world[:, p] @ (target[k] - target[p])
    return places


def limb_errors(clip, names, world, target, errors):
    """Adds each limb's error in degrees, body against the source's forward kinematics, to `errors`.

    Limbs: the angle between both directions. Trunk and neck, which keep the body's own rest shape: the
    difference of how far both are bent away from their rest direction.
    """
    source = {name: clip.places[:, clip.joints.index(names[name])] for name in JOINTS}
    places = np.zeros((len(world), len(JOINTS), 3))
    for k in range(1, len(JOINTS)):
        places[:, k] = places[:, PARENTS[k]] + world[:, PARENTS[k]] @ (target[k] - target[PARENTS[k]])
    for name, (a, b) in LIMBS.items():
        for side, *_ in SIDES:
            start, end = f"{side}_{a}", f"{side}_{b}"
            ours, theirs = places[:, joint(end)] - places[:, joint(start)], source[end] - source[start]
            errors.setdefault(name, []).append(degrees_between(ours, theirs))
    rest = dict(zip(JOINTS, clip.rest[[clip.joints.index(names[name]) for name in JOINTS]]))
    for name, (start, end) in TRUNK.items():
        here, there = joint(start), joint(end)
        ours = degrees_between(places[:, there] - places[:, here], target[there] - target[here])
        theirs = degrees_between(source[end] - source[start], rest[end] - rest[start])
        errors.setdefault(name, []).append(np.abs(ours - theirs))


def place_errors(clip, names, world, target, errors):
    """Adds each joint's distance in mm from where the source's forward kinematics has it to `errors`.

    Joints of arms and legs are seen from their shoulder or hip, those of the trunk from the pelvis. The source
    is scaled to the body's limbs, and the body's bones get the source's lengths: what is left is what
    retargeting got wrong (and, for trunk and feet, the rest shape that the body keeps).
    """
    index = [clip.joints.index(names[name]) for name in JOINTS]
    rest, theirs = clip.rest[index], clip.places[:, index]
    child = np.array([joint(f"{side}_{b}") for _, b in LIMBS.values() for side, *_ in SIDES])
    lengths = lambda joints: np.linalg.norm(joints[child] - joints[PARENTS[child]], axis=-1)
    scale = lengths(target).sum() / lengths(rest).sum()
    ours = np.zeros((len(world), len(JOINTS), 3))
    for k in range(1, len(JOINTS)):
        p = PARENTS[k]
        bone = target[k] - target[p]
        bone = bone * (np.linalg.norm(rest[k] - rest[p]) * scale / np.linalg.norm(bone))
        ours[:, k] = ours[:, p] + world[:, p] @ bone
    for k, name in enumerate(JOINTS[1:], 1):
        side, _, part = name.partition("_")
        arm, leg = part in ("elbow", "wrist", "hand"), part in ("knee", "ankle", "foot")
        start = joint(f"{side}_{'shoulder' if arm else 'hip'}") if arm or leg else 0
        moved = ours[:, k] - ours[:, start] - scale * (theirs[:, k] - theirs[:, start])
        errors.setdefault(part or name, []).append(1e3 * np.linalg.norm(moved, axis=-1))


def degrees_between(a, b):
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(cross, (a * b).sum(-1)))


def mirrored(poses):
    """Left and right exchanged."""
    swap = [joint(n.replace("left", "\0").replace("right", "left").replace("\0", "right")) for n in JOINTS]
    return poses[:, swap] * [1, -1, -1]


def farthest_first(points, count):
    """Indices of `count` rows, each the farthest from those before; the first is nearest to the mean."""
    flat = points.reshape(len(points), -1)
    chosen = [int(((flat - flat.mean(0)) ** 2).sum(1).argmin())]
    distance = np.full(len(flat), np.inf)
    for _ in tqdm(range(min(count, len(flat)) - 1), desc="picking poses", unit="pose"):
        distance = np.minimum(distance, ((flat - flat[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen), float(np.sqrt(distance.max() / points.shape[1]))


def pick(pool, target, count):
    """`count` varied poses of the pool, half of them mirror images of the other half."""
    upright = pool.copy()
    upright[:, 0] = 0
    chosen, gap = farthest_first(joint_places(upright, target), count // 2)
    print(f"{len(chosen)} of {len(pool)} poses picked, every pose left out within {gap * 1e3:.0f} mm (rms over joints)")
    return np.concatenate([pool[chosen], mirrored(pool[chosen])]).astype(np.float32)


def contact_sheet(path, poses, target, columns=12, rows=8):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(columns * 1.6, rows * 1.8), dpi=80)
    order = np.linspace(0, len(poses) - 1, rows * columns).astype(int)
    for axis, places in zip(axes.flat, joint_places(poses[order].astype(float), target)):
        view = places @ Rotation.from_euler("y", 30, degrees=True).as_matrix().T
        for k in range(1, len(JOINTS)):
            color = "tab:blue" if "left" in JOINTS[k] else "tab:red" if "right" in JOINTS[k] else "0.2"
            axis.plot(*view[[PARENTS[k], k], :2].T, color=color, lw=1.5)
        axis.set(xlim=(-1, 1), ylim=(-1.1, 1))
        axis.set_aspect("equal")
        axis.axis("off")
    figure.tight_layout(pad=0)
    figure.savefig(path)


def gather(clips, target, sources):
    """Local rotation vectors of the possible poses of all (clip, names), the clip of each, the limbs' errors, the joints'.

    The clips' names are appended to `sources`; a pose's clip is an index into it.
    """
    pool, owner, errors, places, dropped = [], [], {}, {}, 0
    for clip, names in clips:
        world = retarget(clip, names, target)
        share_forearm_twist(world)
        limb_errors(clip, names, world, target, errors)
        place_errors(clip, names, world, target, places)
        poses = local_vectors(world)
        pool.append(poses[possible(poses)])
        owner.append(np.full(len(pool[-1]), len(sources), np.uint32))
        sources.append(clip.name)
        dropped += len(poses) - len(pool[-1])
    print(f"{dropped} poses beyond the joint limits dropped, {sum(map(len, pool))} kept")
    return np.concatenate(pool), np.concatenate(owner), errors, places


def print_errors(label, errors, places):
    for what, table in (("limb, degrees", errors), ("joint, mm", places)):
        print(f"{label}: error against the source's {what} (mean, p95, max)")
        for name, parts in table.items():
            values = np.concatenate(parts)
            print(f"  {name:10s} {values.mean():6.2f} {np.percentile(values, 95):6.2f} {values.max():6.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="folder that holds mocap/")
    parser.add_argument("--body", type=Path, default=Path("models/person/body.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("training/out"))
    parser.add_argument("--cc0", type=Path, default=Path("models/person/poses_cc0.safetensors"))
    parser.add_argument("--poses", type=int, default=4000, help="poses in poses.safetensors")
    parser.add_argument("--cc0-poses", type=int, default=400, help="poses in poses_cc0.safetensors")
    parser.add_argument("--sheet", type=Path, help="PNG of stick figures to write")
    args = parser.parse_args()
    mocap = args.assets / "mocap"
    archive, scenes = mocap / "cmu-30fps.tar.xz", [mocap / f"mesh2motion-{n}.glb" for n in ("base", "addon")]
    for path in (archive, *scenes):
        if not path.is_file():
            raise SystemExit(f"retarget_mocap: {path} not found; --assets names the folder that holds mocap/")

    target = load_body(args.body)["j_template"].astype(float)
    sources = []
    free, free_clip, *errors = gather(
        ((clip, names) for path, names in zip(scenes, (M2M_BASE, M2M_ADDON)) for clip in read_mesh2motion(path, FPS)),
        target, sources)
    print_errors("Mesh2Motion", *errors)
    cmu, cmu_clip, *errors = gather(
        ((clip, CMU) for clip in tqdm(read_cmu(archive, CMU_FPS // FPS), desc="CMU", unit="clip")), target, sources)
    print_errors("CMU", *errors)

    args.out.mkdir(parents=True, exist_ok=True)
    everything = np.concatenate([free, cmu])
    note = metadata("retargeted from CMU motion capture and Mesh2Motion")
    save_file({"poses": everything.astype(np.float32), "clip": np.concatenate([free_clip, cmu_clip]),
               "clip_names": np.frombuffer("\n".join(sources).encode(), np.uint8)},
              args.out / "pool.safetensors", metadata=note)
    cc0 = pick(free, target, args.cc0_poses)
    save_file({"poses": cc0}, args.cc0, metadata=metadata("CC0-1.0; retargeted from Mesh2Motion"))
    poses = pick(everything, target, args.poses)
    save_file({"poses": poses}, args.out / "poses.safetensors", metadata=note)
    if args.sheet:
        contact_sheet(args.sheet, poses[: len(poses) // 2], target)
        contact_sheet(args.sheet.with_stem(f"{args.sheet.stem}-cc0"), cc0, target)


if __name__ == "__main__":
    main()
