"""A call of a PyTorch module as a function of named tensors, which is what an ONNX graph is."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from ..errors import InputError, UsageError

CONSTANTS = (type(None), bool, int, float, str)


class Call:
    """Example inputs of a module: tensors with names, in order, and what else the call has.

    Attributes
    ----------
    names : list of str
        A name per tensor: the parameter of ``forward``, or ``input`` and a number.
    tensors : list of tensors
        On the module's device.
    is_plain : bool
        True if the call is ``module(*tensors)``.
    """

    def __init__(self, torch: Any, module: Any, example_inputs: Any, device: Any) -> None:
        self.module = module
        self._args, self._kwargs = _split(torch, example_inputs)
        self.names: "list[str]" = []
        self.tensors: "list[Any]" = []
        parameters = _parameters(module)
        self._args = [
            self._taken(torch, value, parameters[i] if i < len(parameters) else f"input_{i}", device)
            for i, value in enumerate(self._args)
        ]
        self._kwargs = {name: self._taken(torch, value, name, device) for name, value in self._kwargs.items()}
        if not self.tensors:
            raise UsageError("example_inputs has no tensor. Give the inputs that the module is called with.")
        self.is_plain = not self._kwargs and len(self._args) == len(self.tensors) <= len(parameters)

    def _taken(self, torch: Any, value: Any, name: str, device: Any) -> Any:
        """A slot of the call: the number of a tensor, or a constant as it is."""
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.ascontiguousarray(value))
        if isinstance(value, torch.Tensor):
            self.names.append(name)
            self.tensors.append(value.detach() if device is None else value.detach().to(device))
            return _Slot(len(self.tensors) - 1)
        if isinstance(value, CONSTANTS):
            return value
        raise UsageError(
            f'example_inputs has a {type(value).__name__} for "{name}": a graph takes tensors. Wrap the module in one whose '
            "forward takes each tensor by itself."
        )

    def rename(self, names: "Sequence[str] | None") -> None:
        """Names that the caller gives, one per tensor."""
        if names is None:
            return
        if isinstance(names, str) or len(names) != len(self.tensors) or len(set(names)) != len(names):
            own = ", ".join(self.names)
            raise UsageError(f"input_names has not a name of its own for each of {own}. Give so many.")
        self.names = [str(name) for name in names]

    def invoke(self, module: Any, tensors: "Sequence[Any]") -> Any:
        """The module's answer, with ``tensors`` in the places of the examples."""

        def filled(value: Any) -> Any:
            return tensors[value.index] if isinstance(value, _Slot) else value

        return module(*[filled(a) for a in self._args], **{name: filled(v) for name, v in self._kwargs.items()})


class _Slot:
    def __init__(self, index: int) -> None:
        self.index = index


def _split(torch: Any, example_inputs: Any) -> "tuple[list[Any], dict[str, Any]]":
    if isinstance(example_inputs, Mapping):
        return [], {str(name): value for name, value in example_inputs.items()}
    if not isinstance(example_inputs, (tuple, list)):
        return [example_inputs], {}
    args = list(example_inputs)
    if args and isinstance(args[-1], Mapping):
        return args[:-1], {str(name): value for name, value in args[-1].items()}
    return args, {}


def _parameters(module: Any) -> "list[str]":
    """Names of the positional parameters of ``forward`` as far as they have one each."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, parameter in signature.parameters.items() if parameter.kind in kinds]


def named_outputs(torch: Any, answer: Any) -> "tuple[list[tuple[str, Callable[[Any], Any]]], list[str]]":
    """Tensors of an answer: a name and a way to each; and the names of what is no tensor and is left out.

    Raises
    ------
    exegesis.errors.InputError
        There is no tensor.
    """
    if isinstance(answer, torch.Tensor):
        return [("output", lambda given: given)], []
    found: "list[tuple[str, Callable[[Any], Any]]]" = []
    left_out: "list[str]" = []
    if isinstance(answer, Mapping):
        entries = [(str(key), value, _item(key)) for key, value in answer.items()]
    elif isinstance(answer, (tuple, list)):
        fields = getattr(answer, "_fields", [f"output_{i}" for i in range(len(answer))])
        entries = [(str(name), value, _item(i)) for i, (name, value) in enumerate(zip(fields, answer))]
    else:
        entries = []
    for name, value, way in entries:
        if isinstance(value, torch.Tensor):
            found.append((name, way))
        elif isinstance(value, (tuple, list)) and value and all(isinstance(part, torch.Tensor) for part in value):
            found += [(f"{name}_{i}", _inner(way, i)) for i in range(len(value))]
        elif value is not None:
            left_out.append(name)
    if not found:
        raise InputError(
            f"the module returns a {type(answer).__name__} without a tensor. Wrap it in a module that returns the scores."
        )
    return found, left_out


def _item(key: Any) -> "Callable[[Any], Any]":
    return lambda answer: answer[key]


def _inner(way: "Callable[[Any], Any]", index: int) -> "Callable[[Any], Any]":
    return lambda answer: way(answer)[index]


def flat_module(torch: Any, call: Call, ways: "Sequence[Callable[[Any], Any]]") -> Any:
    """A module that takes and returns tensors only, one after the other, and asks the module of ``call``."""

    class Flat(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = call.module

        def forward(self, *tensors: Any) -> Any:
            answer = call.invoke(self.module, tensors)
            return tuple(way(answer) for way in ways)

    return Flat().eval()
