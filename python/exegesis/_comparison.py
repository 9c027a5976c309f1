"""What came out of a comparison: values, ranks, a verdict, pictures."""

from __future__ import annotations

import html
import json
import os
from typing import Any

import numpy as np

from . import _core
from .errors import UsageError


class Comparison:
    """Methods and controls against metrics on samples. Made by :func:`exegesis.compare` and :func:`exegesis.evaluate`."""

    def __init__(self, core: "_core.Comparison") -> None:
        self._core = core
        self._json: "dict[str, Any] | None" = None

    @property
    def json(self) -> "dict[str, Any]":
        """Everything, as ``.json`` files hold it: ``comparison`` and ``summary``."""
        if self._json is None:
            self._json = json.loads(self._core.json())
        return self._json

    @property
    def methods(self) -> "list[str]":
        """Names of the methods, then of the controls."""
        return [method["key"] for method in self.json["comparison"]["methods"]]

    @property
    def metrics(self) -> "list[str]":
        """Names of the metrics."""
        return [metric["key"] for metric in self.json["comparison"]["metrics"]]

    @property
    def values(self) -> np.ndarray:
        """Value of each metric for each method and sample, float64 ``[methods, metrics, samples]``; NaN where it has none."""
        record = self.json["comparison"]
        shape = (len(self.methods), len(self.metrics), len(record["samples"]))
        cells = [_number(o["value"]) for of in record["values"] for outcomes in of for o in outcomes]
        return np.array(cells, dtype=np.float64).reshape(shape)

    @property
    def verdict(self) -> "list[str]":
        """The answer in sentences."""
        return self._core.verdict

    @property
    def warnings(self) -> "list[str]":
        """What should be known before trusting it."""
        return self._core.warnings

    def columns(self, by: str = "metric") -> "dict[str, list[Any]]":
        """The table as columns.

        Parameters
        ----------
        by : {"metric", "sample"}
            ``"metric"``: a row per method and metric, with ``mean`` over ``n`` samples, its 95 % bootstrap interval from ``low``
            to ``high``, ``rank`` among methods (1 is best), whether it ``beats_random`` (p < .05), and ``excluded`` samples.
            ``"sample"``: a row per method, metric and sample with the ``value``, or the ``reason`` why there is none.
        """
        record, summary = self.json["comparison"], self.json["summary"]
        rows: "list[dict[str, Any]]" = []
        for m, method in enumerate(record["methods"]):
            for k, metric in enumerate(record["metrics"]):
                common = {
                    "method": method["key"],
                    "is_control": method["is_control"],
                    "metric": metric["key"],
                    "family": metric["family"],
                    "direction": metric["direction"],
                }
                if by == "metric":
                    rows.append({**common, **_cell(summary["cells"][m][k])})
                elif by == "sample":
                    for i, (sample, outcome) in enumerate(zip(record["samples"], record["values"][m][k])):
                        value = {"value": _number(outcome["value"]), "reason": outcome["reason"]}
                        rows.append({**common, "sample": i, "sample_name": sample["name"], **value})
                else:
                    raise UsageError(f'by="{by}" is not known. Give metric or sample.')
        return {key: [row[key] for row in rows] for key in (rows[0] if rows else {})}

    def to_pandas(self, by: str = "metric") -> Any:
        """The table as a DataFrame; see :meth:`columns`."""
        try:
            import pandas
        except ImportError as error:
            raise UsageError("to_pandas needs pandas, which is not installed. Install pandas, or use columns().") from error
        return pandas.DataFrame(self.columns(by))

    def to_arrow(self, by: str = "sample") -> Any:
        """The table as a ``pyarrow.Table``; see :meth:`columns`."""
        try:
            import pyarrow
        except ImportError as error:
            raise UsageError("to_arrow needs pyarrow, which is not installed. Install exegesis[arrow].") from error
        return pyarrow.table(self.columns(by))

    def save(self, path: "str | os.PathLike[str]") -> str:
        """Save as ``.html`` (the report), ``.json`` (everything) or ``.parquet`` (a row per method, metric and sample)."""
        return os.fspath(self._core.save(os.fspath(path)))

    def plot(self, ax: Any = None) -> Any:
        """Draw the rank of every method by every metric, 1 is best, as a heat map with the mean of each.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise UsageError("plot needs matplotlib, which is not installed. Install exegesis[plot].") from error
        record, cells = self.json["comparison"], self.json["summary"]["cells"]
        kept = [k for k, metric in enumerate(record["metrics"]) if metric["left_out"] is None]
        order = self._order()
        ranks = np.array([[_number(cells[m][k]["rank"]) for k in kept] for m in order], dtype=float).reshape(len(order), -1)
        if ax is None:
            _, ax = plt.subplots(figsize=(2.4 + 0.75 * len(kept), 1.8 + 0.36 * len(order)), layout="constrained")
        most = max(2.0, float(np.nanmax(ranks)) if np.isfinite(ranks).any() else 2.0)
        drawn = ax.imshow(ranks, cmap="YlGnBu_r", vmin=1, vmax=most, aspect="auto", alpha=0.75)
        for y, m in enumerate(order):
            for x, k in enumerate(kept):
                estimate = cells[m][k]["estimate"]
                dark = np.isfinite(ranks[y, x]) and ranks[y, x] < 1 + 0.3 * (most - 1)
                text = "–" if estimate is None else f"{estimate['mean']:.3g}"
                ax.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        arrows = {"up": "↑", "down": "↓"}
        names = [f"{record['metrics'][k]['key']} {arrows[record['metrics'][k]['direction']]}" for k in kept]
        ax.set_xticks(range(len(kept)), names, rotation=40, ha="right", fontsize=9)
        controls = [" (control)" if record["methods"][m]["is_control"] else "" for m in order]
        ax.set_yticks(range(len(order)), [self.methods[m] + c for m, c in zip(order, controls)], fontsize=9)
        ax.figure.colorbar(drawn, ax=ax, label="rank, 1 is best")
        ax.set_title(f"{len(record['samples'])} samples", fontsize=10)
        return ax

    def _order(self) -> "list[int]":
        """Methods by their rank over families, controls last."""
        standings = self.json["summary"]["order"]["standings"]

        def place(m: int) -> float:
            overall = standings[m]["overall"] if m < len(standings) else None
            return overall["median"] if overall else float("inf")

        return sorted(range(len(self.methods)), key=lambda m: (self.json["comparison"]["methods"][m]["is_control"], place(m)))

    def _repr_html_(self) -> str:
        record, cells = self.json["comparison"], self.json["summary"]["cells"]
        kept = [k for k, metric in enumerate(record["metrics"]) if metric["left_out"] is None]
        arrows = {"up": "↑", "down": "↓"}
        head = "".join(
            f"<th>{html.escape(record['metrics'][k]['key'])} {arrows[record['metrics'][k]['direction']]}</th>" for k in kept
        )
        body = ""
        for m in self._order():
            name = html.escape(self.methods[m]) + (" <small>(control)</small>" if record["methods"][m]["is_control"] else "")
            body += f"<tr><th style='text-align:left'>{name}</th>"
            for k in kept:
                cell = _cell(cells[m][k])
                text = "–" if cell["n"] == 0 else f"{cell['mean']:.3g}"
                about = f"{cell['low']:.3g} to {cell['high']:.3g}, n={cell['n']}" if cell["n"] > 1 else f"n={cell['n']}"
                weight = "font-weight:bold" if cell["rank"] == 1 else ""
                body += f"<td title='{about}' style='{weight}'>{text}</td>"
            body += "</tr>"
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.verdict)
        table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{said}{table}{self._core.ranks(760.0) or ''}</div>"

    def __repr__(self) -> str:
        samples = len(self.json["comparison"]["samples"])
        return f"<exegesis.Comparison of {', '.join(self.methods)} by {len(self.metrics)} metric(s) on {samples} sample(s)>"


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _cell(cell: "dict[str, Any]") -> "dict[str, Any]":
    estimate, against = cell["estimate"], cell["against_random"]
    interval = (estimate or {}).get("interval") or {"low": None, "high": None}
    return {
        "mean": _number(estimate["mean"] if estimate else None),
        "low": _number(interval["low"]),
        "high": _number(interval["high"]),
        "n": estimate["n"] if estimate else 0,
        "rank": _number(cell["rank"]),
        "beats_random": None if against is None else bool(against["mean"] > 0 and against["p"] < 0.05),
        "excluded": sum(count for _, count in cell["excluded"]),
    }
