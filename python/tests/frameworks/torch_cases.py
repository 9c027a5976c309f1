"""Networks of PyTorch, and what captum says of them."""

from __future__ import annotations

from typing import Any

import captum.attr
import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional as F

import exegesis as xg

STEPS = 20
NAMES = ("residual_cnn", "bert", "lstm")


class ResidualCnn(nn.Module):
    """Functional activations, a reused block, residual additions, batch norms, two kinds of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.norm(self.stem(image)))
        for _ in range(2):
            x = x + F.relu(self.block(x))
        x = F.max_pool2d(x, 2)
        return self.head(self.drop(F.adaptive_avg_pool2d(x, 1).flatten(1)))


class Lstm(nn.Module):
    """Two bidirectional layers; the last step is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(4, 6, num_layers=2, batch_first=True, bidirectional=True, dropout=0.3)
        self.head = nn.Linear(12, 3)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        states, _ = self.recurrent(sequence)
        return self.head(states[:, -1])


def bert() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=20, num_labels=3,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def network(name: str) -> "tuple[nn.Module, dict[str, torch.Tensor], torch.Tensor, torch.Tensor]":
    """A network in training mode with its inputs, a target per row, and a baseline for what is explained."""
    torch.manual_seed(sum(map(ord, name)))
    module = {"residual_cnn": ResidualCnn, "bert": bert, "lstm": Lstm}[name]()
    with torch.no_grad():
        for key, tensor in [*module.named_parameters(), *module.named_buffers()]:
            # Zeros and ones of fresh biases and norms would hide mistakes.
            if key.endswith("bias") or key.endswith("running_mean"):
                tensor.add_(0.2 * torch.randn_like(tensor))
            elif "orm" in key and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
            elif name == "bert" and tensor.is_floating_point():
                tensor.mul_(8)
    if name == "bert":
        ids = torch.randint(1, 40, (2, 9))
        mask = torch.ones_like(ids)
        ids[1, 6:], mask[1, 6:] = 0, 0
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": (torch.arange(9) > 4).long().repeat(2, 1)}
        return module, inputs, torch.tensor([2, 0]), torch.zeros_like(ids)
    shape = {"residual_cnn": (3, 3, 16, 16), "lstm": (3, 7, 4)}[name]
    values = torch.randn(shape)
    inputs = {"image" if name == "residual_cnn" else "sequence": values}
    return module, inputs, torch.tensor([1, 0, 2]), torch.randn(1, *shape[1:]).expand(shape).clone()


def exported(name: str, module: nn.Module, inputs: "dict[str, torch.Tensor]") -> xg.Model:
    """The network by its bridge; the length of the sequence is free."""
    if name == "bert":
        return xg.from_transformers(module)
    axes = {"sequence": {1: "steps"}} if name == "lstm" else None
    return xg.from_torch(module, tuple(inputs.values()), dynamic_shapes=axes)


def captum_says(
    module: nn.Module, inputs: "dict[str, torch.Tensor]", target: torch.Tensor, baseline: torch.Tensor
) -> "dict[str, np.ndarray]":
    """Gradient and integrated gradients; of token ids at their embeddings, the latter summed over the embedding axis."""
    module.eval()
    if "input_ids" in inputs:
        ids, *rest = inputs.values()
        keys = list(inputs)[1:]
        table = module.bert.embeddings.word_embeddings

        def logits(ids: torch.Tensor, *others: Any) -> torch.Tensor:
            return module(input_ids=ids, **dict(zip(keys, others))).logits

        gradient = captum.attr.LayerGradientXActivation(logits, table, multiply_by_inputs=False)
        integrated = captum.attr.LayerIntegratedGradients(logits, table)
        of_gradient = gradient.attribute(ids, target=target, additional_forward_args=tuple(rest))
        of_path = integrated.attribute(
            ids, baselines=baseline, target=target, additional_forward_args=tuple(rest), n_steps=STEPS
        ).sum(-1)
    else:
        (x,) = inputs.values()
        of_gradient = captum.attr.Saliency(module).attribute(x.clone(), target=target, abs=False)
        of_path = captum.attr.IntegratedGradients(module).attribute(x, baselines=baseline, target=target, n_steps=STEPS)
    found = {"gradient": of_gradient, "integrated-gradients": of_path}
    return {key: value.detach().numpy() for key, value in found.items()}
