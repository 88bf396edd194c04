"""COCO keypoint JSON: people labelled in the picture alone.

What       images, annotations and the category's keypoint names; labelled points get +0.5, because COCO gives
           pixel indices and a manifest gives places, with pixel centres at +0.5. A point that is labelled but
           hidden (v = 1) is not visible. PCKh needs the size of a head: `bbox_head` of an annotation (PoseTrack),
           as 0.6 of its diagonal, which is MPII's rule. Plain COCO has none, and reports then show PCK@0.2 of the
           trunk, which needs shoulders and hips alone.
Inputs     a person_keypoints_*.json and the folder of its pictures.
Licences   COCO's annotations are CC-BY 4.0; the pictures are Flickr's, under their own licences.
Command    python evaluation/python/import_dataset.py coco person_keypoints_val2017.json --images val2017 --out OUT
"""

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from manifest_writer import DatasetError, ManifestWriter

MPII_HEAD = 0.6
"""Head size as a share of the diagonal of the head's box (Andriluka 2014)."""


def add_arguments(parser):
    parser.add_argument("file", type=Path, help="annotations, .json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--dataset", metavar="NAME", help="name of the data set (default: the file's)")
    parser.add_argument("--min-keypoints", type=int, default=6, metavar="N", help="fewest labelled points (default: %(default)s)")
    parser.add_argument("--no-pictures", action="store_true", help="do not look for the pictures")


def read(path):
    """Images by id, keypoint names by category, annotations."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON ({error}); name the annotations") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DatasetError(f"{path}: lacks the list `{key}`, expected COCO's keypoint annotations; name the right file")
    names = {c["id"]: [str(n) for n in c["keypoints"]] for c in content["categories"] if "keypoints" in c}
    if not names:
        raise DatasetError(f"{path}: no category has `keypoints`, expected person_keypoints_*.json; name the right file")
    return {i["id"]: i for i in content["images"]}, names, content["annotations"]


def labelled(where, names, values):
    """Points and flags of the labelled ones."""
    values = np.asarray(values, float)
    if values.size != 3 * len(names) or not np.isfinite(values).all():
        raise DatasetError(f"{where}: `keypoints` has {values.size} numbers, expected {3 * len(names)} finite ones (x, y, v "
                           "of each name); correct it")
    points, visible = {}, {}
    for name, (x, y, v) in zip(names, values.reshape(-1, 3)):
        if v > 0:
            points[name] = [x + 0.5, y + 0.5, 1.0]
            visible[name] = bool(v >= 2)
    return points, visible


def run(args):
    """Imports the file; returns the manifest's path and the number of samples."""
    images, names, annotations = read(args.file)
    few = crowds = 0
    with ManifestWriter(args.out) as manifest:
        for a in tqdm(annotations, unit="person", desc=args.file.name):
            where = f"{args.file}: annotation {a.get('id')}"
            if a.get("category_id") not in names or "keypoints" not in a:
                continue
            if a.get("iscrowd"):
                crowds += 1
                continue
            if a.get("image_id") not in images:
                raise DatasetError(f"{where}: names image {a.get('image_id')}, which `images` lacks; correct it")
            points, visible = labelled(where, names[a["category_id"]], a["keypoints"])
            if len(points) < args.min_keypoints:
                few += 1
                continue
            picture = args.images / images[a["image_id"]]["file_name"]
            if not args.no_pictures and not picture.is_file():
                raise DatasetError(f"{picture}: not found; correct --images, or add --no-pictures")
            box, head = a.get("bbox"), a.get("bbox_head")
            manifest.add(
                image=manifest.relative(picture), dataset=args.dataset or args.file.stem, person=str(a["id"]),
                box=box if box and min(box[2:]) > 0 else None, joints_px=points, visible=visible,
                head_px=MPII_HEAD * float(np.hypot(head[2], head[3])) if head and min(head[2:]) > 0 else None,
            )
    print(f"{few} people with fewer than {args.min_keypoints} labelled points and {crowds} crowds are left out")
    return manifest.path, manifest.count
