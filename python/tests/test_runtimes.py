"""Which runtime runs, and that both give the same numbers."""

import pathlib

import numpy as np
import pytest

import exegesis as xg


def picture(rows=2):
    return np.random.default_rng(1).random((rows, 1, 28, 28), dtype="float32")


def test_the_embedded_runtime_is_always_there():
    found = xg.runtimes()
    assert set(found) == {"rten", "onnxruntime"}
    assert found["rten"]["devices"] == ["cpu"] and found["rten"]["fault"] is None


def test_the_package_of_this_interpreter_is_found():
    package = pytest.importorskip("onnxruntime")
    found = xg.runtimes()["onnxruntime"]
    assert found["version"] == package.__version__
    assert str(found["path"]).startswith(str(pathlib.Path(package.__file__).resolve().parent))


@pytest.mark.parametrize("method", ["gradient", "dlbacktrace", "integrated-gradients:steps=8", "kernel-shap:samples=64"])
def test_both_runtimes_give_the_same_numbers(method):
    pytest.importorskip("onnxruntime")
    model = xg.load()
    players = "patch:7" if method.startswith("kernel") else None
    here, there = (
        model.explain(picture(), method=method, target=3, players=players, runtime=name) for name in ("rten", "onnxruntime")
    )
    assert here.summary["runtime"].startswith("rten") and there.summary["runtime"].startswith("onnxruntime 1.")
    assert np.abs(here.values - there.values).max() <= 1e-4 * np.abs(here.values).max()


def test_a_runtime_that_is_not_there_is_said():
    model = xg.load()
    with pytest.raises(xg.errors.UsageError, match="there is no runtime"):
        model.explain(picture(), method="gradient", runtime="tensorrt")
    with pytest.raises(xg.errors.UsageError, match="nowhere"):
        model.explain(picture(), method="gradient", runtime="onnxruntime", onnxruntime="/nowhere")
    with pytest.raises(xg.errors.UsageError, match="CPU only"):
        model.explain(picture(), method="gradient", runtime="rten", device="cuda")
