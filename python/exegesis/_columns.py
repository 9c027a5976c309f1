"""Columns of Arrow tables as arrays that a model takes, and arrays as columns."""

from __future__ import annotations

import hashlib
from typing import Any, Sequence

import numpy as np

from .errors import InputError, UsageError


def arrow() -> Any:
    """The module ``pyarrow``; a sentence if it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError("tables need pyarrow, which is not installed. Install exegesis[arrow].") from error
    return pyarrow


def is_text(dtype: Any) -> bool:
    """True for columns of strings, dictionaries of strings included."""
    types = arrow().types
    inner = dtype.value_type if types.is_dictionary(dtype) else dtype
    return types.is_string(inner) or types.is_large_string(inner) or str(inner) == "string_view"


def is_list(dtype: Any) -> bool:
    """True for columns with an array in each row."""
    types = arrow().types
    return bool(types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype))


def texts(column: Any, name: str, first: int) -> "list[str]":
    """The strings of a column; ``first`` is the number of its first row in the whole table."""
    refuse_nulls(column, name, first)
    found: "list[str]" = column.to_pylist()
    return found


def numbers(column: Any, name: str, first: int) -> np.ndarray:
    """The numbers of a column ``[rows]``, or of a column of lists of one size ``[rows, ...]``: ``bool`` and integers as
    ``int64`` or ``float64``, decimals as ``float64``."""
    pa = arrow()
    types = pa.types
    refuse_nulls(column, name, first)
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if hasattr(column, "to_numpy_ndarray"):
            return finite(np.asarray(column.to_numpy_ndarray()), name, first)
        return numbers(column.storage, name, first)
    if types.is_dictionary(kind):
        return numbers(column.dictionary_decode(), name, first)
    if is_list(kind):
        return _stacked(column, name, first)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return finite(np.asarray(column.to_numpy(zero_copy_only=False)), name, first)
    if types.is_decimal(kind):
        return finite(np.array([float(value) for value in column.to_pylist()], dtype=np.float64), name, first)
    raise InputError(f'column "{name}" holds {kind}, not numbers. Encode it first, or leave it out.')


def _stacked(column: Any, name: str, first: int) -> np.ndarray:
    pa = arrow()
    rows, size = len(column), None
    if pa.types.is_fixed_size_list(column.type):
        size, inner = column.type.list_size, column.flatten()
    else:
        sizes = np.diff(column.offsets.to_numpy())
        inner = column.flatten()
        size = int(sizes[0]) if rows else 0
        odd = np.flatnonzero(sizes != size)
        if len(odd):
            raise InputError(
                f'column "{name}" has lists of different lengths: {size} in row {first}, {sizes[odd[0]]} in row '
                f"{first + odd[0]}. Pad them, or give a table for each length."
            )
    if inner.null_count:
        at = int(np.flatnonzero(inner.is_null().to_numpy(zero_copy_only=False))[0])
        row = first + at // max(size, 1)
        raise InputError(f'column "{name}" has a null in the list of row {row}. Fill it first, or leave the row out.')
    values = numbers(inner, name, first)
    return values.reshape(rows, size, *values.shape[1:])


def refuse_nulls(column: Any, name: str, first: int) -> None:
    """A null is named with its row."""
    if column.null_count:
        at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(f'column "{name}" is null in row {first + at}. Fill it first, or leave the row out.')


def finite(values: np.ndarray, name: str, first: int) -> np.ndarray:
    """A number that is none is named with its row."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        at = tuple(np.argwhere(~np.isfinite(values))[0])
        raise InputError(f'column "{name}" is {values[at]} in row {first + at[0]}. Fill it first, or leave the row out.')
    return values


def fitted(values: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """The values in the element type of a graph input; whole numbers stay whole."""
    if dtype.startswith("float") or dtype == "bfloat16":
        return values.astype("float32" if dtype == "bfloat16" else dtype)
    if values.dtype.kind == "f":
        raise InputError(f'column "{name}" holds floats, and the model takes {dtype} there. Convert it first.')
    return values if dtype == "bool" else values.astype("int64")


def list_column(values: np.ndarray, dtype: Any = None) -> Any:
    """An array ``[rows, ...]`` as a column of (nested) fixed-size lists; ``[rows]`` as a plain column."""
    pa = arrow()
    column = pa.array(np.ascontiguousarray(values).reshape(-1), type=dtype)
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, int(size))
    return column


def keys_of(columns: "Sequence[Any]") -> "list[int]":
    """A number for each row that depends on the row's values alone, the same in every process."""
    parts = []
    for column in columns:
        if isinstance(column, np.ndarray):
            values = np.ascontiguousarray(column, dtype=np.float64 if column.dtype.kind == "f" else np.int64)
            parts.append([row.tobytes() for row in values.reshape(len(values), -1)])
        else:
            parts.append([str(value).encode() for value in column])
    return [int.from_bytes(hashlib.blake2b(b"\0".join(row), digest_size=8).digest(), "little") for row in zip(*parts)]


def zeros(dtype: Any, size: int) -> Any:
    """A column with one row of zeros, or of a word."""
    pa = arrow()
    types = pa.types
    if isinstance(dtype, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(dtype, zeros(dtype.storage_type, size))
    if types.is_dictionary(dtype):
        return pa.DictionaryArray.from_arrays(pa.array([0], dtype.index_type), zeros(dtype.value_type, size))
    if types.is_fixed_size_list(dtype):
        return pa.FixedSizeListArray.from_arrays(_repeated(zeros(dtype.value_type, size), dtype.list_size), dtype.list_size)
    if is_list(dtype):
        return pa.array([_repeated(zeros(dtype.value_type, 1), size).to_pylist()], type=dtype)
    if is_text(dtype):
        return pa.array(["word"], type=dtype)
    return pa.array([0], type=pa.int64()).cast(dtype) if not types.is_decimal(dtype) else pa.array([0], type=dtype)


def _repeated(column: Any, count: int) -> Any:
    pa = arrow()
    return pa.concat_arrays([column] * count) if count else column.slice(0, 0)
