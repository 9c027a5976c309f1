"""`attribute`: captum's keywords on analytic answers; the numbers of captum itself are in `frameworks/`."""

import numpy as np
import pytest

import exegesis as xg

X = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")


@pytest.fixture(scope="module")
def model():
    return xg.load()


def test_what_comes_in_comes_out(model):
    found = model.attribute(X, target=1, n_steps=5)
    assert isinstance(found, np.ndarray) and found.dtype == np.float32 and found.flags.writeable
    assert isinstance(model.attribute((X,), target=1, n_steps=5), tuple)
    assert model.attribute(X.astype("float64"), target=1, n_steps=5).dtype == np.float64
    assert np.array_equal(found, model.explain(X, "integrated-gradients:steps=5", target=1).values)


def test_deltas_say_what_is_missing(model):
    found, delta = model.attribute(X, target=[1, 2, 3], return_convergence_delta=True)
    at = model.explain(X, "gradient").arrays["prediction/logits"]
    nothing = model.explain(np.zeros_like(X[:1]), "gradient").arrays["prediction/logits"]
    expected = found.sum(axis=(1, 2, 3)) - (at[np.arange(3), [1, 2, 3]] - nothing[0, [1, 2, 3]])
    assert np.allclose(delta, expected, atol=1e-3)


def test_rows_of_baselines_are_partners_of_the_rows(model):
    base = np.random.default_rng(1).random(X.shape, dtype="float32")
    found = model.attribute(X, baselines=base, target=[1, 2, 3], n_steps=6)
    for row, target in enumerate([1, 2, 3]):
        alone = model.attribute(X[row : row + 1], baselines=base[row : row + 1], target=target, n_steps=6)
        assert np.allclose(found[row], alone[0], atol=1e-6)
    with pytest.raises(xg.errors.UsageError, match="2 rows"):
        model.attribute(X, baselines=base[:2], target=1)


def test_windows_and_masks_are_players(model):
    found = model.attribute(X, target=1, method="occlusion", sliding_window_shapes=(1, 7, 7), strides=7)
    scores = model.explain(X[:1], "gradient", target=1).arrays["prediction/logits"][0, 1]
    hidden = X[:1].copy()
    hidden[:, :, :7, 7:14] = 0
    without = model.explain(hidden, "gradient", target=1).arrays["prediction/logits"][0, 1]
    assert np.allclose(found[0, 0, 3, 10], scores - without, atol=1e-4)
    mask = np.repeat(np.repeat(np.arange(0, 160, 10).reshape(1, 1, 4, 4), 7, 2), 7, 3)
    assert np.allclose(model.attribute(X, target=1, method="occlusion", feature_mask=mask), found, atol=1e-5)
    whole = np.zeros((1, 1, 28, 28), "int64")
    nothing = model.explain(np.zeros_like(X[:1]), "gradient").arrays["prediction/logits"][0, 1]
    alone = model.attribute(X[:1], target=1, method="shapley", feature_mask=whole)
    assert np.allclose(alone, scores - nothing, atol=1e-4), "each cell has the value of its group, as captum says it"


def test_noise_tunnels_are_smoothgrad(model):
    found = model.attribute(X[:1], target=1, method="gradient", nt_type="smoothgrad_sq", nt_samples=8)
    ours = model.explain(X[:1], "smoothgrad:samples=8,statistic=squared", target=1).values
    assert np.array_equal(found, ours)
    spread = float(X[0].max() - X[0].min())
    found = model.attribute(X[:1], target=1, method="smoothgrad", n_samples=8, stdevs=0.2 * spread)
    assert np.allclose(found, model.explain(X[:1], "smoothgrad:samples=8,noise=0.2", target=1).values, rtol=1e-3, atol=1e-5)
    assert (model.attribute(X, target=1, method="gradient", abs=True) >= 0).all()


@pytest.mark.parametrize(
    "options, told",
    [
        (dict(perturb_func=print), "perturb_func"),
        (dict(n_steps=3, method="gradient"), "n_steps"),
        (dict(n_samples=3), "n_samples"),
        (dict(stdevs=0.1, method="gradient"), "stdevs"),
        (dict(nt_type="other", method="gradient"), "nt_type"),
        (dict(sliding_window_shapes=(1, 3, 3)), "sliding_window_shapes"),
        (dict(return_convergence_delta=True, method="gradient"), "convergence"),
        (dict(abs=True), "abs"),
        (dict(feature_mask=np.arange(3 * 784).reshape(3, 1, 28, 28), method="occlusion"), "feature_mask"),
    ],
)
def test_a_keyword_without_a_counterpart_is_refused_by_name(model, options, told):
    with pytest.raises((xg.errors.UsageError, ValueError), match=told):
        model.attribute(X, target=1, **options)
