"""ResNet-50 and BERT-base with seeded random weights, written as ONNX files for benchmarks.

    python models.py FOLDER        (needs torch, onnx and onnxruntime; writes resnet50.onnx and bert-base.onnx, 550 MB)

Speed does not depend on what the weights were trained for, so nothing is downloaded. Exported by the TorchScript exporter
at opset 17 with symbolic batch (and token) axes; batch normalisation stays an operator of its own, for the engine to fold.
`torch_times.py` times the same modules in PyTorch.
"""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 1000
VOCABULARY = 30522
TOKENS = 128


def distinct_affine(norm: nn.Module) -> None:
    """Give a normalisation weights of its own: the exporter merges equal tensors, which no trained model has."""
    nn.init.uniform_(norm.weight, 0.9, 1.1)
    nn.init.normal_(norm.bias, std=0.1)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride: v1.5), 1x1 convolutions around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class ResNet50(nn.Module):
    """Image [batch, 3, 224, 224] to logits [batch, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, inputs = [], 64
        for width, count, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
            for index in range(count):
                blocks.append(Bottleneck(inputs, width, stride if index == 0 else 1))
                inputs = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, CLASSES)
        self.initialise()

    def initialise(self) -> None:
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, std=0.1)
                nn.init.uniform_(part.running_var, 0.8, 1.2)
                distinct_affine(part)
        for block in self.blocks:
            nn.init.uniform_(block.bn3.weight, 0.1, 0.3)  # or sixteen residual additions would blow the signal up

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, stride=2, padding=1)
        x = F.adaptive_avg_pool2d(self.blocks(x), 1)
        return self.fc(torch.flatten(x, 1))


class BertLayer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.attention_output = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim, eps=1e-12)
        self.intermediate = nn.Linear(dim, 4 * dim)
        self.output = nn.Linear(4 * dim, dim)
        self.output_norm = nn.LayerNorm(dim, eps=1e-12)

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask
        context = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        x = self.attention_norm(self.attention_output(context) + x)
        return self.output_norm(self.output(F.gelu(self.intermediate(x))) + x)


class BertBase(nn.Module):
    """Ids and mask [batch, tokens] to logits [batch, 2]; `words` is the look-up that gradients are taken at."""

    def __init__(self, dim: int = 768, heads: int = 12, layers: int = 12, positions: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, dim)
        self.positions = nn.Embedding(positions, dim)
        self.types = nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(dim, heads) for _ in range(layers))
        self.pooler = nn.Linear(dim, dim)
        self.classifier = nn.Linear(dim, 2)
        for part in self.modules():
            if isinstance(part, (nn.Linear, nn.Embedding)):
                nn.init.normal_(part.weight, std=0.02)
            elif isinstance(part, nn.LayerNorm):
                distinct_affine(part)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        words = self.words(input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(words.dtype)) * torch.finfo(words.dtype).min
        x = self.norm(words + self.positions.weight[: input_ids.shape[1]] + self.types.weight[0])
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


def resnet50() -> ResNet50:
    torch.manual_seed(50)
    return ResNet50().eval()


def bert_base() -> BertBase:
    torch.manual_seed(110)
    return BertBase().eval()


def random_inputs(model: str, batch: int) -> dict[str, Tensor]:
    """Seeded inputs for `resnet50` or `bert-base`; every token counts."""
    generator = torch.Generator().manual_seed(batch)
    if model == "resnet50":
        return {"image": torch.randn(batch, 3, 224, 224, generator=generator)}
    return {
        "input_ids": torch.randint(VOCABULARY, (batch, TOKENS), generator=generator),
        "attention_mask": torch.ones(batch, TOKENS, dtype=torch.int64),
    }


MODELS = {"resnet50": resnet50, "bert-base": bert_base}


def write(name: str, folder: Path) -> None:
    module = MODELS[name]()
    inputs = random_inputs(name, 2)
    path = folder / f"{name}.onnx"
    axes = {0: "batch"} if name == "resnet50" else {0: "batch", 1: "tokens"}
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(path),
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,  # the modules are in eval mode; EVAL would also fold BatchNorm
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_axes={input: axes for input in inputs} | {"logits": {0: "batch"}},
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        for batch in (1, 2):
            inputs = random_inputs(name, batch)
            [got] = session.run(None, {key: x.numpy() for key, x in inputs.items()})
            np.testing.assert_allclose(got, module(*inputs.values()).numpy(), rtol=1e-3, atol=1e-4)
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: models.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")  # the exporter's, about its age and about constants in the trace
    for name in MODELS:
        write(name, folder)


if __name__ == "__main__":
    main()
