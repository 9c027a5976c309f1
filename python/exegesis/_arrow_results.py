"""An explanation as columns of an Arrow table."""

from __future__ import annotations

from typing import Any

from . import _columns as col
from .errors import InputError


def columns_of(explanation: Any, plan: "dict[str, list[str]]", rows: int) -> "dict[str, Any]":
    """The columns of an explanation."""
    pa = col.arrow()
    summary, arrays = explanation.summary, explanation.arrays
    several = len(summary["methods"]) > 1
    columns: "dict[str, Any]" = {}
    told = summary["rows"]
    if len(told) != rows:
        raise InputError(
            f"the model explained {len(told)} of {rows} rows: it can't tell the rows of a batch apart. Set batch_rows=1."
        )
    for method in summary["methods"]:
        prefix = f"{method['key']}/" if several else ""
        for entry in method["attributions"]:
            name = entry["input"]
            values = arrays[f"{prefix}attribution/{name}"]
            given = plan.get(name, [])
            pieces = explanation._core.pieces(name)
            if pieces is not None:
                if f"pieces/{name}" not in columns:
                    columns[f"pieces/{name}"] = pa.array(pieces, type=pa.list_(pa.string()))
                cut = [row[: len(own)].astype("float32") for row, own in zip(values, pieces)]
                columns[f"{prefix}attribution/{name}"] = pa.array(cut, type=pa.list_(pa.float32()))
            elif len(given) > 1 and values.size == rows * len(given):
                for at, column in enumerate(given):
                    columns[f"{prefix}attribution/{column}"] = pa.array(values.reshape(rows, -1)[:, at], type=pa.float32())
            else:
                columns[f"{prefix}attribution/{name}"] = col.list_column(values, pa.float32())
        sums = [(row["methods"][method["key"]] if several else row)["sum"] for row in told]
        columns[f"{prefix}sum"] = pa.array(sums, type=pa.float64())
        if f"{prefix}base_value" in arrays:
            columns[f"{prefix}base_value"] = pa.array(arrays[f"{prefix}base_value"], type=pa.float64())
    for key, dtype in (("index", pa.int64()), ("label", pa.string()), ("score", pa.float64()), ("probability", pa.float64())):
        name = "prediction" if key == "index" else key
        columns[name] = pa.array([(row["prediction"] or {}).get(key) for row in told], type=dtype)
    if "target" in arrays:
        columns["target"] = col.list_column(arrays["target"], pa.int64())
    return columns
