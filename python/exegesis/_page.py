"""Text for people with the same content for programs."""

from __future__ import annotations

import html
import json
from typing import Any, Iterator, Mapping


class Page(Mapping[str, Any]):
    """Printed, a text; by key, its content as the command's ``--json`` has it."""

    def __init__(self, text: str, content: str) -> None:
        self.text = text
        self._content: "dict[str, Any]" = json.loads(content)

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> "Iterator[str]":
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>"
