"""The recorded networks: each function registered here builds one `Network`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Network:
    """A module with the inputs it is recorded on and the scalar that is explained.

    The scalar is `sum(seed * output)` where `seed` is given, else the sum over rows of the target's logit:
    `output[b, target[b]]`, or `output[b, position[b], target[b]]` for `[batch, tokens, vocabulary]`. A module whose graph ends in
    softmax or sigmoid has a method `logits`, which is used in place of its output.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    target: Tensor | None = None
    seed: Tensor | None = None
    output: str = "logits"
    axes: dict[int, str] = field(default_factory=lambda: {0: "batch"})
    """Axes of every input that stay symbolic in the exported graphs."""
    input_axes: dict[str, dict[int, str]] = field(default_factory=dict)
    """The same for inputs that differ from the others."""
    output_axes: dict[int, str] = field(default_factory=lambda: {0: "batch"})
    embedding: nn.Module | dict[str, nn.Module] | None = None
    """The look-up table of the first input, token ids (or those of several inputs): gradients are taken at its output."""
    positions: Tensor | None = None
    """For `[batch, tokens, vocabulary]`: the position per row whose target is explained, the last one without this."""
    exporters: tuple[str, ...] = ("legacy", "dynamo")
    """Which of the exporters of `record.py` write the network."""

    def embeddings(self) -> dict[str, nn.Module]:
        """The look-up table per input that is looked up."""
        if self.embedding is None or isinstance(self.embedding, dict):
            return self.embedding or {}
        return {next(iter(self.inputs)): self.embedding}

    def symbolic(self, name: str) -> dict[int, str]:
        """Axes of an input that stay symbolic."""
        axes = self.input_axes.get(name, self.axes)
        return {axis: symbol for axis, symbol in axes.items() if axis < self.inputs[name].dim()}


BUILDERS: dict[str, Callable[[], Network]] = {}


def network(build: Callable[[], Network]) -> Callable[[], Network]:
    """Register `build` under its own name, which is also the name of its folder."""
    BUILDERS[build.__name__] = build
    return build


def randomise(module: nn.Module) -> nn.Module:
    """Give weights a scale that carries signal through, and normalisations and biases values that a wrong rule cannot
    hide behind (no zeros, no ones); eval mode."""
    for part in module.modules():
        if getattr(part, "running_mean", None) is not None:
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
        normalises = "Norm" in type(part).__name__
        for name, parameter in part.named_parameters(recurse=False):
            if name == "weight" and parameter.dim() > 1 and not isinstance(part, nn.Embedding):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            elif name.startswith("weight_"):  # of a recurrent layer
                nn.init.xavier_normal_(parameter, gain=2.0)
            elif normalises and name == "weight":
                nn.init.uniform_(parameter, 0.5, 1.5)
            elif name == "bias":
                nn.init.normal_(parameter, std=0.2)
    return module.eval()


from networks import (  # noqa: E402, F401  (registers)
    backbones,
    classifiers,
    convolutional,
    decoders,
    language,
    mixture,
    recurrent,
    tabular,
    vision_transformer,
)
