"""Record DeepExplainer of shap on the networks beside captum's recordings. README.md describes the files.

    python record.py [NETWORK]...        (every network without arguments)
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import shap
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "captum"))

from networks import NETWORKS, build  # noqa: E402


def record(name):
    module, inputs, target, _, references = build(name)
    rows, background = list(inputs.values()), list(references.values())
    lone = len(rows) == 1
    try:
        explainer = shap.DeepExplainer(module, background[0] if lone else background)
        values = explainer.shap_values(rows[0] if lone else rows, check_additivity=False)
    except Exception as error:  # what it says is the finding
        print(f"{name}: fails with {type(error).__name__}: {str(error)[:200]}")
        return
    values = [values] if lone else values
    chosen = [np.stack([v[row, ..., c] for row, c in enumerate(target)]) for v in values]
    with torch.no_grad():
        scores = module(*rows).gather(1, target[:, None])[:, 0] - module(*background).mean(0)[target]
    gap = sum(v.reshape(len(v), -1).sum(1) for v in chosen) - scores.numpy()
    print(f"{name}: misses its total by {np.abs(gap).max():.2g} of {np.abs(scores.numpy()).max():.2g}")
    if np.abs(gap).max() > 1e-4:
        return
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    np.savez(folder / "case.npz", **{f"deep-shap/{key}": v.astype(np.float32) for key, v in zip(inputs, chosen)})


def main():
    warnings.filterwarnings("ignore")
    for name in sys.argv[1:] or NETWORKS:
        record(name)


if __name__ == "__main__":
    main()
