"""Explanations: what they hold, whose memory it is, how they are saved, read back and drawn."""

import gc
import json
import pickle
import re

import numpy as np
import pytest

import exegesis as xg

X = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")
PLAYERS = "patch:14"


@pytest.fixture(scope="module")
def model():
    return xg.load()


@pytest.fixture(scope="module")
def several(model):
    return model.explain(X, ["gradient", "lrp", "shapley"], target=[1, 2, 3], players=PLAYERS)


@pytest.fixture(scope="module")
def text():
    return xg.load("builtin:reviews").explain("A dull story, saved by the cast", ["slalom", "attn-lrp"])


def test_values_are_the_memory_of_the_engine(model):
    e = model.explain(X, "gradient")
    values = e.values
    assert not values.flags.owndata and not values.flags.writeable
    assert e.values.__array_interface__["data"] == values.__array_interface__["data"], "no second copy"
    expected = values.copy()
    del e
    gc.collect()
    model.explain(X + 1, "gradient")
    assert np.array_equal(values, expected), "arrays outlive their explanation"


def test_a_class_per_row_is_explained_as_each_row_alone(model, several):
    assert several.target.tolist() == [1, 2, 3]
    for row, target in enumerate([1, 2, 3]):
        for name in several.methods:
            alone = model.explain(X[row : row + 1], name, target=target, players=PLAYERS if name == "shapley" else None)
            assert np.allclose(alone.values, several[name].values[row], atol=1e-6), (name, target)
        assert several[row].target == target
    names = [model.labels[index] for index in (1, 2, 3)]
    assert np.array_equal(model.explain(X, "gradient", target=names).values, several["gradient"].values)


@pytest.mark.parametrize("method", ["gradient", "integrated-gradients:steps=3", "kernel-shap", "dlbacktrace"])
@pytest.mark.parametrize(
    "target, error, told",
    [
        ([1, 2], xg.errors.InputError, "batch"),
        ([1, 2, 10], xg.errors.UsageError, "target 10 of row 2"),
        (np.array([0, -1, 0]), xg.errors.UsageError, "target -1 of row 1"),
        ([0.5, 1.0, 2.0], xg.errors.UsageError, "whole numbers"),
        (10, xg.errors.UsageError, "target 10"),
        (-1, xg.errors.UsageError, "negative"),
        (1.5, xg.errors.UsageError, "1.5"),
        ("no such class", xg.errors.UsageError, "no such class"),
        (["no such class"] * 3, xg.errors.UsageError, "no such class"),
    ],
)
def test_a_target_that_there_is_not(model, method, target, error, told):
    with pytest.raises(error, match=told):
        model.explain(X, method, target=target)


def test_an_index_into_the_output_is_that_cell(model):
    assert np.array_equal(model.explain(X, "gradient", target=(4,)).values, model.explain(X, "gradient", target=4).values)
    difference = model.explain(X, "gradient", target="4-2").values
    both = model.explain(X, "gradient", target=4).values - model.explain(X, "gradient", target=2).values
    assert np.allclose(difference, both, atol=1e-5)


def test_parts_rows_and_evidence(several):
    assert several.methods == ["gradient", "lrp", "shapley"] and len(several) == 3
    assert several["lrp"].methods == ["lrp"] and several["gradient"].ledger is None
    ledger = several["lrp"].ledger
    assert set(ledger["row"]) == {0, 1, 2} and np.abs(np.asarray(ledger["residual"])).max() < 1e-3
    base = several["shapley"].base_value
    sums = several["shapley"].values[:, :, ::14, ::14].sum(axis=(1, 2, 3)) * 14 * 14
    scores = np.array([row[int(t)] for row, t in zip(several.arrays["prediction/logits"], several.target)])
    assert np.allclose(base + sums, scores, atol=1e-3), "Shapley values share out the score less the base value"
    assert several["shapley"].evidence[0]["players"] == 4
    assert [row.target_text.split(",")[0] for row in several][0].startswith("class 1")
    with pytest.raises(KeyError, match="lime"):
        several["lime"]
    with pytest.raises(IndexError):
        several[3]
    assert several[-1].values.shape == (1, 28, 28)


def test_saved_explanations_are_read_back(several, tmp_path):
    several.save(tmp_path / "e.safetensors")
    several.save(tmp_path / "e.npz")
    bare = xg.load_explanation(tmp_path / "e.npz")
    assert np.array_equal(bare["lrp"].values, several["lrp"].values)
    with pytest.raises(xg.errors.UsageError, match="json"):
        bare.prediction
    several.save(tmp_path / "e.json")
    for name in ("e.safetensors", "e.npz"):
        again = xg.load_explanation(tmp_path / name)
        assert again.methods == several.methods and again.summary == several.summary
        assert set(again.arrays) == set(several.arrays)
        assert all(np.array_equal(again.arrays[key], array) for key, array in several.arrays.items())
        assert np.array_equal(np.asarray(again["lrp"].ledger["residual"]), np.asarray(several["lrp"].ledger["residual"]))
        with pytest.raises(xg.errors.UsageError, match="saved"):
            again.html()
    with pytest.raises(TypeError, match="load_explanation"):
        pickle.dumps(several)


@pytest.mark.parametrize("name, content", [("a.npz", b"no archive"), ("a.safetensors", b"\xff" * 20), ("a.safetensors", b"short")])
def test_a_file_that_is_no_explanation_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(xg.errors.InputError, match="a\\."):
        xg.load_explanation(tmp_path / name)


def test_a_file_of_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    with pytest.raises(xg.errors.InputError, match="no attributions"):
        xg.load_explanation(tmp_path / "b.npz")
    with pytest.raises(xg.errors.UsageError, match="npz"):
        xg.load_explanation(tmp_path / "b.txt")


def test_notebooks_get_pictures_that_can_not_meet(several, text):
    page = several._repr_html_() + text._repr_html_()
    assert page.count("<img") == 4 and "<script" not in page and "<style" not in page and not re.search(r"\bid=", page)
    assert "max-width:100%" in page


def test_a_notebook_shows_the_first_rows_of_many(model):
    page = model.explain(np.repeat(X, 4, axis=0), "gradient")._repr_html_()
    assert page.count("<img") == 3 and "of 12 rows" in page


def test_tables_name_every_cell(several, text):
    pytest.importorskip("pandas")
    frame = several.to_pandas()
    assert len(frame) == 3 * 3 * 784
    own = frame[(frame["method"] == "lrp") & (frame["row"] == 2)]
    assert np.array_equal(own["attribution"].to_numpy("float32"), several["lrp"].values[2].ravel())
    words = text.to_pandas()
    assert list(words["token"][:3]) == ["[CLS]", "A", "dull"] and "slalom_importance" in words


def test_arrow_tables_are_over_the_same_memory(several):
    pytest.importorskip("pyarrow")
    table = several["gradient"].to_arrow()
    assert table.num_rows == 3 and table.column("target").to_pylist() == [1, 2, 3]
    name = "gradient/attribution/image"
    column = table.column(name).chunk(0)
    assert column.values.buffers()[1].address == several["gradient"].values.__array_interface__["data"][0]
    assert json.loads(table.schema.field(name).metadata[b"shape"]) == [1, 28, 28]
    assert not any(key.startswith(("lrp/", "shapley/")) for key in table.column_names)


def test_drawings_show_what_they_should(several, text, model):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    figure = several.plot(row=1)
    titles = [ax.get_title() for ax in figure.axes]
    assert [title for title in titles if title] == ["input", "gradient", "lrp", "shapley"]
    drawn = text.plot()
    words = [item.get_text() for ax in drawn.axes for item in ax.texts]
    assert words.count("dull") == 3, "two coloured texts and a point of the plane"
    fig, ax = pyplot.subplots()
    assert several["lrp"].plot(ax=ax) is fig and ax.images
    with pytest.raises(xg.errors.UsageError, match="one place"):
        several.plot(ax=ax)
    with pytest.raises(xg.errors.UsageError, match="no row 3"):
        several.plot(row=3)
    pyplot.close("all")


def test_bars_are_the_columns_that_say_most():
    pytest.importorskip("matplotlib").use("Agg")
    import pathlib

    path = pathlib.Path(__file__).resolve().parents[2] / "testdata/compare/breast-cancer.onnx"
    e = xg.load(path).explain(np.linspace(-1, 1, 30, dtype="float32")[None], "input-x-gradient")
    ax = e.plot(top=5).axes[0]
    widths = [bar.get_width() for bar in ax.patches]
    expected = sorted(e.values[0], key=abs)[-5:]
    assert np.allclose(widths, expected)


def test_the_report_is_written_where_it_should(several, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = several.show(tmp_path / "report.html")
    assert "<html" in (tmp_path / "report.html").read_text() and opened == [f"file://{path}"]
