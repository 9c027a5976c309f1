#!/usr/bin/env python3
"""Runs the comparisons of docs/explanation/comparisons.md and prints its tables.

    fixtures/fetch
    cargo build --release -p exegesis-cli
    python3 benches/reproduce.py target/release/exegesis [titanic] [breast-cancer] [digits] [photographs] [reviews] > tables.md

Python's standard library is enough. Each comparison is one `exegesis compare`; the command is printed above its table, and its
report and values stay in target/comparisons/. Without a name all are run (about half an hour on two cores).
"""

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "fixtures" / "cache"
OUT = ROOT / "target" / "comparisons"
SENTIMENT = ROOT / "crates" / "exegesis" / "assets" / "sentiment" / "sentiment.onnx"
# The sides of the original papers: attribution through the graph, what it is compared with, and what only asks the model.
FAITHFUL = "morf,lerf,abpc,faithfulness-correlation,comprehensiveness,sufficiency,msi,insertion,deletion"


def digits():
    """200 test digits of the fixture, every tenth, as arrays and classes."""
    path = OUT / "digits.npz"
    with zipfile.ZipFile(CACHE / "binary-mnist.npz") as file:
        pixels, labels = (array(file.read(f"{name}.npy")) for name in ("X_test", "y_test"))
    rows = range(0, 2000, 10)
    cells = b"".join(struct.pack("<784f", *(v / 255 for v in pixels[784 * r : 784 * r + 784])) for r in rows)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("conv2d_input.npy", header("<f4", (len(rows), 28, 28, 1)) + cells)
        file.writestr("labels.npy", header("<i8", (len(rows),)) + struct.pack(f"<{len(rows)}q", *(labels[r] for r in rows)))
    return path


def array(raw):
    """The bytes of an array of uint8 or int64, as numbers."""
    start = 10 + struct.unpack("<H", raw[8:10])[0]
    text = raw[10:start].decode()
    if "u1" in text:
        return raw[start:]
    size = {"i8": "q", "i4": "i"}[text.split("'descr': '")[1][1:3]]
    return struct.unpack(f"<{(len(raw) - start) // struct.calcsize(size)}{size}", raw[start:])


def header(kind, shape):
    """The beginning of a .npy file."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def photographs():
    """The four photographs of the fixtures in a folder."""
    folder = OUT / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png"):
        (folder / name).write_bytes((CACHE / name).read_bytes())
    return folder


def reviews(count=60):
    """The first snippets that the crowd is sure of, with their class."""
    lines = []
    for line in (CACHE / "movie-reviews.txt").read_text(encoding="utf-8", errors="replace").splitlines():
        _, score, text = line.split("\t", 2)
        if abs(float(score)) >= 1.5 and 5 <= len(text.split()) <= 25:
            lines.append(f"{'positive' if float(score) > 0 else 'negative'}\t{text}")
    path = OUT / "reviews.tsv"
    path.write_text("\n".join(lines[:count]) + "\n", encoding="utf-8")
    return path


def comparisons():
    """Arguments of each comparison by name."""
    compare = ROOT / "testdata" / "compare"
    tables = "dlbacktrace,gradient,input-x-gradient,integrated-gradients,smoothgrad,lrp,lime,kernel-shap"
    return {
        "titanic": [
            compare / "titanic.onnx", compare / "titanic.csv", "--label-column", "class", "--correct-only",
            "--methods", tables, "--metrics", f"{FAITHFUL},max-sensitivity,mprt,complexity,gini",
        ],
        "breast-cancer": [
            compare / "breast-cancer.onnx", compare / "breast-cancer.csv", "--label-column", "class", "--correct-only",
            "--methods", tables, "--metrics", f"{FAITHFUL},max-sensitivity,mprt,complexity,gini",
        ],
        "digits": [
            CACHE / "mnist-cnn.onnx", digits, "--methods",
            "dlbacktrace,gradient,input-x-gradient,integrated-gradients,smoothgrad,lrp,grad-cam,lime,kernel-shap:samples=500",
            "--metrics", f"{FAITHFUL},road,max-sensitivity,mprt:layers=3,complexity,gini", "--correct-only", "--limit", "60",
        ],
        "photographs": [
            CACHE / "efficientnet-lite0.onnx", photographs, "--preprocess", "resize=256,interp=bicubic,crop=224,mean=127,std=128",
            "--labels", CACHE / "imagenet-labels.txt", "--methods",
            "dlbacktrace,input-x-gradient,integrated-gradients:steps=20,smoothgrad:samples=20,lrp,grad-cam,lime:samples=200,"
            "kernel-shap:samples=200",
            "--metrics", "morf:steps=28,lerf:steps=28,abpc:steps=28,abpc:steps=28,operator=blur,faithfulness-correlation,msi,"
            "max-sensitivity:draws=2,complexity,gini", "--controls", "random,edges",
        ],
        "reviews": [
            SENTIMENT, reviews, "--operator", "delete", "--correct-only", "--methods",
            "dlbacktrace,input-x-gradient,integrated-gradients,smoothgrad,attention-rollout,grad-rollout,lrp,attn-lrp,lime,"
            "kernel-shap,slalom",
            "--metrics", "morf,lerf,abpc,comprehensiveness,sufficiency,faithfulness-correlation,msi,complexity,gini",
        ],
    }


def main():
    exegesis = Path(sys.argv[1]).resolve()
    OUT.mkdir(parents=True, exist_ok=True)
    known = comparisons()
    for name in sys.argv[2:] or known:
        arguments = [str(a() if callable(a) else a) for a in known[name]]
        shown = [a.replace(f"{ROOT}/", "") for a in arguments]
        print(f"### {name}\n```sh\nexegesis compare {' '.join(shown)}\n```\n", flush=True)
        subprocess.run(
            [exegesis, "compare", *arguments, "-o", OUT / f"{name}.html", "--save", OUT / f"{name}.json"],
            check=True, stdout=subprocess.DEVNULL,
        )
        record = json.loads((OUT / f"{name}.json").read_text())["comparison"]
        print(table(record) + disagreement(record), flush=True)


def table(record):
    """Means over samples; the best of the methods bold, controls below."""
    metrics = [(i, m) for i, m in enumerate(record["metrics"]) if m["left_out"] is None]
    means = []
    for values in record["values"]:
        known = [[o["value"] for o in values[i] if o["value"] is not None] for i, _ in metrics]
        means.append([sum(v) / len(v) if v else None for v in known])
    own = [k for k, m in enumerate(record["methods"]) if not m["is_control"]]
    best = []
    for column, (_, metric) in enumerate(metrics):
        values = [means[k][column] for k in own if means[k][column] is not None]
        best.append((max if metric["direction"] == "up" else min)(values, default=None))
    arrows = {"up": "↑", "down": "↓"}
    lines = ["| method | " + " | ".join(f"{m['key']} {arrows[m['direction']]}" for _, m in metrics) + " | s |"]
    lines.append("|---|" + "---:|" * (len(metrics) + 1))
    for k, method in enumerate(record["methods"]):
        cells = []
        for column, value in enumerate(means[k]):
            text = "" if value is None else f"{value:.3g}"
            cells.append(f"**{text}**" if k in own and value is not None and value == best[column] else text)
        name = f"*{method['key']}*" if method["is_control"] else method["key"]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {method['cost']['seconds']:.1f} |")
    left = [f"{m['key']} ({m['left_out']})" for m in record["metrics"] if m["left_out"]]
    note = f"\n{len(record['samples'])} samples, operator {record['operator']}, {record['seconds']:.0f} s."
    return "\n".join(lines) + "\n" + note + (f" Left out: {'; '.join(left)}." if left else "") + "\n"


def disagreement(record):
    """How often MSI orders two maps of a sample against both insertion and deletion, and where it does so most."""
    keys = [m["key"] for m in record["metrics"]]
    if not {"msi", "insertion", "deletion"} <= set(keys):
        return ""
    columns = [keys.index(key) for key in ("msi", "insertion", "deletion")]
    own = [k for k, m in enumerate(record["methods"]) if not m["is_control"]]
    pairs, against = 0, []
    for at, first in enumerate(own):
        for second in own[at + 1 :]:
            for sample in range(len(record["samples"])):
                a, b = ([record["values"][k][c][sample]["value"] for c in columns] for k in (first, second))
                if None in a + b or abs(a[0] - b[0]) < 1e-6:
                    continue
                pairs += 1
                # Higher is better for MSI and insertion, lower for deletion.
                by_msi = a[0] - b[0]
                if by_msi * (a[1] - b[1]) < 0 and by_msi * (b[2] - a[2]) < 0:
                    names = [record["methods"][k]["key"] for k in (first, second)]
                    against.append((abs(by_msi), f"sample {sample}, {names[0]} {a} and {names[1]} {b}"))
    text = f"\nMSI contradicts both insertion and deletion in {len(against)} of {pairs} pairs of maps"
    return text + (f"; most: {max(against)[1]} (MSI, insertion, deletion).\n" if against else ".\n")


if __name__ == "__main__":
    main()
