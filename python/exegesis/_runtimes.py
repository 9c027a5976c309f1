"""What runs models: the embedded runtime, and ONNX Runtime where this interpreter has its package."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from . import _core


def _package() -> "str | None":
    """Where this interpreter has the package ``onnxruntime``; it is not imported."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return None
    return next(iter(spec.submodule_search_locations or []), None) if spec is not None else None


_core.beside_interpreter(_package())


def runtimes(onnxruntime: "str | os.PathLike[str] | None" = None) -> "dict[str, dict[str, Any]]":
    """All runtimes by name.

    Parameters
    ----------
    onnxruntime : str or path, optional
        Where ONNX Runtime's library lies, or a Python environment that has it. By default what ``ORT_DYLIB_PATH`` names, else the
        package of this interpreter.

    Returns
    -------
    dict
        Per runtime ``version`` (None where it can't be used), ``path`` of its library, ``devices`` that it is built for, and
        ``fault``: why it can't be used.
    """
    found = _core.runtimes(None if onnxruntime is None else os.fspath(onnxruntime))
    return {str(entry.pop("name")): entry for entry in found}
