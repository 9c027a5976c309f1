"""Record what LXT says of two small transformers with seeded random weights.

    python record.py        (needs torch, onnx, lxt 2.1 and transformers 4.52, the last version that it can patch)

Writes, beside this file, `<network>.onnx` by the TorchScript exporter and `<network>.npz`; README.md says what is in them. LXT is
an outside oracle: it is run, and only numbers are kept.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from transformers.models.bert import modeling_bert
from transformers.models.llama import modeling_llama

HERE = Path(__file__).resolve().parent


def randomise(model: nn.Module) -> nn.Module:
    """Weights that no part of the network is indifferent to: biases and norms are not trivial."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        spread = 0.3 if parameter.dim() == 1 else 1.2 / parameter.shape[-1] ** 0.5
        if "embed" in name and parameter.dim() == 2:
            spread = 0.8
        is_scale = parameter.dim() == 1 and "norm" in name.lower() and name.endswith("weight")
        parameter.data = spread * torch.randn(parameter.shape, generator=generator) + float(is_scale)
    return model.eval()


def bert() -> nn.Module:
    config = modeling_bert.BertConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=12, num_labels=3, attn_implementation="eager",
    )  # fmt: skip
    return randomise(modeling_bert.BertForSequenceClassification(config))


def llama() -> nn.Module:
    config = modeling_llama.LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, attn_implementation="eager", use_cache=False,
    )  # fmt: skip
    return randomise(modeling_llama.LlamaForCausalLM(config))


NETWORKS = {"bert": bert, "llama": llama}


class Logits(nn.Module):
    """Token ids to logits: per class, or of the next token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids).logits


def ids() -> torch.Tensor:
    return torch.randint(1, 40, (2, 8), generator=torch.Generator().manual_seed(9))


def export(name: str) -> None:
    path = HERE / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits(NETWORKS[name]()), (ids(),), str(path), input_names=["input_ids"], output_names=["logits"],
            dynamic_axes={"input_ids": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    model = onnx.load(path)
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)


def record(name: str, method: str) -> None:
    """The relevance of each token by LXT, in float64."""
    from lxt.efficient import monkey_patch
    from lxt.efficient.models import llama as llama_maps

    module = {"bert": modeling_bert, "llama": modeling_llama}[name]
    monkey_patch(module, llama_maps.cp_LRP if method == "cp-lrp" else None)
    model = NETWORKS[name]().double()
    model.requires_grad_(False)
    words = model.get_input_embeddings()(ids()).requires_grad_()
    logits = model(inputs_embeds=words).logits
    scores = logits if name == "bert" else logits[:, -1]
    target = scores.argsort(1)[:, -2]
    scores.gather(1, target[:, None]).sum().backward()
    # What is added to a word counts as its own.
    whole = words.detach()
    if name == "bert":
        embeddings = model.bert.embeddings
        whole = whole + embeddings.position_embeddings.weight[: words.shape[1]] + embeddings.token_type_embeddings.weight[0]
    path = HERE / f"{name}.npz"
    arrays = dict(np.load(path)) if path.exists() else {}
    arrays |= {
        "input/input_ids": ids().numpy(),
        "output/logits": logits.detach().numpy(),
        "target": target.numpy(),
        f"relevance/{method}": (whole * words.grad).sum(-1).numpy(),
    }
    np.savez(path, **arrays)


def main() -> None:
    if len(sys.argv) == 3:
        record(*sys.argv[1:])
        return
    for name in NETWORKS:
        (HERE / f"{name}.npz").unlink(missing_ok=True)
        export(name)
    # LXT changes modules in place: each recording has a process of its own.
    for name, method in [("bert", "attn-lrp"), ("llama", "attn-lrp"), ("llama", "cp-lrp")]:
        subprocess.run([sys.executable, __file__, name, method], check=True)


if __name__ == "__main__":
    main()
