"""TensorFlow functions and SavedModels as models."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Callable, Mapping, Sequence

from .._model import Model
from ..errors import ExportError, InputError, UsageError
from ._common import needed, opened, quiet, reason

OPSET = 17


def from_tensorflow(
    function: Any,
    signature: Any = None,
    *,
    output_names: "Sequence[str] | None" = None,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
) -> Model:
    """A TensorFlow function or SavedModel as a model, by tf2onnx.

    Parameters
    ----------
    function : path, loaded SavedModel, or callable
        A folder with a SavedModel, what ``tf.saved_model.load`` gives, a ``tf.function``, or a Python function of tensors.
    signature : str, or sequence of tf.TensorSpec, optional
        Of a SavedModel the name of a signature (``"serving_default"``); of a function a ``tf.TensorSpec`` per argument, batch axis
        first, ``None`` for free sizes. By default the only signature there is.
    output_names : sequence of str, optional
        Names of the outputs; by default the keys of a dict, ``output``, or ``output_0``, ``output_1``, ...
    labels : sequence of str, or dict of int to str, optional
        Names of the classes.
    preprocess : str, optional
        How pictures become the input.

    Returns
    -------
    Model
        It holds a copy of the weights of its own.

    Raises
    ------
    exegesis.errors.ExportError
        tf2onnx can't convert it; its reason is in the message.
    """
    tf = needed("tensorflow", "tensorflow", "from_tensorflow")
    name = "function"
    if isinstance(function, (str, os.PathLike)):
        name = os.path.basename(os.fspath(function).rstrip("/")) or "SavedModel"
        try:
            function = tf.saved_model.load(os.fspath(function))
        except (OSError, ValueError) as error:
            raise InputError(f'"{name}" is no SavedModel: {reason(error)}. Give its folder.') from None
    else:
        name = getattr(function, "__name__", type(function).__name__)
    if signature is None or isinstance(signature, str):
        chosen, specs = _signed(tf, function, signature)
    else:
        chosen, specs = function, list(signature)
    if not specs or not all(isinstance(spec, tf.TensorSpec) for spec in specs):
        raise UsageError("signature is not a tf.TensorSpec per argument. Give such a list, batch axis first, None for free sizes.")
    return converted(
        tf, chosen, specs, f"from_tensorflow({name})", output_names=output_names, labels=labels, preprocess=preprocess
    )


def _signed(tf: Any, function: Any, signature: "str | None") -> "tuple[Callable[..., Any], list[Any]]":
    """A function of tensors in order, and what they are."""
    known = getattr(function, "signatures", None)
    if known is None:
        if signature is not None:
            raise UsageError(f'a function has no signature "{signature}". Give a tf.TensorSpec per argument.')
        return function, list(getattr(function, "input_signature", None) or [])
    if signature is None:
        signature = "serving_default" if "serving_default" in known or len(known) != 1 else next(iter(known))
    if signature not in known:
        raise UsageError(f'the SavedModel has no signature "{signature}"; it has {", ".join(known) or "none"}. Give one of them.')
    chosen = known[signature]
    named = chosen.structured_input_signature[1]

    def call(*tensors: Any) -> Any:
        return chosen(**dict(zip(named, tensors)))

    call.model = function  # type: ignore[attr-defined]  # variables live as long as the object they were loaded with
    return call, [tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in named.items()]


def converted(
    tf: Any,
    function: "Callable[..., Any]",
    specs: "Sequence[Any]",
    name: str,
    *,
    output_names: "Sequence[str] | None" = None,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
) -> Model:
    """``function`` of tensors like ``specs``, by tf2onnx, as the model ``name``."""
    tf2onnx = needed("tf2onnx", "tensorflow", "from_keras and from_tensorflow")
    specs = _named(tf, specs)
    for spec in specs:
        if spec.shape.rank is None:
            raise UsageError(f'the rank of "{spec.name}" is not known. Give a tf.TensorSpec with a size or None per axis.')
    outputs: "list[str]" = []

    def flat(*tensors: Any) -> Any:
        answer = function(*tensors)
        if isinstance(answer, Mapping):
            found = list(answer.items())
        elif isinstance(answer, (tuple, list)):
            found = [(f"output_{i}" if len(answer) > 1 else "output", value) for i, value in enumerate(answer)]
        else:
            found = [("output", answer)]
        outputs[:] = _output_names([str(key) for key, _ in found], output_names)
        return tuple(tf.identity(value) for _, value in found)

    try:
        with quiet():
            made, _ = tf2onnx.convert.from_function(
                tf.function(flat, input_signature=specs, autograph=False), input_signature=specs, opset=OPSET
            )
    except UsageError:
        raise
    except Exception as error:
        raise ExportError(f"tf2onnx can't convert {name}: {reason(error)}. Change its code.") from None
    unknown = _unknown(needed("onnx.defs", "tensorflow", "tf2onnx"), made.graph)
    if unknown:
        raise ExportError(f"tf2onnx can't convert {name}: ONNX has no {', '.join(unknown)}. Change its code.")
    _rename(made.graph, specs, outputs)
    version = f"{tf2onnx.__version__} from TensorFlow {tf.__version__}"
    with tempfile.TemporaryDirectory(prefix="exegesis-") as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(made.SerializeToString())
        # The weights of the file and of the engine need not be in memory at one time.
        del made
        return opened(path, name, labels=labels, preprocess=preprocess, notes=[f"exported by tf2onnx {version}"])


def _unknown(defs: Any, graph: Any) -> "list[str]":
    """Operators that tf2onnx left as TensorFlow has them, each once."""
    found: "list[str]" = []
    for node in graph.node:
        if not node.domain and not defs.has(node.op_type) and node.op_type not in found:
            found.append(node.op_type)
        for attribute in node.attribute:
            found += [op for op in _unknown(defs, attribute.g) if op not in found]
    return found


def _named(tf: Any, specs: "Sequence[Any]") -> "list[Any]":
    one = len(specs) == 1
    return [
        tf.TensorSpec(spec.shape, spec.dtype, name=spec.name or ("input" if one else f"input_{i}"))
        for i, spec in enumerate(specs)
    ]


def _output_names(own: "list[str]", given: "Sequence[str] | None") -> "list[str]":
    if given is None:
        return own
    if isinstance(given, str) or len(given) != len(own):
        raise UsageError(f"output_names has not a name for each of {len(own)} output(s). Give so many.")
    return [str(name) for name in given]


def _rename(graph: Any, specs: "Sequence[Any]", outputs: "Sequence[str]") -> None:
    """Gives inputs, outputs and free axes of a graph the names that the user knows."""
    new = {port.name: spec.name for port, spec in zip(graph.input, specs)}
    new.update({port.name: name for port, name in zip(graph.output, outputs)})
    taken = set(new.values())
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                # An inner value that has the name of an output gives way.
                names[i] = new.get(name, f"{name}_inner" if name in taken else name)
    for port in [*graph.input, *graph.output]:
        port.name = new.get(port.name, port.name)
        for axis, size in enumerate(port.type.tensor_type.shape.dim):
            if size.dim_param or not size.HasField("dim_value"):
                size.dim_param = "batch" if axis == 0 else f"{port.name}_{axis}"
