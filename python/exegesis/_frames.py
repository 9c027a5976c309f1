"""Explanations as tables of pandas and Arrow."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from .errors import UsageError


def needed(module: str, package: str, extra: "str | None" = None) -> Any:
    """A module that is not always installed; else an error that names what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        how = f'pip install "exegesis[{extra}]"' if extra else f"pip install {package}"
        raise UsageError(f"{package} is needed for this and is not installed. Run {how}.") from error


def optional(module: str) -> Any:
    """A module, or None if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def ledger_table(nodes: "list[tuple[str, str]]", columns: "list[str]", values: Any) -> Any:
    """The ledger `[batch, nodes, columns]` as lines: row, node, operator, then its columns. A dict of arrays without pandas."""
    rows = values.shape[0]
    table: "dict[str, Any]" = {
        "row": np.repeat(np.arange(rows), len(nodes)),
        "node": np.tile(np.array([name for name, _ in nodes], dtype=object), rows),
        "op": np.tile(np.array([op for _, op in nodes], dtype=object), rows),
    }
    for place, name in enumerate(columns):
        table[name] = values[:, :, place].ravel()
    pandas = optional("pandas")
    return table if pandas is None else pandas.DataFrame(table)


def to_pandas(explanation: Any) -> Any:
    """A line per row, method, input and cell."""
    pandas = needed("pandas", "pandas")
    drawings = [json.loads(explanation._core.drawing(row)) for row in range(len(explanation))]
    frames = []
    for name in explanation.methods:
        own = explanation[name]
        arrays = own._keyed("attribution")
        further = {kind: own._keyed(kind) for kind in ("standard_error", "value", "importance", "positive", "negative")}
        for input_name, array in arrays.items():
            for row in range(len(explanation)):
                given = drawings[row]["inputs"]
                view: "dict[str, Any]" = next((own["view"] for own in given if own["name"] == input_name), {})
                cells = array[row]
                lines: "dict[str, Any]" = {"row": row}
                if len(arrays) > 1:
                    lines["input"] = input_name
                lines.update(_places(view, cells.shape))
                lines["method"] = name
                lines["attribution"] = cells.ravel()
                for kind, found in further.items():
                    if input_name in found and found[input_name].shape == array.shape:
                        lines[f"slalom_{kind}" if kind in ("value", "importance") else kind] = found[input_name][row].ravel()
                frames.append(pandas.DataFrame(lines))
    return pandas.concat(frames, ignore_index=True)


def _places(view: "dict[str, Any]", shape: "tuple[int, ...]") -> "dict[str, Any]":
    """What names each cell of a row."""
    count = int(np.prod(shape, dtype=int))
    nothing: "tuple[str, Any]" = ("", {})
    kind, content = next(iter(view.items()), nothing)
    if kind == "Columns" and len(content["names"]) == count:
        return {"column": content["names"], "value": [_number(text) for text in content["values"]]}
    tokens = token_names(kind, content)
    if tokens is not None and shape[0] == len(tokens):
        positions = np.repeat(np.arange(len(tokens)), count // max(len(tokens), 1))
        places: "dict[str, Any]" = {"position": positions, "token": [tokens[place] for place in positions]}
        return places if len(shape) == 1 else {**places, "dimension": np.tile(np.arange(count // len(tokens)), len(tokens))}
    grid = np.indices(shape).reshape(len(shape), -1)
    names = [f"axis_{axis + 1}" for axis in range(len(shape))]
    return dict(zip(names, grid)) if names else {"axis_1": [0]}


def token_names(kind: str, content: Any) -> "list[str] | None":
    """Names of the tokens of a view, if it is one of tokens."""
    if kind == "Text":
        return [token["name"] for token in content["tokens"]]
    if kind == "Tokens":
        texts = content["texts"]
        return list(texts) if texts is not None else [str(number) for number in content["ids"]]
    return None


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def to_arrow(explanation: Any) -> Any:
    """A line per row; attributions are lists over the same memory."""
    arrow = needed("pyarrow", "pyarrow", "arrow")
    rows = explanation.summary["rows"]
    names, columns, metadata = [], [], []

    def add(name: str, column: Any, shape: "tuple[int, ...] | None" = None) -> None:
        names.append(name)
        columns.append(column)
        metadata.append(None if shape is None else {"shape": json.dumps(list(shape))})

    for key in ("index", "label", "score", "probability"):
        found = [row["prediction"][key] for row in rows]
        kind = {"index": arrow.int64(), "label": arrow.string()}.get(key, arrow.float64())
        add(f"prediction_{key}", arrow.array(found, kind))
    for key, array in explanation.arrays.items():
        if not _is_kept(explanation, key, array, len(rows)):
            continue
        flat = arrow.array(array.reshape(-1))
        column = flat if array.ndim == 1 else arrow.FixedSizeListArray.from_arrays(flat, array.size // len(rows))
        add(key, column, None if array.ndim == 1 else array.shape[1:])
    for name in explanation.methods:
        evidence = explanation[name].evidence
        prefix = f"{name}/" if len(explanation.methods) > 1 else ""
        for key in ("sum", "expected", "gap"):
            add(f"{prefix}{key}", arrow.array([row[key] for row in evidence], arrow.float64()))
    fields = [arrow.field(name, column.type, metadata=own) for name, column, own in zip(names, columns, metadata)]
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields))


def _is_kept(explanation: Any, key: str, array: Any, rows: int) -> bool:
    """Arrays with a line per row, of the methods of this part; inner values and predictions have arrays of their own."""
    if rows == 0 or array.ndim == 0 or array.shape[0] != rows:
        return False
    if key == "target":
        return True
    every = list(explanation._core.methods)
    own = next((name for name in every if key.startswith(f"{name}/")), None) if len(every) > 1 else every[0]
    inner = key[len(own) + 1 :] if own is not None and len(every) > 1 else key
    return own in explanation.methods and not inner.startswith(("relevance/", "ledger/", "prediction/"))
