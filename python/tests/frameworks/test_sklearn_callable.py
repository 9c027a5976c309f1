"""Classifiers and pipelines of scikit-learn as functions.

What this would catch: probabilities that are read as logits, frames that reach a pipeline without their columns.

Needs ``scikit-learn`` and ``pandas``: run by hand.
"""

import numpy as np
import pytest

import exegesis as xg

pytest.importorskip("sklearn")
pandas = pytest.importorskip("pandas")
from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402


def test_shapley_values_of_a_forest_sum_to_its_probability():
    data = load_breast_cancer()
    x = data.data[:, :8]
    forest = RandomForestClassifier(n_estimators=20, random_state=0).fit(x, data.target)
    model = xg.from_callable(forest.predict_proba, x[:2], labels=list(data.target_names))
    e = model.explain(x[:4], method="shapley", target="benign", baseline=x[10:11])
    expected = forest.predict_proba(x[:4])[:, 1] - forest.predict_proba(x[10:11])[0, 1]
    np.testing.assert_allclose(e.values.sum(axis=1), expected, atol=1e-5)
    assert [p["label"] for p in e.prediction] == [data.target_names[c] for c in forest.predict(x[:4])]


def test_kernel_shap_of_a_linear_model_is_its_weights():
    data = load_diabetes(as_frame=True)
    regression = LinearRegression().fit(data.data, data.target)
    model = xg.from_callable(regression.predict, data.data, outputs="values")
    background = data.data.mean().to_numpy()[None]
    e = model.explain(data.data.head(3), method="kernel-shap", baseline=background)
    expected = (data.data.head(3).to_numpy() - background) * regression.coef_
    np.testing.assert_allclose(e.values, expected, atol=1e-3)


def test_a_pipeline_gets_its_columns_by_name():
    data = load_breast_cancer(as_frame=True)
    names = list(data.data.columns[:5])
    pipeline = make_pipeline(make_column_transformer((StandardScaler(), names)), LogisticRegression())
    pipeline.fit(data.data[names], data.target)
    model = xg.from_callable(pipeline.predict_proba, data.data[names])
    e = model.explain(data.data[names].head(2), method="lime")
    assert e.values.shape == (2, 5) and np.abs(e.values).max() > 0
    table = model.explain_table(data.data[names].head(5), method="kernel-shap")
    assert list(table.columns[:5]) == [f"attribution/{name}" for name in names]
