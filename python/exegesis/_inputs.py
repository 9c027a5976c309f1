"""What callers hold as values for graph inputs, as the engine takes it: arrays, pictures and texts by input."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ._tables import is_table, table_values
from .errors import InputError

Port = Tuple[str, str, Optional[List[str]], bool]
"""Name, element type, sizes, whether it may be left out."""
Value = Tuple[Optional[str], str, Any]
"""Name of the input or None, kind (array, table, picture, text), value (of a table the array and the names of its columns)."""


def given(x: Any, ports: "Sequence[Port]", columns: "Sequence[str] | None" = None) -> "list[Value]":
    """Values for graph inputs.

    Parameters
    ----------
    x : object
        A value for the only input; a dict of values by input name; a tuple of values in the order of the inputs; a table.
    ports : sequence of Port
        The inputs that values may be for.
    columns : sequence of str, optional
        Names that the model gives the columns of its table.

    Returns
    -------
    list of Value

    Raises
    ------
    exegesis.errors.InputError
        Values of a kind that no model takes.
    """
    if x is None:
        raise InputError("None is given where values for the model's inputs are needed. Give an array.")
    if is_table(x):
        return [_of_table(*found) for found in table_values(x, ports, columns)]
    if isinstance(x, Mapping):
        by_name = {port[0]: port for port in ports}
        return [item for name, value in x.items() for item in _values(value, str(name), by_name.get(str(name)))]
    if isinstance(x, tuple):
        return _in_order(x, ports)
    found = _values(x, None, _only(ports))
    if columns and len(found) == 1 and found[0][1] == "array" and found[0][2].shape[-1:] == (len(columns),):
        return [_of_table(None, found[0][2], list(columns))]
    return found


def _of_table(name: "str | None", array: Any, columns: "list[str] | None") -> Value:
    return (name, "array", array) if columns is None else (name, "table", (array, columns))


def _only(ports: "Sequence[Port]") -> "Port | None":
    needed = [port for port in ports if not port[3]]
    return needed[0] if len(needed) == 1 else None


def _in_order(x: "tuple[Any, ...]", ports: "Sequence[Port]") -> "list[Value]":
    if x and all(isinstance(value, str) or _is_picture(value) for value in x):
        return [item for value in x for item in _values(value, None, None)]
    if len(x) > len(ports):
        names = ", ".join(f'"{port[0]}"' for port in ports)
        raise InputError(f"a tuple of {len(x)} values is given, and the inputs are {names}. Give one value for each.")
    found = []
    for value, port in zip(x, ports):
        if value is not None:
            found += _values(value, port[0], port)
    return found


def _values(x: Any, name: "str | None", port: "Port | None") -> "list[Value]":
    if isinstance(x, str):
        return [(name, "text", x)]
    if _is_picture(x):
        return [(name, "picture", _pixels(x, name))]
    if isinstance(x, (list, tuple)) and x and all(isinstance(item, str) or _is_picture(item) for item in x):
        return [value for item in x for value in _values(item, name, port)]
    if is_table(x):
        raise InputError(f"a table is given for {_shown(name)} alone. Give the table itself, or its values as an array.")
    array = as_array(x, name)
    if array.dtype.kind == "U":
        return [(name, "text", str(item)) for item in array.ravel()]
    if isinstance(x, (list, tuple, int)) and array.dtype.kind in "iu" and port is not None and port[1].startswith("float"):
        # Whole numbers that were typed say nothing about a type.
        array = array.astype("float32")
    return [(name, "array", array)]


def _is_picture(x: Any) -> bool:
    return type(x).__module__.startswith("PIL.") and hasattr(x, "convert")


def _pixels(picture: Any, name: "str | None") -> "np.ndarray[Any, Any]":
    if picture.mode.startswith(("I", "F")):
        raise InputError(
            f"the picture for {_shown(name)} has mode {picture.mode!r}, whose range is not known. Convert it to 8 bits per "
            'channel, for example with convert("RGB") after scaling.'
        )
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"), dtype=np.uint8))


def as_array(x: Any, name: "str | None" = None) -> "np.ndarray[Any, Any]":
    """`x` as an array in C order and the machine's byte order, of a type that models take (or of texts).

    Parameters
    ----------
    x : array, tensor, or list of numbers
        Tensors of PyTorch may be on any device, need a gradient, or be bfloat16.
    name : str, optional
        The graph input, for errors.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    exegesis.errors.InputError
        Anything else.
    """
    if is_torch(x):
        x = _from_torch(x)
    elif isinstance(x, (list, tuple)) and x and all(is_torch(item) for item in x):
        x = [_from_torch(item) for item in x]
    elif not isinstance(x, np.ndarray) and not hasattr(x, "__array__") and hasattr(x, "__dlpack__"):
        x = np.from_dlpack(x)
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise InputError(f"the array for {_shown(name)} has masked values. Fill them before explaining.")
    try:
        array = np.asarray(x, order="C")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the values for {_shown(name)} are no array of numbers: their rows have different lengths or types. Give one array."
        ) from error
    kind = array.dtype.kind
    if kind == "O":
        texts = array.size > 0 and all(isinstance(item, str) for item in array.ravel())
        if texts:
            return array.astype(str)
        found = type(array.ravel()[0]).__name__ if array.size else "object"
        raise InputError(
            f"the values for {_shown(name)} are no array of numbers, but objects ({found}). Give an array, a tensor, a "
            "picture, a text or a table."
        )
    if kind == "U":
        return array
    if kind not in "biuf":
        what = {"c": "complex numbers", "M": "dates", "m": "durations", "S": "bytes", "V": "records"}.get(kind, str(array.dtype))
        raise InputError(f"the array for {_shown(name)} holds {what} ({array.dtype}), which no model takes. Convert it first.")
    if kind == "f" and array.dtype.itemsize > 8:
        array = array.astype("float64")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def is_torch(x: Any) -> bool:
    """True for tensors of PyTorch, which need not be installed."""
    return type(x).__module__.split(".")[0] == "torch" and hasattr(x, "detach") or _is_torch_subclass(x)


def _is_torch_subclass(x: Any) -> bool:
    return any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in type(x).__mro__)


def _from_torch(x: Any) -> "np.ndarray[Any, Any]":
    x = x.detach()
    if x.layout is not None and "sparse" in str(x.layout):
        x = x.to_dense()
    if "bfloat16" in str(x.dtype):
        x = x.float()
    array: "np.ndarray[Any, Any]" = x.cpu().resolve_conj().resolve_neg().numpy()
    return array


def _shown(name: "str | None") -> str:
    return "the input" if name is None else f'input "{name}"'
