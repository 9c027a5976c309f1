"""Record what zennit (0.5.1, LGPL: run here, nothing of it is copied) attributes on small networks.

    python record.py        (needs torch, onnx and zennit; writes the files beside it)

Relevance starts as the score of the target, times a random factor per unit for single layers. All is computed in float64
with weights that float32 holds exactly, so that the ONNX files (float32) are the same functions.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import (
    EpsilonAlpha2Beta1,
    EpsilonAlpha2Beta1Flat,
    EpsilonGammaBox,
    EpsilonPlus,
    EpsilonPlusFlat,
    NameMapComposite,
)
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus

HERE = Path(__file__).resolve().parent
LOW, HIGH = -2.0, 2.5


class Block(nn.Module):
    def __init__(self, channels: int, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.bn1 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
        self.bn2 = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.sum = Sum()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(self.sum(torch.stack([x, y], dim=-1)))


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 2),
        nn.LeakyReLU(0.1),
        nn.AvgPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(8, 12),
        nn.ReLU(),
        nn.Linear(12, 5),
    )


def residual(norm: bool) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=not norm),
        nn.BatchNorm2d(6) if norm else nn.Identity(),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        Block(6, norm),
        Block(6, norm),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def randomise(module: nn.Module) -> nn.Module:
    """Weights that float32 holds, biases and statistics that matter."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.6, 1.4)
            nn.init.normal_(part.bias, std=0.3)
        elif isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and part.bias is not None:
            nn.init.normal_(part.bias, std=0.2)
    return module.float().double().eval()


def export(module: nn.Module, x: Tensor, name: str) -> None:
    torch.onnx.export(
        module.float(),
        (x.float(),),
        str(HERE / f"{name}.onnx"),
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )
    module.double()


COMPOSITES = {
    "epsilon-plus": EpsilonPlus,
    "epsilon-plus-flat": EpsilonPlusFlat,
    "epsilon-gamma-box": lambda **given: EpsilonGammaBox(low=LOW, high=HIGH, **given),
    "alpha2-beta1": EpsilonAlpha2Beta1,
    "alpha2-beta1-flat": EpsilonAlpha2Beta1Flat,
}


def network(name: str, module: nn.Module, size: int) -> None:
    x = torch.empty(2, 3, size, size, dtype=torch.float64).uniform_(LOW, HIGH).float().double()
    export(randomise(module), x, name)
    with torch.no_grad():
        target = module(x).argmax(1)
    arrays = {"input/x": x.float().numpy(), "target": target.numpy()}
    for key, composite in COMPOSITES.items():
        given = {"canonizers": [SequentialMergeBatchNorm()]}
        with Gradient(module, composite(**given)) as attributor:
            score = lambda y: torch.zeros_like(y).scatter_(1, target[:, None], y.gather(1, target[:, None]))
            _, relevance = attributor(x, score)
        arrays[f"relevance/{key}"] = relevance.detach().numpy()
    np.savez(HERE / f"{name}.npz", **arrays)


RULES = {
    "epsilon": Epsilon(1e-6),
    "epsilon:0.1": Epsilon(0.1),
    "gamma:0.25": Gamma(0.25),
    "gamma:2": Gamma(2.0),
    "alpha-beta:2/1": AlphaBeta(2.0, 1.0),
    "alpha-beta:1.5/0.5": AlphaBeta(1.5, 0.5),
    "z-plus": ZPlus(),
    "flat": Flat(),
    "w-square": WSquare(stabilizer=1e-12, zero_params=["bias"]),
    "z-box": ZBox(LOW, HIGH),
}
WITHOUT_BIAS = {
    "epsilon": Epsilon(1e-6, zero_params=["bias"]),
    "alpha-beta:2/1": AlphaBeta(2.0, 1.0, zero_params=["bias"]),
}


def layer(name: str, module: nn.Module, *shape: int) -> None:
    x = torch.empty(*shape, dtype=torch.float64).uniform_(LOW, HIGH).float().double()
    module = nn.Sequential(module)
    export(randomise(module), x, name)
    with torch.no_grad():
        y = module(x)
    seed = torch.rand_like(y).float().double()
    arrays = {"input/x": x.float().numpy(), "seed": seed.numpy()}
    for prefix, rules in (("relevance", RULES), ("zero-bias", WITHOUT_BIAS)):
        for key, rule in rules.items():
            composite = NameMapComposite([(["0"], rule)])
            with Gradient(module, composite) as attributor:
                _, relevance = attributor(x, lambda y: y * seed)
            arrays[f"{prefix}/{key}"] = relevance.detach().numpy()
    np.savez(HERE / f"{name}.npz", **arrays)


def main() -> None:
    warnings.filterwarnings("ignore")  # the exporter's, about its age
    torch.manual_seed(5)
    network("plain", plain(), 12)
    network("residual", residual(norm=False), 14)
    network("residual_norm", residual(norm=True), 14)
    layer("dense", nn.Linear(7, 5), 2, 7)
    layer("convolution", nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=1, groups=2), 2, 4, 7, 6)
    layer("dilated", nn.Conv2d(3, 4, 2, dilation=2), 2, 3, 6, 5)
    layer("transposed", nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), 2, 4, 4, 3)


if __name__ == "__main__":
    main()
