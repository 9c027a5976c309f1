"""Choices of a call, as the engine takes them: names checked, targets, sizes and paths in one form."""

from __future__ import annotations

import difflib
import json
import os
import re
from typing import Any, Mapping, Sequence

import numpy as np

from ._inputs import as_array, is_torch
from .errors import UsageError

DEFAULTS: "dict[str, Any]" = {
    "target": None,
    "by_row": False,
    "labels": None,
    "labels_file": None,
    "task": None,
    "score": None,
    "baseline": None,
    "explain": None,
    "output_name": None,
    "players": None,
    "nodes": None,
    "per_dim": False,
    "on_missing_rule": None,
    "threshold": None,
    "step": None,
    "runtime": None,
    "device": None,
    "onnxruntime": None,
    "threads": None,
    "seed": 0,
    "batch": None,
    "memory": None,
    "preprocess": None,
}
"""Every choice of the engine; None is the default of the command."""

INNER = ("by_row", "labels_file")
"""Choices that others stand for."""

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def option_names() -> "list[str]":
    """Names of the options that callers may give."""
    return sorted(set(DEFAULTS) - set(INNER))


def choices(options: "Mapping[str, Any]") -> "dict[str, Any]":
    """The engine's choices for what a caller gave.

    Raises
    ------
    exegesis.errors.UsageError
        A name that is no option (the likely one is suggested), or a value of a wrong kind.
    """
    found = dict(DEFAULTS)
    for key, value in options.items():
        if key not in found or key in INNER:
            near = difflib.get_close_matches(key, option_names(), 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Options are {', '.join(option_names())}."
            raise UsageError(f"there is no option {key!r}. {hint}")
        found[key] = value
    found["seed"] = 0 if found["seed"] is None else found["seed"]
    found["per_dim"] = bool(found["per_dim"])
    if found["nodes"] is True:
        found["nodes"] = "all"
    for key in ("nodes", "explain"):
        if isinstance(found[key], str):
            found[key] = [found[key]]
        found[key] = None if not found[key] else list(found[key])
    found["labels"], found["labels_file"] = _labels(found["labels"])
    found["memory"] = _bytes(found["memory"])
    found["preprocess"] = _preprocess(found["preprocess"])
    if isinstance(found["baseline"], (int, float)) and not isinstance(found["baseline"], bool):
        found["baseline"] = repr(float(found["baseline"]))
    for key, kind, what in _KINDS:
        value = found[key]
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool) and bool not in kind):
            raise UsageError(f"{key}={value!r} is of a wrong kind. Give {what}.")
    if found["onnxruntime"] is not None:
        found["onnxruntime"] = os.fspath(found["onnxruntime"])
    for key in ("threads", "batch", "step", "memory", "seed"):
        if found[key] is not None and found[key] < 0:
            raise UsageError(f"{key}={found[key]} is negative. Give a whole number from 0.")
        found[key] = None if found[key] is None else int(found[key])
    return found


_TEXT = (str,)
_WHOLE = (int, np.integer)
_KINDS: "Sequence[tuple[str, tuple[type, ...], str]]" = (
    ("task", _TEXT, "its name"),
    ("score", _TEXT, '"logit" or "probability"'),
    ("baseline", _TEXT, '"zeros", "mean", "blur", a number or an array'),
    ("output_name", _TEXT, "the name of an output"),
    ("players", _TEXT, 'a kind such as "patch:16", or an array of group numbers'),
    ("on_missing_rule", _TEXT, '"error", "pass" or "gradient"'),
    ("runtime", _TEXT, "its name"),
    ("device", _TEXT, '"cpu", "cuda" or "cuda:N"'),
    ("onnxruntime", (str, os.PathLike), "the path of its library, or of a Python environment that has it"),
    ("threshold", (int, float), "a probability"),
    ("step", _WHOLE, "a position"),
    ("threads", _WHOLE, "a number of threads"),
    ("batch", _WHOLE, "a number of rows"),
    ("seed", _WHOLE, "a whole number"),
)


def target_choice(target: Any, labels: "Sequence[str]") -> "tuple[str | None, np.ndarray[Any, Any] | None]":
    """A target in the form of the command, or a class per row.

    Parameters
    ----------
    target : None, str, int, tuple of int, or list, array or tensor of int or str
        None and ``"argmax"``: the best class of each row. A tuple is an index into the output without its batch axis. A list or
        a rank-1 array has a class for each row.
    labels : sequence of str
        Names of the classes.

    Returns
    -------
    text : str or None
    classes : int64 array [batch] or None
    """
    if target is None or isinstance(target, str):
        return target, None
    if isinstance(target, tuple):
        index = ",".join(str(_whole(part)) for part in target)
        return (index if len(target) == 1 else f"index:{index}"), None
    if isinstance(target, list) and target and all(isinstance(item, tuple) for item in target):
        if any(item != target[0] for item in target):
            raise UsageError("a target that is an index can't differ from row to row. Give a class per row, or one index.")
        return target_choice(target[0], labels)
    if isinstance(target, (list, np.ndarray)) or is_torch(target) or hasattr(target, "__array__"):
        array = as_array(target)
        if array.ndim == 0:
            return str(_whole(array.item())), None
        if array.dtype.kind == "U":
            array = np.array([_class(str(name), labels) for name in array.ravel()], "int64").reshape(array.shape)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise UsageError(
                f"a target per row is a list of whole numbers, not an array {list(array.shape)} of {array.dtype}. Give a class for "
                "each row."
            )
        return None, array.astype("int64")
    return str(_whole(target)), None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"the target {value!r} is no whole number. Give a class index, a class name, or one for each row.")
    number = int(value)
    if number < 0:
        raise UsageError(f"the target {number} is negative. Classes count from 0.")
    return number


def _class(name: str, labels: "Sequence[str]") -> int:
    places = [index for index, label in enumerate(labels) if label == name]
    if len(places) != 1:
        found = "no class" if not places else f"{len(places)} classes"
        raise UsageError(f'there is {found} called "{name}" among the {len(labels)} labels. Give its index.')
    return places[0]


def class_names(labels: Any) -> "list[str]":
    """Names of classes from a list, or a dict by index."""
    if isinstance(labels, Mapping):
        return [str(labels.get(index, "")) for index in range(max(map(int, labels), default=-1) + 1)]
    return [str(label) for label in labels]


def _labels(labels: Any) -> "tuple[str | None, str | None]":
    if labels is None:
        return None, None
    if isinstance(labels, (str, os.PathLike)):
        return None, os.fspath(labels)
    return json.dumps(class_names(labels)), None


def _bytes(memory: Any) -> "int | None":
    if memory is None:
        return None
    if isinstance(memory, (int, np.integer)) and not isinstance(memory, bool):
        return int(memory)
    found = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?)(?:i?B)?\s*", str(memory), re.IGNORECASE)
    try:
        if found is None:
            raise ValueError
        return int(float(found.group(1)) * UNITS[found.group(2).upper()])
    except ValueError:
        raise UsageError(f'memory={memory!r} is no size. Give bytes, or a text such as "4G".') from None


def _preprocess(steps: Any) -> "str | None":
    if steps is None or isinstance(steps, str):
        return steps
    if not isinstance(steps, Mapping):
        raise UsageError(f"preprocess={steps!r} is no preprocessing. Give a text or a dict, such as dict(resize=256, crop=224).")

    def text(value: Any) -> str:
        return "/".join(str(part) for part in value) if isinstance(value, (list, tuple)) else str(value)

    return ",".join(f"{key}={text(value)}" for key, value in steps.items())
