"""Choices of calls: names with suggestions, labels, sizes, players, methods side by side, catalogues, plans."""

import numpy as np
import pytest

import exegesis as xg

X = np.random.default_rng(0).random((2, 1, 28, 28), dtype="float32")


@pytest.fixture(scope="module")
def model():
    return xg.load()


@pytest.mark.parametrize(
    "options, told",
    [
        (dict(tresh=1), "no option 'tresh'"),
        (dict(thresold=0.5), "'threshold'"),
        (dict(by_row=True), "no option"),
        (dict(score="p"), "logit or probability"),
        (dict(on_missing_rule="no"), "error, pass or gradient"),
        (dict(threads=0), "threads=0"),
        (dict(threads="two"), "number of threads"),
        (dict(batch=-1), "negative"),
        (dict(memory="lots"), "4G"),
        (dict(task="clasification"), "clasification"),
        (dict(runtime="torch"), "torch"),
        (dict(baseline="zeros"), "baseline"),
        (dict(players="patch:7"), "players"),
        (dict(preprocess=3), "preprocess"),
        (dict(labels=["a"], target="b"), "no class"),
    ],
)
def test_a_choice_that_there_is_not(model, options, told):
    with pytest.raises(xg.errors.UsageError, match=told):
        model.explain(X, "gradient", **options)


@pytest.mark.parametrize("method", ["gradiant", "lrp:composite=none", "lrp:colour=red", "", [], 3])
def test_a_method_that_there_is_not(model, method):
    with pytest.raises((xg.errors.UsageError, TypeError)):
        model.explain(X, method)


def test_names_of_classes(model, tmp_path):
    names = [f"name {i}" for i in range(10)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    for labels in (names, tmp_path / "names.txt", str(tmp_path / "names.txt"), dict(enumerate(names)), np.array(names)):
        e = model.explain(X, "gradient", labels=labels, target="name 4")
        assert e.target.tolist() == [4, 4] and e.prediction[0]["label"].startswith("name ")
    with pytest.raises(xg.errors.InputError, match="labels"):
        model.explain(X, "gradient", labels=tmp_path / "none.txt")


def test_players_may_be_groups(model):
    groups = np.repeat(np.repeat(np.arange(16).reshape(1, 4, 4), 7, 1), 7, 2)
    ours = model.explain(X, "kernel-shap", players=groups, target=1)
    patches = model.explain(X, "kernel-shap", players="patch:7", target=1)
    assert ours["kernel-shap"].evidence[0]["players"] == 16
    assert np.allclose(ours.values, patches.values, atol=1e-5)
    kept = np.where(groups == 3, -1, np.where(groups > 3, groups - 1, groups))
    assert not model.explain(X, "occlusion", players=kept, target=1).values[0, 0, :7, 21:].any()


def test_baselines_in_every_form(model):
    def explain(baseline):
        return model.explain(X, "integrated-gradients:steps=8", baseline=baseline, target=1).values

    grey = explain(0.25)
    one = np.full((1, 1, 28, 28), 0.25, "float32")
    for form in ("0.25", np.float32(0.25), one, one[0], {"image": one}, (one,), np.repeat(one, 3, axis=0)):
        assert np.allclose(explain(form), grey, atol=1e-6), type(form)
    assert not np.allclose(explain("zeros"), grey, atol=1e-6)
    with pytest.raises(xg.errors.InputError, match="shape"):
        explain(np.zeros((1, 1, 14, 14), "float32"))


def test_several_methods_share_choices(model):
    e = model.explain(X, ["gradient", "gradient", "kernel-shap"], players="patch:14")
    assert e.methods == ["gradient", "gradient#2", "kernel-shap"]
    assert np.array_equal(e["gradient"].values, e["gradient#2"].values)


def test_nodes_and_sizes(model):
    e = model.explain(X, "lrp", nodes="all", memory="2G", batch=2, seed=3, threads=1, preprocess={"scale": 1})
    assert any(key.startswith("relevance/") for key in e.arrays) and e.summary["seed"] == 3
    assert model.plan(np.repeat(X, 3, axis=0), "lrp", batch=2)["batch"] == 2
    with pytest.raises(xg.errors.ResourcesError):
        model.explain(X, "lrp", memory="1K")


def test_plans_and_inspections(model):
    plan = model.plan(X, "lrp", target=[1, 2])
    assert plan["rows"] == 2 and plan["peak_bytes"] > 1e5 and "memory at the peak" in str(plan)
    all_methods = model.inspect()
    assert {"name": "image", "dtype": "float32", "shape": ["batch", 1, 28, 28], "optional": False} in all_methods["inputs"]
    assert any(entry["method"] == "lrp" and entry["covers"] for entry in all_methods["methods"])
    rules = model.inspect("dlbacktrace", every_node=True)
    assert rules["plan"]["rules"] and rules["plan"]["rules"][0]["node"] in str(rules)


def test_catalogues():
    methods = xg.methods()
    assert len(methods) > 20 and "lrp" in methods and "lrp" in str(methods)
    lime = xg.methods("lime")
    assert "Ribeiro" in lime["citation"] and "samples=" in str(lime) and "samples=" in lime._repr_html_()
    assert {own["name"] for own in lime["parameters"]} >= {"samples", "kernel_width"}
    metric = xg.metrics("insertion")
    assert metric["better"] == "higher" and metric["formula"] in " ".join(str(metric).split()) or metric["formula"]
    assert len(xg.metrics()) > 40
    with pytest.raises(xg.errors.UsageError, match="'lime'"):
        xg.methods("lmie")
    with pytest.raises(xg.errors.UsageError, match="insertion"):
        xg.metrics("insertoin")
