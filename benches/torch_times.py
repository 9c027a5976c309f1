"""Time PyTorch eager on the models of `models.py`: forward, and gradient of the top logit with respect to the input.

    python torch_times.py [--threads 2] [--repeats 10] [--batch 1 --batch 8] [--model resnet50 --model bert-base]

Prints JSON: per model and batch the median and the extremes in milliseconds. The gradient time includes its own forward
pass; parameters need no gradient, and BERT's input is the output of its token embedding.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from models import MODELS, random_inputs

WARM_UPS = 2


def forward(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    with torch.inference_mode():
        module(*inputs)


def input_gradient(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    if inputs[0].is_floating_point():
        explained = inputs[0].detach().requires_grad_()
        output = module(explained, *inputs[1:])
    else:
        explained = module.words(inputs[0]).detach().requires_grad_()
        hook = module.words.register_forward_hook(lambda *_: explained)
        output = module(*inputs)
        hook.remove()
    torch.autograd.grad(output.amax(1).sum(), explained)


def times(run: Callable[[], None], repeats: int) -> dict[str, float]:
    for _ in range(WARM_UPS):
        run()
    milliseconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    summary = {"median_ms": statistics.median(milliseconds), "min_ms": min(milliseconds), "max_ms": max(milliseconds)}
    return {key: round(value, 2) for key, value in summary.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batch", type=int, action="append", help="default: 1 and 8")
    parser.add_argument("--model", choices=MODELS, action="append", help="default: both")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = []
    for name in arguments.model or MODELS:
        module = MODELS[name]().requires_grad_(False)
        for batch in arguments.batch or [1, 8]:
            inputs = tuple(random_inputs(name, batch).values())
            for measured in (forward, input_gradient):
                result = times(lambda: measured(module, inputs), arguments.repeats)
                results.append({"model": name, "batch": batch, "measured": measured.__name__} | result)
                print(results[-1], file=sys.stderr)
    json.dump({"torch": torch.__version__, "threads": arguments.threads, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
