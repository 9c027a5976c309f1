"""What methods and metrics there are, and what each does."""

from __future__ import annotations

import difflib
import html
import textwrap
from typing import Any, Mapping, overload

from . import _core
from .errors import UsageError

WIDTH = 100


class Entry(Mapping[str, Any]):
    """A method or a metric: its page as text when printed, its parts by key.

    Keys are ``name``, ``summary``, ``formula``, ``cost``, ``misleads``, ``citation`` and ``parameters`` (dicts of ``name``,
    ``default``, ``values``, ``doc``), of metrics also ``id``, ``version``, ``family``, ``better``, ``modalities`` and ``check``.
    """

    def __init__(self, parts: "dict[str, Any]") -> None:
        keys = ("name", "default", "values", "doc")
        self._parts = {**parts, "parameters": [dict(zip(keys, own)) for own in parts["parameters"]]}

    def __getitem__(self, key: str) -> Any:
        return self._parts[key]

    def __iter__(self) -> Any:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __str__(self) -> str:
        parts = self._parts
        title = f"{parts['name']} ({parts['id']}, {parts['family']}, {parts['better']} is better)" if "id" in parts else parts["name"]
        lines = [title, "", textwrap.fill(parts["summary"], WIDTH), ""]
        for key in ("formula", "cost", "modalities", "check", "misleads", "citation"):
            if key in parts:
                text = ", ".join(parts[key]) if isinstance(parts[key], list) else parts[key]
                lines += _field(key, text)
        for index, own in enumerate(parts["parameters"]):
            lines += _field("parameters" if index == 0 else "", f"{own['name']}={own['default']} ({own['values']}): {own['doc']}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Catalogue(Mapping[str, Entry]):
    """Entries by name; printed, a line for each."""

    def __init__(self, entries: "list[dict[str, Any]]") -> None:
        self._entries = {parts["name"]: Entry(parts) for parts in entries}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Any:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        width = max(map(len, self._entries), default=0) + 2
        lines = []
        for name, entry in self._entries.items():
            first = entry["summary"].split(". ")[0].rstrip(".")
            lines.append(f"{name:<{width}}{textwrap.shorten(first, 2 * WIDTH - width, placeholder=' ...')}")
        return "\n".join(lines)

    __repr__ = __str__

    def find(self, name: str, what: str) -> Entry:
        """The entry called `name`; else an error with the likely one."""
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self._entries, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Choose one of {', '.join(self._entries)}."
        raise UsageError(f"there is no {what} {name!r}. {hint}")


def _field(key: str, text: str) -> "list[str]":
    return textwrap.wrap(text, WIDTH, initial_indent=f"{key:<11}", subsequent_indent=" " * 11) or [key]


@overload
def methods() -> Catalogue: ...


@overload
def methods(name: str) -> Entry: ...


def methods(name: "str | None" = None) -> "Catalogue | Entry":
    """All methods by name, or one with its formula, parameters, cost, when it misleads, and its source.

    >>> import exegesis as xg
    >>> xg.methods("lime")["parameters"][0]["name"]
    'samples'
    """
    found = Catalogue(_core.methods())
    return found if name is None else found.find(name, "method")


@overload
def metrics() -> Catalogue: ...


@overload
def metrics(name: str) -> Entry: ...


def metrics(name: "str | None" = None) -> "Catalogue | Entry":
    """All metrics by name, or one with its definition, parameters, and the answer that its test checks."""
    found = Catalogue(_core.metrics())
    return found if name is None else found.find(name, "metric")
