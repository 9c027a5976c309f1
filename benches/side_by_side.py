"""Time Exegesis beside PyTorch eager in one run and print a Markdown table of both and their ratio.

    python side_by_side.py FOLDER [--batch 1 --batch 8] [--repeats 7]

FOLDER holds the models that `models.py FOLDER` wrote. Needs torch for the PyTorch half and cargo for ours (release
build). Both use 2 threads unless --threads says otherwise; medians after two warm-up runs. "Of our forward" is the
median over rounds of the ratio in a round, in which forward pass and explanations run one after another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHODS = {
    "gradient": "gradient",
    "dlbacktrace": "DLBacktrace",
    "dlbacktrace:mode=contrastive": "DLBacktrace, contrastive",
}
MODELS = {"resnet50": "ResNet-50", "bert-base": "BERT-base, 128 tokens"}
LXT_MODELS = {"lxt-bert-base": "BERT-base, 128 tokens", "lxt-llama": "Llama-shaped, 100 M parameters, 128 tokens"}


def ours(folder: Path, model: str, batch: int, repeats: int, threads: int, methods: Iterable[str] = METHODS) -> dict:
    command = ["cargo", "run", "--quiet", "--release", "-p", "exegesis", "--example", "time_methods", "--"]
    command += [str(folder / f"{model}.onnx"), "--batch", str(batch), "--repeats", str(repeats)]
    command += [part for method in methods for part in ("--method", method)]
    environment = {**os.environ, "RTEN_NUM_THREADS": str(threads)}
    output = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def torch(model: str, batch: int, repeats: int, threads: int) -> dict:
    command = [sys.executable, str(HERE / "torch_times.py"), "--model", model, "--batch", str(batch)]
    command += ["--repeats", str(repeats), "--threads", str(threads)]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def median(times: dict, measured: str) -> float:
    """The median of what was `measured` (forward, input_gradient)."""
    return next(result["median_ms"] for result in times["results"] if result["measured"] == measured)


def lxt(folder: Path, batch: int, repeats: int, threads: int) -> None:
    """A table of AttnLRP by LXT and by us, on the models that `lxt_times.py write` wrote."""
    print("| model | batch | | LXT ms | Exegesis ms | LXT / Exegesis | of our forward |")
    print("|---|---|---|---|---|---|---|")
    for model, title in LXT_MODELS.items():
        mine = ours(folder, model, batch, repeats, threads, ["attn-lrp", "cp-lrp"])
        command = [sys.executable, str(HERE / "lxt_times.py"), "time", "--model", model, "--batch", str(batch)]
        command += ["--repeats", str(repeats), "--threads", str(threads)]
        output = subprocess.run(command, capture_output=True, text=True, check=True)
        theirs = json.loads(output.stdout)
        attn, cp = mine["methods"]["attn-lrp"], mine["methods"]["cp-lrp"]
        rows = [
            ("forward", theirs["forward_ms"], mine["forward_ms"], 1.0),
            ("AttnLRP", theirs["attn-lrp_ms"], attn["ms"], attn["ratio"]),
            ("CP-LRP", None, cp["ms"], cp["ratio"]),
        ]
        for name, peer, own, of_forward in rows:
            theirs_ms, ratio = ("-", "-") if peer is None else (f"{peer:.1f}", f"{peer / own:.2f}")
            print(f"| {title} | {batch} | {name} | {theirs_ms} | {own:.1f} | {ratio} | {of_forward:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lxt", action="store_true", help="AttnLRP beside LXT only, on the models of lxt_times.py")
    options = parser.parse_args()
    if options.lxt:
        for batch in options.batch or [1]:
            lxt(options.folder, batch, options.repeats, options.threads)
        return
    print("| model | batch | | PyTorch ms | Exegesis ms | PyTorch / Exegesis | of our forward |")
    print("|---|---|---|---|---|---|---|")
    for model, title in MODELS.items():
        for batch in options.batch or [1, 8]:
            mine = ours(options.folder, model, batch, options.repeats, options.threads)
            theirs = torch(model, batch, options.repeats, options.threads)
            rows = [
                ("forward", median(theirs, "forward"), mine["forward_ms"], 1.0),
            ]
            for method, title_of_method in METHODS.items():
                peer = median(theirs, "input_gradient") if method == "gradient" else None
                rows.append((title_of_method, peer, mine["methods"][method]["ms"], mine["methods"][method]["ratio"]))
            for name, peer, own, of_forward in rows:
                theirs_ms = "-" if peer is None else f"{peer:.1f}"
                ratio = "-" if peer is None else f"{peer / own:.2f}"
                row = [title, str(batch), name, theirs_ms, f"{own:.1f}", ratio, f"{of_forward:.2f}"]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
