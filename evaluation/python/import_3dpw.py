"""3DPW: SMPL bodies of people outdoors, in the camera's frame.

What       reads sequenceFiles/SPLIT/*.pkl and imageFiles/SEQUENCE/image_NNNNN.jpg. Frames whose camera pose is
           not valid are left out. Pickles go through an unpickler that builds arrays and nothing else.
           Joints: with --smpl-male and --smpl-female (or --smpl-neutral for both) they come from the posed model,
           through --regressor where that is given, else SMPL's 24; without a model, `jointPositions` (SMPL's 24).
Inputs     the folder of 3DPW as it is unpacked; SMPL models and J_regressor_h36m.npy of the user.
Licences   3DPW and SMPL forbid redistribution; the manifest holds their data: keep it for yourself.
Command    python evaluation/python/import_dataset.py 3dpw DIR --out OUT --smpl-male M.pkl --smpl-female F.pkl
"""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from manifest_writer import DatasetError, ManifestWriter, named_points, outside, padded_box, picture_size, project
from smpl_body import JOINTS, LspRegressor, SmplBody
from smpl_reader import SmplFileError, unpickle

KEYS = ("sequence", "poses", "betas", "trans", "genders", "cam_poses", "cam_intrinsics", "campose_valid",
        "jointPositions")
DISAGREEMENT = 0.02
"""Metres by which posed joints may differ from `jointPositions`: beyond it the SMPL file is another one."""
FEW_BETAS = 10


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="3DPW's folder, with sequenceFiles/ and imageFiles/")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    for gender in ("male", "female", "neutral"):
        parser.add_argument(f"--smpl-{gender}", type=Path, metavar="FILE", help=f"SMPL's {gender} model, .pkl or .npz")
    parser.add_argument("--regressor", type=Path, metavar="FILE", help="J_regressor_h36m.npy: LSP's joints from vertices")
    parser.add_argument("--vertices", action="store_true", help="also write a file of vertices for each sample (83 kB each)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th frame")
    parser.add_argument("--no-pictures", action="store_true", help="do not look for the pictures (sizes from the intrinsics)")


def read_sequence(path):
    """The checked content of one pickle."""
    try:
        with path.open("rb") as stream:
            content = unpickle(stream)
    except (SmplFileError, OSError) as error:
        raise DatasetError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle may raise anything
        raise DatasetError(f"{path}: cannot be read ({type(error).__name__}: {error}); unpack it again") from None
    missing = [k for k in KEYS if k not in content] if isinstance(content, dict) else list(KEYS)
    if missing:
        raise DatasetError(f"{path}: lacks {', '.join(f'`{k}`' for k in missing)}, expected a sequence of 3DPW")
    frames, people = len(content["cam_poses"]), len(content["poses"])
    shapes = {"cam_poses": (frames, 4, 4), "cam_intrinsics": (3, 3)}
    per_person = {"poses": (frames, 72), "trans": (frames, 3), "campose_valid": (frames,), "jointPositions": (frames, 72)}
    for key, shape in shapes.items():
        check(path, key, content[key], shape)
    for key, shape in per_person.items():
        if len(content[key]) != people:
            raise DatasetError(f"{path}: `{key}` is of {len(content[key])} people, `poses` of {people}; unpack it again")
        for person, value in enumerate(content[key]):
            check(path, f"{key}[{person}]", value, shape)
    return content


def check(path, key, value, shape):
    found = np.asarray(value).shape
    if found != shape:
        raise DatasetError(f"{path}: `{key}` has shape {list(found)}, expected {list(shape)}; unpack it again")


class Bodies:
    """The user's models by gender; none without files."""

    def __init__(self, args):
        self.files = {"m": args.smpl_male or args.smpl_neutral, "f": args.smpl_female or args.smpl_neutral}
        self.names = {"m": "smpl-male" if args.smpl_male else "smpl-neutral",
                      "f": "smpl-female" if args.smpl_female else "smpl-neutral"}
        self.loaded, self.regressors, self.regressor = {}, {}, args.regressor
        if (args.vertices or args.regressor) and not any(self.files.values()):
            raise DatasetError("--vertices and --regressor need --smpl-male and --smpl-female, or --smpl-neutral")

    def of(self, gender, where):
        """Model, regressor and name; None, None, None where no file is given at all."""
        if not any(self.files.values()):
            return None, None, None
        path = self.files.get(gender)
        if path is None:
            raise DatasetError(f"{where}: a person is `{gender}`, and no SMPL model is given for it, expected "
                               "--smpl-male and --smpl-female, or --smpl-neutral; add it")
        if path not in self.loaded:
            body = self.loaded[path] = SmplBody.load(path)
            if self.regressor:
                self.regressors[path] = LspRegressor(np.load(self.regressor), body, self.regressor)
        return self.loaded[path], self.regressors.get(path), self.names[gender]


def in_camera(pose, extrinsics):
    """Local rotations [24, 3, 3] with the root in the camera's frame, and the camera's rotation and translation."""
    turn, shift = extrinsics[:3, :3], extrinsics[:3, 3]
    rotations = Rotation.from_rotvec(np.asarray(pose, float).reshape(24, 3)).as_matrix()
    rotations[0] = turn @ rotations[0]
    return rotations, turn, shift


def sample(content, person, frame, body, regressor):
    """Joints by name, then rotations, betas, translation, vertices and the top of the head where there is a body."""
    extrinsics = np.asarray(content["cam_poses"][frame], float)
    rotations, turn, shift = in_camera(content["poses"][person][frame], extrinsics)
    given = np.asarray(content["jointPositions"][person][frame], float).reshape(24, 3) @ turn.T + shift
    betas = np.asarray(content["betas"][person], float).reshape(-1)[:FEW_BETAS]
    translation = np.asarray(content["trans"][person][frame], float)
    if body is None:
        return dict(zip(JOINTS, given)), rotations, betas, None, None, None
    root = body.rest_joints(betas)[0]
    moved = turn @ (root + translation) + shift - root
    vertices, joints = body.pose(betas, rotations, moved)
    off = np.linalg.norm(joints - given, axis=1).max()
    if off > DISAGREEMENT:
        raise DatasetError(f"person {person}, frame {frame}: joints of the SMPL model lie up to {off * 1e3:.0f} mm from "
                           f"`jointPositions`, expected at most {DISAGREEMENT * 1e3:.0f} mm; name the model of the right "
                           "gender and version (1.0 with 10 betas)")
    named = regressor.joints(vertices) if regressor else dict(zip(JOINTS, joints))
    return named, rotations, betas, moved, vertices, vertices[body.head_top]


def run(args):
    """Imports one split; returns the manifest's path and the number of samples."""
    files = sorted((args.folder / "sequenceFiles" / args.split).glob("*.pkl"))
    if not files:
        raise DatasetError(f"{args.folder / 'sequenceFiles' / args.split}: holds no .pkl, expected 3DPW's sequences; name the "
                           "folder that holds sequenceFiles/ and imageFiles/")
    bodies, skipped = Bodies(args), 0
    with ManifestWriter(args.out) as manifest:
        for path in tqdm(files, unit="sequence", desc="3DPW"):
            content = read_sequence(path)
            name = str(content["sequence"])
            pictures = args.folder / "imageFiles" / name
            k = np.asarray(content["cam_intrinsics"], float)
            intrinsics = [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
            size = 2 * k[0, 2], 2 * k[1, 2]
            if not args.no_pictures:
                size = picture_size(pictures / "image_00000.jpg")
            for person, gender in enumerate(content["genders"]):
                body, regressor, model = bodies.of(str(gender), path)
                for frame in range(0, len(content["cam_poses"]), args.every):
                    if not content["campose_valid"][person][frame]:
                        skipped += 1
                        continue
                    try:
                        joints, rotations, betas, moved, vertices, top = sample(content, person, frame, body, regressor)
                    except DatasetError as error:
                        raise DatasetError(f"{path}: {error}") from None
                    picture = pictures / f"image_{frame:05d}.jpg"
                    if not args.no_pictures and not picture.is_file():
                        raise DatasetError(f"{picture}: not found; unpack 3DPW's imageFiles, or add --no-pictures")
                    pixels = project(np.array(list(joints.values())), intrinsics)
                    head = None if top is None else head_size(top, joints, intrinsics)
                    manifest.add(
                        image=manifest.relative(picture), frame=frame, clip=name,
                        dataset=f"3dpw-{args.split}", person=str(person), box=padded_box(pixels), intrinsics=intrinsics,
                        joints_camera_m=joints, visible=outside(joints, pixels, size),
                        joints_px=named_points(joints, pixels), head_px=head,
                        body_model=model if moved is not None else None,
                        rotations=rotations if moved is not None else None,
                        betas=betas if moved is not None else None, translation_m=moved,
                        vertices=manifest.save_vertices(f"vertices/{name}_{person}_{frame:05d}.safetensors", vertices)
                        if args.vertices else None,
                    )
    if skipped:
        print(f"{skipped} frames without a valid camera pose are left out")
    return manifest.path, manifest.count


def head_size(top, joints, intrinsics):
    """Pixels between the top of the head and the neck."""
    ends = project(np.stack([top, joints["neck"]]), intrinsics)
    size = float(np.linalg.norm(ends[0] - ends[1]))
    return size if np.isfinite(size) and size > 0 else None
