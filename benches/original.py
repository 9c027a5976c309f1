"""Time the original DLBacktrace package beside Exegesis on the same weights, and compare their numbers.

    python -m venv ENV && ENV/bin/pip install torch onnx numpy tqdm
    ENV/bin/pip install --no-deps dl-backtrace==0.0.25      # its TensorFlow pin serves only its Keras half
    cargo build --release -p exegesis --example time_methods && cargo build --release -p exegesis-cli
    ENV/bin/python benches/original.py --timer target/release/examples/time_methods --command target/release/exegesis

The package is the last MIT-licensed line of the original (0.0.x); it runs unchanged. Models, random weights: an MLP 30-64-64-2; the chain of convolutions 3-8-16 with two max pools on 32x32; the package's encoder, two layers, as small as
8 tokens of width 16 and 16 tokens of width 128. One thread on both sides, medians after warm-up, tables in Markdown. "Theirs"
is `Backtrace.eval` of one row (it takes no more) on outputs that were recorded before, so that the forward pass is not in it;
"ours" is the whole explanation, forward pass included, of one row and, per row, of ROWS rows at once. In the encoder the package stops at the embeddings, we at the token ids; its rules for attention differ
from ours by what `docs` of the method say, so only the time is compared. Contrast fails there in the package, with a TypeError
where it makes the seed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from dl_backtrace.pytorch_backtrace import Backtrace
from dl_backtrace.pytorch_backtrace.backtrace.utils.encoder import create_encoder_output
from torch import Tensor, nn

VOCABULARY = 1000
ROWS = 64
OURS = {"default": "dlbacktrace", "contrast": "dlbacktrace:mode=contrastive"}


class Chain(nn.Sequential):
    """Named layers in order, as the package wants them: an `identity` first, each activation named after its kind."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)


def mlp() -> nn.Module:
    return Chain(
        identity=nn.Identity(),
        fc1=nn.Linear(30, 64), relu1=nn.ReLU(),
        fc2=nn.Linear(64, 64), relu2=nn.ReLU(),
        fc3=nn.Linear(64, 2), softmax=nn.Softmax(-1),
    )  # fmt: skip


def cnn() -> nn.Module:
    return Chain(
        identity=nn.Identity(),
        conv1=nn.Conv2d(3, 8, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(8, 16, 3, padding=1), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(), fc=nn.Linear(1024, 10), softmax=nn.Softmax(-1),
    )  # fmt: skip


class SelfAttention(nn.Module):
    """Two heads without a mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, attention_mask: None = None) -> tuple[Tensor]:
        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (2, -1)).transpose(1, 2)

        query, key, value = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        return ((scores.softmax(-1) @ value).transpose(1, 2).flatten(2),)


class Output(nn.Module):
    """Projection, then sum with the residual, normalised."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.dense, self.dropout, self.LayerNorm = nn.Linear(inputs, width), nn.Dropout(), nn.LayerNorm(width)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.self, self.output = SelfAttention(width), Output(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.self(x)[0], x)


class Intermediate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense, self.activation = nn.Linear(width, 4 * width), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.dense(x))


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.intermediate = Attention(width), Intermediate(width)
        self.output = Output(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x)
        return self.output(self.intermediate(x), x)


class Embeddings(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.words, self.positions, self.LayerNorm = nn.Embedding(VOCABULARY, width), nn.Embedding(32, width), nn.LayerNorm(width)

    def forward(self, input_ids: Tensor, token_type_ids: None = None) -> Tensor:
        return self.LayerNorm(self.words(input_ids) + self.positions.weight[: input_ids.shape[1]])


class Pooler(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense, self.activation = nn.Linear(width, width), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.dense(x[:, 0]))


class Encoder(nn.Module):
    """Two layers and a head; parts carry the names that the package looks for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=2)
        self.bert = nn.Module()
        self.bert.embeddings = Embeddings(width)
        self.bert.encoder = nn.Module()
        self.bert.encoder.layer = nn.ModuleList(Layer(width) for _ in range(2))
        self.bert.pooler = Pooler(width)
        self.dropout, self.classifier = nn.Dropout(), nn.Linear(width, 2)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.bert.embeddings(input_ids)
        for layer in self.bert.encoder.layer:
            x = layer(x)
        return self.classifier(self.dropout(self.bert.pooler(x))).softmax(-1)


def encoder_outputs(model: Encoder, ids: Tensor) -> dict:
    with torch.no_grad():
        return create_encoder_output(model, ids, None, None)


def chain_outputs(tracer: Backtrace) -> Callable:
    return lambda _model, x: tracer.predict(x)


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` calls after two more."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times[2:]))


def trace(tracer: Backtrace, outputs: dict, mode: str) -> dict:
    """What the package gives; its progress bar goes nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        return tracer.eval(outputs, mode=mode)


def export(model: nn.Module, x: Tensor, path: Path) -> None:
    name = "input_ids" if x.dtype == torch.int64 else "x"
    torch.onnx.export(
        model, (x,), str(path), dynamo=False, opset_version=17, input_names=[name], output_names=["probabilities"],
        dynamic_axes={name: {0: "batch"}, "probabilities": {0: "batch"}},
    )  # fmt: skip


def our_times(timer: Path, model: Path, length: int, repeats: int) -> dict:
    """Medians of the engine in milliseconds: by mode, for one row and (`many`) per row of ROWS rows."""
    times = {"many": {}}
    for mode, method in OURS.items():
        for rows in (1, ROWS):
            command = [timer, model, "--batch", str(rows), "--part", str(rows), "--length", str(length)]
            command += ["--repeats", str(repeats), "--method", method]
            environment = {**os.environ, "RTEN_NUM_THREADS": "1"}
            run = subprocess.run(command, env=environment, capture_output=True, text=True)
            if run.returncode != 0:
                print(f"{method}: {run.stderr.strip()}", file=sys.stderr)
                continue
            result = json.loads(run.stdout)
            found = times if rows == 1 else times["many"]
            found["forward"], found[mode] = result["forward_ms"] / rows, result["methods"][method]["ms"] / rows
    return times


def our_relevance(command: Path, model: Path, x: np.ndarray, method: str) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        given, saved = Path(folder, "x.npy"), Path(folder, "relevance.npz")
        np.save(given, x)
        subprocess.run([command, "explain", model, given, "--method", method, "--save", saved, "-q"], check=True)
        with np.load(saved) as arrays:
            return {key: arrays[key][0] for key in arrays.files if key.startswith(("attribution/", "positive/", "negative/"))}


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """Largest difference, relative to the largest value wanted."""
    return float(np.abs(got - want).max() / np.abs(want).max())


def compare_numbers(options: argparse.Namespace, path: Path, x: np.ndarray, theirs: dict, title: str) -> list[str]:
    """Rows on how far relevance at the input is from the package's, with `compat=v1`."""
    rows = []
    if "default" in theirs:
        got = our_relevance(options.command, path, x, "dlbacktrace:compat=v1")["attribution/x"]
        rows.append(f"| {title} | default | {difference(got, theirs['default']['identity']):.1e} |")
    if "contrast" in theirs:
        got = our_relevance(options.command, path, x, "dlbacktrace:mode=contrastive,compat=v1")
        want = theirs["contrast"]["identity"]
        worst = max(difference(got[f"{sign.lower()}/x"], want[sign]) for sign in ("Positive", "Negative"))
        rows.append(f"| {title} | contrast | {worst:.1e} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timer", type=Path, required=True, help="the built example time_methods")
    parser.add_argument("--command", type=Path, help="the built command; without it numbers are not compared")
    parser.add_argument("--repeats", type=int, default=9, help="repetitions of the package's runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)  # the exporter's age, softmax without an axis in the package
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.manual_seed(0)
    cases: list[tuple[str, nn.Module, Tensor]] = [
        ("MLP 30-64-64-2", mlp(), torch.randn(1, 30)),
        ("CNN 3-8-16, 32x32", cnn(), torch.randn(1, 3, 32, 32)),
        ("encoder, 2 layers, width 16, 8 tokens", Encoder(16), torch.randint(VOCABULARY, (1, 8))),
        ("encoder, 2 layers, width 128, 16 tokens", Encoder(128), torch.randint(VOCABULARY, (1, 16))),
    ]
    failures, numbers = [], []
    print("| model | | theirs ms | of their forward | ours ms | of our forward | theirs / ours | ours of many | theirs / ours |")
    print("|---|---|---|---|---|---|---|---|---|")
    for title, model, x in cases:
        model.eval()
        encoder = isinstance(model, Encoder)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                export(model, x, path)
            mine = our_times(options.timer, path, x.shape[1], 20 * options.repeats)
            tracer = Backtrace(model=model, model_type="encoder") if encoder else Backtrace(model=model)
            outputs = (encoder_outputs if encoder else chain_outputs(tracer))(model, x)
            with torch.no_grad():
                peer = {"forward": median_ms(lambda: model(x), 20 * options.repeats)}
            traced = {}
            for mode in OURS:
                try:
                    traced[mode] = trace(tracer, outputs, mode)
                except Exception as error:  # what the package raises is what we report
                    failures.append(f"{title}, {mode}: {type(error).__name__}: {error}")
                    continue
                peer[mode] = median_ms(lambda: trace(tracer, outputs, mode), options.repeats)
            for row in ["forward", *OURS]:
                theirs, ours = peer.get(row), mine.get(row)
                cells = [title, row]
                cells += ["fails", "-"] if theirs is None else [f"{theirs:.3f}", f"{theirs / peer['forward']:.1f}"]
                cells += ["-", "-"] if ours is None else [f"{ours:.4f}", f"{ours / mine['forward']:.2f}"]
                cells.append("-" if theirs is None or ours is None else f"{theirs / ours:.0f}")
                many = mine["many"].get(row)
                cells.append("-" if many is None else f"{many:.4f}")
                cells.append("-" if theirs is None or many is None else f"{theirs / many:.0f}")
                print(f"| {' | '.join(cells)} |", flush=True)
            if options.command and not encoder:
                numbers += compare_numbers(options, path, x.numpy(), traced, title)
    if numbers:
        print("\n| model | | largest difference of relevance at the input, of the largest value |\n|---|---|---|")
        print("\n".join(numbers))
    for failure in failures:
        print(f"\nThe package fails: {failure}")


if __name__ == "__main__":
    main()
