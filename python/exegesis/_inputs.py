"""What callers hold as values for graph inputs."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from .errors import InputError


def given(x: Any, ports: "list[tuple[Any, ...]]") -> "list[tuple[str | None, str, Any]]":
    """Values for graph inputs as the engine takes them: name or None, kind, value."""
    if isinstance(x, Mapping):
        return [item for name, value in x.items() for item in _values(value, str(name))]
    if isinstance(x, tuple):
        return [item for value in x for item in _values(value, None)]
    return _values(x, None)


def _values(x: Any, name: "str | None") -> "list[tuple[str | None, str, Any]]":
    if isinstance(x, str):
        return [(name, "text", x)]
    if _is_picture(x):
        return [(name, "picture", _pixels(x))]
    if isinstance(x, list) and x and all(isinstance(item, str) or _is_picture(item) for item in x):
        return [value for item in x for value in _values(item, name)]
    return [(name, "array", _array(x))]


def _is_picture(x: Any) -> bool:
    return type(x).__module__.startswith("PIL.") and hasattr(x, "convert")


def _pixels(picture: Any) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"), dtype=np.uint8))


def _array(x: Any) -> np.ndarray:
    if hasattr(x, "detach") and hasattr(x, "cpu"):
        x = x.detach().cpu().numpy()
    array = np.asarray(x)
    if array.dtype == object:
        raise InputError("the values are no array of numbers: their rows have different lengths or types. Give one array.")
    return np.ascontiguousarray(array)


def target_text(target: Any) -> "str | None":
    """A target as the command line writes it."""
    if target is None or isinstance(target, str):
        return target
    if isinstance(target, (tuple, list)):
        return ",".join(str(int(part)) for part in target)
    return str(int(target))
