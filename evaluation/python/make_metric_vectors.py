"""Expected metrics for the tests of the crate, by other people's code.

What       poses with errors of several kinds, and their metrics: Procrustes alignment by scikit-image
           (SimilarityTransform, Umeyama 1991), checked here against scipy (Rotation.align_vectors and the scale in
           closed form); means by numpy; bootstrap intervals by scipy.stats.bootstrap.
Outputs    evaluation/tests/data/metrics.json
Licence    same as the project; the numbers are random.
Command    pip install numpy scipy scikit-image && python evaluation/python/make_metric_vectors.py
"""

import json
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.spatial.transform import Rotation
from skimage.transform import SimilarityTransform

OUT = Path(__file__).resolve().parents[1] / "tests/data/metrics.json"
AGREE = 1e-6
"""Millimetres between the two implementations."""


def aligned(found, truth):
    """`found` moved onto `truth` by scikit-image."""
    transform = SimilarityTransform(dimensionality=3)
    if hasattr(SimilarityTransform, "from_estimate"):
        transform = SimilarityTransform.from_estimate(found, truth)
    elif not transform.estimate(found, truth):
        raise RuntimeError("scikit-image found no similarity")
    return transform(found)


def aligned_by_scipy(found, truth):
    """The same from a rotation by scipy and the scale in closed form."""
    a, b = found - found.mean(0), truth - truth.mean(0)
    turn = Rotation.align_vectors(b, a)[0].as_matrix()
    turned = a @ turn.T
    return (turned * b).sum() / (a * a).sum() * turned + truth.mean(0)


def millimetres(a, b):
    return 1e3 * float(np.linalg.norm(a - b, axis=-1).mean())


def case(rng, name, joints, noise, turn=0.0, scale=1.0, mirrored=False):
    """One pose: f32 points in metres, and what is expected of them."""
    truth = rng.normal(0, 0.4, (joints, 3)) + [0.1, -0.2, 3.0]
    found = truth + rng.normal(0, noise, truth.shape)
    if mirrored:
        found = found * [-1, 1, 1]
    axis = rng.normal(size=3)
    found = scale * Rotation.from_rotvec(turn * axis / np.linalg.norm(axis)).apply(found) + rng.normal(0, 0.2, 3)
    truth, found = (x.astype(np.float32).astype(float) for x in (truth, found))
    moved = aligned(found, truth)
    other = millimetres(aligned_by_scipy(found, truth), truth)
    if abs(other - millimetres(moved, truth)) > AGREE:
        raise RuntimeError(f"{name}: scikit-image {millimetres(moved, truth)} mm, scipy {other} mm")
    visible = rng.random(joints) < 0.7
    visible[:4] = True
    kept = aligned(found[visible], truth[visible])
    pixels = [np.float32(900 * p[:, :2] / p[:, 2:]).astype(float) for p in (found, truth)]
    limit = np.float32(60.0)
    return {
        "name": name, "found": found.tolist(), "truth": truth.tolist(), "visible": visible.tolist(),
        "mpjpe": millimetres(found - found[0], truth - truth[0]),
        "mpjpe_visible": millimetres((found - found[0])[visible], (truth - truth[0])[visible]),
        "pa_mpjpe": millimetres(moved, truth), "pa_mpjpe_visible": millimetres(kept, truth[visible]),
        "found_px": pixels[0].tolist(), "truth_px": pixels[1].tolist(), "head_px": float(limit),
        "pckh": 100 * float((np.linalg.norm(pixels[0] - pixels[1], axis=1) <= 0.5 * limit).mean()),
    }


def motion(rng, frames=12, joints=5, step=2, gap=6):
    """A clip with a gap: joints, and the mean error of the acceleration at each frame that has both neighbours."""
    numbers = [i * step + (step * 2 if i >= gap else 0) for i in range(frames)]
    truth = np.cumsum(rng.normal(0, 0.02, (frames, joints, 3)), 0).astype(np.float32).astype(float)
    found = (truth + rng.normal(0, 0.01, truth.shape)).astype(np.float32).astype(float)
    second = np.diff(found, 2, axis=0) - np.diff(truth, 2, axis=0)
    errors = {numbers[i + 1]: 1e3 * float(np.linalg.norm(second[i], axis=1).mean())
              for i in range(frames - 2) if numbers[i + 2] - numbers[i] == 2 * step}
    return {"frames": numbers, "found": found.tolist(), "truth": truth.tolist(),
            "at": list(errors), "errors": list(errors.values())}


def intervals(rng):
    """Means with intervals by scipy, singly and in pairs."""
    before = rng.gamma(4, 20, 60)
    after = before * rng.normal(0.85, 0.1, 60)
    options = {"n_resamples": 20_000, "method": "percentile", "rng": np.random.default_rng(0)}
    mean = stats.bootstrap((before,), np.mean, **options).confidence_interval
    gain = stats.bootstrap((before, after), lambda b, a, axis=-1: 100 * (1 - a.mean(axis) / b.mean(axis)),
                           paired=True, vectorized=True, **options).confidence_interval
    return {"before": before.tolist(), "after": after.tolist(), "mean": [float(before.mean()), mean.low, mean.high],
            "gain": [100 * (1 - float(after.mean() / before.mean())), gain.low, gain.high]}


def main():
    rng = np.random.default_rng(20260101)
    cases = [
        case(rng, "near", 24, 0.03),
        case(rng, "turned, scaled and far", 14, 0.05, turn=2.5, scale=1.7),
        case(rng, "upside down", 24, 0.02, turn=np.pi, scale=0.6),
        case(rng, "mirrored", 17, 0.01, mirrored=True),
        case(rng, "unlike", 12, 0.8, turn=1.0),
        case(rng, "few joints", 5, 0.1, turn=0.3),
    ]
    content = {"about": "by evaluation/python/make_metric_vectors.py", "cases": cases, "motion": motion(rng),
               "intervals": intervals(rng)}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(content) + "\n")
    print(f"{OUT}: {len(cases)} poses, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
