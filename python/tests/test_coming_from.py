"""The calls of docs/how-to/coming-from.md do what the page says: each one of the right-hand column is evaluated."""

import pathlib
import re

import numpy as np
import pytest

import exegesis as xg

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/coming-from.md"
CALL = re.compile(r"^\| .* \| `([^`]+)` \| [^|]*\|$")


def calls():
    found = [match.group(1) for line in PAGE.read_text().splitlines() if (match := CALL.match(line))]
    assert len(found) > 30
    return found


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    pictures = xg.load()
    table = xg.load(str(ROOT / "testdata/compare/breast-cancer.onnx"))
    data = np.loadtxt(ROOT / "testdata/compare/breast-cancer.csv", delimiter=",", skiprows=1, usecols=range(30), dtype="float32")
    random = np.random.default_rng(0)
    return {
        "xg": xg,
        "model": pictures,
        "pictures": pictures,
        "reviews": xg.load("builtin:reviews"),
        "table": table,
        "x": random.random((1, 1, 28, 28), dtype="float32"),
        "xb": random.random((2, 1, 28, 28), dtype="float32"),
        "groups": np.repeat(np.repeat(np.arange(16).reshape(1, 4, 4), 7, 1), 7, 2),
        "rows": data[:2],
        "background": data[2:10],
        "predict": lambda rows: 1 / (1 + np.exp(np.outer(rows[:, 0] - rows[:, 1], [1, -1]))),
        "folder": str(tmp_path_factory.mktemp("saved")),
    }


@pytest.mark.parametrize("call", calls())
def test_a_call_of_the_page_runs(call, names):
    if ".plot()" in call:
        pytest.importorskip("matplotlib").use("Agg")
    if "to_pandas" in call:
        pytest.importorskip("pandas")
    result = eval(call, dict(names))
    if isinstance(result, xg.Explanation):
        arrays = result.values if isinstance(result.values, dict) else {"": result.values}
        assert all(np.isfinite(array).all() and np.abs(array).max() > 0 for array in arrays.values())
    else:
        assert result is not None
