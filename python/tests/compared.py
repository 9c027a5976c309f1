"""How numbers of another tool are compared, and recorded."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

import exegesis as xg

TOLERANCE = 1e-4


def assert_same(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    """Equal within 1e-4 of the largest magnitude, which is not zero."""
    assert got.shape == wanted.shape, what
    scale = np.abs(wanted).max()
    assert scale > 1e-4, f"{what}: nothing to compare"
    assert np.abs(got - wanted).max() <= TOLERANCE * scale, what


def explained(
    model: xg.Model, inputs: "Mapping[str, Any]", target: np.ndarray, baseline: np.ndarray, steps: int
) -> "dict[str, np.ndarray]":
    """Gradient and integrated gradients by Exegesis, each row for its own target.

    The gradient of token ids keeps the embedding axis: behind a layer norm, which does not see a constant that is added to all of
    an embedding, its sum over this axis is zero.
    """
    methods = {"gradient": {"per_dim": True}, f"integrated-gradients:steps={steps}": {"baseline": baseline[:1]}}
    found = {}
    for method, further in methods.items():
        rows = []
        for row, own in enumerate(target):
            alone = {name: np.asarray(value)[row : row + 1] for name, value in inputs.items()}
            rows.append(model.explain(alone, method, target=int(own), **further).values)
        found[method.split(":")[0]] = np.concatenate(rows)
    return found


def assert_balanced(model: xg.Model, inputs: "Mapping[str, Any]", **options: Any) -> None:
    """DLBacktrace starts with 1, and what arrived, left and was absorbed adds up."""
    e = model.explain(dict(inputs), method="dlbacktrace", **options)
    assert np.isfinite(e.values).all() and np.abs(e.values).max() > 0
    for row in e.summary["rows"]:
        assert abs(row["ledger"]["seed"] - 1) < 1e-6
        assert abs(row["ledger"]["unaccounted"]) <= TOLERANCE
        assert row["ledger"]["reached"] > 0
