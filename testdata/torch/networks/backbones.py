"""Blocks of convolutional networks in wide use, and a regressor of boxes."""

import torch
import torch.nn.functional as F
from torch import nn

from networks import Network, network, randomise


class DenseLayer(nn.Module):
    """Norm, ReLU, 1x1, norm, ReLU, 3x3; the result joins all that came before."""

    def __init__(self, channels, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    def __init__(self, growth=4, classes=4):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        self.block1 = nn.Sequential(DenseLayer(8, growth), DenseLayer(12, growth), DenseLayer(16, growth))
        self.transition = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1, bias=False), nn.AvgPool2d(2))
        self.block2 = nn.Sequential(DenseLayer(10, growth), DenseLayer(14, growth))
        self.norm = nn.BatchNorm2d(18)
        self.head = nn.Linear(18, classes)

    def forward(self, image):
        x = self.block2(self.transition(self.block1(self.stem(image))))
        return self.head(F.adaptive_avg_pool2d(F.relu(self.norm(x)), 1).flatten(1))


@network
def densenet():
    return Network(randomise(DenseNet()), {"image": torch.randn(2, 3, 24, 24)}, target=torch.tensor([3, 1]))


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excitation, project; a residual where the shapes allow it."""

    def __init__(self, inputs, hidden, outputs, kernel, stride, activation, squeeze):
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), activation())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
        )
        self.squeeze = None
        if squeeze:
            self.squeeze = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(hidden, 4, 1), nn.ReLU(), nn.Conv2d(4, hidden, 1), nn.Hardsigmoid()
            )
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        if self.squeeze is not None:
            y = y * self.squeeze(y)
        y = self.project(y)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.blocks = nn.Sequential(
            InvertedResidual(8, 16, 8, 3, 1, nn.ReLU, squeeze=True),
            InvertedResidual(8, 20, 12, 5, 2, nn.Hardswish, squeeze=False),
            InvertedResidual(12, 24, 12, 5, 1, nn.Hardswish, squeeze=True),
        )
        self.last = nn.Sequential(nn.Conv2d(12, 24, 1, bias=False), nn.BatchNorm2d(24), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(24, 16), nn.Hardswish(), nn.Linear(16, classes))

    def forward(self, image):
        x = self.last(self.blocks(self.stem(image)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


@network
def mobilenet_v3():
    return Network(randomise(MobileNetV3()), {"image": torch.randn(2, 3, 20, 20)}, target=torch.tensor([4, 2]))


class BoxRegressor(nn.Module):
    """Left, top, width and height of one box from a small backbone."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 12, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.box = nn.Sequential(nn.Linear(12 * 16, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, image):
        return self.box(self.backbone(image).flatten(1))


@network
def box_regressor():
    """Seeded with a quarter at each coordinate, as DLBacktrace does."""
    return Network(
        randomise(BoxRegressor()), {"image": torch.randn(2, 3, 16, 16)}, seed=torch.full((2, 4), 0.25), output="box"
    )
