#!/usr/bin/env python3
"""Records what quantus and captum say of given maps of a small network, for `crates/exegesis/tests/metric_peers.rs`.

Run by hand, once; the results are committed. Both packages are run, nothing of them is copied:

    pip install torch quantus==0.6.0 captum==0.9.0 onnx onnxscript
    python3 record.py

The network has random weights (seed 0) and ends in logits. Maps are gradient times input plus noise, so that they are neither
perfect nor random; masks of evidence are rectangles. quantus is asked without its normalisation and with zeros as baseline.
"""

import json
import warnings
from pathlib import Path

import captum.metrics
import numpy as np
import quantus
import torch
from torch import nn

warnings.filterwarnings("ignore")
HERE = Path(__file__).resolve().parent
SIDE, SAMPLES = 8, 6


def network():
    """A convolution and two dense layers over 8 x 8 pixels."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * SIDE * SIDE, 16), nn.ReLU(), nn.Linear(16, 3)
    ).eval()


def main():
    model = network()
    random = np.random.default_rng(0)
    x = random.normal(size=(SAMPLES, 1, SIDE, SIDE)).astype(np.float32)
    inputs = torch.from_numpy(x).requires_grad_()
    logits = model(inputs)
    y = logits.argmax(1).numpy()
    logits.gather(1, torch.from_numpy(y)[:, None]).sum().backward()
    maps = (inputs.grad * inputs).detach().numpy()
    maps = (maps + random.normal(size=maps.shape) * np.abs(maps).mean() * 0.5).astype(np.float32)
    masks = np.zeros_like(x)
    for i in range(SAMPLES):
        top, left = random.integers(0, 5, 2)
        masks[i, :, top : top + 3 + i % 2, left : left + 3] = 1
    torch.onnx.export(model, (torch.from_numpy(x),), HERE / "network.onnx", dynamo=False, opset_version=17,
                      input_names=["picture"], output_names=["classes"],
                      dynamic_axes={"picture": {0: "batch"}, "classes": {0: "batch"}})
    np.savez(HERE / "data.npz", picture=x, labels=y.astype(np.int64), **{"mask/picture": masks[:, :]})
    np.savez(HERE / "maps.npz", **{"attribution/picture": maps})

    plain = dict(normalise=False, abs=False, disable_warnings=True, display_progressbar=False)

    def ask(metric, softmax=False):
        scores = metric(model=model, x_batch=x, y_batch=y, a_batch=maps, s_batch=masks, device="cpu", softmax=softmax,
                        batch_size=SAMPLES, channel_first=True)
        return [None if s is None else np.asarray(s, dtype=float).tolist() for s in scores]

    absolute = {**plain, "abs": True}
    flips = ask(quantus.PixelFlipping(features_in_step=1, perturb_baseline=0.0, **plain), softmax=True)
    quantus_scores = {
        # The curve after 1, 2, ... pixels, without the sample itself in front.
        "pixel-flipping curve": flips,
        "faithfulness-estimate": ask(quantus.FaithfulnessEstimate(features_in_step=1, perturb_baseline=0.0, **plain)),
        "gini": ask(quantus.Sparseness(**absolute)),
        "complexity": ask(quantus.Complexity(**absolute)),
        "effective-complexity": ask(quantus.EffectiveComplexity(eps=0.02, **absolute)),
        "pointing-game": ask(quantus.PointingGame(**plain)),
        "top-k-intersection": ask(quantus.TopKIntersection(k=6, **plain)),
        "relevance-rank": ask(quantus.RelevanceRankAccuracy(**plain)),
        "localisation-auc": ask(quantus.AUC(**plain)),
        # Random subsets: the mean over many.
        "faithfulness-correlation": ask(
            quantus.FaithfulnessCorrelation(nr_runs=4000, subset_size=12, perturb_baseline=0.0, **plain)
        ),
    }
    # Of maps without negative values, where definitions agree.
    positive = np.maximum(maps, 0)
    quantus_scores["relevance-mass of the positive part"] = [
        float(s)
        for s in quantus.RelevanceMassAccuracy(**plain)(
            model=model, x_batch=x, y_batch=y, a_batch=positive, s_batch=masks, device="cpu"
        )
    ]
    quantus_scores["attribution-localisation of the positive part"] = [
        float(s)
        for s in quantus.AttributionLocalisation(**plain)(
            model=model, x_batch=x, y_batch=y, a_batch=positive, s_batch=masks, device="cpu"
        )
    ]

    torch.manual_seed(0)

    def perturb(inputs, baselines=None):
        noise = torch.randn_like(inputs) * 0.2
        return noise, inputs - noise

    gradient = inputs.grad.detach()
    infidelity = captum.metrics.infidelity(
        model, perturb, torch.from_numpy(x), gradient, target=torch.from_numpy(y), n_perturb_samples=20000,
        max_examples_per_batch=2048,
    )
    np.savez(HERE / "gradient.npz", **{"attribution/picture": gradient.numpy()})

    def saliency(inputs, **rest):
        with torch.enable_grad():
            inputs = inputs.clone().requires_grad_()
            score = model(inputs).gather(1, rest["target"][:, None]).sum()
            return (torch.autograd.grad(score, inputs)[0],)

    sensitivity = captum.metrics.sensitivity_max(
        lambda inputs, **rest: saliency(inputs[0] if isinstance(inputs, tuple) else inputs, **rest),
        (torch.from_numpy(x),), perturb_radius=0.05, n_perturb_samples=400, target=torch.from_numpy(y),
    )
    record = {
        "range": float(x.max() - x.min()),
        "quantus": quantus_scores,
        "captum": {
            "infidelity of the gradient": infidelity.detach().numpy().tolist(),
            "max-sensitivity of the gradient, 400 draws": sensitivity.detach().numpy().tolist(),
        },
    }
    rounded = json.loads(json.dumps(record), parse_float=lambda text: float(f"{float(text):.9g}"))
    (HERE / "scores.json").write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
