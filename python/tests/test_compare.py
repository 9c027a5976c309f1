"""Comparisons in memory.

What this would catch: other numbers than the command's on the same data, classes that are matched with the wrong samples, maps of
other tools taken for those of another input, tables whose rows do not belong together.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import exegesis as xg

DATA = Path(__file__).parents[2] / "testdata" / "compare"
METHODS = ["input-x-gradient", "shapley", "random"]
METRICS = ["insertion", "deletion", "gini"]


def rows(name, count):
    lines = (DATA / f"{name}.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1 : count + 1]]
    return np.array([[float(c) for c in row[:-1]] for row in cells], dtype="float32"), [row[-1] for row in cells]


def test_arrays_and_the_file_that_they_came_from_give_the_same_values():
    model = xg.load(DATA / "titanic.onnx")
    x, labels = rows("titanic", 12)
    held = xg.compare(model, x, METHODS, METRICS, labels=labels, controls="none")
    read = xg.compare(model, DATA / "titanic.csv", METHODS, METRICS, labels="class", limit=12, controls="none")
    assert held.methods == ["input-x-gradient", "shapley", "random"] and held.metrics == METRICS
    assert held.values.shape == (3, 3, 12) and np.isfinite(held.values).all()
    np.testing.assert_array_equal(held.values, read.values)
    record = held.json["comparison"]
    assert record["data"]["has_labels"] and [s["truth"] for s in record["samples"]] == [s["truth"] for s in read.json["comparison"]["samples"]]


def cancer():
    model = xg.load(DATA / "breast-cancer.onnx")
    return xg.compare(model, DATA / "breast-cancer.csv", ["gradient", "lime"], labels="class", limit=6)


def test_the_command_gave_the_same_means():
    recorded = json.loads((Path(__file__).parent / "recorded" / "compare_breast_cancer.json").read_text())
    table = cancer().columns()
    for method, metric, mean in zip(table["method"], table["metric"], table["mean"]):
        expected = recorded[method][metric]
        assert (expected is None) == np.isnan(mean), (method, metric)
        assert expected is None or abs(mean - expected) <= 1e-4 * max(1, abs(expected)), (method, metric, mean, expected)


@pytest.mark.skipif(not os.environ.get("EXEGESIS_COMMAND"), reason="EXEGESIS_COMMAND names no built command")
def test_the_command_gives_the_same_values(tmp_path):
    saved, held = tmp_path / "c.json", cancer()
    command = [os.environ["EXEGESIS_COMMAND"], "compare", DATA / "breast-cancer.onnx", DATA / "breast-cancer.csv"]
    command += ["--methods", "gradient,lime", "--label-column", "class", "--limit", "6", "-o", tmp_path / "c.html", "--save", saved, "-q"]
    subprocess.run(command, check=True)
    other = json.loads(saved.read_text())
    assert other["summary"] == held.json["summary"]
    assert other["comparison"]["values"] == held.json["comparison"]["values"]


def test_the_tables_say_what_the_values_say():
    model = xg.load(DATA / "titanic.onnx")
    x, labels = rows("titanic", 10)
    c = xg.compare(model, x, METHODS, METRICS, labels=labels)
    table = c.columns()
    assert len(table["mean"]) == len(c.methods) * len(METRICS)
    np.testing.assert_allclose(np.reshape(table["mean"], c.values.shape[:2]), np.nanmean(c.values, axis=2), rtol=1e-12)
    assert all(low <= mean <= high for low, mean, high in zip(table["low"], table["mean"], table["high"]))
    samples = c.columns("sample")
    np.testing.assert_array_equal(np.reshape(samples["value"], c.values.shape), c.values)
    ranked = [rank for rank, control in zip(table["rank"], table["is_control"]) if not control]
    assert sorted(set(ranked)) == [1.0, 2.0]
    assert c.verdict and "<table" in c._repr_html_() and "<svg" in c._repr_html_()
    with pytest.raises(xg.errors.UsageError, match="metric or sample"):
        c.columns("rows")


def test_maps_of_other_tools_are_judged_as_the_same_maps_are():
    model = xg.load(DATA / "titanic.onnx")
    x, labels = rows("titanic", 10)
    e = model.explain(x, method="input-x-gradient")
    c = xg.compare(model, x, ["input-x-gradient"], METRICS, labels=labels, controls="none")
    judged = xg.evaluate(model, x, {"other": e.values, "wrong sign": -e.values}, METRICS, labels=labels, controls="none")
    at = judged.methods.index("other")
    np.testing.assert_allclose(judged.values[at], c.values[0], atol=1e-9)
    # Deletion and gini: the order is turned round, the concentration is the same.
    turned = judged.values[judged.methods.index("wrong sign")]
    np.testing.assert_allclose(turned[2], c.values[0, 2], atol=1e-9)
    assert np.abs(turned[1] - c.values[0, 1]).max() > 0.01
    whole = model.evaluate(x, e, METRICS, controls="none")
    np.testing.assert_allclose(whole.values[whole.methods.index("input-x-gradient")], c.values[0], atol=1e-9)


def test_known_evidence_is_found():
    weights = np.array([4.0, 0, 0, 0])
    model = xg.from_callable(lambda x: x @ weights, np.ones((1, 4)), outputs="values")
    x = np.random.default_rng(0).normal(1, 0.1, (6, 4))
    masks = np.broadcast_to(weights != 0, x.shape)
    c = xg.compare(model, x, ["shapley"], ["pointing-game", "relevance-mass"], masks=masks, controls="random")
    np.testing.assert_allclose(c.values[0], 1, atol=1e-6)
    assert c.values[1].mean() < 0.9


def test_functions_can_be_compared_and_their_exceptions_come_through():
    def predict(x):
        if broken:
            raise ConnectionError("gone")
        return 1 / (1 + np.exp(-x @ np.array([2.0, -1.0, 0.0])))

    broken = []
    model = xg.from_callable(predict, np.ones((1, 3)))
    x = np.random.default_rng(1).normal(size=(8, 3))
    c = xg.compare(model, x, ["shapley", "occlusion", "random"], ["deletion", "faithfulness-correlation"], controls="none")
    assert np.nanmean(c.values[0, 1]) > np.nanmean(c.values[2, 1])
    broken.append(True)
    with pytest.raises(ConnectionError, match="gone"):
        xg.compare(model, x, ["shapley"])
    with pytest.raises(xg.errors.UsageError, match="gradient"):
        xg.compare(model, x, ["gradient"])


def test_texts_of_a_function_can_be_compared():
    model = xg.from_callable(lambda texts: [t.count("good") - t.count("bad") for t in texts], "a film", outputs="values")
    texts = ["a good film", "so bad it is good and good", "what a bad one"]
    c = xg.compare(model, texts, ["occlusion", "random"], ["deletion"], controls="none")
    assert c.values.shape == (2, 1, 3)


def test_results_are_saved(tmp_path):
    model = xg.load(DATA / "titanic.onnx")
    x, _ = rows("titanic", 4)
    c = xg.compare(model, x, ["gradient", "random"], ["gini"], controls="none")
    assert json.loads(Path(c.save(tmp_path / "c.json")).read_text())["summary"] == c.json["summary"]
    assert Path(c.save(tmp_path / "c.html")).read_text().startswith("<!doctype html>")
    assert Path(c.save(tmp_path / "c.parquet")).read_bytes()[:4] == b"PAR1"
    with pytest.raises(xg.errors.UsageError, match="html"):
        c.save(tmp_path / "c.csv")
    shutil.rmtree(tmp_path)


def test_wrong_choices_are_refused():
    model = xg.load(DATA / "titanic.onnx")
    x, labels = rows("titanic", 4)
    cases = [
        (dict(methods=["nothing"]), "nothing"),
        (dict(methods=[]), "no method"),
        (dict(methods=["gradient"], metrics=["nothing"]), "nothing"),
        (dict(methods=["gradient"], controls=["nothing"]), "leave-one-out"),
        (dict(methods=["gradient"], operator="nothing"), "median"),
        (dict(methods=["gradient"], limit=0), "limit=0"),
        (dict(methods=["gradient"], labels="class"), "column"),
        (dict(methods=["gradient"], colour="red"), "colour"),
    ]
    for choices, message in cases:
        with pytest.raises(xg.errors.UsageError, match=message):
            xg.compare(model, x, **choices)
    for choices, message in [(dict(labels=labels[:3]), "3 labels"), (dict(labels=["ship"] * 4), '"ship"'), (dict(masks=x[:2]), "mask")]:
        with pytest.raises(xg.errors.InputError, match=message):
            xg.compare(model, x, ["gradient"], **choices)
    with pytest.raises(xg.errors.InputError, match="have 3 row"):
        xg.evaluate(model, x, {"mine": x[:3]})


def test_frames_hold_their_classes():
    pandas = pytest.importorskip("pandas")
    model = xg.load(DATA / "titanic.onnx")
    frame = pandas.read_csv(DATA / "titanic.csv").head(6)
    c = xg.compare(model, frame, ["gradient", "random"], ["gini"], labels="class", controls="none")
    table = c.to_pandas()
    assert list(table["method"]) == ["gradient", "random"] and table["mean"].notna().all()
    assert c.json["comparison"]["data"]["has_labels"]


def test_a_comparison_can_be_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    model = xg.load(DATA / "titanic.onnx")
    x, _ = rows("titanic", 4)
    ax = xg.compare(model, x, ["gradient", "input-x-gradient"], ["gini", "deletion"]).plot()
    assert [t.get_text() for t in ax.get_yticklabels()][-1].endswith("(control)")
