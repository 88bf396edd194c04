"""Cut the sample pictures and the sample clip from the demo videos of the pose2sim and sports2d wheels.

    pip download --no-deps pose2sim==0.10.49 sports2d==0.8.34
    python training/cut_samples.py --pose2sim pose2sim-*.whl --sports2d sports2d-*.whl

Both wheels are BSD-3-Clause and are only read as archives; samples/README.md
describes the pictures.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Sample:
    """One picture: the frame of a video inside a wheel."""

    name: str
    wheel: str
    video: str
    sha256: str
    frame: int


SAMPLES = (
    Sample(
        "balance.jpg", "pose2sim", "Pose2Sim/Demo_SinglePerson/videos/cam02.mp4",
        "94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442", 50,
    ),
    Sample(
        "balance_occluded.jpg", "pose2sim", "Pose2Sim/Demo_MultiPerson/videos/cam02.mp4",
        "8895092a7cf26359205a427b7ac2f4a935c2e0bd36d9b7a5140cb33faa468a6b", 50,
    ),
    Sample(
        "walk.jpg", "sports2d", "Sports2D/Demo/demo.mp4",
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039", 120,
    ),
)


@dataclass(frozen=True)
class Clip:
    """A clip: frames of a video inside a wheel, made smaller, as JPEGs one behind the other."""

    name: str
    wheel: str
    video: str
    sha256: str
    step: int
    size: tuple[int, int]
    quality: int


CLIPS = (
    Clip(
        "balance.mjpeg", "pose2sim", SAMPLES[0].video, SAMPLES[0].sha256,
        step=2, size=(540, 960), quality=80,
    ),
)
LICENCES = {
    "pose2sim": "pose2sim-0.10.49.dist-info/licenses/LICENSE",
    "sports2d": "sports2d-0.8.34.dist-info/licenses/LICENSE",
}


class SampleError(Exception):
    """A wheel does not hold what the samples are cut from."""


def read_member(wheel: Path, member: str) -> bytes:
    """One file of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SampleError(f"{wheel}: cannot read `{member}`: {error}") from error


def frame_of(video: bytes, number: int) -> np.ndarray:
    """Frame of a video, counted from 0."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(video)
        file.flush()
        capture = cv2.VideoCapture(file.name)
        for _ in range(number):
            capture.grab()
        ok, pixels = capture.read()
        capture.release()
    if not ok:
        raise SampleError(f"frame {number} cannot be decoded")
    return pixels


def checked_video(item: Sample | Clip, wheel: Path) -> bytes:
    """The video of a sample, as it was when the sample was chosen."""
    video = read_member(wheel, item.video)
    found = hashlib.sha256(video).hexdigest()
    if found != item.sha256:
        raise SampleError(f"{wheel}: `{item.video}` has sha256 {found}, expected {item.sha256}")
    return video


def frames_of(video: bytes) -> Iterator[np.ndarray]:
    """All frames of a video."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(video)
        file.flush()
        capture = cv2.VideoCapture(file.name)
        while (read := capture.read())[0]:
            yield read[1]
        capture.release()


def cut_clip(clip: Clip, wheel: Path, out: Path) -> int:
    """Write one clip; the number of its frames."""
    jpegs = []
    for number, frame in enumerate(frames_of(checked_video(clip, wheel))):
        if number % clip.step:
            continue
        small = cv2.resize(frame, clip.size, interpolation=cv2.INTER_AREA)
        ok, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, clip.quality])
        if not ok:
            raise SampleError(f"{clip.name}: frame {number} cannot be encoded")
        jpegs.append(encoded.tobytes())
    if not jpegs:
        raise SampleError(f"{clip.name}: `{clip.video}` has no frames that can be decoded")
    (out / clip.name).write_bytes(b"".join(jpegs))
    return len(jpegs)


def cut(sample: Sample, wheel: Path, out: Path) -> None:
    """Write one sample."""
    video = checked_video(sample, wheel)
    ok, encoded = cv2.imencode(".jpg", frame_of(video, sample.frame), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise SampleError(f"{sample.name}: cannot be encoded")
    (out / sample.name).write_bytes(encoded.tobytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pose2sim", type=Path, required=True, help="pose2sim 0.10.49 wheel")
    parser.add_argument("--sports2d", type=Path, required=True, help="sports2d 0.8.34 wheel")
    default = Path(__file__).resolve().parent.parent / "samples"
    parser.add_argument("--out", type=Path, default=default, help="output folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    wheels = {"pose2sim": options.pose2sim, "sports2d": options.sports2d}
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for sample in SAMPLES:
            cut(sample, wheels[sample.wheel], options.out)
            print(f"{options.out / sample.name}: frame {sample.frame} of {sample.video}")
        for clip in CLIPS:
            frames = cut_clip(clip, wheels[clip.wheel], options.out)
            print(f"{options.out / clip.name}: {frames} frames, every {clip.step} of {clip.video}")
        notices = [
            f"{name} (https://pypi.org/project/{name}/)\n\n{read_member(wheels[name], member).decode().strip()}\n"
            for name, member in LICENCES.items()
        ]
        (options.out / "LICENSE-BSD-3-Clause.txt").write_text(f"\n{'-' * 72}\n\n".join(notices))
    except (OSError, SampleError) as error:
        print(f"cut_samples: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
