"""Explanations: values, evidence, pictures."""

from __future__ import annotations

import json
import os
from typing import Any, Iterator, Protocol, Union, overload

import numpy as np

from ._frames import ledger_table, to_arrow, to_pandas
from ._html import html_of, show
from .errors import UsageError

Array = Any
"""A NumPy array."""


class Source(Protocol):
    """Where an explanation comes from: the engine, or a file."""

    @property
    def rows(self) -> int: ...
    @property
    def methods(self) -> "list[str]": ...
    @property
    def warnings(self) -> "list[str]": ...
    @property
    def notes(self) -> "list[str]": ...

    def arrays(self) -> "dict[str, Array]": ...
    def ledger(self, method: int) -> Any: ...
    def json(self) -> str: ...
    def drawing(self, row: int) -> str: ...
    def html(self) -> str: ...
    def svg(self, row: int) -> str: ...
    def png(self, row: int) -> bytes: ...
    def save(self, path: str) -> Any: ...


class Explanation:
    """What one or more methods found: attributions, evidence that they can be trusted, and pictures.

    ``e["lrp"]`` is the part of one method, ``e[0]`` a row, ``len(e)`` the number of rows; iteration goes over rows. In a notebook
    an explanation shows the report's own picture.

    Arrays are read-only views of the engine's memory: copy before changing them (``e.values.copy()``).
    """

    def __init__(self, source: Source, only: "int | None" = None) -> None:
        self._core = source
        self._only = only
        self._arrays: "dict[str, Array] | None" = None
        self._summary: "dict[str, Any] | None" = None

    @property
    def arrays(self) -> "dict[str, Array]":
        """All arrays under the keys of saved files, such as ``attribution/<input>``, ``prediction/<output>``, ``target``,
        ``relevance/<node>``; with several methods, keys of one start with its name."""
        if self._arrays is None:
            self._arrays = self._core.arrays()
        return self._arrays

    @property
    def summary(self) -> "dict[str, Any]":
        """Everything but the arrays, as ``.json`` files hold it: model, inputs, methods with parameters, rows, seed, runtime,
        timings, warnings."""
        if self._summary is None:
            self._summary = json.loads(self._core.json())
        return self._summary

    @property
    def methods(self) -> "list[str]":
        """Names of the methods, in the order they were asked for; ``NAME#2`` for a second use."""
        every = list(self._core.methods)
        return every if self._only is None else [every[self._only]]

    @property
    def values(self) -> "Union[Array, dict[str, Array]]":
        """The first method's attribution: float32, of the shape of the explained input, batch axis first (of token ids
        `[batch, tokens]`); a dict by input name if several inputs are explained."""
        found = self._keyed("attribution")
        return next(iter(found.values())) if len(found) == 1 else found

    @property
    def prediction(self) -> "list[dict[str, Any]]":
        """What the model says of each row: ``index``, ``label``, ``score``, ``probability`` of its best class."""
        return [row["prediction"] for row in self.summary["rows"]]

    @property
    def target(self) -> "Array | None":
        """What was explained, int64 `[batch, ...]`; None where it is no index."""
        return self.arrays.get("target")

    @property
    def base_value(self) -> "Array | None":
        """Score with nothing of the row present, float64 `[batch]`; None for methods without."""
        found = self.arrays.get(f"{self._prefix}base_value")
        if found is not None or not self.evidence or self.evidence[0].get("base_value") is None:
            return found
        return np.array([row["base_value"] for row in self.evidence])

    @property
    def ledger(self) -> Any:
        """Where the first method's relevance went: a line per node and row of the input, with what arrived (``in``), left
        (``out``), was absorbed, by class, and is left over (``residual``). A DataFrame where pandas is installed, else a dict of
        arrays. None for methods without a ledger."""
        found = self._core.ledger(self._index)
        return None if found is None else ledger_table(*found)

    @property
    def evidence(self) -> "list[dict[str, Any]]":
        """What speaks for the first method's values, per row: ``sum`` and what it should be (``expected``, ``gap``); of methods
        that ask the model ``players``, ``model_rows``, ``base_value``, ``r_squared``, ``largest_standard_error``; of SLALOM
        ``slalom``; of relevance methods totals of the ``ledger``."""
        rows = self.summary["rows"]
        inner = ("name", "prediction", "top", "target", "target_text", "methods")
        own = [row["methods"][self._key] if row.get("methods") else row for row in rows]
        return [{key: value for key, value in row.items() if key not in inner} for row in own]

    @property
    def warnings(self) -> "list[str]":
        """What should be known before trusting the numbers."""
        return list(self._core.warnings)

    @property
    def notes(self) -> "list[str]":
        """Exact or checked conversions, and choices that were made."""
        return list(self._core.notes)

    @property
    def rows(self) -> "list[Row]":
        """The rows."""
        return [Row(self, index) for index in range(self._core.rows)]

    def to_pandas(self) -> Any:
        """A DataFrame with a line per row, method and cell: ``row``, ``column`` or ``position`` and ``token`` or axis numbers,
        ``value`` of the input, ``method``, ``attribution``, and what else there is per cell (``standard_error``, SLALOM's
        ``importance``)."""
        return to_pandas(self)

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with a line per row: prediction, target, sums, and the attributions as fixed-size lists, whose cells
        are those of :attr:`values` without a copy. Shapes are in the metadata of the columns."""
        return to_arrow(self)

    def plot(self, row: int = 0, **options: Any) -> Any:
        """Draw a row with matplotlib: an overlay on a picture, coloured tokens, bars of columns, curves of a series; of SLALOM
        also value against importance.

        Parameters
        ----------
        row : int
            Number of the row.
        figsize : tuple of float, optional
            Width and height in inches.
        top : int, optional
            Most columns that are shown as bars (default 15).
        alpha : float, optional
            Opacity of overlays, 0 to 1.
        ax : matplotlib.axes.Axes, optional
            Where to draw, for one method and input.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from ._plot import plot

        return plot(self, self._row(row), **options)

    def show(self, path: "str | os.PathLike[str] | None" = None) -> Any:
        """Show the full report: embedded in a notebook, else as a page in the browser (written to `path`, or to a temporary
        file). Returns the path, or in a notebook what it displays."""
        return show(self, None if path is None else os.fspath(path))

    def html(self) -> str:
        """The full report as a page: no scripts, no network."""
        return self._core.html()

    def save(self, path: "str | os.PathLike[str]") -> "list[str]":
        """Save as the kind of file that the ending says: ``.npz .safetensors .json .png .svg .html``.

        Returns
        -------
        list of str
            The files written: of pictures one per row.
        """
        return [os.fspath(written) for written in self._core.save(os.fspath(path))]

    @overload
    def __getitem__(self, key: str) -> "Explanation": ...

    @overload
    def __getitem__(self, key: int) -> "Row": ...

    def __getitem__(self, key: "str | int") -> "Explanation | Row":
        if isinstance(key, str):
            if key not in self.methods:
                raise KeyError(f"there is no method {key!r} in this explanation; it has {', '.join(self.methods)}")
            return Explanation(self._core, list(self._core.methods).index(key))
        count = len(self)
        if not -count <= int(key) < count:
            raise IndexError(f"there is no row {key}: the explanation has {count} row(s)")
        return Row(self, int(key) % count)

    def __len__(self) -> int:
        return self._core.rows

    def __iter__(self) -> "Iterator[Row]":
        return iter(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.methods

    def _repr_html_(self) -> str:
        return html_of(self)

    def __reduce__(self) -> Any:
        raise TypeError(
            "an explanation can't be pickled: use save('name.safetensors') and exegesis.load_explanation, which any version reads"
        )

    def __repr__(self) -> str:
        return f"<exegesis.Explanation of {self._core.rows} row(s) by {', '.join(self.methods)}>"

    @property
    def _index(self) -> int:
        return self._only or 0

    @property
    def _key(self) -> str:
        return list(self._core.methods)[self._index]

    @property
    def _prefix(self) -> str:
        """What the keys of the first method's arrays start with."""
        return f"{self._key}/" if len(self._core.methods) > 1 else ""

    def _keyed(self, kind: str) -> "dict[str, Array]":
        """Arrays of the first method by input, such as those of kind ``attribution``."""
        start = f"{self._prefix}{kind}/"
        return {key[len(start) :]: array for key, array in self.arrays.items() if key.startswith(start)}

    def _row(self, row: int) -> int:
        count = len(self)
        if isinstance(row, bool) or not -count <= row < count:
            raise UsageError(f"there is no row {row}: the explanation has {count} row(s), counted from 0. Give one of them.")
        return int(row) % count


class Row:
    """One row of an explanation."""

    def __init__(self, explanation: Explanation, index: int) -> None:
        self._explanation = explanation
        self.index = index

    @property
    def name(self) -> str:
        """What the row is called."""
        return str(self._summary["name"])

    @property
    def values(self) -> "Union[Array, dict[str, Array]]":
        """The first method's attribution without the batch axis; a dict by input name if several inputs are explained."""
        every = self._explanation.values
        if isinstance(every, dict):
            return {name: array[self.index] for name, array in every.items()}
        return every[self.index]

    @property
    def prediction(self) -> "dict[str, Any]":
        """``index``, ``label``, ``score``, ``probability`` of the best class."""
        return dict(self._summary["prediction"])

    @property
    def target(self) -> Any:
        """What was explained, as a number, numbers, or None."""
        return self._summary["target"]

    @property
    def target_text(self) -> str:
        """The same in words."""
        return str(self._summary["target_text"])

    @property
    def evidence(self) -> "dict[str, Any]":
        """As :attr:`Explanation.evidence`."""
        return self._explanation.evidence[self.index]

    def plot(self, **options: Any) -> Any:
        """As :meth:`Explanation.plot`."""
        return self._explanation.plot(self.index, **options)

    @property
    def _summary(self) -> "dict[str, Any]":
        found: "dict[str, Any]" = self._explanation.summary["rows"][self.index]
        return found

    def _repr_html_(self) -> str:
        return html_of(self._explanation, [self.index])

    def __repr__(self) -> str:
        return f"<exegesis row {self.index}: {self.target_text}>"
