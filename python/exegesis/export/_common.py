"""What all exports share: a folder that is gone afterwards, short reasons, and a model that says where it comes from."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import re
import warnings
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .. import _core
from .._model import Model
from ..errors import ExegesisError, ExportError, UsageError

LONGEST_REASON = 300

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def needed(module: str, extra: str, use: str) -> Any:
    """Import ``module``, or say which extra of the package to install.

    Raises
    ------
    exegesis.errors.UsageError
        The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if getattr(error, "name", None) not in (module, module.split(".")[0]):
            raise
        raise UsageError(f'{use} needs the package "{module}". Install it: pip install "exegesis[{extra}]".') from None


@contextlib.contextmanager
def quiet() -> "Iterator[None]":
    """Without what exporters print, log and warn of: what matters is in the error or in the notes."""
    disabled = logging.root.manager.disable
    try:
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            with contextlib.redirect_stderr(io.StringIO()):
                warnings.simplefilter("ignore")
                yield
    finally:
        logging.disable(disabled)


def reason(error: BaseException) -> str:
    """The first words of what an exporter says: of the innermost cause, without advice to the exporter's own developers."""
    seen = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    text = _COLOURS.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Asserts and the like come without words; headings end in a colon and say nothing alone.
    words = next((line for line in lines if not line.endswith(":")), lines[0] if lines else "")
    words = words.rstrip(".") or type(error).__name__
    if type(error) in (AssertionError, KeyError, TypeError, AttributeError, NameError, IndexError, NotImplementedError):
        words = f"{type(error).__name__}: {words}" if words != type(error).__name__ else words
    return words if len(words) <= LONGEST_REASON else words[: LONGEST_REASON - 3].rstrip() + "..."


def labels_text(labels: "Sequence[str] | Mapping[int, str] | None") -> "str | None":
    """Names of classes as the model's metadata holds them.

    Raises
    ------
    exegesis.errors.UsageError
        A mapping that does not number its names from 0 on, or a single text.
    """
    if labels is None:
        return None
    if isinstance(labels, str):
        raise UsageError("labels is a single text. Give a list with a name per class.")
    if isinstance(labels, Mapping):
        by_index = {int(index): str(name) for index, name in labels.items()}
        if sorted(by_index) != list(range(len(by_index))):
            raise UsageError(
                f"labels are numbered {sorted(by_index)}, not from 0 on. Give a name for every class, or a list."
            )
        labels = [by_index[index] for index in range(len(by_index))]
    return json.dumps([str(name) for name in labels])


def opened(
    path: str,
    name: str,
    *,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
    columns: "Sequence[str] | None" = None,
    notes: "Iterable[str]" = (),
) -> Model:
    """Open an exported file as the model ``name``; the file may go afterwards.

    Parameters
    ----------
    path : str
        The file, external data beside it.
    name : str
        What the model is called from now on, in errors too.
    labels, preprocess
        As in :func:`exegesis.from_torch`.
    columns : sequence of str, optional
        Names of the columns of a table.
    notes : iterable of str
        What should be known about the export.

    Raises
    ------
    exegesis.errors.ExportError
        The exported graph can't be read, for instance because an operator is not known.
    """
    try:
        core = _core.Model.open(path)
    except ExegesisError as error:
        raise ExportError(str(error).replace(path, name)) from None
    metadata = {"labels": labels_text(labels), "preprocess": preprocess, "columns": columns and json.dumps(list(columns))}
    model = Model(core.described(name, [(f"exegesis.{key}", str(text)) for key, text in metadata.items() if text]))
    model.notes = list(notes)
    return model
