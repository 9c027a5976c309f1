#!/usr/bin/env python3
"""Metrics beside quantus: the same network, maps, samples, and number of model calls; seconds of both in one run.

    pip install torch quantus==0.6.0 captum onnx onnxscript scikit-image
    cargo build --release -p exegesis-cli
    python3 benches/metrics_side_by_side.py target/release/exegesis > metrics.md

Two networks with random weights: a small one for 28 x 28 pixels, where the work around the model counts, and a ResNet-18 for
64 x 64, where the model does. Both packages get 2 threads and batches of 64; maps are the gradient, computed outside. Loading
packages and models is not counted. Each line is the best of three runs of each, taken in turn.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import quantus
import torch
from torch import nn

warnings.filterwarnings("ignore")
THREADS, ROUNDS = 2, 3


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def small():
    """Two convolutions for 28 x 28 grey pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    ), (1, 28, 28), 32


def resnet18():
    """ResNet-18 for 64 x 64 colours."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)), (3, 64, 64), 8


def metrics(side):
    """Name, what quantus runs, what we run; equal numbers of model calls."""
    plain = dict(normalise=False, abs=False, disable_warnings=True, display_progressbar=False)
    patch = side // 8 if side >= 64 else 4
    pixels = side * side
    return [
        ("pixel flipping, 112 steps",
         lambda: quantus.PixelFlipping(features_in_step=pixels // 112, perturb_baseline=0.0, **plain),
         "morf:steps=112,operator=zero"),
        ("faithfulness correlation, 100 subsets",
         lambda: quantus.FaithfulnessCorrelation(nr_runs=100, subset_size=pixels // 5, perturb_baseline=0.0, **plain),
         "faithfulness-correlation:operator=zero"),
        (f"region perturbation, regions of {patch}",
         lambda: quantus.RegionPerturbation(patch_size=patch, regions_evaluation=(side // patch) ** 2,
                                            perturb_baseline=0.0, **plain),
         f"region-perturbation:side={patch},regions={(side // patch) ** 2},operator=zero"),
        (f"selectivity, patches of {patch}",
         lambda: quantus.Selectivity(patch_size=patch, perturb_baseline=0.0, **plain),
         f"selectivity:side={patch},operator=zero"),
        ("ROAD, 9 shares", lambda: quantus.ROAD(percentages=list(range(10, 100, 10)), **plain), "road"),
        ("IROF", lambda: quantus.IROF(perturb_baseline="mean", **plain), "irof"),
        ("max-sensitivity, 10 draws",
         lambda: quantus.MaxSensitivity(nr_samples=10, lower_bound=0.05, **plain), "max-sensitivity"),
    ]


def explain(model, inputs, targets, **_):
    """The gradient, as quantus asks for it."""
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float32).requires_grad_()
    score = model(x).gather(1, torch.as_tensor(targets).long()[:, None]).sum()
    return torch.autograd.grad(score, x)[0].numpy()


def theirs(metric, model, x, y, maps):
    """Seconds of quantus."""
    metric = metric()
    rest = dict(explain_func=explain) if isinstance(metric, quantus.MaxSensitivity) else {}
    started = time.perf_counter()
    metric(model=model, x_batch=x, y_batch=y, a_batch=maps, device="cpu", batch_size=64, channel_first=True, **rest)
    return time.perf_counter() - started


def ours(exegesis, folder, names):
    """Seconds of our command, without starting and loading; and the rows that the model was run on."""
    again = any(name.startswith("max-sensitivity") for name in names)
    how = ["compare", "model.onnx", "data.npz", "--methods", "gradient", "--controls", "none"]
    if not again:
        how = ["evaluate", "model.onnx", "data.npz", "--attributions", "maps.npz"]
    subprocess.run(
        [exegesis, "-q", *how, "--metrics", ",".join(names), "--threads", str(THREADS), "-o", "x.html", "--save", "x.json"],
        cwd=folder, check=True, capture_output=True,
    )
    record = json.loads((Path(folder) / "x.json").read_text())
    record = record["comparison"]
    return record["seconds"], sum(record["rows"])


def main():
    exegesis = str(Path(sys.argv[1]).resolve())
    torch.set_num_threads(THREADS)
    print("| network | metric | quantus, s | ours, s | quantus / ours |\n|---|---|---:|---:|---:|")
    for name, make in (("small, 28 x 28, 32 samples", small), ("ResNet-18, 64 x 64, 8 samples", resnet18)):
        torch.manual_seed(0)
        model, shape, samples = make()
        model.eval()
        x = np.random.default_rng(0).normal(size=(samples, *shape)).astype(np.float32)
        y = model(torch.from_numpy(x)).argmax(1).numpy()
        maps = explain(model, x, y)
        with tempfile.TemporaryDirectory() as folder:
            torch.onnx.export(model, (torch.from_numpy(x),), f"{folder}/model.onnx", dynamo=False, opset_version=17,
                              input_names=["picture"], output_names=["classes"],
                              dynamic_axes={"picture": {0: "batch"}, "classes": {0: "batch"}})
            np.savez(f"{folder}/data.npz", picture=x, labels=y.astype(np.int64))
            np.savez(f"{folder}/maps.npz", **{"attribution/picture": maps})
            # quantus reduces channels itself.
            reduced = maps.sum(1, keepdims=True)
            total, perturbing = 0.0, []
            for label, metric, text in metrics(shape[1]):
                pairs = [(theirs(metric, model, x, y, reduced), ours(exegesis, folder, [text])[0]) for _ in range(ROUNDS)]
                slow, quick = min(p[0] for p in pairs), min(p[1] for p in pairs)
                print(f"| {name} | {label} | {slow:.3f} | {quick:.3f} | {slow / quick:.1f} |", flush=True)
                if not text.startswith("max-sensitivity"):
                    total += slow
                    perturbing.append(text)
            runs = [ours(exegesis, folder, perturbing) for _ in range(ROUNDS)]
            quick = min(seconds for seconds, _ in runs)
            print(f"| {name} | all but the last in one run ({runs[0][1]} rows) | {total:.3f} | {quick:.3f} | {total / quick:.1f} |",
                  flush=True)


if __name__ == "__main__":
    main()
