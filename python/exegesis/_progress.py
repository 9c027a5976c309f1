"""Progress of long calls."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, Callable, Iterator

PATIENCE = 1.0


@contextlib.contextmanager
def progress_bar(wanted: "bool | None", label: str) -> "Iterator[Callable[[int, int], None] | None]":
    """A bar that appears when work takes longer than a second; None where none is wanted."""
    if wanted is False:
        yield None
        return
    started = time.monotonic()
    shown = [False]

    def tell(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if total == 0 or (elapsed < PATIENCE and not wanted):
            return
        if not shown[0] and not wanted and not sys.stderr.isatty():
            return
        shown[0] = True
        left = elapsed / done * (total - done) if done else float("nan")
        sys.stderr.write(f"\r{label}: {done}/{total}, {left:.0f} s left ")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown[0]:
            sys.stderr.write("\n")
