"""What may stand for the values of an input: every form gives the numbers of the plain array, and what fits nothing is refused by
name."""

import pathlib

import numpy as np
import pytest

import exegesis as xg

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pictures():
    return xg.load()


@pytest.fixture(scope="module")
def table():
    return xg.load(ROOT / "testdata/compare/breast-cancer.onnx")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((2, 1, 28, 28), dtype="float32")


@pytest.fixture(scope="module")
def rows():
    path = ROOT / "testdata/compare/breast-cancer.csv"
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(30), dtype="float32")[:4]


def gradient(model, values):
    return model.explain(values, method="gradient", target=1)


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


class Dlpack:
    """An array of a library that only speaks DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(np.asfortranarray, id="columns first in memory"),
        pytest.param(lambda x: np.repeat(x, 2, axis=0)[::2], id="a view"),
        pytest.param(lambda x: x[:, :, ::-1, :].copy()[:, :, ::-1, :], id="negative strides"),
        pytest.param(lambda x: x.astype(">f4"), id="big-endian"),
        pytest.param(read_only, id="read-only"),
        pytest.param(lambda x: x.tolist(), id="nested lists"),
        pytest.param(lambda x: {"image": x}, id="by name"),
        pytest.param(lambda x: (x,), id="in order"),
        pytest.param(lambda x: np.ma.MaskedArray(x), id="masked, nothing hidden"),
        pytest.param(lambda x: x.astype("longdouble"), id="long doubles"),
        pytest.param(Dlpack, id="DLPack"),
    ],
)
def test_a_form_of_an_array_gives_its_numbers(pictures, x, form):
    assert np.array_equal(gradient(pictures, form(x)).values, gradient(pictures, x).values)


def test_wide_floats_are_converted_with_a_note(pictures, x):
    e = gradient(pictures, x.astype("float64"))
    assert np.array_equal(e.values, gradient(pictures, x).values)
    assert any("float64" in note for note in e.notes) and not any("float64" in text for text in e.warnings)
    assert np.abs(gradient(pictures, x.astype("float16")).values - e.values).max() < 0.1 * np.abs(e.values).max()


def test_a_row_may_come_without_its_batch_axis(pictures, table, x, rows):
    assert np.array_equal(gradient(pictures, x[0]).values, gradient(pictures, x[:1]).values)
    assert np.array_equal(gradient(table, rows[0]).values, gradient(table, rows[:1]).values)
    assert gradient(table, [1] * 30).values.shape == (1, 30), "whole numbers that were typed are numbers"


@pytest.mark.parametrize(
    "values, told",
    [
        (np.zeros((1, 1, 28, 28), "complex64"), "complex"),
        (np.array(["2020-01-01"], "datetime64[D]"), "dates"),
        (np.array([object()]), "objects"),
        (np.zeros(2, [("a", "f4")]), "records"),
        (np.array([b"bytes"]), "bytes"),
        ([[1.0, 2.0], [3.0]], "different lengths"),
        (None, "None"),
        (np.zeros((0, 1, 28, 28), "float32"), "empty"),
        (np.full((1, 1, 28, 28), np.nan, "float32"), "NaN"),
        (np.zeros((1, 1, 28, 28), "int64"), "float32"),
        (np.zeros((1, 28), "float32"), "shape"),
        (np.zeros((1, 3, 28, 28), "float32"), "shape"),
        (np.float32(1), "shape"),
        ({"imgae": np.zeros((1, 1, 28, 28), "float32")}, "imgae"),
        ((np.zeros((1, 1, 28, 28), "float32"),) * 2, "tuple of 2"),
        (np.ma.masked_equal(np.zeros((1, 1, 28, 28), "float32"), 0), "masked"),
        (object(), "objects"),
        ("a text", "tokenizer"),
    ],
)
def test_what_fits_no_model_is_an_input_error(pictures, values, told):
    with pytest.raises(xg.errors.InputError, match=told):
        gradient(pictures, values)


def test_texts_in_every_form_are_read_by_the_tokenizer():
    reviews = xg.load("builtin:reviews")
    texts = ["A dull story.", "A wonderful cast saves it"]
    several = reviews.explain(texts, method="input-x-gradient", target=1)
    assert several.values.shape == (2, 7)
    assert np.array_equal(reviews.explain(np.array(texts), method="input-x-gradient", target=1).values, several.values)
    assert np.array_equal(reviews.explain(tuple(texts), method="input-x-gradient", target=1).values, several.values)
    one = reviews.explain("A dull story.", method="input-x-gradient", target=1).values
    assert np.allclose(one[0], several.values[0, : one.shape[1]], atol=1e-5 * np.abs(one).max())


def test_columns_of_a_data_frame_are_taken_in_order(table, rows):
    pandas = pytest.importorskip("pandas")
    names = table.columns
    frame = pandas.DataFrame(rows, columns=names)
    expected = gradient(table, rows).values
    e = gradient(table, frame)
    assert np.array_equal(e.values, expected)
    assert list(e.to_pandas()["column"][:2]) == names[:2], "the names of the columns are those of the table"
    assert np.array_equal(gradient(table, frame.astype("float64")).values, expected)
    assert np.array_equal(gradient(table, frame.convert_dtypes()).values, expected)
    assert np.array_equal(gradient(table, frame.iloc[1]).values, expected[1:2])
    assert np.array_equal(gradient(table, frame[names[::-1]].assign(kind="a")).values, expected), "by name, others left out"
    with pytest.raises(xg.errors.InputError, match='"mean area"'):
        gradient(table, frame.drop(columns="mean area"))
    with pytest.raises(xg.errors.InputError, match='"mean area" has 1 empty'):
        gradient(table, frame.assign(**{"mean area": [1.0, None, 1.0, 1.0]}))
    with pytest.raises(xg.errors.InputError, match='"mean area" is no column of numbers'):
        gradient(table, frame.assign(**{"mean area": list("abcd")}))


def test_columns_of_an_arrow_table_are_taken_in_order(table, rows):
    arrow = pytest.importorskip("pyarrow")
    names = table.columns
    given = arrow.table({name: rows[:, i] for i, name in enumerate(names)})
    expected = gradient(table, rows).values
    assert np.array_equal(gradient(table, given).values, expected)
    assert np.array_equal(gradient(table, given.to_batches()[0]).values, expected)
    with pytest.raises(xg.errors.InputError, match=f'"{names[2]}" has 1 empty'):
        gradient(table, given.set_column(2, names[2], arrow.array([1.0, None, 2.0, 3.0])))
    with pytest.raises(xg.errors.InputError, match=f'"{names[2]}"'):
        gradient(table, given.set_column(2, names[2], arrow.array(["a", "b", "c", "d"])))


def test_pictures_are_prepared_as_the_model_says(pictures):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype="uint8")
    expected = gradient(pictures, (pixels / 255).astype("float32")[None, None]).values
    for mode in ("L", "RGB", "RGBA"):
        found = gradient(pictures, image.fromarray(pixels).convert(mode)).values
        assert np.allclose(found, expected, atol=1e-3 * np.abs(expected).max()), mode
    both = gradient(pictures, [image.fromarray(pixels), image.fromarray(pixels[::-1].copy())])
    assert both.values.shape == (2, 1, 28, 28)
    with pytest.raises(xg.errors.InputError, match="mode"):
        gradient(pictures, image.fromarray(pixels.astype("int32")))


def nameless(width):
    """A table without names of its columns: y = w x in ONNX, written by hand."""
    onnx = pytest.importorskip("onnx")
    x = onnx.helper.make_tensor_value_info("x", 1, ["batch", width])
    y = onnx.helper.make_tensor_value_info("y", 1, ["batch", 2])
    w = onnx.numpy_helper.from_array(np.arange(2 * width, dtype="float32").reshape(width, 2), "w")
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [w])
    return graph, onnx


def test_columns_without_names_are_all_numeric_ones(tmp_path):
    pandas = pytest.importorskip("pandas")
    graph, onnx = nameless(3)
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    model = xg.load(path)
    frame = pandas.DataFrame({"a": [1, 2], "kind": ["u", "v"], "b": [0.5, 1.0], "c": [True, False]})
    assert np.array_equal(gradient(model, frame).values, [[1, 3, 5]] * 2)
    with pytest.raises(xg.errors.InputError, match='"kind"'):
        gradient(model, frame.drop(columns="a"))
    with pytest.raises(xg.errors.InputError, match="4 column"):
        gradient(model, frame.assign(kind=1.0))
