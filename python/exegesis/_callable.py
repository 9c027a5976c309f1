"""Any Python function as a model, for methods that only ask."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from . import _core
from ._model import Model
from ._scores import check_labels, meaning, scores
from ._texts import TextModel
from .errors import InputError, UsageError

_TOKENS = ("input_ids", "tokens", "ids", "token_ids", "decoder_input_ids")


def from_callable(
    predict: "Callable[[Any], Any]",
    inputs: Any,
    *,
    outputs: str = "auto",
    labels: "Sequence[str] | None" = None,
    columns: "Sequence[str] | None" = None,
    name: "str | None" = None,
) -> Model:
    """Take any function that predicts as a model.

    Methods that only ask the model explain it: ``occlusion``, ``lime``, ``shapley``, ``kernel-shap``,
    ``permutation-shap``, ``partition-shap``, ``rise``, and ``slalom`` for token ids. Methods that look into a model, such as
    ``gradient``, need its graph and refuse a function.

    Parameters
    ----------
    predict : callable
        Called with rows as ``inputs`` has them, and returns scores: an array ``[rows, classes]``, or ``[rows]`` for one score.
        Arrays, tensors, DataFrames and lists of numbers are understood. It is called from one thread at a time, which is not
        the main thread; an exception that it raises is raised by ``explain``.
    inputs : array, DataFrame, str or list of str, dict of arrays, int or tuple of int
        A few rows that ``predict`` can be called with, batch axis first; it is called once with two of them. They say what it
        takes:

        - array: an array of its element type and of its sizes behind the batch axis; whole numbers become ``float64``.
        - DataFrame: a DataFrame with the same columns, all of them ``float64``.
        - str or list of str: a list of str. Words and marks are taken out one by one, down to the empty
          text; values have a place for the beginning of the text and one for each word.
        - dict: a dict of arrays. A single array of whole numbers called ``input_ids``, ``tokens``, ``ids`` or ``token_ids`` holds
          token ids, ``[rows, tokens]`` of any length; others of whole numbers, such as a mask, stay as they are.
        - int or tuple of int: sizes of a row of ``float64``, such as the number of columns; called with zeros.
    outputs : {"auto", "probabilities", "independent-probabilities", "logits", "values"}
        What the scores mean. What is explained is always the score itself; ``auto`` takes one column as values, several as
        probabilities if they are such for the rows in ``inputs``, else as logits. Probabilities (which sum to 1 in each row; of
        one column that of the second of two outcomes) are explained as they are unless ``score="logit"`` asks for ``ln p``, of
        one column ``ln p - ln (1 - p)``. Logits are scores before a softmax, of one column before a sigmoid. Values are any
        numbers, such as prices.
    labels : list of str, optional
        Names of the classes.
    columns : list of str, optional
        Names of the columns of an array ``[rows, columns]``; ``predict`` is then called with a DataFrame.
    name : str, optional
        What the model is called; by default as the function.

    Returns
    -------
    Model

    Raises
    ------
    exegesis.errors.InputError
        Rows or scores of a kind that is not understood, scores that are not finite, another number of them than of rows.
    exegesis.errors.UsageError
        A choice that does not exist.

    Examples
    --------
    >>> import numpy as np, exegesis as xg
    >>> def predict(x):                                        # [rows, 3] -> [rows]
    ...     return x @ np.array([1.0, -2.0, 0.5])
    >>> model = xg.from_callable(predict, np.ones((1, 3)), outputs="values")
    >>> model.explain(np.array([[1.0, 1.0, 4.0]]), method="shapley").values
    array([[ 1., -2.,  2.]], dtype=float32)
    """
    if not callable(predict):
        raise UsageError(f"{type(predict).__name__} can't be called. Give a function, such as classifier.predict_proba.")
    if isinstance(inputs, (int, tuple)) and not isinstance(inputs, bool):
        sizes = (inputs,) if isinstance(inputs, int) else inputs
        if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise UsageError(f"inputs={inputs!r} is no size of a row. Give whole numbers from 1, or a few rows.")
        inputs = np.zeros((2, *sizes))
    called = str(name or getattr(predict, "__qualname__", None) or type(predict).__name__)
    names = list(map(str, labels)) if labels is not None else []
    if isinstance(inputs, str) or (isinstance(inputs, list) and inputs and all(isinstance(i, str) for i in inputs)):
        return TextModel(predict, [inputs] if isinstance(inputs, str) else inputs, outputs, names, called)
    taken = _Taken(inputs, columns)

    def answer(rows: Any) -> Any:
        return scores(predict(taken.restore(rows)), taken.count(rows), called)

    found = answer(taken.example)
    width, outputs = found.shape[1], meaning(outputs, found)
    check_labels(names, width)
    ports = taken.ports()
    return Model(
        _core.Model.from_function(called, answer, ports, width, outputs, json.dumps(names), taken.columns or [])
    )


class _Taken:
    """What a function takes, told from example rows."""

    def __init__(self, inputs: Any, columns: "Sequence[str] | None") -> None:
        self.columns = list(map(str, columns)) if columns is not None else None
        self.kind = "array"
        self._frame_columns: Any = None
        if isinstance(inputs, Mapping):
            self.kind = "dict"
            if not inputs:
                raise InputError("the dict of inputs is empty. Give at least one array by its name.")
            arrays = {str(key): _rows(value, str(key), str(key).lower()) for key, value in inputs.items()}
        else:
            if hasattr(inputs, "columns") and hasattr(inputs, "to_numpy"):
                self.kind, self._frame_columns = "frame", list(inputs.columns)
                self.columns = [str(column) for column in inputs.columns]
                inputs = frame_values(inputs)
            arrays = {"x": _rows(inputs, "x", "")}
        counts = {key: len(array) for key, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"the inputs have different numbers of rows: {counts}. Give as many of each.")
        if self.columns is not None:
            shape = next(iter(arrays.values())).shape
            if self.kind == "dict" or len(shape) != 2 or shape[1] != len(self.columns):
                raise UsageError(
                    f"{len(self.columns)} columns are named, and the rows have the shape {list(shape[1:])}. Name each column once."
                )
            if self.kind == "array":
                self.kind, self._frame_columns = "frame", list(columns or [])
        # Two rows tell a function that mixes up its axes.
        self.example = {key: np.repeat(a, 2, axis=0) if len(a) == 1 else a[:2] for key, a in arrays.items()}

    def ports(self) -> "list[tuple[str, str, list[str]]]":
        """Inputs as the engine takes them."""
        # Along the tokens everything that holds whole numbers has the same size.
        def size(array: np.ndarray, axis: int) -> str:
            return "tokens" if array.dtype.kind == "i" else str(array.shape[axis])

        return [
            (key, array.dtype.name, [size(array, axis) for axis in range(1, array.ndim)])
            for key, array in self.example.items()
        ]

    def restore(self, rows: "dict[str, np.ndarray]") -> Any:
        """The rows in the form that the function takes."""
        if self.kind == "dict":
            return rows
        array = rows["x"]
        if self.kind == "frame":
            return _pandas().DataFrame(array, columns=self._frame_columns)
        return array

    @staticmethod
    def count(rows: "dict[str, np.ndarray]") -> int:
        """Number of rows."""
        return len(next(iter(rows.values())))


def _rows(value: Any, key: str, name: str) -> np.ndarray:
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.ndim < 1 or array.shape[0] == 0 or array.size == 0:
        raise InputError(f'the input "{key}" has no rows: its shape is {list(array.shape)}. Give at least one, batch axis first.')
    if array.dtype.kind not in "fiub":
        raise InputError(f'the input "{key}" holds {array.dtype}, not numbers. Encode it first.')
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array if array.dtype.itemsize <= 8 else array.astype("float64"))
    # A bare array of whole numbers is a table of counts.
    whole = name in _TOKENS or name != ""
    return np.ascontiguousarray(array.astype("int64" if whole else "float64"))


def frame_values(frame: Any) -> np.ndarray:
    """The columns of a DataFrame as ``float64``; a column that is no number is named."""
    for column, dtype in zip(frame.columns, frame.dtypes):
        if getattr(dtype, "kind", "O") not in "fiub":
            raise InputError(f'column "{column}" holds {dtype}, not numbers. Encode it first, or leave it out.')
    return np.ascontiguousarray(frame.to_numpy(dtype="float64"))


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise UsageError("named columns need pandas, which is not installed. Install pandas, or leave `columns` out.") from error
    return pandas
