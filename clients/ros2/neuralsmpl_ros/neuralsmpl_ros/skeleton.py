"""Where the joints of a body at rest are: the pack's numbers, without numpy."""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, cast

Vector = Tuple[float, float, float]

BETAS = 10
JOINTS = 24


@dataclass(frozen=True)
class Skeleton:
    """Joints of the mean body, and how they move with each shape coefficient.

    Metres, body frame: x to the person's left, y up, z forward.
    """

    template: Tuple[Vector, ...]
    shapedirs: Tuple[Tuple[Tuple[float, ...], ...], ...]
    """By joint, axis and coefficient."""
    model_id: Optional[int]
    """Of the pack, as in packets."""

    def rest(self, betas: Sequence[float]) -> List[Vector]:
        """The joints of a shape."""

        def axis(joint: int, k: int) -> float:
            moved = sum(d * b for d, b in zip(self.shapedirs[joint][k], betas))
            return self.template[joint][k] + moved

        return [(axis(j, 0), axis(j, 1), axis(j, 2)) for j in range(len(self.template))]

    @staticmethod
    def read(pack: Path) -> "Skeleton":
        """From a pack's folder, such as ``/usr/share/neuralsmpl/person``."""
        data = (pack / "body.safetensors").read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])

        def numbers(name: str, shape: List[int]) -> List[float]:
            entry = header[name]
            if entry["dtype"] != "F32" or entry["shape"] != shape:
                found = f"{entry['dtype']} {entry['shape']}"
                raise ValueError(f"{pack}/body.safetensors: `{name}` is {found}, expected F32 {shape}")
            start, end = entry["data_offsets"]
            raw = data[8 + length + start : 8 + length + end]
            return list(struct.unpack(f"<{len(raw) // 4}f", raw))

        flat = numbers("j_template", [JOINTS, 3])
        dirs = numbers("j_shapedirs", [JOINTS, 3, BETAS])
        digest = hashlib.sha256((pack / "pack.toml").read_bytes()).digest()
        return Skeleton(
            template=tuple(cast(Vector, tuple(flat[3 * j : 3 * j + 3])) for j in range(JOINTS)),
            shapedirs=tuple(
                tuple(tuple(dirs[(3 * j + k) * BETAS :][:BETAS]) for k in range(3))
                for j in range(JOINTS)
            ),
            model_id=int.from_bytes(digest[:4], "little"),
        )

    @staticmethod
    def mean() -> "Skeleton":
        """The shipped pack's mean adult, for whoever has no pack beside the node."""
        text = Path(__file__).with_name("mean_skeleton.json").read_text()
        joints = json.loads(text)["joints_m"]
        none = ((0.0,) * BETAS,) * 3
        return Skeleton(tuple(cast(Vector, tuple(j)) for j in joints), (none,) * JOINTS, None)
