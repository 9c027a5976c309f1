"""Functions of texts as models: the texts of a call are cut into words, which are what is taken out."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Sequence

import numpy as np

from . import _core
from ._model import Model
from ._scores import check_labels, meaning, scores
from .errors import InputError, UsageError

# A word with what stands before it, so that texts are put together again as they were.
_WORD = r"\s*(?:\w+|[^\w\s]+)"
# The start stays when every word is taken out: the function is then asked about the empty text.
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]")
_START = _SPECIAL.index("[CLS]")


class TextModel(Model):
    """A function of texts. Its words are numbered anew for the texts of each call."""

    def __init__(
        self, predict: "Callable[[list[str]], Any]", examples: "Sequence[str]", outputs: str, labels: "list[str]", name: str
    ) -> None:
        self._predict, self._names, self._name = predict, labels, name
        example = (list(examples) * 2)[:2]
        found = scores(predict(example), len(example), name)
        self._width, self._outputs = found.shape[1], meaning(outputs, found)
        check_labels(labels, self._width)
        super().__init__(self._model(example)._core)

    def _model(self, texts: "Sequence[str]") -> Model:
        """A model that knows the words of these texts."""
        words = list(dict.fromkeys(word for text in texts for word in re.findall(_WORD, text)))
        vocabulary = [*_SPECIAL, *(word for word in words if word not in _SPECIAL)]

        def answer(rows: "dict[str, np.ndarray]") -> np.ndarray:
            texts = []
            for ids, mask in zip(rows["input_ids"], rows["attention_mask"]):
                if np.any(ids[mask != 0] == 1):
                    raise InputError("a word of the text could not be told again. Report it to us with the text.")
                texts.append("".join(vocabulary[i] for i in ids[mask != 0] if i >= len(_SPECIAL)).strip())
            return scores(self._predict(texts), len(texts), self._name)

        ports = [("input_ids", "int64", ["tokens"]), ("attention_mask", "int64", ["tokens"])]
        core = _core.Model.from_function(
            self._name, answer, ports, self._width, self._outputs, json.dumps(self._names), []
        )
        return Model(core.with_tokenizer(_tokenizer(vocabulary)))

    def _for(self, x: Any) -> Model:
        texts = [x] if isinstance(x, str) else x
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts) or not texts:
            raise InputError("this model takes texts. Give a str or a list of them.")
        for text in texts:
            if not re.search(_WORD, text):
                raise InputError(f"the text {text!r} has no words. Leave it out.")
        return self._model(texts)

    def explain(self, x: Any, method: Any = "partition-shap", **choices: Any) -> Any:
        """Explain texts; see :meth:`Model.explain`."""
        return self._for(x).explain([x] if isinstance(x, str) else list(x), method, **choices)

    def with_tokenizer(self, tokenizer: Any) -> Model:
        """Refused: the function reads texts itself."""
        raise UsageError("a function of texts reads them itself and takes no tokenizer. Leave it out.")


def _tokenizer(vocabulary: "list[str]") -> str:
    special = [
        {
            "id": i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, token in enumerate(_SPECIAL)
    ]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": special,
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": _WORD}, "behavior": "Isolated", "invert": False},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [_START], "tokens": ["[CLS]"]}},
            },
            "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(vocabulary)}, "unk_token": "[UNK]"},
        }
    )
