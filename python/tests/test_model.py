"""The built-in models, explained from Python."""

import numpy as np
import pytest

import exegesis as xg


def test_the_gradient_of_the_built_in_model_has_the_shape_of_its_input():
    x = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")
    e = xg.load().explain(x, method="gradient", target=3)
    assert e.values.shape == x.shape and e.values.dtype == np.float32
    assert np.abs(e.values).max() > 0


def test_a_wrong_shape_is_an_input_error_that_names_the_input():
    with pytest.raises(xg.errors.InputError, match="image"):
        xg.load().explain(np.zeros((1, 2, 28, 28), "float32"))
