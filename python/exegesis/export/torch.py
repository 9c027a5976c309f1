"""PyTorch modules as models."""

from __future__ import annotations

import os
import tempfile
import warnings
from typing import Any, Mapping, Sequence

from .._model import Model
from ..errors import ExportError, InputError, UsageError
from ._common import needed, opened, quiet, reason
from ._torch_call import Call, flat_module, named_outputs
from ._torch_state import as_it_predicts, devices, float_types

EXPORTERS = ("auto", "dynamo", "torchscript")
LEGACY_OPSET = 17


def from_torch(
    module: Any,
    example_inputs: Any,
    *,
    input_names: "Sequence[str] | None" = None,
    output_names: "Sequence[str] | None" = None,
    dynamic_shapes: "Mapping[str, Mapping[int, Any] | None] | None" = None,
    labels: "Sequence[str] | Mapping[int, str] | None" = None,
    preprocess: "str | None" = None,
    exporter: str = "auto",
) -> Model:
    """A PyTorch module as a model.

    The module is exported by ``torch.onnx.export`` as it predicts: evaluation mode, float32, without hooks of the caller. It is
    as before afterwards: the mode of every submodule, hooks, random numbers. Later changes of its weights do not reach the model.

    Parameters
    ----------
    module : torch.nn.Module
        Functional code, reused modules and residual additions need no care. On any device.
    example_inputs : tensor, or tuple, or dict of tensors
        Inputs of usual sizes, batch axis first: a tuple as positional arguments, a dict (also as the last of a tuple) as keyword
        arguments. Numbers, texts and None beside them are constants. Values do not matter, except that the module must run.
    input_names, output_names : sequence of str, optional
        Names of the graph's inputs (by default the parameters of ``forward``) and outputs (by default the keys of a dict or a
        ``ModelOutput``, ``output_0``, ``output_1``, ... of a tuple, ``output``).
    dynamic_shapes : dict, optional
        Axes of free size, by input name: ``{"x": {2: "steps"}}``. Axis 0 is the batch, free unless ``{0: None}``; ``None``
        for an input fixes all its axes. Axes with one name have one size.
    labels : sequence of str, or dict of int to str, optional
        Names of the classes.
    preprocess : str, optional
        How pictures become the input, such as ``"resize=256,crop=224,mean=127,std=128"``.
    exporter : {"auto", "dynamo", "torchscript"}
        ``"auto"`` takes the exporter on ``torch.export``, and where that fails the one on TorchScript; the latter only if it does
        not warn that the module decides by values, which it would freeze. ``notes`` of the model says which it was.

    Returns
    -------
    Model
        It holds a copy of the weights of its own, and nothing of the module. They go through a temporary file one after the
        other: beside the module, the peak of memory is that one copy and some 100 MB (BERT-base, 417 MB: 580 MB).

    Raises
    ------
    exegesis.errors.ExportError
        The module can't be exported; the exporter's reason is in the message.
    exegesis.errors.InputError
        The module does not run on ``example_inputs``.

    Examples
    --------
    >>> import torch, exegesis as xg                                    # doctest: +SKIP
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))  # doctest: +SKIP
    >>> model = xg.from_torch(module, torch.zeros(1, 4), labels=["a", "b", "c"])  # doctest: +SKIP
    >>> model.explain(torch.ones(5, 4), method="gradient").values.shape  # doctest: +SKIP
    (5, 4)
    """
    shapes, name = dynamic_shapes, f"from_torch({_name(module)})"
    names = (input_names, output_names)
    return exported(module, example_inputs, name, names, shapes, None, exporter, labels=labels, preprocess=preprocess)


def exported(
    module: Any,
    example_inputs: Any,
    shown: str,
    names: "tuple[Sequence[str] | None, Sequence[str] | None]" = (None, None),
    dynamic_shapes: "Mapping[str, Mapping[int, Any] | None] | None" = None,
    keep: "Sequence[str] | None" = None,
    exporter: str = "auto",
    **described: Any,
) -> Model:
    """As :func:`from_torch`: the model is called ``shown``, and of the outputs only those called ``keep`` are kept.

    ``names`` are those of inputs and of outputs, ``described`` is handed on to :func:`opened`.
    """
    torch = needed("torch", "torch", "from_torch")
    if exporter not in EXPORTERS:
        raise UsageError(f'exporter="{exporter}" is not known. Give one of {", ".join(EXPORTERS)}.')
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"from_torch takes a torch.nn.Module, not a {type(module).__name__}. Wrap functions in a module, or use "
            "exegesis.from_callable for methods that only ask."
        )
    name = _name(module)
    _check_types(torch, module, name)
    homes = devices(module)
    call = Call(torch, module, example_inputs, homes[0] if len(homes) == 1 else None)
    call.rename(names[0])
    axes = _axes(call, dynamic_shapes)
    _check_rows(call, axes)
    with as_it_predicts(torch, module) as hooks:
        answer = _run(call, call.tensors)
        named, left_out = named_outputs(torch, answer)
        if keep is not None:
            named, left_out = [item for item in named if item[0] in keep], []
        outputs = _output_names(named, names[1])
        if keep is None and call.is_plain and not isinstance(answer, Mapping) and _is_flat(torch, answer):
            traced = module
        else:
            traced = flat_module(torch, call, [way for _, way in named])
        # A size of 1 could mean broadcasting to an exporter: free axes are seen with more.
        tensors = _repeated(torch, call, axes)
        if tensors is not call.tensors:
            _run(call, tensors)
        notes = [f"hooks of {part} are left out" for part in hooks]
        notes += [f'"{part}" of the answer is no tensor and left out' for part in left_out]
        with tempfile.TemporaryDirectory(prefix="exegesis-") as folder, quiet():
            path = os.path.join(folder, "model.onnx")
            job = _Job(torch, traced, tensors, path, call.names, outputs, axes)
            notes.append(_export(job, name, exporter))
            return opened(path, shown, notes=notes, **described)


def _name(module: Any) -> str:
    return str(getattr(module, "original_name", None) or type(module).__name__)


class _Job:
    """What is exported where."""

    def __init__(
        self,
        torch: Any,
        module: Any,
        tensors: "Sequence[Any]",
        path: str,
        inputs: "Sequence[str]",
        outputs: "Sequence[str]",
        axes: "Sequence[Mapping[int, str]]",
    ) -> None:
        self.torch, self.module, self.path = torch, module, path
        self.tensors, self.inputs, self.outputs, self.axes = tuple(tensors), list(inputs), list(outputs), list(axes)

    def dynamo(self) -> None:
        """By ``torch.export``; weights go to a file beside the model's, one after the other."""
        is_flat = type(self.module).__name__ == "Flat"
        shapes = (tuple(dict(a) for a in self.axes),) if is_flat else tuple(dict(a) for a in self.axes)
        program = self.torch.onnx.export(
            self.module,
            self.tensors,
            dynamo=True,
            verbose=False,
            input_names=self.inputs,
            output_names=self.outputs,
            dynamic_shapes=shapes,
            optimize=False,
        )
        weights = list(program.model.graph.initializers.values())
        program.optimize()
        weights += program.model.graph.initializers.values()
        if is_flat:
            for value in list(program.model.graph.initializers.values()):
                if value.name.startswith("module."):
                    value.name = value.name[len("module.") :]
        program.save(self.path, external_data=True)
        # Rules of the exporter's optimiser remember the graph that they last looked at: without this, its weights stay.
        for value in weights:
            value.const_value = None

    def torchscript(self) -> "list[str]":
        """By tracing; returns where the trace froze what depends on values."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.torch.onnx.export(
                self.module,
                self.tensors,
                self.path,
                dynamo=False,
                verbose=False,
                opset_version=LEGACY_OPSET,
                input_names=self.inputs,
                output_names=self.outputs,
                dynamic_axes={name: dict(axes) for name, axes in zip(self.inputs, self.axes) if axes},
            )
        frozen = [w for w in caught if issubclass(w.category, self.torch.jit.TracerWarning)]
        return [f"{os.path.basename(w.filename)}:{w.lineno}: {str(w.message).split('. ')[0]}" for w in frozen]


def _export(job: _Job, name: str, exporter: str) -> str:
    """Writes the file; returns which exporter did."""
    version = job.torch.__version__
    script = isinstance(job.module, job.torch.jit.ScriptModule)
    refused = "scripted modules are not for torch.export" if script else ""
    if exporter == "dynamo" or (exporter == "auto" and not script):
        try:
            job.dynamo()
            return f"exported by torch.onnx.export of PyTorch {version} (torch.export)"
        except Exception as error:
            refused = reason(error)
            if exporter == "dynamo":
                raise ExportError(f"torch.onnx.export can't export {name}: {refused}. {_advice(refused)}") from None
    try:
        frozen = job.torchscript()
    except Exception as error:
        before = f"{refused}; by TorchScript: " if refused else ""
        raise ExportError(f"torch.onnx.export can't export {name}: {before}{reason(error)}. {_advice(refused)}") from None
    if frozen and exporter == "auto":
        raise ExportError(
            f"torch.onnx.export can't export {name}: {refused}; and TorchScript would freeze what depends on values "
            f"({frozen[0]}). {_advice(refused)} If it is the same for all your inputs, give exporter=\"torchscript\"."
        )
    note = f"exported by torch.onnx.export of PyTorch {version} (TorchScript)"
    if refused:
        note += f", since torch.export does not: {refused}"
    if frozen:
        note += f"; frozen as in the example: {'; '.join(frozen)}"
    return note


def _advice(refused: str) -> str:
    if any(word in refused.lower() for word in ("speciali", "constraint", "dynamic")):
        return "Change its code, or fix the axis by dynamic_shapes={INPUT: {AXIS: None}}."
    return "Change its code."


def _check_types(torch: Any, module: Any, name: str) -> None:
    for dtype in float_types(module):
        if dtype in (torch.float16, torch.bfloat16):
            raise UsageError(
                f"{name} has weights of {dtype}, but explanations are computed in float32. Give a copy in float32: "
                "copy.deepcopy(module).float()."
            )


def _run(call: Call, tensors: "Sequence[Any]") -> Any:
    try:
        return call.invoke(call.module, tensors)
    except Exception as error:
        sizes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in zip(call.names, tensors))
        raise InputError(
            f"the module does not run on example_inputs ({sizes}): {reason(error)}. Give inputs as it takes them, batch axis "
            "first; an input whose first axis is no batch is named by dynamic_shapes={INPUT: {0: None}}."
        ) from None


def _is_flat(torch: Any, answer: Any) -> bool:
    if isinstance(answer, torch.Tensor):
        return True
    return isinstance(answer, (tuple, list)) and all(isinstance(part, torch.Tensor) for part in answer)


def _output_names(named: "Sequence[tuple[str, Any]]", given: "Sequence[str] | None") -> "list[str]":
    if given is None:
        return [name for name, _ in named]
    if isinstance(given, str) or len(given) != len(named):
        raise UsageError(f"output_names has not a name for each of {len(named)} output(s). Give so many.")
    return [str(name) for name in given]


def _axes(call: Call, given: "Mapping[str, Mapping[int, Any] | None] | None") -> "list[dict[int, str]]":
    """Names of the axes of free size, per input."""
    given = given or {}
    if not isinstance(given, Mapping):
        raise UsageError('dynamic_shapes is a dict by input name, such as {"x": {2: "steps"}}. Give one.')
    unknown = [name for name in given if name not in call.names]
    if unknown:
        raise UsageError(
            f'dynamic_shapes names "{unknown[0]}", which is no input; inputs are {", ".join(call.names)}. Use these names.'
        )
    found = []
    for name, tensor in zip(call.names, call.tensors):
        own = given.get(name, {})
        axes: "dict[int, str]" = {0: "batch"} if tensor.dim() and own is not None else {}
        for axis, size in (own or {}).items():
            if not isinstance(axis, int) or not -tensor.dim() <= axis < tensor.dim():
                raise UsageError(f'dynamic_shapes names axis {axis} of "{name}", which has {tensor.dim()}. Give one of them.')
            axis %= tensor.dim()
            if size is None:
                axes.pop(axis, None)
            else:
                axes[axis] = size if isinstance(size, str) else getattr(size, "__name__", f"{name}_{axis}")
        found.append(axes)
    return found


def _check_rows(call: Call, axes: "Sequence[Mapping[int, str]]") -> None:
    sizes: "dict[str, tuple[str, int]]" = {}
    for name, tensor, own in zip(call.names, call.tensors, axes):
        for axis, symbol in own.items():
            first, size = sizes.setdefault(symbol, (name, tensor.shape[axis]))
            if size != tensor.shape[axis]:
                raise InputError(
                    f'example_inputs differ in the size of "{symbol}": "{first}" has {size}, "{name}" has '
                    f"{tensor.shape[axis]}. Give as many in each; an input without this axis is named by "
                    f'dynamic_shapes={{"{name}": {{{axis}: None}}}}.'
                )


def _repeated(torch: Any, call: Call, axes: "Sequence[Mapping[int, str]]") -> "list[Any]":
    """The example inputs with at least two rows."""
    is_single = any(0 in own and tensor.shape[0] == 1 for tensor, own in zip(call.tensors, axes))
    if not is_single:
        return call.tensors
    return [torch.cat([tensor, tensor]) if 0 in own else tensor for tensor, own in zip(call.tensors, axes)]
