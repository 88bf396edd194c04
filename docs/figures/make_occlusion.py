"""The pictures of docs/occlusion-flags.md: fitted joints coloured by their flag, beside the occlusion map.

  python docs/figures/make_occlusion.py cut samples/balance.jpg out/cut.jpg
  ./target/release/neuralsmpl fit samples/balance_occluded.jpg --out out \\
    --intrinsics 1672.366,1672.492,533.399,962.951,-0.047847,0.136786,0.000972,0.000291
  ./target/release/neuralsmpl fit out/cut.jpg --out out \\
    --intrinsics 1673.730,1673.797,534.495,963.226,-0.047847,0.136786,0.000972,0.000291
  python docs/figures/make_occlusion.py sheet samples/balance_occluded.jpg out docs/figures/flags-hidden.jpg
  python docs/figures/make_occlusion.py sheet out/cut.jpg out docs/figures/flags-cut.jpg

And the clip of the picture in docs/page.md, with a crate before the man's legs:

  python docs/figures/make_occlusion.py crate samples/balance.mjpeg out/crate.mjpeg
  web/test-page.sh out out/crate.mjpeg     (out/desktop.png and out/phone.png, 1280 and 520 pixels wide as JPEG)

Needs Pillow (training/requirements-plots.txt).
"""

import io
import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw

HEIGHT = 800
GAP = 12
KEEP = 0.47
"""Share of the picture that `cut` leaves, from the top: below it are the legs."""

CRATE = (0.36, 0.82, 0.64, 1.04)
"""Left, top, right, bottom, of the picture's width."""

COLOURS = {
    "visible": (30, 190, 70),
    "self-occluded": (245, 200, 30),
    "occluded": (230, 40, 40),
    "out-of-frame": (130, 130, 130),
}
# fmt: off
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
# fmt: on


def cut(photo: Path, out: Path) -> None:
    picture = Image.open(photo).convert("RGB")
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.crop((0, 0, picture.width, round(KEEP * picture.height))).save(out, quality=92)


def crate(clip: Path, out: Path) -> None:
    """A crate with planks in every picture of a clip, which is JPEGs one after the other."""
    start = b"\xff\xd8\xff"
    pictures = [start + rest for rest in clip.read_bytes().split(start)[1:]]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        for data in pictures:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            draw = ImageDraw.Draw(picture)
            left, top, right, bottom = (round(share * picture.width) for share in CRATE)
            draw.rectangle((left, top, right, bottom), fill=(176, 138, 96), outline=(96, 70, 44), width=3)
            for plank in range(1, 4):
                y = top + (bottom - top) * plank // 4
                draw.line((left, y, right, y), fill=(120, 90, 58), width=2)
            picture.save(file, format="JPEG", quality=90)


def drawn(photo: Path, persons: list) -> Image.Image:
    """The photo, grown where joints lie beyond its lower edge, with every joint in its colour."""
    picture = Image.open(photo).convert("RGB")
    lowest = max(joint["position_px"][1] for person in persons for joint in person["joints"])
    height = max(picture.height, min(round(lowest + 60), 2 * picture.height))
    sheet = Image.new("RGB", (picture.width, height), (245, 245, 245))
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for person in persons:
        joints = person["joints"]
        for joint, parent in zip(joints, PARENTS):
            if parent >= 0:
                ends = [tuple(joints[parent]["position_px"]), tuple(joint["position_px"])]
                draw.line(ends, fill="black", width=11)
                draw.line(ends, fill=COLOURS[joint["visibility"]], width=6)
        for joint in joints:
            x, y = joint["position_px"]
            box = (x - 13, y - 13, x + 13, y + 13)
            draw.ellipse(box, fill=COLOURS[joint["visibility"]], outline="black", width=3)
    return sheet


def sheet(photo: Path, folder: Path, out: Path) -> None:
    persons = json.loads((folder / f"{photo.stem}.pose.json").read_text())["persons"]
    left = drawn(photo, persons)
    right = Image.open(folder / f"{photo.stem}.occlusion.png").convert("RGB")
    grown = Image.new("RGB", (right.width, round(left.height * right.width / left.width)), (245, 245, 245))
    grown.paste(right, (0, 0))
    panels = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT)) for p in (left, grown)]
    whole = Image.new("RGB", (sum(p.width for p in panels) + GAP, HEIGHT), "white")
    whole.paste(panels[0], (0, 0))
    whole.paste(panels[1], (panels[0].width + GAP, 0))
    whole.save(out, quality=85)
    for person in persons:
        for joint in person["joints"]:
            if joint["visibility"] != "visible":
                print(f"person {person['id']}: {joint['name']} {joint['visibility']} {joint['confidence']:.2f}")


if __name__ == "__main__":
    {"cut": cut, "crate": crate, "sheet": sheet}[sys.argv[1]](*map(Path, sys.argv[2:]))
