"""Time zennit's EpsilonPlus and its epsilon rule everywhere on torchvision's ResNet-50, with the weights of `models.py`.

    python zennit_times.py [--threads 2] [--repeats 7] [--batch 1 --batch 8]

Prints JSON as `torch_times.py` does. Times include zennit's own forward pass; rules are registered once, batch normalisation
and residual additions made ready for them (`ResNetCanonizer`) before anything is timed. Needs torchvision and zennit.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch
import torchvision
import zennit
from torch import nn
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlus, LayerMapComposite
from zennit.layer import Sum
from zennit.rules import Epsilon, Norm, Pass
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, Convolution, Linear

from models import CLASSES, random_inputs, resnet50
from torch_times import times


def epsilon() -> LayerMapComposite:
    rules = [(Activation, Pass()), (Sum, Norm()), (AvgPool, Norm()), (Convolution, Epsilon()), (Linear, Epsilon())]
    return LayerMapComposite(rules, canonizers=[ResNetCanonizer()])


COMPOSITES = {
    "lrp:composite=epsilon": epsilon,
    "lrp:composite=epsilon-plus": lambda: EpsilonPlus(canonizers=[ResNetCanonizer()]),
}


def score_of_target(output: torch.Tensor) -> torch.Tensor:
    """Relevance starts as the largest score of each row."""
    return output * nn.functional.one_hot(output.argmax(1), CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, action="append", help="default: 1 and 8")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    module = torchvision.models.resnet50(weights=None)
    # The same weights in the same order, under other names.
    weights = resnet50().state_dict().values()
    module.load_state_dict(dict(zip(module.state_dict(), weights, strict=True)))
    module.eval().requires_grad_(False)
    results = []
    for batch in arguments.batch or [1, 8]:
        image = random_inputs("resnet50", batch)["image"]
        for measured, composite in COMPOSITES.items():
            with Gradient(module, composite()) as attributor:
                result = times(lambda: attributor(image, score_of_target), arguments.repeats)
            results.append({"model": "resnet50", "batch": batch, "measured": measured} | result)
            print(results[-1], file=sys.stderr)
    versions = {"torch": torch.__version__, "zennit": getattr(zennit, "__version__", "?")}
    json.dump(versions | {"threads": arguments.threads, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
