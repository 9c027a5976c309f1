"""Run Exegesis beside shap, lime, dianna and slalom-explanations at equal model rows, and print Markdown tables.

    python black_box_side_by_side.py [--model table]... [--seeds 3] [--folder target/black-box] [--command PATH]

Needs what `black_box_times.py` needs, its FOLDER with models and references, and a release build of the command
(`cargo build --release -p exegesis-cli`; or give another). Peer and Exegesis run one after the other for each seed, 2 threads
each; the best of the seeds stands in the table, since a shared machine only ever adds time. `outside` is the time that is not
inside the model, as a part of that inside. Peers call ONNX Runtime, Exegesis its embedded rten: the model's part compares these two.
Exegesis's time is all that an explanation takes once model and program are loaded, the forward pass that fixes the target
included; what loading took is printed beside. Errors are the mean over seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from black_box_models import CACHE, FOLDER, MODELS, ROOT, SENTENCE, SENTIMENT
from black_box_times import METHODS, ROWS, SLALOM_ROWS, error, run_peer

COMMAND = ROOT / "target/release/exegesis"
# What runs beside a peer's method; the same rows are asked for.
OURS = {
    "kernel-shap": "kernel-shap:samples={rows}",
    "permutation-shap": "permutation-shap:samples={rows}",
    "partition-shap": "partition-shap:samples={rows}",
    "lime": "lime:samples={rows}",
    "rise": "rise:samples={rows}",
    "slalom-eff": "slalom:samples={rows}",
    "slalom-fidel": "slalom:design=deletion,samples={rows}",
}
TITLES = {"kernel-shap": "shap", "permutation-shap": "shap", "partition-shap": "shap", "lime": "lime", "rise": "dianna"}


def arguments(model: str, folder: Path, work: Path) -> list[object]:
    """Model, input, players, baseline and score as the peers have them."""
    if model == "text":
        # The built-in classifier's tokenizer stands beside it.
        return [SENTIMENT / "sentiment.onnx", "--text", SENTENCE]
    stated = np.load(folder / f"{model}.npz")
    row = stated["row"]
    np.save(work / "row.npy", row)
    np.save(work / "absent.npy", stated["absent"])
    players = stated["players"].reshape(row.shape[1:]) if stated["players"].size == row[0].size else stated["players"]
    np.save(work / "players.npy", np.broadcast_to(players, row.shape[1:]).astype(np.int64))
    file = {"table": folder / "table.onnx", "mnist": CACHE / "mnist-cnn.onnx"}.get(model, CACHE / f"{model}-lite0.onnx")
    score = ["--score", "probability"] if model == "mnist" else []
    return [
        file, work / "row.npy", "--baseline", work / "absent.npy", "--players", work / "players.npy",
        "--target", int(stated["target"]), *score,
    ]  # fmt: skip


def run_ours(model: str, method: str, rows: int, seed: int, folder: Path, command: Path) -> dict:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        given = arguments(model, folder, work)
        options = ["--method", OURS[method].format(rows=rows), "--seed", seed, "--threads", 2, "--json", "-q"]
        words = [str(word) for word in [command, "explain", *given, *options, "--save", work / "found.npz"]]
        environment = {**os.environ, "RTEN_NUM_THREADS": "2"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
        summary = json.loads(done.stdout)
        found = np.load(work / "found.npz")
        [values] = [found[key] for key in found.files if key.startswith("attribution/")]
        if model == "text":
            # Special tokens have nothing.
            per_player = values[0][1:-1]
        else:
            players = np.load(work / "players.npy")
            per_player = np.array([values[0][players == p].sum() for p in range(players.max() + 1)])
    timings = summary["timings"]
    return {
        "values": per_player,
        "seconds": timings["run"],
        "model_seconds": timings["model"],
        "loading": timings["load"] + timings["compile"],
        "rows": summary["rows"][0]["model_rows"],
        "summary": summary,
    }


def best(runs: list[dict]) -> dict:
    return min(runs, key=lambda run: run["seconds"])


def milliseconds(run: dict) -> str:
    outside = (run["seconds"] - run["model_seconds"]) / run["model_seconds"]
    return f"{1e3 * run['seconds']:.0f} | {1e3 * run['model_seconds']:.0f} | {100 * outside:.0f} %"


def mean_error(runs: list[dict], method: str, model: str, folder: Path) -> str:
    found = [error(run["values"], method, model, folder).get("error") for run in runs]
    return "-" if None in found else f"{np.mean(found):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append", help="default: all")
    parser.add_argument("--method", choices=OURS, action="append", help="default: all of a model")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--command", type=Path, default=COMMAND)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(
        "| model | method | rows: peer, ours | peer ms | in its model | outside | ours ms | in our model | outside | loading ms "
        "| peer / ours | error: peer | ours |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for model in options.model or MODELS:
        for method in METHODS[model]:
            if method not in OURS or (options.method and method not in options.method):
                continue
            rows = SLALOM_ROWS if method.startswith("slalom") else ROWS[model]
            theirs, ours = [], []
            for seed in range(options.seeds):
                theirs.append(run_peer(model, method, rows, seed, options.folder))
                ours.append(run_ours(model, method, rows, seed, options.folder, options.command))
            peer, own = best(theirs), best(ours)
            who = TITLES.get(method, "package")
            cells = [
                model, f"{method}, {who}", f"{peer['rows']}, {own['rows']}", milliseconds(peer), milliseconds(own),
                f"{1e3 * own['loading']:.0f}", f"{peer['seconds'] / own['seconds']:.1f}",
                mean_error(theirs, method, model, options.folder), mean_error(ours, method, model, options.folder),
            ]  # fmt: skip
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
