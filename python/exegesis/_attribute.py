"""`attribute`: attributions under captum's keywords, as the type that came in."""

from __future__ import annotations

from typing import Any, Sequence, cast

import numpy as np

from . import _core
from ._inputs import as_array, is_torch
from .errors import UsageError

STATISTICS = {"smoothgrad": "mean", "smoothgrad_sq": "squared", "vargrad": "variance"}
"""captum's kinds of noise tunnels."""
DISTRIBUTIONS = ("gradient-shap", "deep-shap", "kernel-shap", "permutation-shap", "partition-shap", "lime", "shapley")
"""Methods for which rows of a baseline are a distribution, not partners of the rows of the input."""


def attribute(
    model: Any,
    inputs: Any,
    baselines: Any,
    target: Any,
    additional_forward_args: Any,
    method: str,
    n_steps: int,
    internal_batch_size: "int | None",
    return_convergence_delta: bool,
    options: "dict[str, Any]",
) -> Any:
    """See :meth:`exegesis.Model.attribute`."""
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    further = additional_forward_args
    further = () if further is None else further if isinstance(further, tuple) else (further,)
    arrays = tuple(as_array(value) if not isinstance(value, str) else value for value in given)
    call = _Call(method, dict(options))
    call.steps(n_steps)
    call.batch(internal_batch_size)
    call.samples()
    call.noise()
    call.window(arrays)
    call.mask(arrays)
    takes_absolute = call.absolute()
    if further:
        default = model._core.explained(call.options.get("explain") or [])
        names = [port[0] for port in model._core.inputs[: len(given)]]
        call.options["explain"] = [name for name in default if name in names]
    # captum explains what the module gives, whatever layer comes last.
    call.options.setdefault("score", "probability")

    def explain(rows: "tuple[Any, ...]", own: Any, target: Any, rest: "tuple[Any, ...]") -> Any:
        x = rows + rest
        return model.explain(x if len(x) > 1 else x[0], call.text(), target=target, baseline=own, **call.options)

    parts = _parts(arrays, baselines, target, further, call)
    found = [explain(*part) for part in parts]
    values = _joined(model, found)
    if call.sizes and call.name in SHARED:
        values = {name: array * size for (name, array), size in zip(values.items(), call.sizes)}
    if takes_absolute:
        values = {name: np.abs(array) for name, array in values.items()}
    ports = [port[0] for port in model._core.inputs]
    ordered = [values.get(name) for name in ports[: len(given)]] if len(given) > 1 else list(values.values())
    converted = tuple(_like(value, array) for value, array in zip(given, ordered))
    result = converted if isinstance(inputs, tuple) else converted[0]
    if not return_convergence_delta:
        return result
    gaps = [row["gap"] for explanation in found for row in explanation.evidence]
    if any(gap is None for gap in gaps):
        raise UsageError(f"`{call.name}` promises no sum, so that there is no convergence delta. Leave return_convergence_delta out.")
    return result, _like(given[0], np.array(gaps))


SHARED = ("shapley", "kernel-shap", "permutation-shap", "partition-shap")
"""Methods whose values of groups are divided among the cells here, so that they sum to the score; captum repeats them."""


class _Call:
    """The method with its options, as captum's keywords turn out."""

    def __init__(self, method: str, options: "dict[str, Any]") -> None:
        self.name, _, text = method.partition(":")
        self.own = dict(cast("tuple[str, str]", tuple(pair.split("=", 1))) for pair in text.split(",") if "=" in pair)
        self.options = options
        self.deviation = 0.0
        self.sizes: "list[Any]" = []
        if "show_progress" in options:
            self.options["progress"] = bool(self.options.pop("show_progress")) or None

    def text(self) -> str:
        return self.name + (":" if self.own else "") + ",".join(f"{key}={value}" for key, value in self.own.items())

    def steps(self, n_steps: int) -> None:
        if self.name == "integrated-gradients":
            self.own.setdefault("steps", str(int(n_steps)))
        elif n_steps != 50:
            raise UsageError(f"`n_steps` is for integrated-gradients, and {self.name} takes no steps. Leave it out.")

    def batch(self, rows: "int | None") -> None:
        for key in ("perturbations_per_eval", "nt_samples_batch_size"):
            rows = self.options.pop(key, None) or rows
        if rows is not None:
            self.options.setdefault("batch", int(rows))

    def samples(self) -> None:
        for key in ("n_samples", "nt_samples", "n_perturb_samples"):
            if key not in self.options:
                continue
            if self.name == "gradient":
                self.name = "smoothgrad"
            if not self._has("samples"):
                raise UsageError(f"`{key}` is for methods that sample, which {self.name} does not. Leave it out.")
            self.own["samples"] = str(int(self.options.pop(key)))

    def noise(self) -> None:
        kind = self.options.pop("nt_type", None)
        if kind is not None:
            if kind not in STATISTICS:
                raise UsageError(f"nt_type={kind!r} is not known. Give one of {', '.join(STATISTICS)}.")
            if self.name not in ("gradient", "smoothgrad"):
                raise UsageError(f"`nt_type` is for the gradient, and {self.name} has no noise tunnel. Leave it out.")
            self.name = "smoothgrad"
            self.own["statistic"] = STATISTICS[kind]
        deviation = self.options.pop("stdevs", None)
        if deviation is None:
            return
        if not self._has("noise"):
            raise UsageError(f"`stdevs` is for methods with noise, which {self.name} does not have. Leave it out.")
        if not isinstance(deviation, (int, float)):
            raise UsageError("`stdevs` is one number here, the same for all inputs. Give one number.")
        self.deviation = float(deviation)
        self.own["noise"] = "0"

    def window(self, arrays: "Sequence[Any]") -> None:
        shape = self.options.pop("sliding_window_shapes", None)
        strides = self.options.pop("strides", None)
        if shape is None and strides is None:
            return
        if self.name != "occlusion" or shape is None:
            raise UsageError("`sliding_window_shapes` and `strides` are for occlusion, the first always. Leave them out.")
        if len(arrays) != 1 or isinstance(shape[0], tuple):
            raise UsageError("`sliding_window_shapes` is for one input here. Give `players` for several.")
        sizes = tuple(arrays[0].shape[1:])
        shape = tuple(int(size) for size in shape)
        if len(shape) != len(sizes):
            raise UsageError(f"sliding_window_shapes={shape} does not fit rows of shape {sizes}. Give a size per axis.")
        if len(sizes) == 1:
            if shape != (1,) or strides not in (None, 1, (1,)):
                raise UsageError("windows over the columns of a table are single columns here. Give `players` for groups of them.")
            self.options.setdefault("players", "column")
            return
        if shape[0] != sizes[0]:
            raise UsageError(
                f"a window takes all {sizes[0]} channels out together here, and sliding_window_shapes={shape} takes {shape[0]}. Give "
                f"{(sizes[0],) + shape[1:]}, or `players` with a group number per cell."
            )
        steps = (1,) * len(sizes) if strides is None else (int(strides),) * len(sizes) if isinstance(strides, int) else tuple(strides)
        self.own["window"] = "x".join(str(size) for size in shape[1:])
        self.own["stride"] = "x".join(str(int(step)) for step in steps[1:])

    def mask(self, arrays: "Sequence[Any]") -> None:
        masks = self.options.pop("feature_mask", None)
        if masks is None:
            return
        found = []
        for mask, array in zip(masks if isinstance(masks, tuple) else (masks,), arrays):
            groups = as_array(mask)
            if groups.ndim == array.ndim:
                if not (groups == groups[:1]).all():
                    raise UsageError("`feature_mask` differs from row to row. Explain rows of equal groups together.")
                groups = groups[0]
            groups = np.broadcast_to(groups, array.shape[1:])
            # Groups are numbered without gaps; -1 stays what is never taken out.
            numbers = np.unique(groups[groups >= 0])
            numbered = np.where(groups < 0, -1, np.searchsorted(numbers, groups)).astype("int64")
            found.append(numbered)
            # Cells per group, at each cell.
            self.sizes.append(np.where(groups < 0, 1, np.bincount(numbered[numbered >= 0].ravel(), minlength=1)[numbered]))
        if len(found) > 1 and self.name in SHARED:
            raise UsageError(f"`feature_mask` of several inputs is not told apart by {self.name} here. Explain one input.")
        self.options["players"] = found[0] if len(found) == 1 else tuple(found)

    def absolute(self) -> bool:
        wanted = self.options.pop("abs", False)
        if wanted and self.name != "gradient":
            raise UsageError(f"`abs` is for the gradient, not for {self.name}. Leave it out.")
        return bool(wanted)

    def _has(self, parameter: str) -> bool:
        entry: "dict[str, Any]" = next((own for own in _core.methods() if own["name"] == self.name), {"parameters": []})
        return any(own[0] == parameter for own in entry["parameters"])


def _parts(arrays: "tuple[Any, ...]", baselines: Any, target: Any, further: "tuple[Any, ...]", call: _Call) -> "list[Any]":
    """The calls that are needed: one, unless each row has a baseline or an amount of noise of its own."""
    rows = len(arrays[0])
    baseline = _baseline(baselines, arrays)
    paired = False
    if isinstance(baseline, tuple):
        counts = {len(own) for own in baseline}
        if call.name not in DISTRIBUTIONS and counts != {1}:
            if counts - {1, rows}:
                raise UsageError(f"baselines of {max(counts)} rows do not fit inputs of {rows} row(s). Give one row, or one for each.")
            paired = any((own != own[:1]).any() for own in baseline)
            baseline = baseline if paired else tuple(own[:1] for own in baseline)
    ranges = []
    if call.deviation > 0:
        if len(arrays) > 1:
            raise UsageError("`stdevs` is for one input here. Leave it out.")
        ranges = [float(row.max() - row.min()) for row in arrays[0]]
        if min(ranges) <= 0:
            raise UsageError("`stdevs` needs rows whose values differ. Give `noise` as a part of the range with the method.")
        call.own["noise"] = repr(call.deviation / ranges[0])
    if not paired and len({round(own, 6) for own in ranges}) < 2:
        return [(arrays, _shaped(baseline), target, further)]
    if ranges and len(set(ranges)) > 1:
        raise UsageError("`stdevs` means another part of the range in each row. Explain the rows one by one, or give `noise`.")
    classes = np.asarray(as_array(target)) if isinstance(target, (list, np.ndarray)) or is_torch(target) else None
    parts = []
    for row in range(rows):
        def own(value: Any, row: int = row) -> Any:
            return value[row : row + 1] if len(value) == rows else value

        of_row = target if classes is None or classes.ndim == 0 else int(classes[row])
        rest = tuple(None if value is None else own(as_array(value)) for value in further)
        parts.append((tuple(own(array) for array in arrays), _shaped(tuple(own(b) for b in baseline)), of_row, rest))
    return parts


def _baseline(baselines: Any, arrays: "tuple[Any, ...]") -> Any:
    """None, a number, or a tuple of arrays with rows."""
    if baselines is None:
        return None
    given = baselines if isinstance(baselines, tuple) else (baselines,)
    if len(given) == 1 and isinstance(given[0], (int, float, str)):
        return given[0]
    found = []
    for own, array in zip(given, arrays):
        if isinstance(own, (int, float)):
            own = np.full((1, *array.shape[1:]), own, array.dtype)
        own = as_array(own)
        found.append(own[None] if own.ndim == array.ndim - 1 else own)
    return tuple(found)


def _shaped(baseline: Any) -> Any:
    return baseline[0] if isinstance(baseline, tuple) and len(baseline) == 1 else baseline


def _joined(model: Any, found: "Sequence[Any]") -> "dict[str, Any]":
    every = [explanation._keyed("attribution") for explanation in found]
    return {name: every[0][name] if len(every) == 1 else np.concatenate([own[name] for own in every]) for name in every[0]}


def _like(value: Any, array: Any) -> Any:
    """`array` as the type of `value`: a tensor on its device for a tensor, else an array of its own memory."""
    if array is None:
        return None
    if is_torch(value):
        import torch

        kind = value.dtype if value.dtype.is_floating_point else torch.float32
        return torch.tensor(np.ascontiguousarray(array), dtype=kind, device=value.device)
    kind = value.dtype if isinstance(value, np.ndarray) and value.dtype.kind == "f" else array.dtype
    return np.array(array, dtype=kind.newbyteorder("=") if kind.kind == "f" else kind)
