"""Models, and what can be done with them."""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence

from . import _core
from ._explanation import Explanation
from ._inputs import given, target_text
from ._progress import progress_bar
from .errors import UsageError

_DEFAULTS: dict[str, Any] = {
    "target": None,
    "task": None,
    "score": None,
    "baseline": None,
    "explain": None,
    "output_name": None,
    "players": None,
    "nodes": None,
    "per_dim": False,
    "on_missing_rule": None,
    "threshold": None,
    "step": None,
    "runtime": None,
    "threads": None,
    "seed": 0,
    "batch": None,
    "memory": None,
    "preprocess": None,
}


def load(path: "str | os.PathLike[str] | None" = None, *, tokenizer: Any = None) -> "Model":
    """Open a model.

    Parameters
    ----------
    path : str or path, optional
        An ONNX file; external data beside it is found. Without: the small classifier of pictures that comes with the
        package. ``"builtin:reviews"`` is its classifier of film reviews.
    tokenizer : optional
        What reads texts for the model: the path of a ``tokenizer.json``, or a fast tokenizer of ``transformers``.

    Returns
    -------
    Model

    Raises
    ------
    exegesis.errors.InputError
        The file can't be read, or is no well-formed model.
    """
    if path is None or path == "builtin:pictures":
        core = _core.Model.builtin("pictures")
    elif path == "builtin:reviews":
        core = _core.Model.builtin("reviews")
    else:
        core = _core.Model.open(os.fspath(path))
    model = Model(core)
    return model if tokenizer is None else model.with_tokenizer(tokenizer)


def methods() -> "dict[str, str]":
    """All methods by name, with what each says."""
    return dict(_core.methods())


class Model:
    """A model, ready to be explained. Made by :func:`load` and the ``from_...`` functions."""

    def __init__(self, core: "_core.Model") -> None:
        self._core = core

    def __reduce__(self) -> Any:
        raise TypeError("a model can't be pickled: load it again where it is needed, or hand over its path")

    @property
    def inputs(self) -> "dict[str, tuple[str, list[str] | None]]":
        """Graph inputs: element type and sizes by name."""
        return {name: (dtype, shape) for name, dtype, shape, _ in self._core.inputs}

    @property
    def outputs(self) -> "dict[str, tuple[str, list[str] | None]]":
        """Graph outputs: element type and sizes by name."""
        return {name: (dtype, shape) for name, dtype, shape, _ in self._core.outputs}

    @property
    def labels(self) -> "list[str]":
        """Names of the classes; empty if the model has none."""
        return self._core.labels

    def with_tokenizer(self, tokenizer: Any) -> "Model":
        """The same model with what reads texts for it: a path of a ``tokenizer.json``, or a fast tokenizer."""
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if hasattr(backend, "to_str"):
            text = backend.to_str()
        else:
            with open(os.fspath(tokenizer), encoding="utf-8") as file:
                text = file.read()
        return Model(self._core.with_tokenizer(text))

    def explain(
        self,
        x: Any,
        method: "str | Sequence[str]" = "dlbacktrace",
        *,
        target: Any = None,
        baseline: Any = None,
        progress: "bool | None" = None,
        **options: Any,
    ) -> Explanation:
        """Explain every row of an input.

        Parameters
        ----------
        x : array, picture, str, DataFrame, or dict or list of them
            Batch axis first. A dict has a value for each graph input by name; a tuple has them in the graph's order.
        method : str or list of str
            ``NAME[:key=value,...]``; :func:`methods` lists them. Several methods make one explanation.
        target : int, str, tuple, optional
            What is explained: a class, its name, ``"A-B"``, a position. By default the best class of each row.
        baseline : str, number or array, optional
            What the input is compared with, by methods that have a baseline.
        progress : bool, optional
            Show a progress bar; by default for work that takes more than a second or two.
        **options
            As the options of the command: ``task``, ``score``, ``explain``, ``output_name``, ``players``, ``nodes``,
            ``per_dim``, ``on_missing_rule``, ``threshold``, ``step``, ``runtime``, ``threads``, ``seed``, ``batch``,
            ``memory``, ``preprocess``.

        Returns
        -------
        Explanation
        """
        choices = self._choices(target=target, **options)
        references = None
        if baseline is not None and not isinstance(baseline, (str, int, float)):
            references = given(baseline, self._core.inputs)
        elif baseline is not None:
            choices["baseline"] = str(baseline)
        names = [method] if isinstance(method, str) else list(method)
        values = given(x, self._core.inputs)
        with progress_bar(progress, ", ".join(names)) as bar:
            core = self._core.explain(values, names, choices, references, bar)
        return Explanation(core)

    def compile(self, method: str, path: "str | os.PathLike[str]", *, target: Any = None, **options: Any) -> str:
        """Write a standard ONNX file that predicts and explains, and return its path."""
        return os.fspath(self._core.compile(method, os.fspath(path), self._choices(target=target, **options)))

    def _for(self, x: Any) -> "Model":
        """The model that reads these values."""
        return self

    def _choices(self, **given_options: Any) -> "Mapping[str, Any]":
        choices = dict(_DEFAULTS)
        for key, value in given_options.items():
            if key not in choices:
                raise UsageError(f"there is no option {key!r}. Options are {', '.join(sorted(choices))}.")
            choices[key] = value
        choices["target"] = target_text(choices["target"])
        for key in ("nodes", "explain"):
            if isinstance(choices[key], str):
                choices[key] = [choices[key]]
        return choices

    def __repr__(self) -> str:
        def ports(all_ports: Any) -> str:
            return ", ".join(f"{name} {dtype}{list(shape or [])}" for name, (dtype, shape) in all_ports.items())

        return f"<exegesis.Model {self._core.path}: {ports(self.inputs)} -> {ports(self.outputs)}>"
