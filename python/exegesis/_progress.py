"""Progress of long calls: a bar of tqdm where it is installed (a widget in notebooks), else a plain line on a terminal."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import Any, Callable, Iterator, Optional

PATIENCE = 1.0
"""Seconds that a call may take before a bar appears, unless one is asked for."""

Tell = Callable[[int, int], None]


@contextlib.contextmanager
def progress_bar(wanted: "bool | None", label: str) -> "Iterator[Optional[Tell]]":
    """What hears of progress, as `tell(done, total)`; None where none is wanted.

    Parameters
    ----------
    wanted : bool or None
        None: only for calls that take more than a second or two, on a terminal or in a notebook.
    label : str
        What is worked on.
    """
    if wanted is False:
        yield None
        return
    bar = _Bar(wanted is True, label)
    try:
        yield bar.tell
    finally:
        bar.close()


class _Bar:
    """Appears late, so that quick calls print nothing."""

    def __init__(self, is_asked_for: bool, label: str) -> None:
        self.is_asked_for = is_asked_for
        self.label = label
        self.started = time.monotonic()
        self.shown: Any = None
        self.is_plain = False

    def tell(self, done: int, total: int) -> None:
        elapsed = time.monotonic() - self.started
        if total <= 0 or (self.shown is None and not self.is_asked_for and (elapsed < PATIENCE or done >= total)):
            return
        if self.shown is None:
            self.shown = self._open(total)
        if self.shown is False:
            return
        if self.is_plain:
            self._line(done, total, elapsed)
        else:
            if self.shown.total != total or done < self.shown.n:
                self.shown.reset(total)
            self.shown.update(done - self.shown.n)

    def close(self) -> None:
        if self.is_plain and self.shown:
            sys.stderr.write("\n")
            sys.stderr.flush()
        elif self.shown:
            self.shown.close()

    def _open(self, total: int) -> Any:
        has_place = self.is_asked_for or _is_notebook() or (sys.stderr is not None and sys.stderr.isatty())
        if not has_place or sys.stderr is None:
            return False
        # tqdm says in a warning of its own that a notebook lacks widgets; it then draws text.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self.is_plain = True
                return True
            bar = tqdm(total=total, desc=self.label, leave=self.is_asked_for)
        bar.start_t -= time.monotonic() - self.started
        return bar

    def _line(self, done: int, total: int, elapsed: float) -> None:
        left = elapsed / done * (total - done) if done else math.nan
        told = "" if math.isnan(left) else f", {left:.0f} s left"
        sys.stderr.write(f"\r{self.label}: {done}/{total}{told}   ")
        sys.stderr.flush()


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    get = getattr(shell, "get_ipython", None)
    return get is not None and type(get()).__name__ == "ZMQInteractiveShell"
