"""The four models that black-box methods are timed on, what is explained, and its players.

    python black_box_models.py FOLDER        (default: target/black-box; a few seconds)

| name | model | row | players | absent players |
|---|---|---|---|---|
| `table` | MLP 30-32-16-2 trained on `breast-cancer.csv` | a benign case | 30 columns | mean of the training rows |
| `mnist` | `mnist-cnn.onnx` | test picture 1, a zero | 49 patches of 4 x 4 | 0 |
| `efficientnet` | `efficientnet-lite0.onnx` | `chelsea.png` | 49 patches of 32 x 32 | 0, the mean grey |
| `text` | `sentiment.onnx` of the assets, or a stand-in with random weights | a sentence | tokens | deleted, or `[MASK]` |

The score is the model's own output (logits; probabilities for `mnist`) of the class it predicts. Needs the fixtures
(`fixtures/fetch`), numpy, scipy, onnxruntime, pillow and tokenizers; torch for what is trained or drawn here. Beside the
models FOLDER gets NAME.npz: `row`, `absent` (input-shaped) or `ids`, `players` (the player of each element), `target`,
`linkage` (a hierarchy of players: `partition-shap` runs on it), `score/empty`, `score/full`.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "fixtures/cache"
SENTIMENT = ROOT / "crates/exegesis/assets/sentiment"
FOLDER = ROOT / "target/black-box"
SENTENCE = "the story is a little slow at times , but the acting is wonderful and the ending is truly moving ."
MODELS = ["table", "mnist", "efficientnet", "text"]
# Rows that ONNX Runtime gets at a time.
AT_A_TIME = {"table": 512, "mnist": 64, "efficientnet": 8, "text": 64}


class Timed:
    """An ONNX model on `threads` threads that counts its rows, its seconds and those of the processor."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [given.name for given in self.session.get_inputs()]
        self.reset()

    def reset(self) -> None:
        self.seconds, self.processor_seconds, self.rows = 0.0, 0.0, 0

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        start, processor = time.perf_counter(), time.process_time()
        [outputs] = self.session.run(None, dict(zip(self.names, inputs, strict=True)))
        self.seconds += time.perf_counter() - start
        self.processor_seconds += time.process_time() - processor
        self.rows += len(outputs)
        return outputs


class Problem:
    """A model, a row and its players. `outputs(coalitions)` are the model's outputs for rows of zeros and ones."""

    def __init__(self, name: str, model: Timed) -> None:
        self.name, self.model = name, model
        self.at_a_time = AT_A_TIME[name]

    def built(self, coalitions: np.ndarray) -> tuple[np.ndarray, ...]:
        raise NotImplementedError

    def outputs(self, coalitions: np.ndarray) -> np.ndarray:
        coalitions = np.asarray(coalitions).astype(bool)
        parts = range(0, len(coalitions), self.at_a_time)
        return np.concatenate([self.model(*self.built(coalitions[i : i + self.at_a_time])) for i in parts])

    def scores(self, coalitions: np.ndarray) -> np.ndarray:
        return self.outputs(coalitions)[:, self.target].astype(float)

    def finish(self) -> Problem:
        ends = self.outputs(np.array([[0], [1]]) * np.ones((1, self.count)))
        self.target = int(ends[1].argmax())
        self.empty, self.full = ends[:, self.target].astype(float)
        self.model.reset()
        return self

    def stated(self) -> dict:
        found = {"players": self.players, "target": self.target, "linkage": self.linkage}
        return found | {"score/empty": self.empty, "score/full": self.full}


class Features(Problem):
    """Elements of one float input; each belongs to a player."""

    def __init__(
        self, name: str, model: Timed, row: np.ndarray, absent: np.ndarray, players: np.ndarray, linkage: np.ndarray
    ) -> None:
        super().__init__(name, model)
        self.row, self.absent, self.players, self.linkage = row, absent, players, linkage
        self.count = int(players.max()) + 1
        self.finish()

    def built(self, coalitions: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.where(coalitions[:, self.players], self.row, self.absent),)

    def stated(self) -> dict:
        return super().stated() | {"row": self.row, "absent": self.absent}


class Tokens(Problem):
    """Tokens between a first and a last special one. Absent ones are deleted (rows of a batch are padded) or masked."""

    def __init__(self, model: Timed, vocabulary: dict[str, int], tokens: list[str], removal: str) -> None:
        super().__init__("text", model)
        self.vocabulary, self.tokens, self.removal = vocabulary, tokens, removal
        self.first, self.last, self.mask, self.pad = (vocabulary[t] for t in ("[CLS]", "[SEP]", "[MASK]", "[PAD]"))
        self.ids = np.array([vocabulary[token] for token in tokens])
        self.count = len(self.ids)
        self.players, self.linkage = np.arange(self.count), neighbours(self.count)
        self.finish()

    def padded(self, rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and mask of rows of tokens, special ones added."""
        ids = np.full((len(rows), max(len(row) for row in rows) + 2), self.pad, np.int64)
        mask = np.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row) + 2] = [self.first, *row, self.last]
            mask[at, : len(row) + 2] = 1
        return ids, mask

    def built(self, coalitions: np.ndarray) -> tuple[np.ndarray, ...]:
        if self.removal == "mask":
            return self.padded(list(np.where(coalitions, self.ids, self.mask)))
        return self.padded([self.ids[inside] for inside in coalitions])

    def of_strings(self, strings: list[str]) -> np.ndarray:
        """Outputs for texts made of the vocabulary's tokens with blanks between them."""
        rows = [np.array([self.vocabulary[t] for t in string.split()], np.int64) for string in strings]
        parts = range(0, len(rows), self.at_a_time)
        return np.concatenate([self.model(*self.padded(rows[i : i + self.at_a_time])) for i in parts])

    def stated(self) -> dict:
        ids, _ = self.padded([self.ids])
        return super().stated() | {"ids": ids, "special": np.array([self.first, self.last, self.mask, self.pad])}


def linkage_of(tree: object, players: int) -> np.ndarray:
    """Nested pairs of players as the matrix of scipy and shap: left, right, distance, members."""
    rows: list[list[float]] = []

    def visit(node: object) -> tuple[int, int, float]:
        if isinstance(node, int):
            return node, 1, 0.0
        (left, of_left, low), (right, of_right, high) = visit(node[0]), visit(node[1])
        rows.append([left, right, max(low, high) + 1, of_left + of_right])
        return players + len(rows) - 1, of_left + of_right, max(low, high) + 1

    visit(tree)
    return np.array(rows, float)


def neighbours(count: int) -> np.ndarray:
    """Halves of halves."""

    def halved(players: list[int]) -> object:
        middle = (len(players) + 1) // 2
        return players[0] if len(players) == 1 else (halved(players[:middle]), halved(players[middle:]))

    return linkage_of(halved(list(range(count))), count)


def grid(height: int, width: int) -> np.ndarray:
    """A rectangle of patches, cut in half along its longer side again and again."""

    def cut(top: int, bottom: int, left: int, right: int) -> object:
        if bottom - top == right - left == 1:
            return top * width + left
        if bottom - top >= right - left:
            middle = (top + bottom + 1) // 2
            return cut(top, middle, left, right), cut(middle, bottom, left, right)
        middle = (left + right + 1) // 2
        return cut(top, bottom, left, middle), cut(top, bottom, middle, right)

    return linkage_of(cut(0, height, 0, width), height * width)


def breast_cancer() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and labels to train on (4 of 5), then those to explain."""
    table = np.loadtxt(CACHE / "breast-cancer.csv", delimiter=",", skiprows=1)
    rows, labels = table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)
    kept = np.arange(len(rows)) % 5 != 0
    return rows[kept], labels[kept], rows[~kept], labels[~kept]


def patches(side: int, size: int) -> np.ndarray:
    return np.kron(np.arange(side * side).reshape(side, side), np.ones((size, size), int))


def cat() -> np.ndarray:
    """chelsea.png, 256 by bicubic interpolation, cropped to 224, [1, 3, 224, 224]."""
    from PIL import Image

    image = Image.open(CACHE / "chelsea.png").convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return ((pixels - 127) / 128).transpose(2, 0, 1)[None]


def problem(name: str, folder: Path = FOLDER, threads: int = 2, removal: str = "delete") -> Problem:
    if name == "table":
        from scipy.cluster.hierarchy import linkage

        training, _, held, _ = breast_cancer()
        # Columns that go together: 1 - |correlation|, average linkage.
        distances = 1 - np.abs(np.corrcoef(training.T))
        hierarchy = linkage(distances[np.triu_indices(30, 1)], "average")
        model = Timed(folder / "table.onnx", threads)
        return Features(name, model, held[4:5], training.mean(0, keepdims=True), np.arange(30), hierarchy)
    if name == "mnist":
        row = np.load(CACHE / "binary-mnist.npz")["X_test"][1:2].reshape(1, 28, 28, 1).astype(np.float32) / 255
        model = Timed(CACHE / "mnist-cnn.onnx", threads)
        return Features(name, model, row, np.zeros_like(row), patches(7, 4)[:, :, None], grid(7, 7))
    if name == "efficientnet":
        row = cat()
        model = Timed(CACHE / "efficientnet-lite0.onnx", threads)
        return Features(name, model, row, np.zeros_like(row), patches(7, 32)[None], grid(7, 7))
    if (SENTIMENT / "sentiment.onnx").exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(SENTIMENT / "tokenizer.json"))
        tokens = tokenizer.encode(SENTENCE, add_special_tokens=False).tokens
        return Tokens(Timed(SENTIMENT / "sentiment.onnx", threads), tokenizer.get_vocab(), tokens, removal)
    return Tokens(Timed(folder / "stand-in-text.onnx", threads), stand_in_vocabulary(), SENTENCE.split(), removal)


def stand_in_vocabulary() -> dict[str, int]:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(SENTENCE.split()))]
    return {word: at for at, word in enumerate(words)}


def write_table(folder: Path) -> None:
    import torch
    from torch import nn

    torch.manual_seed(30)
    rows, labels, held, held_labels = breast_cancer()

    class Standardised(nn.Module):
        """The file takes the table's own numbers."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.from_numpy(rows.mean(0)))
            self.register_buffer("deviation", torch.from_numpy(rows.std(0)))
            self.layers = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 2))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.layers((features - self.mean) / self.deviation)

    module = Standardised()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(torch.from_numpy(rows)), torch.from_numpy(labels)).backward()
        optimizer.step()
    module.eval()
    right = (module(torch.from_numpy(held)).argmax(1).numpy() == held_labels).mean()
    export(module, {"features": torch.from_numpy(rows[:2])}, {0: "batch"}, folder / "table.onnx")
    print(f"table: {right:.3f} of the rows held back are right")


def write_stand_in(folder: Path) -> None:
    """Two layers of BERT with random weights, strong enough that words matter."""
    import torch

    from models import BertBase

    torch.manual_seed(2)
    module = BertBase(dim=128, heads=4, layers=2, positions=64).eval()
    module.words = torch.nn.Embedding(len(stand_in_vocabulary()), 128)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.15)
    ids = torch.arange(12).reshape(2, 6)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    export(module, inputs, {0: "batch", 1: "tokens"}, folder / "stand-in-text.onnx")


def export(module, inputs: dict, axes: dict[int, str], path: Path) -> None:
    import torch

    torch.onnx.export(
        module, tuple(inputs.values()), str(path), dynamo=False, opset_version=17, input_names=list(inputs),
        output_names=["logits"], dynamic_axes={name: axes for name in inputs} | {"logits": {0: "batch"}},
    )  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    write_table(folder)
    if not (SENTIMENT / "sentiment.onnx").exists():
        write_stand_in(folder)
    for name in MODELS:
        found = problem(name, folder)
        np.savez(folder / f"{name}.npz", **found.stated())
        print(
            f"{name}: {found.count} players, class {found.target}, {found.empty:.4f} without any, {found.full:.4f} with all"
        )


if __name__ == "__main__":
    main()
