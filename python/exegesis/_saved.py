"""Explanations read back from files."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from typing import Any, NoReturn

import numpy as np

from ._explanation import Explanation
from .errors import InputError, UsageError

KINDS = {
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "|b1",
}  # fmt: skip
"""Element types of safetensors that NumPy has."""

MAX_HEADER = 100 << 20
"""Largest header of a safetensors file in bytes."""


def load_explanation(path: "str | os.PathLike[str]") -> Explanation:
    """Read an explanation that was saved.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` file, which holds the summary too, or an ``.npz`` file, whose summary is read from the ``.json`` file of
        the same name beside it, if there is one.

    Returns
    -------
    Explanation
        Arrays and summary are those that were saved. Pictures are not: what was explained is not in the file.

    Raises
    ------
    exegesis.errors.InputError
        A file that can't be read, or that holds no explanation.
    """
    path = os.fspath(path)
    stem, ending = os.path.splitext(path)
    try:
        if ending.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            summary = _beside(f"{stem}.json")
        elif ending.lower() == ".safetensors":
            arrays, summary = _safetensors(path)
        else:
            raise UsageError(f'"{path}" is no file of arrays. Give .npz or .safetensors; .json alone holds no values.')
    except (OSError, ValueError, KeyError, struct.error, zipfile.BadZipFile) as error:
        if isinstance(error, (UsageError, InputError)):
            raise
        raise InputError(f"the explanation \"{path}\" can't be read: {error}. Save it again.") from error
    keys = [key for key in arrays if key.startswith("attribution/") or "/attribution/" in key]
    if not keys:
        raise InputError(f'"{path}" holds no attributions. Give a file that an explanation was saved as.')
    return Explanation(_Saved(path, arrays, summary))


def _beside(path: str) -> "dict[str, Any] | None":
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "methods" in found and "rows" in found else None


def _safetensors(path: str) -> "tuple[dict[str, Any], dict[str, Any] | None]":
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise ValueError("its header is too long")
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        if entry["dtype"] not in KINDS:
            raise ValueError(f'the array "{name}" is of type {entry["dtype"]}, which NumPy lacks')
        start, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(data[start:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    text = metadata.get("exegesis")
    return arrays, None if text is None else json.loads(text)


class _Saved:
    """What a file holds, in place of the engine."""

    def __init__(self, path: str, arrays: "dict[str, Any]", summary: "dict[str, Any] | None") -> None:
        self._path, self._arrays, self._summary = path, arrays, summary
        if summary is not None:
            self.methods = [method["key"] for method in summary["methods"]]
        else:
            found = [key.split("attribution/")[0].rstrip("/") for key in arrays if "attribution/" in key]
            self.methods = list(dict.fromkeys(name or "(method not saved)" for name in found))
        self.rows = int(next(array.shape[0] for key, array in arrays.items() if "attribution/" in key))
        # Files do not tell notes from warnings.
        self.warnings: "list[str]" = [] if summary is None else list(summary["warnings"])
        self.notes: "list[str]" = []

    def arrays(self) -> "dict[str, Any]":
        return dict(self._arrays)

    def json(self) -> str:
        if self._summary is None:
            raise UsageError(
                f'"{self._path}" holds arrays only. Save .safetensors, or a .json file of the same name beside the .npz file, to have '
                "the summary too."
            )
        return json.dumps(self._summary)

    def ledger(self, method: int) -> Any:
        described = json.loads(self.json())["methods"][method].get("ledger")
        if described is None:
            return None
        prefix = f"{self.methods[method]}/" if len(self.methods) > 1 else ""
        pages = [self._arrays[f"{prefix}ledger/{node}"] for node in described["nodes"]]
        return [(node, "") for node in described["nodes"]], described["columns"], np.stack(pages, axis=1)

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"{what} of a saved explanation can't be made: what was explained is not in the file. Explain again, or save .html, .png "
            "or .svg next time."
        )

    def drawing(self, row: int) -> str:
        self._refuse("a drawing")

    def html(self) -> str:
        self._refuse("the report")

    def svg(self, row: int) -> str:
        self._refuse("a picture")

    def png(self, row: int) -> bytes:
        self._refuse("a picture")

    def save(self, path: str) -> Any:
        self._refuse("another file")
