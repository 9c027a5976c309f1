"""Trains the small models of the pages in docs/how-to and writes them with inputs to explain.

    python testdata/how-to/record.py        (torch 2.15, onnx 1.17, numpy, pillow; data from fixtures/cache)
"""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

torch.set_num_threads(1)
HERE = Path(__file__).parent
CACHE = HERE.parent.parent / "fixtures" / "cache"


def export(model, inputs, path, names, outputs, dynamic, metadata):
    torch.onnx.export(
        model.eval(), inputs, path, input_names=names, output_names=outputs, dynamic_axes=dynamic, dynamo=False,
        opset_version=17,
    )
    graph = onnx.load(path)
    for key, value in metadata.items():
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, path)


def train(model, batches, loss, epochs, rate=1e-3, decay=0.0):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    model.train()
    for _ in range(epochs):
        for x, y in batches():
            optimizer.zero_grad()
            loss(model(*x), y).backward()
            optimizer.step()


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(*x).argmax(1) == y).float().mean().item()


# Wine: 13 measurements, three growers. Standardising is a layer of the model, so that rows are given as measured.
COLUMNS = [
    "alcohol", "malic_acid", "ash", "alcalinity", "magnesium", "phenols", "flavanoids", "nonflavanoid_phenols",
    "proanthocyanins", "color_intensity", "hue", "od280_od315", "proline",
]


class Table(nn.Module):
    def __init__(self, mean, deviation):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x):
        return self.layers((x - self.mean) / self.deviation)


def table():
    torch.manual_seed(0)
    rows = list(csv.reader((CACHE / "wine.csv").open()))[1:]
    data = torch.tensor([[float(v) for v in row] for row in rows])
    order = torch.randperm(len(data))
    data = data[order]
    x, y = data[:, :13], data[:, 13].long()
    model = Table(x[:130].mean(0), x[:130].std(0))
    train(model, lambda: [((x[:130],), y[:130])], nn.functional.cross_entropy, 300, 3e-3, 1e-2)
    print("wine: right on held-out rows", accuracy(model, (x[130:],), y[130:]))
    export(
        model, (x[:2],), str(HERE / "wine.onnx"), ["measurements"], ["growers"], {"measurements": {0: "batch"}, "growers": {0: "batch"}},
        {"exegesis.labels": "Barolo\nGrignolino\nBarbera", "exegesis.columns": "\n".join(COLUMNS)},
    )
    with (HERE / "wines.csv").open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*COLUMNS, "grower"])
        for row, grower in zip(x[130:140].tolist(), y[130:140].tolist()):
            writer.writerow([*(f"{v:g}" for v in row), grower])


# Film reviews: snippets of at most 32 words, one layer of attention, positive or negative.
WORDS, LENGTH, WIDTH = 3000, 32, 32


def words(text):
    return re.findall(r"[a-z]+(?:'[a-z]+)?|[.,!?]", text.lower().replace("''", ""))


def tokenizer(vocabulary):
    """What `words` does, as a tokenizer.json."""
    special = [
        {"id": i, "content": vocabulary[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i in (0, 1)
    ]
    pattern = {"Regex": r"[a-z]+(?:'[a-z]+)?|[.,!?]"}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Lowercase"}, {"type": "Replace", "pattern": {"String": "''"}, "content": ""},
        ]},
        "pre_tokenizer": {"type": "Split", "pattern": pattern, "behavior": "Removed", "invert": True},
        "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(vocabulary)}, "unk_token": "[unknown]"},
    }


class Attention(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x, mask):
        batch, tokens = x.shape[0], x.shape[1]
        split = lambda v: v.reshape(batch, tokens, self.heads, WIDTH // self.heads).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = q @ k.transpose(2, 3) / (WIDTH // self.heads) ** 0.5 + (1.0 - mask[:, None, None, :]) * -1e4
        return self.out((torch.softmax(scores, 3) @ v).transpose(1, 2).reshape(batch, tokens, WIDTH))


class Reviews(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Parameter(torch.randn(1, LENGTH, WIDTH) * 0.02)
        self.attention = Attention(4)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.head = nn.Linear(WIDTH, 2)
        self.dropout = nn.Dropout(0.4)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.float()
        x = self.dropout(self.words(input_ids) + self.positions[:, : input_ids.shape[1]])
        x = self.norm1(x + self.attention(x, mask))
        x = self.norm2(x + self.down(torch.relu(self.up(x))))
        x = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return self.head(self.dropout(x))


def sentence():
    torch.manual_seed(0)
    rows = [line.rstrip("\n").split("\t") for line in (CACHE / "movie-reviews.txt").open(encoding="utf-8", errors="replace")]
    rows = [(float(score), words(text)) for _, score, text in rows if abs(float(score)) > 0.5]
    counts = Counter(word for _, text in rows for word in text)
    vocabulary = ["[pad]", "[unknown]"] + [word for word, _ in counts.most_common(WORDS - 2)]
    place = {word: i for i, word in enumerate(vocabulary)}

    def encode(text):
        ids = [place.get(word, 1) for word in text[:LENGTH]]
        return ids + [0] * (LENGTH - len(ids)), [1] * len(ids) + [0] * (LENGTH - len(ids))

    ids, mask = (torch.tensor(part) for part in zip(*(encode(text) for _, text in rows)))
    y = torch.tensor([int(score > 0) for score, _ in rows])
    order = torch.randperm(len(y))
    ids, mask, y = ids[order], mask[order], y[order]
    cut = len(y) - 1000
    model = Reviews()

    def batches():
        shuffled = torch.randperm(cut)
        for start in range(0, cut, 64):
            some = shuffled[start : start + 64]
            yield (ids[some], mask[some]), y[some]

    train(model, batches, nn.functional.cross_entropy, 6, 2e-3, 1e-2)
    print("reviews: right on held-out snippets", accuracy(model, (ids[cut:], mask[cut:]), y[cut:]))
    axes = {0: "batch", 1: "tokens"}
    export(
        model, (ids[:2], mask[:2]), str(HERE / "reviews.onnx"), ["input_ids", "attention_mask"], ["opinion"],
        {"input_ids": axes, "attention_mask": axes, "opinion": {0: "batch"}}, {"exegesis.labels": "negative\npositive"},
    )
    (HERE / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (HERE / "reviews.tokenizer.json").write_text(json.dumps(tokenizer(vocabulary), indent=0) + "\n", encoding="utf-8")
    text = words("A dull and predictable story, saved by a wonderful cast and beautiful pictures.")
    chosen = np.array([[place.get(word, 1) for word in text]], dtype=np.int64)
    np.savez(HERE / "review.npz", input_ids=chosen, attention_mask=np.ones_like(chosen))
    with torch.no_grad():
        print(torch.softmax(model(torch.tensor(chosen), torch.ones(chosen.shape)), 1), [vocabulary[i] for i in chosen[0]])


# A sign to find text on.
def sign():
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (320, 192), (52, 96, 68))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20, 20, 299, 171), outline=(235, 235, 225), width=4)
    draw.ellipse((228, 96, 280, 148), fill=(235, 200, 60))
    draw.text((44, 44), "NO EXIT", fill=(245, 245, 240), font=ImageFont.load_default(44))
    draw.line((44, 130, 180, 130), fill=(235, 235, 225), width=8)
    picture.save(HERE / "sign.png", optimize=True)


table()
sentence()
sign()
