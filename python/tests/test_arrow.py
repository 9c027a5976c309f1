"""Tables of Arrow in and out.

What this would catch: rows that change places or get lost between batches, random numbers that depend on how a table is cut, columns
in another order than the model's, a schema that changes with the data, nulls that become numbers.
"""

import decimal
import pickle
from pathlib import Path

import numpy as np
import pytest

import exegesis as xg

pa = pytest.importorskip("pyarrow")
from exegesis import arrow  # noqa: E402

DATA = Path(__file__).parents[2] / "testdata" / "compare"


@pytest.fixture(scope="module")
def model():
    return xg.load(DATA / "titanic.onnx")


def titanic(count):
    lines = (DATA / "titanic.csv").read_text().splitlines()
    names = lines[0].split(",")[:-1]
    x = np.array([[float(c) for c in line.split(",")[:-1]] for line in lines[1 : count + 1]], dtype="float32")
    return x, pa.table({"id": [f"p{i}" for i in range(len(x))], **{n: x[:, i] for i, n in enumerate(names)}}), names


def attributions(table, names, prefix=""):
    return np.stack([table[f"{prefix}attribution/{n}"].to_numpy() for n in names], axis=1)


@pytest.mark.parametrize("method", ["input-x-gradient", "kernel-shap:samples=40", "smoothgrad"])
def test_values_are_those_of_explain_however_the_table_is_cut(model, method):
    x, table, names = titanic(23)
    e = model.explain(x, method=method)
    for rows in [None, 7, 1]:
        found = model.explain_table(table, names, method, keep=["id"], batch_rows=rows)
        assert found["id"].to_pylist() == table["id"].to_pylist()
        np.testing.assert_allclose(attributions(found, names), e.values, atol=1e-5)
    assert found["label"].to_pylist() == [p["label"] for p in e.prediction]
    np.testing.assert_allclose(found["score"].to_numpy(), [p["score"] for p in e.prediction], atol=1e-5)
    assert found["target"].to_pylist() == e.arrays["target"].tolist()
    np.testing.assert_allclose(found["sum"].to_numpy(), e.values.sum(axis=1), atol=1e-4)
    assert ("base_value" in found.column_names) == method.startswith("kernel-shap")


def test_columns_go_by_name(model):
    x, table, names = titanic(5)
    turned = table.select(["id", *reversed(names)])
    found = model.explain_table(turned, {"columns": names}, "gradient", keep="all")
    np.testing.assert_allclose(attributions(found, names), model.explain(x, method="gradient").values, atol=1e-6)
    assert found.column_names[: len(names) + 1] == turned.column_names
    two = model.explain_table(table, names, ["gradient", "kernel-shap"])
    np.testing.assert_allclose(attributions(two, names, "gradient/"), attributions(found, names), atol=1e-6)
    assert {"gradient/sum", "kernel-shap/sum", "kernel-shap/base_value"} <= set(two.column_names)


def test_everything_that_holds_rows_is_taken(model):
    pandas = pytest.importorskip("pandas")
    import pyarrow.dataset as ds

    _, table, names = titanic(10)
    choices = dict(columns=names, method="gradient", keep=["id"], batch_rows=4)
    whole = model.explain_table(table, **choices)
    assert isinstance(whole, pa.Table)
    batch = model.explain_table(table.combine_chunks().to_batches()[0], **choices)
    assert isinstance(batch, pa.RecordBatch) and batch.num_rows == 10 and batch.schema == whole.schema
    for source in [table.to_reader(max_chunksize=3), ds.dataset(table), ds.dataset(table).scanner(batch_size=3)]:
        reader = model.explain_table(source, **choices)
        assert isinstance(reader, pa.RecordBatchReader)
        assert reader.read_all().select(["id"]).equals(whole.select(["id"]))
    frame = table.to_pandas().set_index(pandas.Index(range(100, 110)))
    found = model.explain_table(frame, **choices)
    assert list(found.index) == list(range(100, 110)) and list(found["id"]) == list(frame["id"])
    np.testing.assert_allclose(found["sum"], whole["sum"].to_numpy(), atol=1e-6)
    with pytest.raises(xg.errors.InputError, match="list"):
        model.explain_table([1, 2], **choices)


def test_a_reader_is_read_as_it_is_needed(model):
    _, table, names = titanic(8)
    read = []

    def batches():
        for batch in table.combine_chunks().to_batches(max_chunksize=2):
            read.append(batch.num_rows)
            yield batch

    reader = model.explain_table(pa.RecordBatchReader.from_batches(table.schema, batches()), names, "gradient")
    assert len(read) == 1
    assert reader.read_next_batch().num_rows == 2 and reader.read_next_batch().num_rows == 2
    assert len(read) == 2


def test_no_rows_give_the_schema_of_many(model):
    _, table, names = titanic(3)
    for method in ["gradient", "kernel-shap", ["gradient", "occlusion"]]:
        none = model.explain_table(table.slice(0, 0), names, method, keep=["id"])
        assert none.num_rows == 0 and none.schema == model.explain_table(table, names, method, keep=["id"]).schema
    reader = model.explain_table(pa.RecordBatchReader.from_batches(table.schema, iter(())), names, "gradient")
    assert reader.read_all().num_rows == 0


def test_row_keys_decide_random_numbers(model):
    x, table, names = titanic(6)
    order = [3, 0, 5, 2, 4, 1]
    table = table.append_column("number", pa.array(range(6)))
    turned = table.take(order)
    for key in ["id", "number", arrow.BY_CONTENT]:
        choices = dict(columns=names, method="smoothgrad", row_key=key)
        a, b = (attributions(model.explain_table(t, **choices), names) for t in (table, turned))
        np.testing.assert_allclose(a[order], b, atol=1e-6)
    by_place = attributions(model.explain_table(turned, names, "smoothgrad"), names)
    assert np.abs(by_place - attributions(model.explain_table(table, names, "smoothgrad"), names)[order]).max() > 1e-4
    by_number = attributions(model.explain_table(table, names, "smoothgrad", row_key="number"), names)
    np.testing.assert_allclose(by_number, model.explain(x, method="smoothgrad").values, atol=1e-6)
    with pytest.raises(xg.errors.InputError, match="float"):
        model.explain_table(table, names, "smoothgrad", row_key="age")


def test_numbers_of_every_kind():
    def predict(x):
        return x @ np.array([1.0, 10.0, 100.0, 1000.0])

    model = xg.from_callable(predict, np.ones((1, 4)), outputs="values")
    table = pa.table(
        {
            "flag": [True, False],
            "count": pa.array([3, 4], pa.uint8()),
            "price": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.25")], pa.decimal128(8, 2)),
            "code": pa.array([7.0, 8.0]).dictionary_encode(),
        }
    )
    found = model.explain_table(table, method="shapley")
    np.testing.assert_allclose(attributions(found, table.column_names), [[1, 30, 150, 7000], [0, 40, 225, 8000]])
    assert found["label"].null_count == 2 and "target" in found.column_names


def test_lists_are_arrays():
    model = xg.load()
    x = np.random.default_rng(0).random((3, 1, 28, 28), dtype="float32")
    flat = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 28)
    nested = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, 28), 1)
    free = pa.array(x.tolist(), pa.list_(pa.list_(pa.list_(pa.float32()))))
    expected = model.explain(x, method="gradient").values
    for column in [nested, free]:
        found = model.explain_table(pa.table({"pixels": column}), method="gradient")["attribution/image"]
        assert found.type == nested.type
        np.testing.assert_allclose(np.array(found.to_pylist()), expected, atol=1e-6)
    empty = model.explain_table(pa.table({"pixels": nested[:0]}), method="gradient")
    assert empty.schema.field("attribution/image").type == nested.type
    with pytest.raises(xg.errors.InputError, match='"pixels" has lists of different lengths: 2 in row 0, 3 in row 1'):
        model.explain_table(pa.table({"pixels": [[1.0, 2.0], [1.0, 2.0, 3.0]]}), method="gradient")


def test_texts_are_explained_piece_by_piece():
    model = xg.load("builtin:reviews")
    texts = ["a good film", "so very bad and dull that it hurts"]
    found = model.explain_table(pa.table({"review": texts}), method="occlusion", keep=["review"])
    values, pieces = found["attribution/input_ids"].to_pylist(), found["pieces/input_ids"].to_pylist()
    assert [len(v) for v in values] == [len(p) for p in pieces] and len(values[0]) < len(values[1])
    whole = model.explain(texts, method="occlusion").values
    np.testing.assert_allclose(values[0], whole[0, : len(values[0])], atol=1e-6)
    assert pieces[0].index("good") == int(np.argmax(values[0]))
    assert model.explain_table(pa.table({"review": pa.array([], pa.string())}), method="occlusion").num_rows == 0
    own = xg.from_callable(lambda texts: [t.count("good") for t in texts], "a", outputs="values")
    found = own.explain_table(pa.table({"review": texts}), method="occlusion")
    assert found["pieces/input_ids"].to_pylist()[0][1:] == ["a", " good", " film"] or found["pieces/input_ids"].to_pylist()[0][1:] == ["a", "good", "film"]


def test_what_can_not_be_a_number_is_named(model):
    _, table, names = titanic(5)
    at = table.column_names.index("age")
    cases = [
        (pa.array([1.0, 2.0, 3.0, None, 5.0]), '"age" is null in row 3'),
        (pa.array([1.0, float("nan"), 3.0, 4.0, 5.0]), '"age" is nan in row 1'),
        (pa.array(["a"] * 5), '"age" holds string'),
        (pa.array(["a"] * 5).dictionary_encode(), '"age" holds string'),
    ]
    for column, message in cases:
        for rows in [None, 2]:
            with pytest.raises(xg.errors.InputError, match=message):
                model.explain_table(table.set_column(at, "age", column), names, "gradient", batch_rows=rows)
    with pytest.raises(xg.errors.InputError, match='no column "shoe"'):
        model.explain_table(table, ["shoe"], "gradient")
    with pytest.raises(xg.errors.InputError, match="2 columns are given.*takes 8"):
        model.explain_table(table, ["age", "fare"], "gradient")
    with pytest.raises(xg.errors.UsageError, match='no input "x"'):
        model.explain_table(table, {"x": names}, "gradient")


def test_an_explainer_of_batches_can_be_sent_to_other_processes(model):
    _, table, names = titanic(9)
    explainer = arrow.BatchExplainer(str(DATA / "titanic.onnx"), names, "gradient", keep=["id"], row_key="id")
    sent = pickle.loads(pickle.dumps(explainer))
    # As mapInArrow of Spark calls it.
    found = pa.Table.from_batches(sent(iter(table.combine_chunks().to_batches(max_chunksize=4))))
    assert found.equals(model.explain_table(table, names, "gradient", keep=["id"], batch_rows=4))
    assert sent.schema(table.schema) == found.schema
    with pytest.raises(TypeError, match="path"):
        pickle.dumps(arrow.BatchExplainer(model, names))
