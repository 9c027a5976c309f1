"""Modules of PyTorch give captum's numbers."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("captum")
pytest.importorskip("transformers")

from compared import assert_balanced, assert_same, explained  # noqa: E402
from torch_cases import NAMES, STEPS, captum_says, exported, network  # noqa: E402


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    module, inputs, target, baseline = network(request.param)
    assert module.training
    model = exported(request.param, module, inputs)
    assert module.training, "the mode of the caller's module"
    return module, model, inputs, target, baseline


def test_gradient_and_integrated_gradients_are_those_of_captum(case):
    module, model, inputs, target, baseline = case
    got = explained(model, inputs, target.numpy(), baseline.numpy(), STEPS)
    for method, wanted in captum_says(module, inputs, target, baseline).items():
        assert_same(got[method], wanted, method)


def test_the_model_says_what_the_module_says(case):
    module, model, inputs, *_ = case
    answer = module.eval()(**inputs)
    answer = getattr(answer, "logits", answer).detach().numpy()
    got = model.explain(dict(inputs), method="gradient").arrays
    assert np.abs(got[f"prediction/{next(iter(model.outputs))}"] - answer).max() <= 1e-4 * np.abs(answer).max()


def test_dlbacktrace_accounts_for_all_relevance(case):
    _, model, inputs, *_ = case
    assert_balanced(model, inputs)
