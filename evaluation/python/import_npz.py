"""Joint arrays, as Human3.6M and MPI-INF-3DHP are mostly passed on: one .npz.

What       these arrays are read, the others are ignored. N samples, J joints:

               images      [N] paths, relative to --images (default: the file's folder)
               joints3d    [N, J, 3] in the world's or the camera's frame; rows with NaN are not known
               joint_names [J], unless --names says which
               K           [3, 3] or [N, 3, 3], or intrinsics [4], [8], [N, 4] or [N, 8]: fx fy cx cy (k1 k2 p1 p2)
               R, t        [3, 3] and [3], or [N, 3, 3] and [N, 3]: camera = R · world + t; none for the camera's frame
               joints2d    [N, J, 2] pixels, or [N, J, 3] with a confidence; else joints3d is projected
               visible     [N, J] true where a joint is seen
               frames, clips, persons   [N]; boxes [N, 4] x y width height; head_px [N]

Inputs     the .npz; no pickled array in it is read.
Licences   those of the data set; Human3.6M and MPI-INF-3DHP are for research and not to be passed on.
Command    python evaluation/python/import_dataset.py npz h36m.npz --names h36m --units mm --out OUT
"""

import zipfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from manifest_writer import DatasetError, ManifestWriter, named_points, outside, padded_box, picture_size, project

LEGS = "hip knee ankle".split()
ARMS = "shoulder elbow wrist".split()


def limb(side, parts):
    return [f"{side}_{part}" for part in parts]


PRESETS = {
    "h36m": ["pelvis", *limb("right", LEGS), *limb("left", LEGS), "spine", "thorax", "jaw", "head_top",
             *limb("left", ARMS), *limb("right", ARMS)],
    "3dhp": ["head_top", "neck", *limb("right", ARMS), *limb("left", ARMS), *limb("right", LEGS), *limb("left", LEGS),
             "pelvis", "spine", "head"],
    "lsp": [*limb("right", LEGS[::-1]), *limb("left", LEGS), *limb("right", ARMS[::-1]), *limb("left", ARMS), "neck",
            "head_top"],
    "smpl": "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot "
            "right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow "
            "left_wrist right_wrist left_hand right_hand".split(),
    "coco": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
            "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle".split(),
}
"""h36m: the 17 joints of Human3.6M in their usual order; 3dhp: the 17 of MPI-INF-3DHP's test set."""
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def add_arguments(parser):
    parser.add_argument("file", type=Path, help=".npz with images, joints3d and more (see above)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the pictures (default: the file's)")
    parser.add_argument("--names", choices=sorted(PRESETS), help="which joints, in which order; else the array joint_names")
    parser.add_argument("--units", choices=sorted(METRES), default="m", help="of joints3d and t")
    parser.add_argument("--dataset", metavar="NAME", help="name of the data set (default: the file's)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th sample")
    parser.add_argument("--no-pictures", action="store_true", help="do not look for the pictures")


class Arrays:
    """The file's arrays, checked when they are taken."""

    def __init__(self, path):
        self.path = path
        try:
            self.file = np.load(path, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: cannot be read as .npz ({error}); name the right file") from None
        if not hasattr(self.file, "files"):
            raise DatasetError(f"{path}: holds one array, expected an .npz with several; see --help")

    def take(self, name, *shapes, needed=False, kinds="fiu"):
        """The array, of one of the shapes (None: any size); None where it is absent."""
        if name not in self.file.files:
            if needed:
                raise DatasetError(f"{self.path}: lacks `{name}`, has {', '.join(self.file.files)}; see --help")
            return None
        try:
            value = self.file[name]
        except ValueError as error:
            raise DatasetError(f"{self.path}: `{name}` is pickled ({error}); save it as a plain array") from None
        if value.dtype.kind not in kinds:
            raise DatasetError(f"{self.path}: `{name}` has type {value.dtype}, expected "
                               f"{'numbers' if 'f' in kinds else 'text or whole numbers'}; convert it")
        if not any(fits(value.shape, shape) for shape in shapes):
            wanted = " or ".join(str([("any" if s is None else s) for s in shape]) for shape in shapes)
            raise DatasetError(f"{self.path}: `{name}` has shape {list(value.shape)}, expected {wanted}; convert it")
        return value


def fits(shape, wanted):
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted))


def each(value, count, single):
    """`value` for every sample: a single one is repeated."""
    return np.broadcast_to(value, (count, *value.shape)) if value.ndim == single else value


def read_intrinsics(arrays, count):
    """[N, 4 or 8] or None."""
    k = arrays.take("K", (3, 3), (count, 3, 3))
    if k is not None:
        k = each(k, count, 2)
        return np.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], 1)
    flat = arrays.take("intrinsics", (4,), (8,), (count, 4), (count, 8))
    return None if flat is None else each(flat, count, 1)


def joint_names(arrays, preset, count):
    given = arrays.take("joint_names", (None,), kinds="U")
    names = PRESETS[preset] if preset else None if given is None else [str(n) for n in given]
    if names is None:
        raise DatasetError(f"{arrays.path}: lacks `joint_names`, and --names is not given; add one of both")
    if len(names) != count or len(set(names)) != count:
        raise DatasetError(f"{arrays.path}: `joints3d` has {count} joints, expected {len(set(names))} "
                           f"({', '.join(names[:4])}, …); choose another --names or correct joint_names")
    return names


def run(args):
    """Imports the file; returns the manifest's path and the number of samples."""
    a = Arrays(args.file)
    joints = a.take("joints3d", (None, None, 3), needed=True)
    count, many = joints.shape[:2]
    names = joint_names(a, args.names, many)
    images = a.take("images", (count,), needed=True, kinds="U")
    scale = METRES[args.units]
    joints = joints.astype(float) * scale
    turn, shift = a.take("R", (3, 3), (count, 3, 3)), a.take("t", (3,), (count, 3))
    if (turn is None) != (shift is None):
        raise DatasetError(f"{args.file}: has only one of `R` and `t`, expected both or none; add the other")
    if turn is not None:
        turn, shift = each(turn, count, 2), each(shift, count, 1) * scale
        if np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max() > 1e-3:
            raise DatasetError(f"{args.file}: `R` holds a matrix that is no rotation, expected camera = R · world + t")
        joints = np.einsum("nij,nkj->nki", turn, joints) + shift[:, None]
    known = np.isfinite(joints).all(2)
    if known.any() and (np.median(joints[known][:, 2]) <= 0 or np.abs(joints[known]).max() > 500):
        raise DatasetError(f"{args.file}: joints lie behind the camera or {np.abs(joints[known]).max():.0f} m away, expected "
                           "the camera's frame (z forward) after R and t; check --units, R and t")
    intrinsics = read_intrinsics(a, count)
    points = a.take("joints2d", (count, many, 2), (count, many, 3))
    seen = a.take("visible", (count, many), kinds="biu")
    columns = {name: a.take(name, (count,), kinds="Uiu") for name in ("frames", "clips", "persons")}
    boxes, heads = a.take("boxes", (count, 4)), a.take("head_px", (count,))
    folder, sizes = args.images or args.file.parent, {}
    with ManifestWriter(args.out) as manifest:
        for i in tqdm(range(0, count, args.every), unit="sample", desc=args.file.name):
            picture = folder / str(images[i])
            if not args.no_pictures and not picture.is_file():
                raise DatasetError(f"{picture}: not found; correct --images, or add --no-pictures")
            here = [n for n, k in zip(names, known[i]) if k]
            pixels, confidence = None, None
            if points is not None:
                pixels, confidence = points[i, :, :2], points[i, :, 2] if points.shape[2] == 3 else None
            elif intrinsics is not None:
                pixels = project(joints[i], intrinsics[i])
            visible = {} if seen is None else {n: bool(v) for n, v in zip(names, seen[i])}
            if pixels is not None and not args.no_pictures:
                clip = str(columns["clips"][i]) if columns["clips"] is not None else picture.parent
                if clip not in sizes:
                    sizes[clip] = picture_size(picture)
                visible.update(outside(here, pixels[known[i]], sizes[clip]))
            box = boxes[i] if boxes is not None else None if pixels is None else padded_box(pixels)
            manifest.add(
                image=manifest.relative(picture), frame=0 if columns["frames"] is None else int(columns["frames"][i]),
                clip=None if columns["clips"] is None else str(columns["clips"][i]),
                dataset=args.dataset or args.file.stem,
                person=None if columns["persons"] is None else str(columns["persons"][i]), box=box,
                intrinsics=None if intrinsics is None else intrinsics[i],
                joints_camera_m={n: joints[i, names.index(n)] for n in here}, visible=visible,
                joints_px=None if pixels is None else named_points(names, pixels, confidence),
                head_px=None if heads is None else heads[i],
            )
    return manifest.path, manifest.count
