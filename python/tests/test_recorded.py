"""The numbers of captum and of TensorFlow, recorded: `testdata/python/README.md`."""

from pathlib import Path

import numpy as np
import pytest
from compared import assert_balanced, assert_same, explained

import exegesis as xg

FOLDER = Path(__file__).parents[2] / "testdata" / "python"
NAMES = ("residual_cnn", "bert", "lstm", "keras_cnn", "keras_lstm", "keras_unet")


@pytest.fixture(params=NAMES)
def case(request):
    with np.load(FOLDER / request.param / "case.npz") as arrays:
        arrays = dict(arrays)
    inputs = {key[len("input/") :]: value for key, value in arrays.items() if key.startswith("input/")}
    return xg.load(FOLDER / request.param / "model.onnx"), inputs, arrays


def test_gradient_and_integrated_gradients_are_as_recorded(case):
    model, inputs, wanted = case
    got = explained(model, inputs, wanted["target"], wanted["baseline"], int(wanted["steps"]))
    for method, values in got.items():
        assert_same(values, wanted[method], method)


def test_dlbacktrace_accounts_for_all_relevance(case):
    model, inputs, _ = case
    assert_balanced(model, inputs)


def test_the_folder_has_no_other_networks():
    assert sorted(path.parent.name for path in FOLDER.glob("*/case.npz")) == sorted(NAMES)
