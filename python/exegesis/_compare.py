"""Which explanation is better: methods against metrics on data."""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence, Union

import numpy as np

from ._comparison import Comparison
from ._explanation import Explanation
from ._inputs import given
from ._progress import progress_bar
from .errors import InputError, UsageError

Names = Union[str, Sequence[str]]


def compare(
    model: Any,
    data: Any,
    methods: "Names",
    metrics: "Names | None" = None,
    *,
    labels: Any = None,
    masks: Any = None,
    target: Any = None,
    operator: "str | None" = None,
    controls: "Names | None" = None,
    limit: "int | None" = None,
    examples: int = 6,
    correct_only: bool = False,
    progress: "bool | None" = None,
    **options: Any,
) -> Comparison:
    """Compare methods by metrics on samples, as the command ``exegesis compare`` does.

    Parameters
    ----------
    model : Model
    data : array, DataFrame, list of str or pictures, dict or tuple of them, or path
        The samples, as for :meth:`Model.explain`; or a file or folder as the command takes it (a list of paths: several).
    methods : str or list of str
        ``NAME[:key=value,...]``; :func:`exegesis.methods` lists them.
    metrics : str or list of str, optional
        Likewise; :func:`exegesis.metrics` lists them. By default some of each family that suit the data.
    labels : sequence of int or str, or str, optional
        The right class of each sample: its number or its name among the model's labels; or the column of the DataFrame or
        file that holds it.
    masks : array or dict of arrays, optional
        Known evidence: of the shape of the input, not 0 where the evidence is.
    target : int, str, optional
        What is explained; by default the best class of each sample.
    operator : str, optional
        What stands in for what is taken out: ``zero``, ``mean``, ``blur``, ``noise``, ``impute``, ``delete``, ``mask``, ``pad``,
        ``median``, ``background``, ``linear``. By default what suits the data.
    controls : str or list of str, optional
        Maps that know nothing of the model and have to be beaten: ``random``, ``uniform``, ``centre``, ``edges``, ``rarity``,
        ``leave-one-out``, or ``none``.
    limit : int, optional
        Most samples.
    examples : int
        Samples whose maps the report shows side by side.
    correct_only : bool
        Leave out samples that the model gets wrong; needs ``labels``.
    progress : bool, optional
        Show a progress bar; by default for work that takes more than a second or two.
    **options
        As for :meth:`Model.explain`: ``score``, ``seed``, ``batch``, ``threads``, ...

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import numpy as np, exegesis as xg
    >>> x = np.random.default_rng(0).random((4, 1, 28, 28), dtype="float32")
    >>> c = xg.compare(xg.load(), x, ["gradient", "input-x-gradient"], ["gini", "deletion"])
    >>> c.values.shape                                         # methods and controls, metrics, samples
    (7, 2, 4)
    """
    if not _list(methods):
        raise UsageError("there is no method to compare. Give at least one.")
    chosen = dict(metrics=metrics, labels=labels, masks=masks, target=target, operator=operator, controls=controls)
    more = dict(limit=limit, examples=examples, correct_only=correct_only, progress=progress)
    return _run(model, data, _list(methods) or [], [], {**chosen, **more}, options)


def evaluate(
    model: Any,
    data: Any,
    attributions: "Mapping[str, Any] | Explanation",
    metrics: "Names | None" = None,
    **choices: Any,
) -> Comparison:
    """Judge maps of any tool beside controls, as the command ``exegesis evaluate`` does.

    Metrics that need new maps, such as those of robustness, have no value for maps that can't be asked for again.

    Parameters
    ----------
    model : Model
    data : array, DataFrame, ..., or path
        The samples that the maps are of, as for :func:`compare`.
    attributions : dict or Explanation
        By the name of each tool its maps: an array ``[samples, ...]`` of the shape of the input (axes of one cell do not count),
        or with a value per feature; a dict of arrays by the names of the inputs, if several are explained.
    metrics : str or list of str, optional
        As for :func:`compare`.
    **choices
        Everything else that :func:`compare` takes.

    Returns
    -------
    Comparison
    """
    known = ("labels", "masks", "target", "operator", "controls", "limit", "examples", "correct_only", "progress")
    chosen = {key: choices.pop(key) for key in known if key in choices}
    saved = _maps(model, attributions)
    if not saved:
        raise UsageError("there are no attributions to judge. Give a dict with the maps of each tool.")
    # The random map as a method rather than a control: its run says what the model predicts, too.
    return _run(model, data, ["random"], saved, {**chosen, "metrics": metrics}, choices)


def _run(
    model: Any,
    data: Any,
    methods: "list[str]",
    saved: "list[tuple[str, list[tuple[str, np.ndarray]]]]",
    chosen: "dict[str, Any]",
    options: "dict[str, Any]",
) -> Comparison:
    paths = _paths(data)
    labels, column = chosen.get("labels"), None
    if isinstance(labels, str):
        if paths:
            labels, column = None, labels
        else:
            data, labels = _column(data, labels)
    if not paths:
        model = model._for(data)
    ports = model._core.inputs
    contest: "dict[str, Any]" = {
        "methods": methods,
        "metrics": _list(chosen.get("metrics")),
        "operator": chosen.get("operator"),
        "controls": _list(chosen.get("controls")),
        "labels": _classes(labels, model.labels),
        "label_column": column,
        "limit": chosen.get("limit"),
        "examples": int(chosen.get("examples", 6)),
        "correct_only": bool(chosen.get("correct_only", False)),
    }
    if contest["limit"] is not None and contest["limit"] < 1:
        raise UsageError(f"limit={contest['limit']} leaves no samples. Give at least 1.")
    if not isinstance(options.get("baseline", ""), (str, int, float)):
        raise UsageError("a comparison takes one baseline for all samples. Give zeros, mean, blur or a number.")
    choices = model._choices(target=chosen.get("target"), **options)
    values = [] if paths else given(data, ports, model._core.columns)
    masks = [] if chosen.get("masks") is None else _named(chosen["masks"], ports, "masks")
    with progress_bar(chosen.get("progress"), "compare") as bar:
        return Comparison(model._core.compare(contest, choices, values, paths, masks, saved, bar))


def _list(names: Any) -> "list[str] | None":
    if names is None:
        return None
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _paths(data: Any) -> "list[str]":
    """Files and folders; none if the data are values. A str is a file if there is one."""
    if isinstance(data, os.PathLike) or (isinstance(data, str) and os.path.exists(data)):
        return [os.fspath(data)]
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, os.PathLike) for item in data):
        return [os.fspath(item) for item in data]
    return []


def _column(frame: Any, name: str) -> "tuple[Any, Any]":
    if not hasattr(frame, "columns") or not hasattr(frame, "drop"):
        raise UsageError(f'labels="{name}" names a column, and the data have none. Give the classes themselves.')
    if name not in frame.columns:
        known = ", ".join(map(str, frame.columns))
        raise UsageError(f'the data have no column "{name}"; its columns are {known}. Give one of them.')
    return frame.drop(columns=[name]), list(frame[name])


def _classes(labels: Any, names: "list[str]") -> "list[int] | None":
    if labels is None:
        return None
    classes = []
    for label in np.asarray(labels).ravel().tolist():
        if isinstance(label, str):
            if label not in names:
                known = ", ".join(names) or "none: the model does not name its classes"
                raise InputError(f'"{label}" is no class of the model; its classes are {known}. Give their numbers.')
            classes.append(names.index(label))
        elif float(label) != int(label) or label < 0:
            raise InputError(f"{label} is no class. Give whole numbers from 0.")
        else:
            classes.append(int(label))
    return classes


def _named(arrays: Any, ports: "list[tuple[Any, ...]]", what: str) -> "list[tuple[str, np.ndarray]]":
    if isinstance(arrays, Mapping):
        return [(str(name), _array(array)) for name, array in arrays.items()]
    if len(ports) != 1:
        names = ", ".join(port[0] for port in ports)
        raise UsageError(f"the model has several inputs ({names}). Give the {what} as a dict with an array for each.")
    return [(ports[0][0], _array(arrays))]


def _array(array: Any) -> np.ndarray:
    if hasattr(array, "detach") and hasattr(array, "cpu"):
        array = array.detach().cpu().numpy()
    # As shap does, an object with the arrays in `values`.
    array = np.asarray(getattr(array, "values", array) if not isinstance(array, np.ndarray) else array)
    if array.dtype.kind not in "fiub":
        raise InputError(f"the values are {array.dtype}, not numbers. Give arrays of floats.")
    return np.ascontiguousarray(array)


def _maps(model: Any, attributions: Any) -> "list[tuple[str, list[tuple[str, np.ndarray]]]]":
    if isinstance(attributions, Explanation):
        found = []
        for method in attributions.summary["methods"]:
            prefix = f"{method['key']}/" if len(attributions.methods) > 1 else ""
            inputs = [a["input"] for a in method["attributions"]]
            found.append((method["key"], [(i, attributions.arrays[f"{prefix}attribution/{i}"]) for i in inputs]))
        return found
    if not isinstance(attributions, Mapping):
        raise UsageError("the attributions need names. Give a dict with the maps of each tool.")
    ports = model._core.inputs
    all_maps = []
    for key, maps in attributions.items():
        if isinstance(maps, Explanation):
            all_maps += [(str(key), arrays) for _, arrays in _maps(model, maps)[:1]]
        else:
            all_maps.append((str(key), _named(maps, ports, f"maps of `{key}`")))
    return all_maps
