"""Time captum on the models of `models.py` and print JSON: per method the median in milliseconds and the peak memory.

    python captum_times.py --model resnet50 --method "Gradient" [--rows 1] [--repeats 3] [--threads 2]

Needs torch and captum. The target is the class with the largest logit; BERT is explained at its word embeddings. Methods that
average take all points in one batch, which is captum's default, or `--batch N` of them at a time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import torch
from captum.attr import (
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Saliency,
)
from torch import Tensor, nn

from models import MODELS, random_inputs


class FromEmbeddings(nn.Module):
    """BERT as a function of its word embeddings."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, embeddings: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        hook = self.module.words.register_forward_hook(lambda *_: embeddings)
        output = self.module(ids, mask)
        hook.remove()
        return output


def last_block(module: nn.Module) -> nn.Module:
    return module.blocks[-1]


def runs(name: str, module: nn.Module, rows: int, steps: int, batch: int | None) -> dict:
    given = tuple(random_inputs(name, rows).values())
    if given[0].is_floating_point():
        inputs, further, model = given[0], None, module
    else:
        inputs, further, model = module.words(given[0]).detach(), given, FromEmbeddings(module)
    with torch.no_grad():
        target = model(inputs, *(further or ())).argmax(1)
    shared = {"target": target, "additional_forward_args": further}
    found = {
        "gradient": lambda: Saliency(model).attribute(inputs, abs=False, **shared),
        "input-x-gradient": lambda: InputXGradient(model).attribute(inputs, **shared),
        "integrated-gradients": lambda: IntegratedGradients(model).attribute(
            inputs, n_steps=steps, internal_batch_size=batch, **shared
        ),
        "smoothgrad": lambda: NoiseTunnel(Saliency(model)).attribute(
            inputs, nt_type="smoothgrad", nt_samples=steps, nt_samples_batch_size=batch, stdevs=0.2, abs=False, **shared
        ),
    }
    if name == "resnet50":
        found["guided-backprop"] = lambda: GuidedBackprop(model).attribute(inputs, **shared)
        found["grad-cam"] = lambda: LayerGradCam(model, last_block(module)).attribute(inputs, **shared)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--method", action="append", required=True)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, help="points at a time (default: all)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    module = MODELS[options.model]().eval().requires_grad_(False)
    explain = runs(options.model, module, options.rows, options.steps, options.batch)
    methods = {}
    for method in options.method:
        explain[method]()
        milliseconds = []
        for _ in range(options.repeats):
            start = time.perf_counter()
            explain[method]()
            milliseconds.append(1e3 * (time.perf_counter() - start))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        methods[method] = {"ms": round(statistics.median(milliseconds), 3), "peak_mb": round(peak, 1)}
    print(json.dumps({"model": options.model, "rows": options.rows, "methods": methods}))


if __name__ == "__main__":
    main()
