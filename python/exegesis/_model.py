"""Models, and what can be done with them."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple, Sequence

import numpy as np

from . import _core
from ._attribute import attribute
from ._choices import choices, target_choice
from ._explanation import Explanation
from ._inputs import given
from ._page import Page
from ._progress import progress_bar
from .errors import InputError, UsageError


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


class _Call(NamedTuple):
    """A call as the engine takes it."""

    values: "list[Any]"
    choices: "dict[str, Any]"
    references: "list[Any] | None"
    groups: "list[Any] | None"


def _method_names(method: "str | Sequence[str]") -> "list[str]":
    names = [method] if isinstance(method, str) else list(method)
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"method={method!r} is no method. Give a name, or a list of names; exegesis.methods() lists them.")
    return names


class Model:
    """A model, ready to be explained. Made by :func:`load` and the ``from_...`` functions."""

    def __init__(self, core: "_core.Model") -> None:
        self._core = core
        #: What should be known about how the model came here, such as which exporter wrote it.
        self.notes: "list[str]" = []

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
    def columns(self) -> "list[str] | None":
        """Names of the columns of a table, in the model's order, if the model says them."""
        return self._core.columns

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
            try:
                with open(os.fspath(tokenizer), encoding="utf-8") as file:
                    text = file.read()
            except (OSError, TypeError, UnicodeDecodeError) as error:
                raise InputError(
                    f"the tokenizer can't be read: {error}. Give the path of a tokenizer.json, or a fast tokenizer of transformers."
                ) from error
        # A tokenizer of no known limit has a number here that no text reaches.
        longest = getattr(tokenizer, "model_max_length", None)
        context = int(longest) if isinstance(longest, int) and 0 < longest < 1 << 31 else None
        model = Model(self._core.with_tokenizer(text, context))
        model.notes = list(self.notes)
        return model

    def explain(
        self,
        x: Any,
        method: "str | Sequence[str]" = "dlbacktrace",
        *,
        target: Any = None,
        baseline: Any = None,
        players: Any = None,
        tokenizer: Any = None,
        progress: "bool | None" = None,
        row_keys: "Sequence[int] | None" = None,
        **options: Any,
    ) -> Explanation:
        """Explain every row of an input.

        Parameters
        ----------
        x : array, tensor, picture, str, table, or dict, tuple or list of them
            Batch axis first; one row may come without it. A dict has a value for each graph input by name, a tuple has them in
            the graph's order. Columns of a table are taken in the model's order, or by the names of the inputs.
        method : str or list of str
            ``NAME[:key=value,...]``; :func:`exegesis.methods` lists them. Several methods make one explanation.
        target : int, str, tuple, list or array, optional
            What is explained: a class, its name, the difference of two (``"3-5"``), a position of the output without its batch axis
            (a tuple), or a class for each row (a list or a rank-1 array). By default the best class of each row, fixed from the
            unchanged input.
        baseline : str, number or array, optional
            What the input is compared with, by methods that have a baseline: ``"zeros"``, ``"mean"``, ``"blur"``, a number, or
            rows `[references, ...]` over which methods average.
        players : str or int array, optional
            What black-box methods take out: ``pixel``, ``patch:SIDE``, ``superpixel:COUNT``, ``token``, ``word``, ``column``,
            ``window:LENGTH``, or a group number per cell of the input without its batch axis (-1 always stays).
        tokenizer : optional
            As for :func:`load`, for this call.
        progress : bool, optional
            Show a progress bar; by default for work that takes more than a second or two.
        row_keys : sequence of int, optional
            What the random numbers of each row depend on; by default its place among the rows.
        **options
            ``labels`` (names of the classes, or a file of them), ``task``, ``score`` ("logit" or "probability"), ``explain``
            (names of inputs), ``output_name``, ``nodes`` ("all" or names: keep their relevance), ``per_dim``, ``on_missing_rule``,
            ``threshold``, ``step``, ``preprocess`` (of pictures: text or dict), ``runtime``, ``device``, ``onnxruntime``, ``threads``, ``seed``, ``batch``
            (rows), ``memory`` (bytes, or "4G").

        Returns
        -------
        Explanation

        Raises
        ------
        exegesis.errors.UsageError
            A method, option or target that does not exist.
        exegesis.errors.InputError
            Values that do not fit the model, or a row that the model gives no finite number for.
        exegesis.errors.NoRuleError
            A node that the method has no rule for.
        exegesis.errors.ResourcesError
            Not enough memory.
        """
        if tokenizer is not None:
            self = self.with_tokenizer(tokenizer)
        names = _method_names(method)
        call = self._call(x, dict(options, target=target, baseline=baseline, players=players))
        with progress_bar(progress, ", ".join(names)) as bar:
            core = self._core.explain(call.values, names, call.choices, call.references, call.groups, bar, None if row_keys is None else list(row_keys))
        return Explanation(core)

    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        method: str = "integrated-gradients",
        n_steps: int = 50,
        internal_batch_size: "int | None" = None,
        return_convergence_delta: bool = False,
        **options: Any,
    ) -> Any:
        """Attributions under the keywords of captum.

        Parameters
        ----------
        inputs : tensor or array `[batch, ...]`, or tuple of them
            Values of the graph's inputs in order.
        baselines : number, tensor, array, or tuple of them, optional
            One row, or a row for each row of `inputs`; for methods that average over baselines, any number of rows. Zeros by
            default.
        target : int, tuple, list or tensor, optional
            As for :meth:`explain`; captum's index into the output.
        additional_forward_args : optional
            Values of further inputs of the graph, which are not explained.
        method : str
            ``NAME[:key=value,...]``.
        n_steps : int
            Points of integrated gradients (Gauss-Legendre).
        internal_batch_size : int, optional
            Rows that run at once.
        return_convergence_delta : bool
            Give also, per row, the sum of the attributions less what it should be.
        **options
            captum's ``n_samples``, ``nt_type``, ``nt_samples``, ``stdevs``, ``sliding_window_shapes``, ``strides``,
            ``feature_mask``, ``perturbations_per_eval``, ``abs`` and ``show_progress``, where the method has them, and what
            :meth:`explain` takes.

        Returns
        -------
        tensor or array, or tuple of them
            Of the shape, type and device of `inputs`; None for inputs that are not explained. With
            `return_convergence_delta` a pair with the deltas `[batch]`.

        Notes
        -----
        What the model gives is explained as it is (``score="probability"``), as captum does; :meth:`explain` goes back through
        a final softmax or sigmoid.
        """
        return attribute(
            self,
            inputs,
            baselines,
            target,
            additional_forward_args,
            method,
            n_steps,
            internal_batch_size,
            return_convergence_delta,
            options,
        )

    def plan(self, x: Any, method: str = "dlbacktrace", **options: Any) -> "Page":
        """What explaining `x` would take, without running: passes, rows per batch, bytes by part.

        Parameters are those of :meth:`explain`. Printed, the plan is a text; its numbers are there by key.
        """
        call = self._call(x, options)
        return Page(*self._core.plan(call.values, method, call.choices, call.references, call.groups))

    def inspect(self, method: "str | None" = None, *, every_node: bool = False, **options: Any) -> "Page":
        """What is in the model and which methods cover it; with `method`, which rule each node gets and what that costs.

        Parameters
        ----------
        method : str, optional
            ``NAME[:key=value,...]``.
        every_node : bool
            A line per node in the text.
        **options
            As for :meth:`explain`.

        Returns
        -------
        Page
            What ``exegesis inspect`` prints; printed a text, by key what ``--json`` holds.
        """
        return Page(*self._core.inspect(method, self._choices(**options), every_node))

    def compare(self, data: Any, methods: "str | Sequence[str]", metrics: Any = None, **choices: Any) -> Any:
        """Compare methods by metrics on samples; see :func:`exegesis.compare`."""
        from ._compare import compare

        return compare(self, data, methods, metrics, **choices)

    def evaluate(self, data: Any, attributions: Any, metrics: Any = None, **choices: Any) -> Any:
        """Judge maps of any tool; see :func:`exegesis.evaluate`."""
        from ._compare import evaluate

        return evaluate(self, data, attributions, metrics, **choices)

    def explain_table(self, table: Any, columns: Any = None, method: Any = "dlbacktrace", **choices: Any) -> Any:
        """Explain every row of an Arrow table or a DataFrame; see :func:`exegesis.arrow.explain_table`."""
        from . import arrow

        return arrow.explain_table(self, table, columns, method, **choices)

    def compile(self, method: str, path: "str | os.PathLike[str]", *, target: Any = None, **options: Any) -> str:
        """Write a standard ONNX file that predicts and explains.

        Parameters
        ----------
        method : str
            ``NAME[:key=value,...]``.
        path : str or path
            The file.
        target : int or str, optional
            As for :meth:`explain`; ``"input"`` makes it an input of the file, int64 `[batch]`.
        **options
            As for :meth:`explain`.

        Returns
        -------
        str
            The path.
        """
        return os.fspath(self._core.compile(method, os.fspath(path), self._choices(target=target, **options)))

    def _for(self, x: Any) -> "Model":
        """The model that reads these values."""
        return self

    def _choices(self, **options: Any) -> "dict[str, Any]":
        """Choices without arrays."""
        found = choices(options)
        text, classes = target_choice(found["target"], self._class_names(found))
        if classes is not None:
            raise UsageError("a class per row needs rows. Give one target.")
        found["target"] = text
        return found

    def _class_names(self, found: "dict[str, Any]") -> "list[str]":
        own: "list[str]" = json.loads(found["labels"]) if found["labels"] is not None else self._core.labels
        return own

    def _call(self, x: Any, options: "dict[str, Any]") -> "_Call":
        options = dict(options)
        target, baseline, players = (options.pop(key, None) for key in ("target", "baseline", "players"))
        scalar = isinstance(baseline, (str, int, float, np.number)) and not isinstance(baseline, bool)
        found = choices(
            dict(
                options,
                baseline=baseline if isinstance(baseline, str) else float(baseline) if scalar else None,
                players=players if isinstance(players, str) else None,
            )
        )
        found["target"], classes = target_choice(target, self._class_names(found))
        ports = self._core.inputs
        columns = self._core.columns
        values = given(x, ports, columns)
        if classes is not None:
            found["by_row"] = True
            values.append(("target", "array", classes))
        references = groups = None
        if baseline is not None and not scalar or players is not None and not isinstance(players, str):
            names = self._core.explained(found["explain"] or [])
            own = [port for port in ports if port[0] in names]
            if baseline is not None and not scalar:
                references = given(baseline, own, columns)
            if players is not None and not isinstance(players, str):
                groups = given(players, [(name, "int64", None, False) for name, *_ in own])
        return _Call(values, found, references, groups)

    def __repr__(self) -> str:
        def ports(all_ports: Any) -> str:
            return ", ".join(f"{name} {dtype}{list(shape or [])}" for name, (dtype, shape) in all_ports.items())

        return f"<exegesis.Model {self._core.path}: {ports(self.inputs)} -> {ports(self.outputs)}>"
