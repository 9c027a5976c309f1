"""Record attention weights of `transformers`, their gradients, and the rollouts made of them, on small networks.

    python record.py

Writes `<network>.onnx` and `<network>.npz` beside this file; README.md describes them. Needs torch, onnx and transformers;
the tests need none of them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from transformers import (
    BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, ViTConfig, ViTForImageClassification,
)

HERE = Path(__file__).parent


class Wrapped(nn.Module):
    """Logits only, with positional inputs."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs):
        return self.model(**dict(zip(self.names, inputs)), use_cache=False).logits if self.is_decoder else \
            self.model(**dict(zip(self.names, inputs))).logits

    @property
    def is_decoder(self):
        return isinstance(self.model, GPT2LMHeadModel)


def export(module, inputs, axes, name):
    file = io.BytesIO()
    torch.onnx.export(
        module, tuple(inputs.values()), file, dynamo=False, opset_version=17, input_names=list(inputs),
        output_names=["logits"], dynamic_axes={k: axes for k in inputs} | {"logits": {0: "batch"}},
    )
    model = onnx.load_from_string(file.getvalue())
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def row_normalised(a):
    return a / a.sum(-1, keepdims=True)


def rollout(layers, position):
    """Row of the product of rownorm(A + I), later layers on the left; `position` holds weights of rows."""
    identity = np.eye(layers[0].shape[-1])
    product = identity
    alone = np.ones(layers[0].shape[:2])
    for layer in layers:
        product = row_normalised(layer + identity) @ product
        alone = alone / (layer.sum(-1) + 1)
    row = np.einsum("bi,bij->bj", position, product)
    return row, position * alone


def record(name, model, inputs, axes, target, position):
    """`position` [batch, tokens]: which rows are read."""
    model = model.eval()
    module = Wrapped(model, list(inputs)).eval()
    export(module, inputs, axes, name)
    double = model.double()
    given = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    extra = {"use_cache": False} if module.is_decoder else {}
    out = double(**given, output_attentions=True, **extra)
    logits = out.logits
    if logits.dim() == 3:
        logits = torch.einsum("bt,btv->bv", torch.from_numpy(position).double(), logits)
    score = logits.gather(1, target[:, None]).sum()
    gradients = torch.autograd.grad(score, out.attentions)
    weights = [a.detach().numpy() for a in out.attentions]
    gradients = [g.numpy() for g in gradients]
    arrays = {f"input/{k}": v.numpy() for k, v in inputs.items()}
    arrays |= {"target": target.numpy(), "output/logits": out.logits.detach().numpy()}
    for i, (a, g) in enumerate(zip(weights, gradients)):
        arrays[f"weights/{i}"], arrays[f"gradient/{i}"] = a, g
    arrays["attention"] = np.einsum("bi,bij->bj", position, weights[-1].mean(1))
    arrays["attention-head-1"] = np.einsum("bi,bij->bj", position, weights[0][:, 1])
    arrays["attention-rollout"], _ = rollout([a.mean(1) for a in weights], position)
    row, alone = rollout([np.maximum(a * g, 0).mean(1) for a, g in zip(weights, gradients)], position)
    arrays["grad-rollout"] = row - alone
    arrays = {k: v if v.dtype == np.int64 else v.astype(np.float32) for k, v in arrays.items()}
    np.savez(HERE / f"{name}.npz", **arrays)


def randomised(model):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.5)
    return model


def main():
    torch.manual_seed(5)
    sizes = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=24,
                 attn_implementation="eager")
    ids = torch.tensor([[7, 3, 9, 1, 12, 4], [2, 11, 5, 8, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    sequence = {0: "batch", 1: "tokens"}
    first = np.array([[1.0, 0, 0, 0, 0, 0]] * 2)
    last = np.array([[0.0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 0, 0]])
    bert = BertForSequenceClassification(BertConfig(vocab_size=16, max_position_embeddings=12, num_labels=3, **sizes))
    record("bert", randomised(bert), {"input_ids": ids, "attention_mask": mask}, sequence, torch.tensor([2, 0]), first)
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=12, n_embd=16, n_layer=2, n_head=2, n_inner=24,
                                     attn_implementation="eager"))
    record("gpt2", randomised(gpt), {"input_ids": ids, "attention_mask": mask}, sequence, torch.tensor([6, 13]), last)
    vit = ViTForImageClassification(ViTConfig(image_size=(12, 20), patch_size=4, num_labels=3, **sizes))
    image = torch.randn(2, 3, 12, 20)
    rows = np.zeros((2, 16))
    rows[:, 0] = 1
    record("vit", randomised(vit), {"pixel_values": image}, {0: "batch"}, torch.tensor([1, 2]), rows)


if __name__ == "__main__":
    main()
