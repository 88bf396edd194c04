"""Real clips with truth of several cameras: videos/*.mp4 and pose2sim_gt.npz.

What       training/extract_real_frames.py cuts the frames; its manifests, one a clip, become one, with the clip's
           name in every line. Clips without truth are left out.
Inputs     DIR as extract_real_frames.py reads it.
Licences   those of the clips.
Command    python evaluation/python/import_dataset.py real DIR --out OUT
"""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from manifest_writer import DatasetError, ManifestWriter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from extract_real_frames import FRAMES_NAME, extract  # noqa: E402
from real_truth import Truth  # noqa: E402


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="folder with videos/ and pose2sim_gt.npz")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="frame step (default: %(default)s)")


def run(args):
    """Imports all clips; returns the manifest's path and the number of samples."""
    clips = sorted((args.folder / "videos").glob("*.mp4"))
    if not clips:
        raise DatasetError(f"{args.folder / 'videos'}: holds no .mp4, expected clips; name the folder that holds videos/")
    try:
        truth = Truth.load(args.folder)
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{args.folder / 'pose2sim_gt.npz'}: cannot be read ({error}); check the folder") from None
    with ManifestWriter(args.out) as manifest:
        for clip in tqdm(clips, unit="clip", desc="real"):
            if not any(clip.stem.startswith(f"p2s_{kind}_cam") for kind in truth.points):
                continue
            folder = manifest.folder / clip.stem
            extract(clip, truth, args.every, folder)
            for line in (folder / FRAMES_NAME).read_text().splitlines():
                fields = json.loads(line)
                fields["image"] = f"{clip.stem}/{fields['image']}"
                if "joints_camera_m" in fields:
                    manifest.add(**fields, clip=clip.stem, dataset="real", person="0")
    return manifest.path, manifest.count
