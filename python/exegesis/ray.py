"""Explanations on Ray: an actor that opens a model once and explains batches of a dataset.

.. code-block:: python

    import exegesis.ray, ray
    explained = ray.data.read_parquet("rows.parquet").map_batches(
        exegesis.ray.Explainer,
        fn_constructor_kwargs=dict(model="model.onnx", method="integrated-gradients", columns=["age", "fare"], keep=["id"]),
        batch_format="pyarrow",
        batch_size=1024,
        concurrency=2,          # actors
        num_cpus=4,             # cores of each: threads of the model
    )

With ``num_gpus=1`` each actor explains on the card that Ray gave it.
"""

from __future__ import annotations

import os
from typing import Any

from . import arrow
from ._columns import arrow as needed_arrow
from .errors import UsageError

__all__ = ["Explainer"]


class Explainer:
    """Explains batches in an actor of ``ray.data.Dataset.map_batches``; use ``batch_format="pyarrow"``.

    Parameters
    ----------
    model : path
        Read once in each actor, so it must be there on every node.
    columns, method, target, keep, batch_rows, **options
        As for :class:`exegesis.arrow.BatchExplainer`.
    row_key : str, optional
        As there; but by default :data:`exegesis.arrow.BY_CONTENT`, since Ray does not say which row of the dataset a batch begins
        with: the same rows get the same numbers in one process and on any number of actors.
    threads : int, optional
        Threads of the model; by default the cores that Ray gave the actor (``num_cpus``), at least one.
    device : str, optional
        By default the card that Ray gave the actor (``num_gpus``), else the processor.
    """

    def __init__(self, model: Any, columns: Any = None, method: Any = "dlbacktrace", **choices: Any) -> None:
        choices.setdefault("row_key", arrow.BY_CONTENT)
        choices.setdefault("threads", assigned_cores())
        if choices.get("device") is None:
            choices["device"] = assigned_device()
        self._explainer = arrow.BatchExplainer(model, columns, method, **choices)
        # Opened here, so that a model that can't be read fails before any row is read.
        self._explainer.model  # noqa: B018

    def __call__(self, batch: Any) -> Any:
        """The explanations of one batch, a ``pyarrow.Table``, in its order."""
        pa = needed_arrow()
        if not isinstance(batch, pa.Table):
            kind = f"{type(batch).__module__}.{type(batch).__qualname__}"
            raise UsageError(f'a batch arrived as {kind}. Give map_batches batch_format="pyarrow".')
        return self._explainer.table(batch)


def assigned_cores() -> int:
    """Cores that Ray gave this actor, at least one; outside of Ray all that the process may use."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("exegesis.ray needs Ray, which is not installed. Install exegesis[ray].") from error
    try:
        if ray.is_initialized():
            return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))
    except (AssertionError, RuntimeError):
        # The driver was assigned nothing.
        pass
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def assigned_device() -> "str | None":
    """The card that Ray gave this actor; None if it gave none."""
    import ray

    # Ray shows the actor its own cards only, so that they count from 0.
    return "cuda:0" if ray.is_initialized() and ray.get_gpu_ids() else None
