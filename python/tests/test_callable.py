"""Functions as models.

What this would catch: rows that reach the function in another form, answers that are read wrongly, exceptions that get lost on
their way between threads, a function with threads of its own that waits for the interpreter's lock forever.
"""

import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import exegesis as xg

WEIGHTS = np.array([[1.0, -2.0, 0.5], [0.3, 0.1, -0.7]]).T


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def predict(x):
    assert isinstance(x, np.ndarray) and x.dtype == np.float64 and x.shape[1:] == (3,)
    return softmax(x @ WEIGHTS)


ROWS = np.array([[1.0, 1.0, 4.0], [0.5, -1.0, 0.25]])
SHAP = ["shapley", "kernel-shap", "permutation-shap", "partition-shap"]


@pytest.mark.parametrize("method", SHAP)
def test_values_of_logits_are_weights_times_features(method):
    model = xg.from_callable(lambda x: x @ WEIGHTS, ROWS, outputs="logits", labels=["yes", "no"])
    e = model.explain(ROWS, method=method, target="no")
    np.testing.assert_allclose(e.values, ROWS * WEIGHTS[:, 1], atol=1e-5)
    assert [p["label"] for p in e.prediction] == ["yes", "yes"] and e.values.dtype == np.float32


@pytest.mark.parametrize("method", SHAP)
def test_values_of_probabilities_sum_to_the_difference_of_probabilities(method):
    model = xg.from_callable(predict, ROWS)
    e = model.explain(ROWS, method=method, target=0)
    np.testing.assert_allclose(e.values.sum(axis=1), predict(ROWS)[:, 0] - 0.5, atol=1e-5)
    np.testing.assert_allclose([p["probability"] for p in e.prediction], predict(ROWS).max(axis=1), atol=1e-6)
    z = model.explain(ROWS, method=method, target=0, score="logit")
    np.testing.assert_allclose(z.values.sum(axis=1), np.log(predict(ROWS)[:, 0] / 0.5), atol=1e-5)


@pytest.mark.parametrize("method", ["occlusion", "lime", "rise:samples=50"])
def test_pictures_are_explained_where_the_function_looks(method):
    def bright(x):
        assert x.dtype == np.float32
        return x[:, 0, 4:8, 8:12].mean(axis=(1, 2))

    model = xg.from_callable(bright, np.ones((1, 1, 16, 16), "float32"), outputs="values")
    e = model.explain(np.ones((2, 1, 16, 16), "float32"), method=method, players="patch:4", baseline=0)
    inside = e.values[:, :, 4:8, 8:12]
    assert inside.min() > np.delete(e.values.reshape(2, -1), np.arange(256).reshape(16, 16)[4:8, 8:12].ravel(), axis=1).max()
    assert "svg" in e._repr_html_()


def test_token_ids_are_given_as_ids():
    def count(x):
        assert set(x) == {"input_ids"} and x["input_ids"].dtype == np.int64
        hits = (x["input_ids"] == 7).sum(axis=1)
        return np.stack([-hits, hits], axis=1)

    ids = np.array([[3, 7, 4, 5]])
    model = xg.from_callable(count, {"input_ids": ids}, outputs="logits")
    for method in ["slalom", "occlusion"]:
        values = model.explain({"input_ids": ids}, method=method, target=1).values
        assert np.argmax(values[0]) == 1, (method, values)
    e = model.explain({"input_ids": ids}, method="shapley:imputer=baseline", target=1, baseline=0)
    np.testing.assert_allclose(e.values, [[0, 1, 0, 0]], atol=1e-6)


def test_texts_are_given_as_texts():
    seen = []

    def polarity(texts):
        seen.extend(texts)
        return [text.split().count("good") - text.split().count("bad") for text in texts]

    model = xg.from_callable(polarity, "a good film", outputs="values")
    e = model.explain(["so good a film :-)", "what a  bad one"], method="shapley")
    assert "so good a film :-)" in seen and "what a  bad one" in seen
    assert "" in seen
    # The first place is the beginning of the text.
    np.testing.assert_allclose(e.values, [[0, 0, 1, 0, 0, 0], [0, 0, 0, -1, 0, 0]], atol=1e-6)
    with pytest.raises(xg.errors.InputError, match="texts"):
        model.explain(np.zeros((1, 3)))


def test_frames_keep_their_columns():
    pandas = pytest.importorskip("pandas")

    def price(frame):
        assert isinstance(frame, pandas.DataFrame)
        return frame["rooms"] * 10 - frame["age"]

    frame = pandas.DataFrame({"age": [3, 5], "rooms": [2.0, 4.0]})
    model = xg.from_callable(price, frame, outputs="values")
    np.testing.assert_allclose(model.explain(frame, method="shapley").values, [[-3, 20], [-5, 40]], atol=1e-5)
    named = xg.from_callable(price, frame.to_numpy(), columns=["age", "rooms"], outputs="values")
    np.testing.assert_allclose(named.explain(frame.to_numpy(), method="shapley").values, [[-3, 20], [-5, 40]], atol=1e-5)
    with pytest.raises(xg.errors.InputError, match='"town"'):
        xg.from_callable(price, pandas.DataFrame({"town": ["Ulm"]}))


def test_exceptions_of_the_function_are_raised_as_they_are():
    class OutOfService(Exception):
        pass

    def broken(x):
        if calls.pop():
            raise OutOfService("no answer")
        return x.sum(axis=1)

    calls = [True, False]
    model = xg.from_callable(broken, np.ones((1, 3)), outputs="values")
    with pytest.raises(OutOfService, match="^no answer$") as caught:
        model.explain(np.ones((1, 3)), method="occlusion")
    assert any(frame.name == "broken" for frame in traceback.extract_tb(caught.value.__traceback__))


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda x: np.zeros((len(x) + 1, 2)), "was given 1 row.*shape \\[2, 2\\]"),
        (lambda x: np.zeros((len(x), 3)), "shape \\[1, 3\\]"),
        (lambda x: np.full((len(x), 2), np.nan), "NaN in row 0"),
        (lambda x: np.array([["a", "b"]] * len(x)), "not of numbers"),
        (lambda x: [[1.0, 2.0], [1.0]], "no array|not of numbers"),
        (lambda x: None, "not of numbers"),
        (lambda x: np.zeros((len(x), 2, 2)), "shape \\[1, 2, 2\\]"),
    ],
)
def test_wrong_answers_say_what_came_back(answer, message):
    good = [True]
    model = xg.from_callable(lambda x: x[:, :2] if good else answer(x), np.ones((1, 3)), outputs="logits", name="odd")
    good.clear()
    with pytest.raises(xg.errors.InputError, match=message) as caught:
        model.explain(np.ones((1, 3)), method="occlusion")
    assert "odd" in str(caught.value)


def test_wrong_choices_are_refused():
    with pytest.raises(xg.errors.UsageError, match="kernel-shap"):
        xg.from_callable(predict, ROWS).explain(ROWS, method="gradient")
    with pytest.raises(xg.errors.UsageError, match="logits"):
        xg.from_callable(predict, ROWS, outputs="scores")
    with pytest.raises(xg.errors.UsageError, match="3 labels for 2"):
        xg.from_callable(predict, ROWS, labels=["a", "b", "c"])
    with pytest.raises(xg.errors.UsageError, match="called"):
        xg.from_callable(7, ROWS)
    with pytest.raises(xg.errors.InputError, match="no rows"):
        xg.from_callable(predict, np.zeros((0, 3)))
    with pytest.raises(xg.errors.UsageError, match="function"):
        xg.from_callable(predict, ROWS).compile("occlusion", "never.onnx")


def test_what_scores_mean_is_told_from_some_of_them():
    def probability(e):
        return e.prediction[0].get("probability")

    one = xg.from_callable(lambda x: x[:, 0], 3).explain(ROWS, method="occlusion")
    assert probability(one) is None and one.prediction[0]["score"] == 1
    shares = xg.from_callable(predict, (3,)).explain(ROWS, method="occlusion")
    assert abs(probability(shares) - predict(ROWS)[0].max()) < 1e-6
    np.testing.assert_array_equal(shares.values, xg.from_callable(predict, ROWS, outputs="probabilities").explain(ROWS, method="occlusion").values)
    logits = xg.from_callable(lambda x: x @ WEIGHTS, ROWS).explain(ROWS, method="occlusion")
    assert abs(logits.prediction[0]["score"] - (ROWS @ WEIGHTS)[0].max()) < 1e-6
    with pytest.raises(xg.errors.UsageError, match="size of a row"):
        xg.from_callable(predict, 0)


def test_no_call_has_more_rows_than_batch_says():
    seen = []

    def counted(x):
        seen.append(len(x))
        return predict(x)

    model = xg.from_callable(counted, ROWS)
    whole = model.explain(ROWS, method="lime").values
    seen.clear()
    cut = model.explain(ROWS, method="lime", batch=1).values
    assert set(seen) == {1}
    np.testing.assert_array_equal(whole, cut)


def test_functions_may_use_threads_and_be_asked_from_several():
    def threaded(x):
        with ThreadPoolExecutor(2) as pool:
            return np.concatenate(list(pool.map(predict, np.array_split(x, 2) if len(x) > 1 else [x])))

    model = xg.from_callable(threaded, ROWS)
    expected = model.explain(ROWS, method="kernel-shap").values
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: model.explain(ROWS, method="kernel-shap").values, range(8)):
            np.testing.assert_array_equal(values, expected)


def test_a_function_may_explain_by_itself():
    inner = xg.from_callable(predict, ROWS)

    def outer(x):
        return inner.explain(x, method="occlusion", target=0).values.sum(axis=1)

    model = xg.from_callable(outer, ROWS, outputs="values")
    assert np.isfinite(model.explain(ROWS, method="occlusion").values).all()


def test_progress_is_told_and_can_stop():
    def slow(x):
        time.sleep(0.02)
        return predict(x)

    class Enough(Exception):
        pass

    def stop(done, total):
        raise Enough

    model = xg.from_callable(slow, ROWS)
    started = time.monotonic()
    # As the bar does when the user presses Ctrl-C.
    threading.Timer(0.3, lambda: __import__("_thread").interrupt_main()).start()
    with pytest.raises(KeyboardInterrupt):
        model.explain(np.repeat(ROWS, 100, axis=0), method="kernel-shap", batch=1)
        time.sleep(1)
    assert time.monotonic() - started < 2
