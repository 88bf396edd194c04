"""Rotations as unit quaternions, and the 48 bits in which they travel."""

import math
from typing import NamedTuple, Optional, Tuple

Vector = Tuple[float, float, float]
Matrix = Tuple[Vector, Vector, Vector]

_STEPS = 16383
_UNIT = 2 * _STEPS * _STEPS
_STEP = 1 / (math.sqrt(2) * _STEPS)


class Quaternion(NamedTuple):
    """The active rotation w + xi + yj + zk, of unit norm."""

    w: float
    x: float
    y: float
    z: float

    def matrix(self) -> Matrix:
        """The rotation matrix, rows first: a column vector turns as v' = R v."""
        w, x, y, z = self
        return (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )

    def axis_angle(self) -> Tuple[Vector, float]:
        """Unit axis, and angle in degrees, 0 to 180; the x axis where nothing turns."""
        w, x, y, z = self
        sine = math.sqrt(x * x + y * y + z * z)
        if sine == 0:
            return (1.0, 0.0, 0.0), 0.0
        scale = math.copysign(1 / sine, w)
        angle = 2 * math.degrees(math.atan2(sine, abs(w)))
        return (x * scale, y * scale, z * scale), angle

    def rotation_vector(self) -> Vector:
        """Axis times angle, degrees."""
        (x, y, z), angle = self.axis_angle()
        return x * angle, y * angle, z * angle

    def after(self, first: "Quaternion") -> "Quaternion":
        """The rotation ``first`` and then this one: the product of both."""
        w, x, y, z = self
        fw, fx, fy, fz = first
        return Quaternion(
            w * fw - x * fx - y * fy - z * fz,
            w * fx + x * fw + y * fz - z * fy,
            w * fy - x * fz + y * fw + z * fx,
            w * fz + x * fy - y * fx + z * fw,
        )


def quaternion_of(bits: int) -> Optional[Quaternion]:
    """Decodes 48 bits; ``None`` where they are no rotation. Bit 47 is ignored."""
    steps = [(bits >> shift & 0x7FFF) - 16384 for shift in (0, 15, 30)]
    rest = _UNIT - sum(step * step for step in steps)
    if rest < 0:
        return None
    parts = [step * _STEP for step in steps]
    parts.insert(bits >> 45 & 3, math.sqrt(rest / _UNIT))
    return Quaternion(*parts)
