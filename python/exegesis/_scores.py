"""What functions return, as scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError, UsageError


def scores(found: Any, rows: int, name: str) -> np.ndarray:
    """What a function returned as a float64 array ``[rows, columns]``."""
    if hasattr(found, "detach") and hasattr(found, "cpu"):
        found = found.detach().cpu()
    try:
        array = np.asarray(found)
    except Exception as error:
        raise InputError(f"{name} returned {_what(found)}, which is no array: {error}. Return scores [rows, classes].") from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} returned an array of {array.dtype}, not of numbers. Return scores [rows, classes].")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != rows or array.shape[1] == 0:
        raise InputError(
            f"{name} was given {rows} row(s) and returned {_what(found)} of shape {list(np.shape(found))}. "
            f"Return scores [{rows}, classes], or [{rows}]."
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def check_labels(labels: "list[str]", width: int) -> None:
    """As many names as classes, or of one probability two."""
    if labels and len(labels) != width and not (width == 1 and len(labels) == 2):
        raise UsageError(f"there are {len(labels)} labels for {width} score(s). Give one for each.")


def _what(found: Any) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}".replace("builtins.", "")


def meaning(outputs: str, found: np.ndarray) -> str:
    """What scores mean, told from some of them where ``outputs`` is ``"auto"``."""
    if outputs != "auto":
        return outputs
    if found.shape[1] == 1:
        return "values"
    is_probability = found.min() >= 0 and np.abs(found.sum(axis=1) - 1).max() <= 1e-4
    return "probabilities" if is_probability else "logits"
