"""Time Exegesis beside PyTorch eager and zennit in one run and print a Markdown table of both and their ratio.

    python side_by_side.py FOLDER [--batch 1 --batch 8] [--repeats 7] [--model resnet50]

FOLDER holds the models that `models.py FOLDER` wrote. Needs torch, torchvision and zennit for the peers' half and cargo for
ours (release build). All use 2 threads unless --threads says otherwise; medians after two warm-up runs. "Of our forward" is the
median over rounds of the ratio in a round, in which forward pass and explanations run one after another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHODS = {
    "gradient": "gradient",
    "dlbacktrace": "DLBacktrace",
    "dlbacktrace:mode=contrastive": "DLBacktrace, contrastive",
}
# Timed on convolutional networks, beside zennit.
ZENNIT = {
    "lrp:composite=epsilon": "LRP, epsilon; zennit",
    "lrp:composite=epsilon-plus": "LRP, epsilon-plus; zennit",
}
MODELS = {"resnet50": "ResNet-50", "bert-base": "BERT-base, 128 tokens"}


def methods(model: str) -> dict[str, str]:
    """Methods timed on `model`, with their titles."""
    return METHODS | ZENNIT if model == "resnet50" else METHODS


def ours(folder: Path, model: str, batch: int, repeats: int, threads: int) -> dict:
    command = ["cargo", "run", "--quiet", "--release", "-p", "exegesis", "--example", "time_methods", "--"]
    command += [str(folder / f"{model}.onnx"), "--batch", str(batch), "--repeats", str(repeats)]
    command += [part for method in methods(model) for part in ("--method", method)]
    environment = {**os.environ, "RTEN_NUM_THREADS": str(threads)}
    output = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def torch(model: str, batch: int, repeats: int, threads: int) -> dict:
    command = [sys.executable, str(HERE / "torch_times.py"), "--model", model, "--batch", str(batch)]
    command += ["--repeats", str(repeats), "--threads", str(threads)]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def zennit(model: str, batch: int, repeats: int, threads: int) -> dict:
    if model != "resnet50":
        return {"results": []}
    command = [sys.executable, str(HERE / "zennit_times.py"), "--batch", str(batch)]
    command += ["--repeats", str(repeats), "--threads", str(threads)]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def median(times: dict, measured: str) -> float:
    """The median of what was `measured` (forward, input_gradient)."""
    return next(result["median_ms"] for result in times["results"] if result["measured"] == measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, action="append", help="default: both")
    options = parser.parse_args()
    print("| model | batch | | PyTorch ms | Exegesis ms | PyTorch / Exegesis | of our forward |")
    print("|---|---|---|---|---|---|---|")
    for model in options.model or MODELS:
        for batch in options.batch or [1, 8]:
            mine = ours(options.folder, model, batch, options.repeats, options.threads)
            theirs = torch(model, batch, options.repeats, options.threads)
            theirs["results"] += zennit(model, batch, options.repeats, options.threads)["results"]
            rows = [
                ("forward", median(theirs, "forward"), mine["forward_ms"], 1.0),
            ]
            for method, title_of_method in methods(model).items():
                measured = {"gradient": "input_gradient"} | {name: name for name in ZENNIT}
                peer = median(theirs, measured[method]) if method in measured else None
                rows.append((title_of_method, peer, mine["methods"][method]["ms"], mine["methods"][method]["ratio"]))
            for name, peer, own, of_forward in rows:
                theirs_ms = "-" if peer is None else f"{peer:.1f}"
                ratio = "-" if peer is None else f"{peer / own:.2f}"
                row = [MODELS[model], str(batch), name, theirs_ms, f"{own:.1f}", ratio, f"{of_forward:.2f}"]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
