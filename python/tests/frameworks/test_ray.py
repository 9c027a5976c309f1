"""Explanations on a local Ray with two actors.

What this would catch: rows that get lost, come twice or change places between actors, random numbers that depend on the actor, actors
that take more cores than Ray gave them.

Needs ``ray[data]`` and ``pyarrow``: run by hand with ``pytest python/tests/frameworks/test_ray.py``.
"""

from pathlib import Path

import numpy as np
import pytest

import exegesis as xg

pa = pytest.importorskip("pyarrow")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
import exegesis.ray  # noqa: E402
from exegesis import arrow  # noqa: E402

MODEL = str(Path(__file__).parents[3] / "testdata" / "compare" / "titanic.onnx")
ROWS = 600


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    yield
    ray.shutdown()


def rows():
    lines = Path(MODEL).with_suffix(".csv").read_text().splitlines()
    names = lines[0].split(",")[:-1]
    x = np.array([[float(c) for c in line.split(",")[:-1]] for line in lines[1:]], dtype="float32")
    x = np.concatenate([x, x + 0.5])[:ROWS]
    return names, pa.table({"id": np.arange(ROWS), **{name: x[:, i] for i, name in enumerate(names)}})


@pytest.mark.parametrize("method", ["integrated-gradients", "smoothgrad:samples=20", "kernel-shap:samples=60"])
@pytest.mark.parametrize("key", [arrow.BY_CONTENT, "id"])
def test_two_actors_give_what_one_process_gives(cluster, method, key):
    names, table = rows()
    choices = dict(columns=names, method=method, keep=["id"], row_key=key, target=1)
    data = ray.data.from_arrow([table.slice(start, 100) for start in range(0, ROWS, 100)])
    explained = data.map_batches(
        exegesis.ray.Explainer,
        fn_constructor_kwargs=dict(model=MODEL, **choices),
        batch_format="pyarrow",
        batch_size=64,
        concurrency=2,
        num_cpus=1,
    )
    found = pa.concat_tables(ray.get(explained.to_arrow_refs()))
    expected = xg.load(MODEL).explain_table(table, **choices)
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found.column_names == expected.column_names
    for name in names:
        np.testing.assert_allclose(found[f"attribution/{name}"].to_numpy(), expected[f"attribution/{name}"].to_numpy(), atol=1e-5)
    assert found["target"].to_pylist() == [1] * ROWS


def test_an_actor_has_the_cores_that_it_was_given(cluster):
    @ray.remote(num_cpus=2)
    def cores():
        return exegesis.ray.assigned_cores(), exegesis.ray.assigned_device()

    assert ray.get(cores.remote()) == (2, None)


def test_a_model_that_is_not_there_fails_by_name(cluster):
    data = ray.data.from_arrow(rows()[1]).map_batches(
        exegesis.ray.Explainer,
        fn_constructor_kwargs=dict(model="/nowhere.onnx", method="gradient"),
        batch_format="pyarrow",
        concurrency=1,
    )
    with pytest.raises(Exception, match="nowhere.onnx"):
        data.materialize()


def test_other_formats_of_batches_are_refused():
    names, _ = rows()
    with pytest.raises(xg.errors.UsageError, match='batch_format="pyarrow"'):
        exegesis.ray.Explainer(MODEL, names, "gradient")({"age": np.zeros(3)})
