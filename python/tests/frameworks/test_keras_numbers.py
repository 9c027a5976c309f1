"""Keras models give the numbers of TensorFlow's tape."""

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

from keras_cases import NAMES, STEPS, network, tape_says  # noqa: E402
from compared import assert_balanced, assert_same, explained  # noqa: E402

import exegesis as xg  # noqa: E402


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    network_, inputs, target, baseline = network(request.param)
    return network_, xg.from_keras(network_), inputs, target, baseline


def test_gradient_and_integrated_gradients_are_those_of_the_tape(case):
    network_, model, inputs, target, baseline = case
    got = explained(model, inputs, target, baseline, STEPS)
    for method, wanted in tape_says(network_, inputs, target, baseline).items():
        assert_same(got[method], wanted, method)


def test_dlbacktrace_accounts_for_all_relevance(case):
    _, model, inputs, *_ = case
    assert_balanced(model, inputs)
