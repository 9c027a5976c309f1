"""Tables of pandas and Arrow as values for graph inputs: columns by name, in the order that the model wants."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from .errors import InputError

Cells = Tuple[Optional[str], Any, Optional[List[str]]]
"""Name of the input, its array, names of the array's columns."""

NAMED = 8
"""Names that a message lists."""


def is_table(x: Any) -> bool:
    """True for data frames and series of pandas and Polars and for tables of Arrow, which need not be installed."""
    library = type(x).__module__.split(".")[0]
    if library in ("pandas", "polars"):
        return type(x).__name__ in ("DataFrame", "Series")
    return library == "pyarrow" and type(x).__name__ in ("Table", "RecordBatch")


def table_values(
    x: Any, ports: "Sequence[Any]", columns: "Sequence[str] | None"
) -> "list[Cells]":
    """Arrays by input.

    A model of one input `[batch, columns]` gets the columns side by side: those that the model names, else all numeric ones in
    their order. A model of several inputs gets a column for each, by its name.

    Raises
    ------
    exegesis.errors.InputError
        Columns that are missing, too many, not numeric, or have gaps; all are named.
    """
    needed = [port for port in ports if not port[3]]
    if type(x).__name__ == "Series":
        return _series(x, needed, columns)
    table = _columns(x)
    if len(needed) != 1:
        return [(port[0], _one(table, port), None) for port in needed]
    name, dtype, shape, _ = needed[0]
    if shape is not None and len(shape) != 2:
        if name in table:
            return [(name, _one(table, needed[0]), None)]
        raise InputError(
            f'a table is given, but input "{name}" takes arrays [{", ".join(shape)}], not [rows, columns]. Give an array.'
        )
    wanted = int(shape[1]) if shape is not None and shape[1].isdigit() else None
    names = _chosen(table, name, wanted, columns)
    cells = [_numbers(table[column], column, dtype) for column in names]
    return [(name, np.ascontiguousarray(np.stack(cells, axis=1)), names)]


def _columns(x: Any) -> "dict[str, Any]":
    """Columns by name; those of Arrow as they are."""
    if type(x).__module__.split(".")[0] == "polars":
        x = x.to_arrow()
    if type(x).__module__.split(".")[0] == "pyarrow":
        pairs = list(zip(x.column_names, x.columns))
    else:
        pairs = [(str(label), x.iloc[:, place]) for place, label in enumerate(x.columns)]
    names = [name for name, _ in pairs]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"the table has several columns called {_listed(double)}. Rename them.")
    return dict(pairs)


def _chosen(
    table: "dict[str, Any]", name: str, wanted: "int | None", columns: "Sequence[str] | None"
) -> "list[str]":
    if columns:
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(
                f'the table has no column {_listed(missing)}, which input "{name}" needs; its columns are '
                f"{_listed(list(table))}. Rename them."
            )
        return list(columns)
    numeric = [column for column, values in table.items() if _is_numeric(values)]
    others = [column for column in table if column not in numeric]
    if wanted is None and not others or wanted == len(numeric):
        return numeric
    if others and (wanted is None or len(table) >= wanted):
        raise InputError(
            f"the column {_listed(others)} is no column of numbers. Encode it as the model was trained, or leave it out."
        )
    raise InputError(
        f'the table has {len(numeric)} column(s) of numbers, and input "{name}" takes {wanted}. Give the columns that the model '
        "was trained on, in that order."
    )


def _one(table: "dict[str, Any]", port: Any) -> "np.ndarray[Any, Any]":
    """The column of an input, `[rows]` or `[rows, 1]` as the input wants it."""
    name, dtype, shape, _ = port
    if name not in table:
        raise InputError(
            f'the table has no column called like input "{name}"; its columns are {_listed(list(table))}. Rename the column.'
        )
    cells = _numbers(table[name], name, dtype)
    rank = 2 if shape is None else len(shape)
    if rank > 2:
        raise InputError(f'input "{name}" takes arrays [{", ".join(shape)}], and a column has one number per row. Give arrays.')
    return cells if rank == 1 else cells[:, None]


def _series(x: Any, needed: "Sequence[Any]", columns: "Sequence[str] | None") -> "list[Cells]":
    """One row of a table: its index names the columns."""
    if len(needed) != 1:
        row = {str(label): value for label, value in zip(x.index, x.to_numpy())}
        absent = [port[0] for port in needed if port[0] not in row]
        if absent:
            raise InputError(f"the row has no entry called {_listed(absent)}. Name the entries like the inputs.")
        return [(port[0], _scalar(row[port[0]], port), None) for port in needed]
    name, dtype = needed[0][:2]
    if columns and hasattr(x, "index") and all(column in x.index for column in columns):
        x = x[list(columns)]
    cells = _numbers(x, str(x.name), dtype)
    labels = [str(label) for label in x.index] if hasattr(x, "index") and needed[0][2] is not None and len(needed[0][2]) == 2 else None
    return [(name, cells, labels)]


def _scalar(value: Any, port: Any) -> "np.ndarray[Any, Any]":
    rank = 2 if port[2] is None else len(port[2])
    return _typed(np.asarray(value).reshape((1,) * rank), port[1])


def _is_numeric(values: Any) -> bool:
    if type(values).__module__.split(".")[0] == "pyarrow":
        kind = str(values.type)
        return kind.startswith(("int", "uint", "float", "double", "halffloat", "bool", "decimal"))
    kind = getattr(values.dtype, "kind", "O")
    return kind in "biuf"


def _numbers(values: Any, name: str, dtype: str) -> "np.ndarray[Any, Any]":
    """The cells of one column `[rows]` in the type of the input."""
    is_arrow = type(values).__module__.split(".")[0] == "pyarrow"
    try:
        if is_arrow and not _is_numeric(values):
            raise ValueError(str(values.type))
        if is_arrow:
            gaps = values.null_count
            cells = values.to_numpy(zero_copy_only=False) if not hasattr(values, "chunks") else values.to_numpy()
        else:
            gaps = int(values.isna().sum()) if hasattr(values, "isna") else 0
            cells = values.to_numpy()
        if gaps:
            raise InputError(f'the column "{name}" has {gaps} empty cell(s). Fill them, or leave these rows out.')
        cells = np.asarray(cells)
        if cells.dtype.kind == "O":
            if any(isinstance(cell, str) for cell in cells):
                raise ValueError("texts")
            cells = cells.astype("float64")
        if cells.dtype.kind not in "biuf":
            raise ValueError(str(cells.dtype))
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'the column "{name}" is no column of numbers ({error}). Encode it as the model was trained, or leave it out.'
        ) from error
    return _typed(cells, dtype)


def _typed(cells: "np.ndarray[Any, Any]", dtype: str) -> "np.ndarray[Any, Any]":
    """Whole numbers for a float input are converted, as cells of a text file are; anything else is left to the engine."""
    if dtype.startswith("float") and cells.dtype.kind in "biuf":
        return cells.astype("float32" if dtype == "float32" else "float64")
    return cells


def _listed(names: "Sequence[str]") -> str:
    shown = ", ".join(f'"{name}"' for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
