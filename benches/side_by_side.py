"""Time Exegesis beside PyTorch, captum, zennit and LXT in one run and print a Markdown table with their ratio.

    python side_by_side.py FOLDER [--part pytorch|captum|zennit|lxt]... [--model NAME]... [--batch 1 --batch 8] [--repeats 7]
        [--runtime rten|onnxruntime]... [--onnxruntime PATH]

FOLDER holds the models that `models.py FOLDER` (and for LXT `lxt_times.py write FOLDER`) wrote. Each part needs its peer
beside torch, and cargo for ours (release build). All use 2 threads unless --threads says otherwise; medians after warm-up
runs. "Of our forward" is the median over rounds of the ratio in a round, in which forward pass and explanations run one after
another; captum's part times whole explanations, averages over points included, as a user of either library gets them. With --runtime twice
each explanation is timed on both; captum's part is timed on the embedded runtime. Peers run in processes of their own, which have
ended before ours start. For steady numbers build first (`cargo build --release -p exegesis --examples`), name the folder of what was
built in EXEGESIS_EXAMPLES (`target/release/examples`), and run this under `chrt -f 50` where the machine allows it.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TITLES = {
    "resnet50": "ResNet-50",
    "bert-base": "BERT-base, 128 tokens",
    "lxt-bert-base": "BERT-base, 128 tokens",
    "lxt-llama": "Llama-shaped, 100 M parameters, 128 tokens",
}
# What is timed by the engine itself, and the peer's name for it where it has one.
PYTORCH = {"gradient": "input_gradient", "dlbacktrace": None, "dlbacktrace:mode=contrastive": None}
ZENNIT = ["lrp:composite=epsilon", "lrp:composite=epsilon-plus"]
LXT = {"attn-lrp": "attn-lrp_ms", "cp-lrp": None}
CAPTUM = {
    "gradient": "gradient",
    "integrated-gradients": "integrated-gradients:steps=50",
    "smoothgrad": "smoothgrad:samples=50",
    "guided-backprop": "guided-backprop",
    "grad-cam": "grad-cam",
}
PARTS = {
    "pytorch": ["resnet50", "bert-base"],
    "captum": ["resnet50", "bert-base"],
    "zennit": ["resnet50"],
    "lxt": ["lxt-bert-base", "lxt-llama"],
}
Row = tuple[str, float | None, float, float | None]


@functools.cache
def run(words: tuple[str, ...], threads: int) -> dict:
    environment = {**os.environ, "RTEN_NUM_THREADS": str(threads)}
    output = subprocess.run(words, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True)
    return json.loads(output.stdout)


def ours(example: str, path: Path, methods: list[str], options: list[object], threads: int) -> dict:
    cargo = ["cargo", "run", "--quiet", "--release", "-p", "exegesis", "--example", example, "--"]
    built = os.environ.get("EXEGESIS_EXAMPLES")
    command = [*([Path(built) / example] if built else cargo), path, *options]
    command += [part for method in methods for part in ("--method", method)]
    return run(tuple(str(word) for word in command), threads)


def peer(script: str, arguments: list[object], threads: int) -> dict:
    command = [sys.executable, HERE / script, *arguments, "--threads", threads]
    return run(tuple(str(word) for word in command), threads)


def median(times: dict, measured: str | None) -> float | None:
    found = [result["median_ms"] for result in times["results"] if result["measured"] == measured]
    return found[0] if found else None


def rows(part: str, model: str, batch: int, runtime: str, options: argparse.Namespace) -> Iterator[Row]:
    path, repeats, threads = options.folder / f"{model}.onnx", options.repeats, options.threads
    sizes = ["--batch", batch, "--repeats", repeats]
    if part == "captum":
        names = [name for name in CAPTUM if model == "resnet50" or name not in ("guided-backprop", "grad-cam")]
        few = ["--rows", batch, "--repeats", min(repeats, 3)]
        mine = ours("time_explainers", path, [CAPTUM[name] for name in names], few, threads)["methods"]
        wanted = [word for name in names for word in ("--method", name)]
        theirs = peer("captum_times.py", ["--model", model, *few, "--batch", 8, *wanted], threads)["methods"]
        for name in names:
            yield CAPTUM[name], theirs[name]["ms"], mine[CAPTUM[name]]["ms"], None
        return
    methods = {"pytorch": list(PYTORCH), "zennit": ZENNIT, "lxt": list(LXT)}[part]
    on = ["--runtime", runtime] + (["--onnxruntime", options.onnxruntime] if runtime != "rten" else [])
    if part == "lxt":
        theirs = peer("lxt_times.py", ["time", "--model", model, *sizes], threads)
        peers = {method: theirs.get(LXT[method] or "") for method in methods}
        forward = theirs["forward_ms"]
    else:
        torch = peer("torch_times.py", ["--model", model, *sizes], threads)
        forward = median(torch, "forward")
        if part == "zennit":
            theirs = peer("zennit_times.py", sizes, threads)
            peers = {method: median(theirs, method) for method in methods}
        else:
            peers = {method: median(torch, PYTORCH[method]) for method in methods}
    mine = ours("time_methods", path, methods, sizes + on, threads)
    yield "forward", forward, mine["forward_ms"], 1.0
    for method in methods:
        yield method, peers[method], mine["methods"][method]["ms"], mine["methods"][method]["ratio"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--model", choices=TITLES, action="append", help="default: all of a part")
    parser.add_argument("--batch", type=int, action="append", help="default: 1 and 8 (captum's points: 1)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runtime", choices=["rten", "onnxruntime"], action="append", help="default: rten")
    parser.add_argument("--onnxruntime", default=sys.prefix, help="default: that of this Python")
    options = parser.parse_args()
    for part in options.part or PARTS:
        print(f"\n| model | batch | runtime | | {part} ms | Exegesis ms | {part} / Exegesis | of our forward |")
        print("|---|---|---|---|---|---|---|---|")
        for model in [m for m in PARTS[part] if not options.model or m in options.model]:
            for batch in options.batch or ([1] if part == "captum" else [1, 8]):
                for runtime in options.runtime or ["rten"]:
                    if part == "captum" and runtime != "rten":
                        continue
                    for name, theirs, own, of_forward in rows(part, model, batch, runtime, options):
                        theirs_ms, ratio = ("-", "-") if theirs is None else (f"{theirs:.1f}", f"{theirs / own:.2f}")
                        share = "-" if of_forward is None else f"{of_forward:.2f}"
                        cells = [TITLES[model], str(batch), runtime, name, theirs_ms, f"{own:.1f}", ratio, share]
                        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
