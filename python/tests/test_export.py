"""Bridges where their framework is not installed, and what they share."""

import json
import sys

import numpy as np
import pytest

import exegesis as xg
from exegesis.errors import UsageError
from exegesis.export._common import labels_text, opened, reason


class Net:
    """Looks like a model of Keras or transformers as far as is looked at before the framework is needed."""

    config = layers = None
    name = "net"

    def __call__(self):
        return None

    def get_weights(self):
        return []

    def forward(self):
        return None


class MLPClassifier:
    coefs_ = ()
    n_features_in_ = 2


@pytest.mark.parametrize(
    ("call", "module", "extra"),
    [
        (lambda: xg.from_torch(Net(), np.zeros((1, 2))), "torch", "torch"),
        (lambda: xg.from_transformers(Net()), "torch", "torch"),
        (lambda: xg.from_keras(Net()), "keras", "tensorflow"),
        (lambda: xg.from_tensorflow("folder"), "tensorflow", "tensorflow"),
        (lambda: xg.from_sklearn(MLPClassifier()), "skl2onnx", "sklearn"),
    ],
)
def test_a_missing_framework_is_one_sentence_with_what_to_install(monkeypatch, call, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf'needs the package "{module}".*exegesis\[{extra}\]'):
        call()


def test_reasons_are_the_innermost_cause_in_a_line():
    try:
        try:
            raise ValueError("\x1b[96mNo such operator:\x1b[0m svd.\n\nNext steps:\n- report it")
        except ValueError as cause:
            raise RuntimeError("Failed to export. Next steps: ...") from cause
    except RuntimeError as error:
        assert reason(error) == "No such operator: svd"
    assert reason(AssertionError()) == "AssertionError"
    assert len(reason(ValueError("x" * 5000))) == 300


def test_names_of_classes():
    assert json.loads(labels_text({1: "b", 0: "a\nc"})) == ["a\nc", "b"]
    assert labels_text(None) is None
    with pytest.raises(UsageError, match=r"\[0, 2\]"):
        labels_text({0: "a", 2: "b"})


def test_a_file_is_opened_under_a_name_of_its_own_and_may_go(tmp_path):
    path = tmp_path / "model.onnx"
    xg.load().compile("gradient", path)
    names = [f"n{i}" for i in range(10)]
    model = opened(str(path), "from_somewhere(net)", labels=names, preprocess="scale=1,mean=2", notes=["so"])
    path.unlink()
    assert model.labels == names and model.notes == ["so"] and "from_somewhere(net)" in repr(model)
    again = tmp_path / "again.onnx"
    model.compile("input-x-gradient", again, target="n3")
    compiled = xg.load(again)
    assert compiled.labels == names
    with pytest.raises(xg.errors.ExportError, match=r"^(?!.*tmp)") as caught:
        opened(str(path), "from_somewhere(net)")
    assert str(path) not in str(caught.value)
