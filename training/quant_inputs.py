"""Pictures and frames, and the inputs that networks make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from person_region import Detector, Region, letterbox
from quant_graph import Net, QuantizationError
from quant_ranges import Feed

TASKS = ("detector", "landmarks", "pictures", "tensors")
PICTURES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4",)
SEED = 1


@dataclass(frozen=True)
class Picture:
    """An RGB image and where it comes from."""

    pixels: np.ndarray
    source: str
    """Folder of a picture, or name of a video."""
    frame: int = 0


def read_pictures(paths: Sequence[Path], frames: int) -> list[Picture]:
    """Pictures of files and folders, and evenly spread frames of videos, in the order of their names."""
    found: list[Picture] = []
    for path in paths:
        files = sorted(p for p in path.iterdir()) if path.is_dir() else [path]
        before = len(found)
        for file in files:
            kind = file.suffix.lower()
            if kind in PICTURES:
                found.append(Picture(_read(file), file.parent.name))
            elif kind in VIDEOS:
                found.extend(Picture(pixels, file.stem, frame) for frame, pixels in _spread(file, frames))
        if len(found) == before:
            raise QuantizationError(f"{path}: holds no picture ({', '.join(PICTURES)}) and no video ({', '.join(VIDEOS)})")
    return found


def _read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise QuantizationError(f"{path}: cannot be read as a picture")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _spread(path: Path, count: int) -> list[tuple[int, np.ndarray]]:
    capture = cv2.VideoCapture(str(path))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    if total < 1:
        raise QuantizationError(f"{path}: cannot be read as a video")
    every = max(-(-total // count), 1)
    return [(i * every, pixels) for i, pixels in enumerate(_every_frame(path, every))][:count]


def _every_frame(video: Path, every: int) -> Iterator[np.ndarray]:
    """Every n-th frame of a video as RGB."""
    capture = cv2.VideoCapture(str(video))
    index = 0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        if index % every == 0:
            yield np.ascontiguousarray(frame[:, :, ::-1])
        index += 1
    capture.release()


def varied(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another exposure and white balance."""
    gain, gamma = rng.uniform(0.8, 1.2, 3), rng.uniform(0.7, 1.4)
    return np.clip((pixels / 255.0) ** gamma * gain * 255, 0, 255).astype(np.uint8)


def detector_feeds(pictures: Sequence[Picture], variations: int) -> Iterator[Feed]:
    """Letterboxed pictures, whole and then mirrored, cut and with other exposure."""
    rng = np.random.default_rng(SEED)
    for picture in pictures:
        yield {"image": letterbox(picture.pixels)[0]}
        for _ in range(variations):
            height, width = picture.pixels.shape[:2]
            part = rng.uniform(0.5, 1)
            h, w = int(height * part), int(width * part)
            y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
            cut = picture.pixels[y : y + h, x : x + w]
            yield {"image": letterbox(varied(cut[:, :: rng.choice((-1, 1))], rng))[0]}


def landmark_feeds(pictures: Sequence[Picture], detector: Detector, variations: int) -> Iterator[Feed]:
    """Crops of the people that the detector sees, plain and then mirrored, shifted, turned and with other exposure."""
    rng = np.random.default_rng(SEED)
    for picture in pictures:
        for person in detector.detect(picture.pixels):
            region = Region.around(person.hips, person.rim)
            yield {"image": region.cut(picture.pixels)[None]}
            for _ in range(variations):
                shift = rng.normal(0, 0.03, 2) * region.side
                other = Region(region.centre + shift, region.side * rng.uniform(0.85, 1.2), region.angle + rng.normal(0, 0.2))
                crop = other.cut(varied(picture.pixels, rng))[None]
                yield {"image": np.ascontiguousarray(crop[..., :: rng.choice((-1, 1))])}


def picture_feeds(net: Net, pictures: Sequence[Picture], low: float, variations: int) -> Iterator[Feed]:
    """Random cuts of the input's proportions, in low..1."""
    rng = np.random.default_rng(SEED)
    name = net.inputs[0].name
    height, width = net.shape(name)[2:]
    for picture in pictures:
        for i in range(1 + variations):
            h, w = picture.pixels.shape[:2]
            scale = min(h / height, w / width) * (rng.uniform(0.5, 1) if i else 1)
            h, w = h - int(height * scale), w - int(width * scale)
            y, x = int(rng.integers(0, h + 1)), int(rng.integers(0, w + 1))
            cut = picture.pixels[y : y + int(height * scale), x : x + int(width * scale)]
            pixels = cv2.resize(varied(cut, rng) if i else cut, (width, height), interpolation=cv2.INTER_AREA)
            yield {name: (low + (1 - low) * pixels.transpose(2, 0, 1)[None] / 255).astype(np.float32)}


def tensor_feeds(net: Net, path: Path) -> list[Feed]:
    """Inputs stored in a .npy (one input) or .npz (by input name) file, stacked along the first axis."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {net.inputs[0].name: loaded} if isinstance(loaded, np.ndarray) else {n: loaded[n] for n in loaded.files}
    except (OSError, ValueError) as error:
        raise QuantizationError(f"{path}: cannot be read as .npy or .npz: {error}") from error
    names = [i.name for i in net.inputs]
    for name in names:
        if name not in arrays:
            raise QuantizationError(f"{path}: has no array `{name}`; found {sorted(arrays)}")
        wanted = net.shape(name)[1:]
        if list(arrays[name].shape[1:]) != wanted:
            raise QuantizationError(f"{path}: `{name}` has shape {arrays[name].shape}, expected [N, {str(wanted)[1:]}")
    counts = {len(arrays[name]) for name in names}
    if len(counts) != 1 or 0 in counts:
        raise QuantizationError(f"{path}: arrays hold {sorted(counts)} inputs, expected one count above zero")
    return [{name: arrays[name][i : i + 1].astype(np.float32) for name in names} for i in range(counts.pop())]


def make_feeds(
    task: str, net: Net, paths: Sequence[Path], *, detector: Path, frames: int, variations: int, low: float
) -> list[Feed]:
    """All calibration inputs of a task."""
    if task == "tensors":
        return [feed for path in paths for feed in tensor_feeds(net, path)]
    pictures = read_pictures(paths, frames)
    expected = {"detector": [1, 3, 224, 224], "landmarks": [1, 3, 256, 256]}.get(task)
    if len(net.inputs) != 1 or len(net.shape(net.inputs[0].name)) != 4:
        names = [i.name for i in net.inputs]
        raise QuantizationError(f"task {task}: the model has inputs {names}, expected one picture; use --task tensors")
    name = net.inputs[0].name
    if expected and (name != "image" or net.shape(name) != expected):
        raise QuantizationError(f"task {task}: input `{name}` has shape {net.shape(name)}, expected `image` with {expected}")
    if task == "detector":
        return list(detector_feeds(pictures, variations))
    if task == "landmarks":
        feeds = list(landmark_feeds(pictures, Detector(detector), variations))
        if not feeds:
            raise QuantizationError(f"{detector} sees nobody in {[str(p) for p in paths]}; give pictures of people")
        return feeds
    return list(picture_feeds(net, pictures, low, variations))
