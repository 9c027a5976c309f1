#!/usr/bin/env python3
"""Metrics beside quantus: the same network, maps, samples, and number of model calls; seconds of both in one run.

    pip install torch quantus==0.6.0 captum onnx onnxscript scikit-image
    cargo build --release -p exegesis-cli
    python3 benches/metrics_side_by_side.py target/release/exegesis > metrics.md

Two networks with random weights: a small one for 28 x 28 pixels, where the work around the model counts, and a ResNet-18 for
64 x 64, where the model does. Both packages get 2 threads and batches of 64; maps are the gradient. quantus runs in a process of its own, which is gone before ours starts. Loading
packages and models is not counted. Each line is the better of two runs of each, taken in turn.
"""

import json
import multiprocessing
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
# quantus 0.6 asks for a function that NumPy 2 calls otherwise.
np.trapz = getattr(np, "trapz", None) or np.trapezoid
THREADS, ROUNDS = 2, 2


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
    """ResNet-18 for 64 x 64 grey pixels."""
    layers = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)), (1, 64, 64), 8


def metrics(side):
    """Name, what quantus runs, what we run; equal numbers of model calls."""
    plain = dict(normalise=False, abs=False, disable_warnings=True, display_progressbar=False)
    patch = side // 8 if side >= 64 else 4
    pixels = side * side
    # A number of steps that divides the pixels, as quantus wants it.
    steps = 112 if pixels % 112 == 0 else 128
    return [
        (f"pixel flipping, {steps} steps",
         lambda: quantus.PixelFlipping(features_in_step=pixels // steps, perturb_baseline=0.0, **plain),
         f"morf:steps={steps},operator=zero"),
        ("faithfulness correlation, 100 subsets",
         lambda: quantus.FaithfulnessCorrelation(nr_runs=100, subset_size=pixels // 5, perturb_baseline=0.0, **plain),
         "faithfulness-correlation:operator=zero"),
        (f"region perturbation, regions of {patch}",
         lambda: quantus.RegionPerturbation(patch_size=patch, regions_evaluation=(side // patch) ** 2,
                                            perturb_baseline=0.0, **plain),
         f"region-perturbation:side={patch},steps={(side // patch) ** 2},operator=zero"),
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


def all_of_theirs(name):
    """Seconds of quantus for every metric, in a process of its own: its threads must not run beside ours."""
    make = NETWORKS[name]
    model, x, y, maps = problem(make)
    # quantus reduces channels itself.
    reduced = maps.sum(1, keepdims=True)
    times = []
    for _, metric, _ in metrics(x.shape[-1]):
        try:
            times.append(theirs(metric, model, x, y, reduced))
        except AssertionError:
            # Its segments of a picture of noise may be one.
            times.append(float("nan"))
    return times


def problem(make):
    """A network with random weights, pictures, the classes it gives them, and the gradient."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model, shape, samples = make()
    model.eval()
    x = np.random.default_rng(0).normal(size=(samples, *shape)).astype(np.float32)
    y = model(torch.from_numpy(x)).argmax(1).numpy()
    return model, x, y, explain(model, x, y)


NETWORKS = {"small, 28 x 28, 32 samples": small, "ResNet-18, 64 x 64, 8 samples": resnet18}


def write(name, folder):
    """The network as ONNX, and its pictures."""
    model, x, y, _ = problem(NETWORKS[name])
    torch.onnx.export(model, (torch.from_numpy(x),), f"{folder}/model.onnx", dynamo=False, opset_version=17,
                      input_names=["picture"], output_names=["classes"],
                      dynamic_axes={"picture": {0: "batch"}, "classes": {0: "batch"}})
    np.savez(f"{folder}/data.npz", picture=x, labels=y.astype(np.int64))


def ours(exegesis, folder, names):
    """Seconds of our command, without starting and loading but with the gradient; and the rows that the model was run on."""
    subprocess.run(
        [exegesis, "-q", "compare", "model.onnx", "data.npz", "--methods", "gradient", "--controls", "none",
         "--metrics", ",".join(names), "--threads", str(THREADS), "-o", "x.html", "--save", "x.json"],
        cwd=folder, check=True, capture_output=True,
    )
    record = json.loads((Path(folder) / "x.json").read_text())["comparison"]
    return record["seconds"], sum(record["rows"])


def alone(function, *arguments):
    """A call in a process of its own, which is gone when it returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main():
    exegesis = str(Path(sys.argv[1]).resolve())
    print("| network | metric | quantus, s | ours, s | quantus / ours |\n|---|---|---:|---:|---:|")
    for name in sys.argv[2:] or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            alone(write, name, folder)
            side = 28 if name.startswith("small") else 64
            all_metrics = metrics(side)
            perturbing = [text for _, _, text in all_metrics if not text.startswith("max-sensitivity")]
            slow, quick = [], []
            for _ in range(ROUNDS):
                slow.append(alone(all_of_theirs, name))
                quick.append([ours(exegesis, folder, [text])[0] for _, _, text in all_metrics])
            total, compared = 0.0, []
            for at, (label, _, text) in enumerate(all_metrics):
                theirs_, ours_ = min(r[at] for r in slow), min(r[at] for r in quick)
                if theirs_ != theirs_:
                    print(f"| {name} | {label} | fails | {ours_:.3f} | |")
                    continue
                print(f"| {name} | {label} | {theirs_:.3f} | {ours_:.3f} | {theirs_ / ours_:.1f} |")
                compared += [text] if text in perturbing else []
                total += theirs_ if text in perturbing else 0.0
            together = [ours(exegesis, folder, compared) for _ in range(ROUNDS)]
            best = min(seconds for seconds, _ in together)
            rows = together[0][1]
            print(f"| {name} | all of these but max-sensitivity in one run ({rows} rows) | {total:.3f} | {best:.3f} | {total / best:.1f} |", flush=True)


if __name__ == "__main__":
    main()
