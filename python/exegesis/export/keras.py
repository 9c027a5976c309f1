"""Keras models as models."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Mapping, Sequence

import numpy as np

from .._model import Model
from ..errors import ExportError, UsageError
from ._common import needed, opened, quiet, reason
from .tensorflow import converted


def from_keras(
    model: Any,
    example_inputs: Any = None,
    *,
    input_names: "Sequence[str] | None" = None,
    output_names: "Sequence[str] | None" = None,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
) -> Model:
    """A Keras model as a model, as it predicts (``training=False``).

    Parameters
    ----------
    model : keras.Model
        Functional, sequential or subclassed, of Keras 3 or ``tf_keras``. Channels last stay last, and the batch axis is free.
        On the TensorFlow backend it is converted by tf2onnx, on the PyTorch backend as :func:`exegesis.from_torch` does, on
        others by ``model.export(format="onnx")``.
    example_inputs : array, or tuple, or dict of arrays, optional
        Inputs of usual sizes, batch axis first; needed only where the model does not know its inputs, as subclassed ones do not.
    input_names, output_names : sequence of str, optional
        Names of the graph's inputs (by default those of ``keras.Input``) and outputs (by default keys of a dict, ``output``, or
        ``output_0``, ``output_1``, ...).
    labels : sequence of str, or dict of int to str, optional
        Names of the classes.
    preprocess : str, optional
        How pictures become the input, such as ``"resize=256,crop=224,mean=127,std=128"``.

    Returns
    -------
    Model
        It holds a copy of the weights of its own.

    Raises
    ------
    exegesis.errors.ExportError
        The model can't be exported; the exporter's reason is in the message.

    Examples
    --------
    >>> import keras, numpy as np, exegesis as xg                       # doctest: +SKIP
    >>> net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])  # doctest: +SKIP
    >>> xg.from_keras(net).explain(np.ones((5, 4), "float32"), method="gradient").values.shape  # doctest: +SKIP
    (5, 4)
    """
    if not callable(model) or not hasattr(model, "layers") or not hasattr(model, "get_weights"):
        raise UsageError(
            f"from_keras takes a Keras model, not a {type(model).__name__}. Load files by keras.saving.load_model, and "
            "SavedModels by exegesis.from_tensorflow."
        )
    name = f"from_keras({getattr(model, 'name', None) or type(model).__name__})"
    if str(getattr(model, "compute_dtype", "float32")) in ("float16", "bfloat16"):
        raise UsageError(
            f"{name} computes in {model.compute_dtype}, but explanations are computed in float32. Load it under "
            'keras.config.set_dtype_policy("float32").'
        )
    backend = _backend(model)
    described: "dict[str, Any]" = {"labels": labels, "preprocess": preprocess}
    if backend == "tensorflow":
        tf = needed("tensorflow", "tensorflow", "from_keras")
        specs, pack = _specs(tf, model, example_inputs, input_names)
        return converted(
            tf,
            lambda *tensors: model(pack(tensors), training=False),
            specs,
            name,
            output_names=output_names,
            **described,
        )
    if backend == "torch":
        from .torch import from_torch

        if example_inputs is None:
            example_inputs = tuple(np.zeros([size or 2 for size in port.shape], port.dtype) for port in _ports(model))
        found = from_torch(model, example_inputs, input_names=input_names, output_names=output_names, **described)
        found._core = found._core.described(name, [])
        return found
    if input_names is not None or output_names is not None:
        raise UsageError(f"on the backend {backend}, Keras itself exports and names. Leave names out.")
    with tempfile.TemporaryDirectory(prefix="exegesis-") as folder:
        path = os.path.join(folder, "model.onnx")
        try:
            with quiet():
                model.export(path, format="onnx", verbose=False)
        except Exception as error:
            raise ExportError(f"Keras can't export {name}: {reason(error)}. Change its code.") from None
        return opened(path, name, notes=[f"exported by Keras on {backend}"], **described)


def _backend(model: Any) -> str:
    if type(model).__module__.startswith("tf_keras") or "tf_keras" in {c.__module__.split(".")[0] for c in type(model).__mro__}:
        return "tensorflow"
    return str(needed("keras", "tensorflow", "from_keras").backend.backend())


def _ports(model: Any) -> "list[Any]":
    """The symbolic inputs that a model knows."""
    try:
        ports = list(model.inputs or [])
    except (AttributeError, ValueError):
        ports = []
    if not ports:
        raise UsageError("the model does not know its inputs. Give example_inputs, as it is called with.")
    return ports


def _specs(tf: Any, model: Any, example_inputs: Any, names: "Sequence[str] | None") -> "tuple[list[Any], Any]":
    """A tf.TensorSpec per input, and what makes one argument of the tensors again."""
    if example_inputs is None:
        ports = _ports(model)
        shapes = [(None, *tuple(port.shape)[1:]) for port in ports]
        dtypes = [port.dtype for port in ports]
        own = [_own_name(port, i, len(ports)) for i, port in enumerate(ports)]
        struct = getattr(model, "_inputs_struct", None)

        def pack(tensors: "Sequence[Any]") -> Any:
            if struct is None:
                return tensors[0] if len(tensors) == 1 else list(tensors)
            return tf.nest.pack_sequence_as(struct, list(tensors))

    else:
        keys = list(example_inputs) if isinstance(example_inputs, Mapping) else None
        is_many = keys is not None or isinstance(example_inputs, (tuple, list))
        values = [example_inputs[key] for key in keys] if keys else list(example_inputs) if is_many else [example_inputs]
        arrays = [tf.convert_to_tensor(value) for value in values]
        shapes = [(None, *array.shape[1:]) for array in arrays]
        dtypes = [array.dtype for array in arrays]
        own = [str(key) for key in keys] if keys else ["input"] if not is_many else [f"input_{i}" for i in range(len(arrays))]

        def pack(tensors: "Sequence[Any]") -> Any:
            if keys:
                return dict(zip(keys, tensors))
            return list(tensors) if is_many else tensors[0]

    if names is not None:
        if isinstance(names, str) or len(names) != len(own):
            raise UsageError(f"input_names has not a name for each of {', '.join(own)}. Give so many.")
        own = [str(name) for name in names]
    return [tf.TensorSpec(shape, dtype, name=name) for shape, dtype, name in zip(shapes, dtypes, own)], pack


def _own_name(port: Any, index: int, count: int) -> str:
    name = str(port.name).split(":")[0]
    if not name.startswith("keras_tensor"):
        return name
    return "input" if count == 1 else f"input_{index}"
