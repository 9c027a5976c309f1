"""Explanations: values, evidence, pictures."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from . import _core


class Explanation:
    """What methods found: attributions with the batch axis first, prediction, evidence, and where the numbers come from."""

    def __init__(self, core: "_core.Explanation") -> None:
        self._core = core
        self._arrays: "dict[str, np.ndarray] | None" = None
        self._summary: "dict[str, Any] | None" = None

    @property
    def arrays(self) -> "dict[str, np.ndarray]":
        """All arrays under the keys of saved files."""
        if self._arrays is None:
            self._arrays = self._core.arrays()
        return self._arrays

    @property
    def summary(self) -> "dict[str, Any]":
        """Everything but the arrays, as ``.json`` files hold it."""
        if self._summary is None:
            self._summary = json.loads(self._core.json())
        return self._summary

    @property
    def methods(self) -> "list[str]":
        """Names of the methods."""
        return self._core.methods

    @property
    def values(self) -> Any:
        """The first method's attribution: an array of the shape of the input, or a dict if several inputs are explained."""
        method = self.summary["methods"][0]
        prefix = f"{method['key']}/" if len(self.methods) > 1 else ""
        found = {a["input"]: self.arrays[f"{prefix}attribution/{a['input']}"] for a in method["attributions"]}
        return next(iter(found.values())) if len(found) == 1 else found

    @property
    def prediction(self) -> "list[dict[str, Any]]":
        """What the model says of each row: index, label, score, probability."""
        return [row["prediction"] for row in self.summary["rows"]]

    @property
    def warnings(self) -> "list[str]":
        """What should be known before trusting the numbers."""
        return self.summary["warnings"]

    def save(self, path: "str | os.PathLike[str]") -> "list[str]":
        """Save as the kind of file that the ending says; returns the files written."""
        return [os.fspath(written) for written in self._core.save(os.fspath(path))]

    def _repr_html_(self) -> str:
        return self._core.svg(0)

    def __reduce__(self) -> Any:
        raise TypeError("an explanation can't be pickled: use save('name.npz'), which any version and language can read")

    def __repr__(self) -> str:
        return f"<exegesis.Explanation of {self._core.rows} row(s) by {', '.join(self.methods)}>"
