"""BERT-base and a Llama-shaped decoder of 100 million parameters with seeded random weights: write them as ONNX files, and time
AttnLRP by LXT on them.

    python lxt_times.py write FOLDER       (writes lxt-bert-base.onnx and lxt-llama.onnx, 850 MB)
    python lxt_times.py time --model lxt-llama [--threads 2] [--repeats 7] [--batch 1]

Needs torch, onnx, lxt 2.1 and transformers 4.52, the last version that LXT can patch. `time` prints JSON: median milliseconds of the
forward pass and of an explanation, which is the forward and backward pass of the patched network from the top logit to the embeddings;
parameters need no gradient. `side_by_side.py --part lxt` runs it beside Exegesis.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.models.bert import modeling_bert
from transformers.models.llama import modeling_llama

TOKENS = 128
WARM_UPS = 2


def bert() -> nn.Module:
    torch.manual_seed(110)
    config = modeling_bert.BertConfig(attn_implementation="eager")
    return modeling_bert.BertForSequenceClassification(config).eval()


def llama() -> nn.Module:
    torch.manual_seed(100)
    config = modeling_llama.LlamaConfig(
        vocab_size=32000, hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True, use_cache=False, attn_implementation="eager",
    )  # fmt: skip
    return modeling_llama.LlamaForCausalLM(config).eval()


MODELS = {"lxt-bert-base": (bert, modeling_bert), "lxt-llama": (llama, modeling_llama)}


def token_ids(batch: int) -> Tensor:
    return torch.randint(30000, (batch, TOKENS), generator=torch.Generator().manual_seed(batch))


class Logits(nn.Module):
    """Token ids to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids=input_ids).logits


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    for name, (build, _) in MODELS.items():
        torch.onnx.export(
            Logits(build()), (token_ids(2),), str(folder / f"{name}.onnx"), dynamo=False, opset_version=17,
            input_names=["input_ids"], output_names=["logits"],
            dynamic_axes={"input_ids": {0: "batch"}, "logits": {0: "batch"}},
        )  # fmt: skip


def median_ms(run: Callable[[], None], repeats: int) -> float:
    for _ in range(WARM_UPS):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def timed(name: str, batch: int, repeats: int) -> dict[str, float]:
    from lxt.efficient import monkey_patch

    build, module = MODELS[name]
    ids = token_ids(batch)
    plain = build().requires_grad_(False)

    def forward() -> None:
        with torch.inference_mode():
            plain(input_ids=ids)

    forward_ms = median_ms(forward, repeats)
    monkey_patch(module)
    patched = build().requires_grad_(False)

    def explain() -> None:
        words = patched.get_input_embeddings()(ids).requires_grad_()
        logits = patched(inputs_embeds=words).logits
        scores = logits if logits.dim() == 2 else logits[:, -1]
        scores.amax(1).sum().backward()
        (words * words.grad).sum(-1)

    return {"forward_ms": forward_ms, "attn-lrp_ms": median_ms(explain, repeats)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("folder", type=Path)
    command = commands.add_parser("time")
    command.add_argument("--model", choices=MODELS, required=True)
    for option, default in [("--threads", 2), ("--repeats", 7), ("--batch", 1)]:
        command.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    if options.command == "write":
        write(options.folder)
        return
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    json.dump(timed(options.model, options.batch, options.repeats), sys.stdout)
    print()


if __name__ == "__main__":
    main()
