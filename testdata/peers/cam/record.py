"""Record class activation maps of other tools on small networks.

    python record.py

Writes `<network>.onnx` and `<network>.npz` beside this file; README.md describes them. Needs torch, onnx, pytorch-grad-cam
(`grad-cam`) and captum; they are run, and the tests need none of them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

HERE = Path(__file__).parent
TOOLS = {"grad-cam": GradCAM, "grad-cam-plus-plus": GradCAMPlusPlus, "layer-cam": LayerCAM}


class Cnn(nn.Module):
    """Two scales, normalisation, a residual sum and a global mean."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.last = nn.ReLU()
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        x = self.second(self.first(image))
        x = self.last(x + self.third(x))
        return self.head(x.mean((2, 3)))


class Flattened(nn.Module):
    """The map of features is flattened: gradients differ from cell to cell."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.last = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 5 * 7, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, image):
        return self.head(self.last(self.features(image)))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.project = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        batch, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.project(attended.transpose(1, 2).reshape(batch, tokens, dim))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Pictures of 4 x 6 patches behind `extra` tokens; reads the first token, or the mean of all where there are none."""

    def __init__(self, extra, dim=16):
        super().__init__()
        self.extra = extra
        self.patches = nn.Conv2d(3, dim, 4, stride=4)
        self.tokens = nn.Parameter(torch.randn(1, extra, dim))
        self.positions = nn.Parameter(0.3 * torch.randn(1, extra + 24, dim))
        self.blocks = nn.Sequential(Block(dim, 2), Block(dim, 2))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 4)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        if self.extra:
            x = torch.cat([self.tokens.expand(x.shape[0], -1, -1), x], 1)
        x = self.norm(self.blocks(x + self.positions))
        return self.head(x[:, 0] if self.extra else x.mean(1))


def randomised(module: nn.Module) -> nn.Module:
    """Statistics and scales as trained networks have them, and a strong head: Grad-CAM++ of the tool adds 1e-6 to a
    denominator of squared gradients, which must be small against them."""
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.5, 0.5)
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 1.5)
    head = module.head if isinstance(module.head, nn.Linear) else module.head[-1]
    head.weight.data.mul_(200)
    return module.eval()


def export(module, image, name):
    file = io.BytesIO()
    torch.onnx.export(
        module, (image,), file, dynamo=False, opset_version=17, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    model = onnx.load_from_string(file.getvalue())
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def record(name, module, image, classes, layer, tools, reshape=None, captum=False):
    export(module, image, name)
    targets = [ClassifierOutputTarget(c) for c in classes]
    arrays = {"input/image": image.numpy(), "target": np.array(classes, dtype=np.int64)}
    with torch.no_grad():
        arrays["output/logits"] = module(image).numpy()
    for tool in tools:
        with TOOLS[tool](model=module, target_layers=[layer], reshape_transform=reshape) as cam:
            arrays[f"picture/{tool}"] = cam(input_tensor=image, targets=targets)
            held = cam.activations_and_grads
            features, gradients = held.activations[0].numpy(), held.gradients[0].numpy()
            arrays[f"map/{tool}"] = cam.get_cam_image(image, layer, targets, features, gradients, False)
    if captum:
        maps = LayerGradCam(module, layer).attribute(image, torch.tensor(classes), relu_attributions=True)
        arrays["captum/grad-cam"] = maps.detach().numpy()
        scaled = F.interpolate(maps, image.shape[2:], mode="bilinear", align_corners=False)
        arrays["captum-scaled/grad-cam"] = scaled.detach().numpy()
    arrays = {k: v if v.dtype == np.int64 else v.astype(np.float32) for k, v in arrays.items()}
    np.savez(HERE / f"{name}.npz", **arrays)


def main():
    torch.manual_seed(11)
    cnn = randomised(Cnn())
    record("cnn", cnn, torch.randn(2, 3, 28, 20), [3, 1], cnn.last, TOOLS, captum=True)
    flat = randomised(Flattened())
    record("flattened", flat, torch.randn(2, 1, 10, 14), [2, 0], flat.last, TOOLS, captum=True)
    for extra, name in [(1, "vit"), (3, "vit-registers"), (0, "vit-pooled")]:
        vit = randomised(Vit(extra))
        layer = vit.blocks[-1].norm1 if extra else vit.norm

        def grid(tokens, extra=extra):
            return tokens[:, extra:].reshape(len(tokens), 4, 6, -1).permute(0, 3, 1, 2)

        tools = {k: v for k, v in TOOLS.items() if k != "grad-cam-plus-plus"}
        record(name, vit, torch.randn(2, 3, 16, 24), [1, 2], layer, tools, reshape=grid)


if __name__ == "__main__":
    main()
