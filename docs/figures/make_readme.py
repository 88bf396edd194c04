"""Puts a photo, its overlay and its occlusion map side by side: the picture of README.md.

  ./target/release/neuralsmpl fit samples/balance_occluded.jpg --out out
  python docs/figures/make_readme.py samples/balance_occluded.jpg out docs/figures/readme.jpg

Needs Pillow (training/requirements-plots.txt).
"""

import sys
from pathlib import Path

from PIL import Image

HEIGHT = 900
GAP = 12


def main() -> None:
    photo, folder, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    names = [photo, folder / f"{photo.stem}.overlay.png", folder / f"{photo.stem}.occlusion.png"]
    pictures = [Image.open(name).convert("RGB") for name in names]
    pictures = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT), Image.Resampling.LANCZOS) for p in pictures]
    width = sum(p.width for p in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    sheet.save(out, quality=88)


if __name__ == "__main__":
    main()
