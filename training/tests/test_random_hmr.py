"""A random regressor of HMR's architecture follows the contract of docs/init.md."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")


def test_the_exported_network_has_the_contracts_tensors(tmp_path):
    from random_hmr import Hmr, export

    torch.manual_seed(3)
    network = Hmr(2, [1, 1, 1, 1], 16)
    export(network, tmp_path / "hmr.onnx")
    session = ort.InferenceSession(tmp_path / "hmr.onnx")
    (image,) = session.get_inputs()
    assert image.shape == [1, 3, 224, 224]
    assert {o.name: o.shape for o in session.get_outputs()} == {"pose": [1, 144], "betas": [1, 10], "camera": [1, 3]}
    x = np.random.default_rng(0).normal(size=image.shape).astype(np.float32)
    found = session.run(None, {image.name: x})
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(x))
    for a, b in zip(found, expected):
        assert np.abs(a - b.numpy()).max() < 1e-4
