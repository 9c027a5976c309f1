"""What from_keras and from_tensorflow make of models of many kinds, and what they say when they can't."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
pytest.importorskip("tf2onnx")
from keras import layers  # noqa: E402

import exegesis as xg  # noqa: E402
from exegesis.errors import ExportError, InputError, UsageError  # noqa: E402

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def answers(model, values):
    e = model.explain(values, method="gradient", target=0)
    return e.arrays[f"prediction/{next(iter(model.outputs))}"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = layers.Dense(5, activation="tanh"), layers.Dropout(0.5), layers.Dense(3)

    def call(self, x, training=None):
        return self.last(self.drop(self.first(x), training=training))


def sequential():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="relu"), layers.Dense(3, activation="softmax")])


def test_a_sequential_model_with_labels():
    net = sequential()
    model = xg.from_keras(net, labels=["a", "b", "c"], output_names=["scores"])
    assert model.inputs["input"][1] == ["batch", "4"] and list(model.outputs) == ["scores"]
    assert model.labels == ["a", "b", "c"] and "tf2onnx" in model.notes[0]
    np.testing.assert_allclose(answers(model, X), net(X), atol=1e-5)


def test_a_subclassed_model_needs_an_example_and_loses_its_dropout():
    keras.utils.set_random_seed(0)
    net = Subclassed()
    with pytest.raises(UsageError, match="example_inputs"):
        xg.from_keras(net)
    np.testing.assert_allclose(answers(xg.from_keras(net, X[:1]), X), net(X, training=False), atol=1e-5)


def test_several_inputs_keep_their_names_and_dicts_their_keys():
    keras.utils.set_random_seed(0)
    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    joined = layers.Concatenate()([layers.Dense(3)(left), right])
    heads = {"first": layers.Dense(3)(joined), "second": layers.Dense(2)(joined)}
    net = keras.Model({"right": right, "left": left}, heads)
    model = xg.from_keras(net)
    assert set(model.inputs) == {"left", "right"} and set(model.outputs) == {"first", "second"}
    values = {"left": X, "right": X[:, :2] * 2}
    e = model.explain(values, method="gradient", output_name="second", target=1)
    assert set(e.values) == {"left", "right"}
    np.testing.assert_allclose(e.arrays["prediction/second"], net(values)["second"], atol=1e-5)


def test_saved_models_and_functions(tmp_path):
    net = sequential()
    wanted = net(X)
    net.export(str(tmp_path / "exported"), verbose=False)
    tf.saved_model.save(net, str(tmp_path / "saved"))
    for name in ("exported", "saved"):
        model = xg.from_tensorflow(tmp_path / name)
        np.testing.assert_allclose(answers(model, X), wanted, atol=1e-5)
        assert model.explain(X, method="gradient").summary["model"]["path"] == f"from_tensorflow({name})"
    function = tf.function(lambda x: net(x) * 2, input_signature=[tf.TensorSpec((None, 4), tf.float32, name="row")])
    model = xg.from_tensorflow(function)
    assert list(model.inputs) == ["row"]
    np.testing.assert_allclose(answers(model, X), wanted * 2, atol=1e-5)
    np.testing.assert_allclose(
        answers(xg.from_tensorflow(lambda x: net(x) * 3, [tf.TensorSpec((None, 4))]), X), wanted * 3, atol=1e-5
    )
    with pytest.raises(UsageError, match='no signature "other"; it has'):
        xg.from_tensorflow(tmp_path / "saved", "other")
    with pytest.raises(InputError, match="no SavedModel"):
        xg.from_tensorflow(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: xg.from_keras(lambda x: x), UsageError, "not a function"),
        (lambda: xg.from_keras(sequential(), input_names=["a", "b"]), UsageError, "input_names"),
        (lambda: xg.from_keras(sequential(), output_names=["a", "b"]), UsageError, "output_names"),
        (lambda: xg.from_tensorflow(lambda x: x), UsageError, "TensorSpec per argument"),
        (lambda: xg.from_tensorflow(lambda x: x, [tf.TensorSpec(None)]), UsageError, "rank"),
        (lambda: xg.from_tensorflow(lambda x: tf.matmul(x, x), [tf.TensorSpec((2, 3))]), ExportError, "can't convert"),
        (
            lambda: xg.from_tensorflow(lambda x: tf.numpy_function(np.sin, [x], tf.float32), [tf.TensorSpec((None, 3))]),
            ExportError,
            "PyFunc",
        ),
    ],
)
def test_what_does_not_fit_is_said(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert len(str(caught.value)) < 800


def test_half_precision_is_refused():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = sequential()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(UsageError, match="float16.*float32"):
        xg.from_keras(net)
