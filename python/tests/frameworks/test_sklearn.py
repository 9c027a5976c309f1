"""Networks of scikit-learn, alone and behind scalers."""

import numpy as np
import pytest

pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, StandardScaler  # noqa: E402

import exegesis as xg  # noqa: E402
from exegesis.errors import InputError, UsageError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(0).normal(2, 3, size=(80, 5)).astype("float32")
TWO = np.where(X[:, 0] > 2, "high", "low")
THREE = np.digitize(X[:, 1], [1, 3])
SETTINGS = {"hidden_layer_sizes": (6, 4), "max_iter": 40, "random_state": 0}


def answers(model):
    return model.explain(X[:7], method="gradient").arrays[f"prediction/{next(iter(model.outputs))}"]


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_probabilities_of_three_classes(activation):
    fitted = make_pipeline(StandardScaler(), MLPClassifier(activation=activation, **SETTINGS)).fit(X, THREE)
    model = xg.from_sklearn(fitted)
    assert model.labels == ["0", "1", "2"] and list(model.outputs) == ["probabilities"]
    np.testing.assert_allclose(answers(model), fitted.predict_proba(X[:7]), atol=1e-5)
    row = model.explain(X[:7], method="gradient", target=1).prediction[0]
    assert abs(row["probability"] - fitted.predict_proba(X[:1]).max()) < 1e-5


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_two_classes_are_one_probability(activation):
    fitted = MLPClassifier(activation=activation, **SETTINGS).fit(X, TWO)
    model = xg.from_sklearn(fitted)
    np.testing.assert_allclose(answers(model), fitted.predict_proba(X[:7])[:, 1:], atol=1e-5)
    row = model.explain(X[:7], method="gradient").prediction[0]
    assert row["label"] == "low" and abs(row["probability"] - fitted.predict_proba(X[:1])[0, 1]) < 1e-5
    # What is explained is its log-odds.
    step = X[:1] + np.eye(5, dtype="float32") * 0.02
    odds = np.log(fitted.predict_proba(np.concatenate([X[:1], step]))).astype("float64") @ [-1, 1]
    gradient = model.explain(X[:1], method="gradient").values[0]
    np.testing.assert_allclose(gradient, (odds[1:] - odds[0]) / 0.02, atol=0.02 * np.abs(gradient).max())


def test_several_labels_at_once():
    labels = np.stack([X[:, 0] > 2, X[:, 2] > 1, X[:, 3] > 0], 1).astype(int)
    fitted = MLPClassifier(activation="logistic", **SETTINGS).fit(X, labels)
    np.testing.assert_allclose(answers(xg.from_sklearn(fitted)), fitted.predict_proba(X[:7]), atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_regression(outputs):
    fitted = make_pipeline(MinMaxScaler(), MLPRegressor(**SETTINGS)).fit(X, X[:, 1 : 1 + outputs].squeeze())
    model = xg.from_sklearn(fitted)
    assert model.labels == [] and model.outputs["prediction"][1] == ["batch", str(outputs)]
    e = model.explain(X[:7], method="dlbacktrace", task="regression" if outputs == 1 else None, target=0)
    np.testing.assert_allclose(e.arrays["prediction/prediction"], fitted.predict(X[:7]).reshape(7, -1), rtol=1e-4, atol=1e-5)
    assert all(abs(row["ledger"]["unaccounted"]) <= 1e-4 for row in e.summary["rows"])


@pytest.mark.parametrize(
    ("estimator", "options", "error", "words"),
    [
        (LogisticRegression(), {}, UsageError, "from_callable.*predict_proba"),
        (3, {}, UsageError, "not a int"),
        (MLPClassifier(), {}, InputError, "not fitted"),
        (MLPClassifier(**SETTINGS).fit(X, TWO), {"columns": ["a"]}, UsageError, "5 columns"),
    ],
)
def test_what_does_not_fit_is_said(estimator, options, error, words):
    with pytest.raises(error, match=words):
        xg.from_sklearn(estimator, **options)
