"""Explanations in notebooks: the report's own pictures, and the whole report in a frame.

Pictures are embedded as images, so that names and styles of one can't meet those of another on the same page.
"""

from __future__ import annotations

import base64
import html
import os
import sys
import tempfile
import webbrowser
from typing import Any, Sequence

SHOWN = 3
"""Rows that a notebook shows; the others are in the report."""


def html_of(explanation: Any, rows: "Sequence[int] | None" = None) -> str:
    """The first rows as pictures that fit the width of the page, and what is left out."""
    count = len(explanation)
    chosen = list(range(min(count, SHOWN))) if rows is None else list(rows)
    parts = [_image(explanation, row) for row in chosen]
    if rows is None and count > SHOWN:
        parts.append(
            f"<p>The first {SHOWN} of {count} rows; <code>e[{SHOWN}]</code> is the next, <code>e.show()</code> the full report.</p>"
        )
    parts += [f"<p>&#9888; {html.escape(text)}</p>" for text in explanation.warnings]
    return f"<div>{''.join(parts)}</div>"


def _image(explanation: Any, row: int) -> str:
    try:
        svg = explanation._core.svg(row)
    except ValueError as error:
        return f"<p>{html.escape(repr(explanation))}: {html.escape(str(error))}</p>"
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img alt="row {row}: {html.escape(", ".join(explanation.methods))}" style="max-width:100%;height:auto;background:#fff" '
        f'src="data:image/svg+xml;base64,{data}"/>'
    )


def show(explanation: Any, path: "str | None") -> Any:
    """The report: in a frame of a notebook, else in the browser."""
    page = explanation.html()
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if path is None and type(shell).__name__ == "ZMQInteractiveShell":
        from IPython.display import HTML

        frame = f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:40em;border:0" sandbox=""></iframe>'
        return HTML(frame)
    if path is None:
        handle, path = tempfile.mkstemp(prefix="explanation-", suffix=".html")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    webbrowser.open(f"file://{os.path.abspath(path)}")
    return path
