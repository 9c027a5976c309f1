"""Convolutional networks in one, two and three dimensions."""

import torch
import torch.nn.functional as F
from torch import nn

from networks import Network, network, randomise


class ResidualBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(x + self.bn2(self.conv2(y)))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, x):
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class ResidualCnn(nn.Module):
    """Every form of 2-D convolution and pooling once; the residual block is one module called twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.block = ResidualBlock(8)
        self.grouped = nn.Conv2d(8, 8, (3, 5), padding=(1, 2), groups=2)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.strided = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate = SqueezeExcitation(16, 4)
        self.pooled_norm = nn.BatchNorm2d(32)  # after a concatenation, so exporters cannot fold it into a convolution
        self.up = nn.ConvTranspose2d(32, 8, 3, stride=2, padding=1, output_padding=1)
        self.head = nn.Linear(24 * 4 * 4, 5)

    def forward(self, image):
        x = self.block(self.block(self.stem(image)))
        x = F.silu(self.grouped(x))
        x = F.leaky_relu(self.dilated(x), 0.1)
        x = F.hardswish(self.depthwise(self.strided(x)))
        skip = self.gate(x)
        x = F.max_pool2d(skip, 3, stride=2, padding=1)
        with_padding = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=True)
        without_padding = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        x = F.relu(self.pooled_norm(torch.cat([with_padding, without_padding], 1)))
        x = torch.cat([self.up(x), skip], 1)
        return self.head(torch.flatten(F.avg_pool2d(x, 2), 1))


@network
def residual_cnn():
    return Network(randomise(ResidualCnn()), {"image": torch.randn(2, 3, 16, 16)}, target=torch.tensor([3, 1]))


def double_convolution(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Two levels down; up once by a transposed convolution and once by bilinear interpolation."""

    def __init__(self):
        super().__init__()
        self.down1 = double_convolution(1, 6)
        self.down2 = double_convolution(6, 12)
        self.bottom = double_convolution(12, 12)
        self.up2 = nn.ConvTranspose2d(12, 12, 2, stride=2)
        self.join2 = double_convolution(24, 8)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.join1 = double_convolution(14, 6)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, image):
        level1 = self.down1(image)
        level2 = self.down2(F.max_pool2d(level1, 2))
        x = self.bottom(F.max_pool2d(level2, 2))
        x = self.join2(torch.cat([level2, self.up2(x)], 1))
        x = self.join1(torch.cat([level1, self.up1(x)], 1))
        return self.head(x)


@network
def unet():
    return Network(randomise(UNet()), {"image": torch.randn(2, 1, 16, 16)}, seed=torch.randn(2, 2, 16, 16))


class Conv1d(nn.Module):
    """A convolution over a series; the normalisation follows a pooling, so that no exporter folds it away."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(2, 8, 3, padding=1)
        self.conv2 = nn.Conv1d(8, 8, 3, padding=2, dilation=2)
        self.norm = nn.BatchNorm1d(8)
        self.conv3 = nn.Conv1d(8, 12, 3, stride=2)
        self.prelu = nn.PReLU(12)
        self.head = nn.Linear(12, 3)

    def forward(self, series):
        x = F.leaky_relu(self.conv1(series), 0.2)
        x = F.max_pool1d(x, 2)
        x = F.elu(self.conv2(x))
        x = self.norm(F.avg_pool1d(x, 3, stride=1, padding=1))
        x = self.prelu(self.conv3(x))
        return self.head(x.amax(-1))


@network
def conv1d():
    module = randomise(Conv1d())
    nn.init.uniform_(module.prelu.weight, 0.05, 0.5)
    return Network(module, {"series": torch.randn(3, 2, 20)}, target=torch.tensor([0, 2, 1]))


class Conv3d(nn.Module):
    """The same over a volume."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv3d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm3d(6)
        self.conv2 = nn.Conv3d(6, 8, (1, 3, 3))
        self.head = nn.Linear(8, 3)

    def forward(self, volume):
        x = self.norm(F.max_pool3d(F.relu(self.conv1(volume)), 2))
        x = F.softplus(self.conv2(x))
        return self.head(F.adaptive_avg_pool3d(x, 1).flatten(1))


@network
def conv3d():
    return Network(randomise(Conv3d()), {"volume": torch.randn(2, 2, 4, 8, 8)}, target=torch.tensor([2, 0]))
