"""Small networks with seeded random weights, each nonlinearity a module of its own, as hooks want it."""

import torch
from torch import nn


def mlp():
    """ReLU, tanh and sigmoid, one after the other."""
    return nn.Sequential(
        nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 7), nn.Sigmoid(), nn.Linear(7, 3)
    ), {"features": torch.randn(4, 6)}


def cnn():
    """Convolutions with normalisation, ReLU and average pooling."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        varied(nn.BatchNorm2d(4)),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 4, 3),
    ), {"image": torch.randn(4, 2, 8, 8)}


def maxpool():
    """The same with overlapping and other maxima."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        varied(nn.BatchNorm2d(4)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 4, 3),
    ), {"image": torch.randn(4, 2, 8, 8)}


class Residual(nn.Module):
    """Two residual blocks, with a ReLU behind each sum."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.first = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), varied(nn.BatchNorm2d(4)), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)
        )
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.after_first, self.after_second = nn.ReLU(), nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, image):
        x = self.stem(image)
        x = self.after_first(x + self.first(x))
        x = self.after_second(x + self.second(x))
        return self.head(self.pool(x).flatten(1))


class Transformer(nn.Module):
    """A pre-norm encoder layer: LayerNorm, attention by softmax, GELU, residuals; one module used twice."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(5, width)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        self.softmax = nn.Softmax(-1)
        self.head = nn.Linear(width, 3)

    def forward(self, sequence):
        x = self.embed(sequence)
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = self.softmax(q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, t, d))
        x = x + self.down(self.act(self.up(self.norm(x))))
        return self.head(x.mean(1))


class TwoInputs(nn.Module):
    """A picture's features beside numbers."""

    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Linear(5, 6), nn.ReLU())
        self.right = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, first, second):
        return self.head(torch.cat([self.left(first), self.right(second)], 1))


class Lstm(nn.Module):
    """An LSTM layer over six steps, the last of which is classified."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, sequence):
        return self.head(self.layer(sequence)[0][:, -1])


def varied(norm):
    """Moments and scales as after training."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-0.5, 0.5)
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 1.5)
    return norm


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "maxpool": maxpool,
    "residual": lambda: (Residual(), {"image": torch.randn(4, 2, 6, 6)}),
    "transformer": lambda: (Transformer(), {"sequence": torch.randn(4, 6, 5)}),
    "two_inputs": lambda: (TwoInputs(), {"first": torch.randn(4, 5), "second": torch.randn(4, 4)}),
    "lstm": lambda: (Lstm(), {"sequence": torch.randn(4, 6, 4)}),
}


def build(name):
    """The network in evaluation mode, its inputs, a class per row, and baselines: one, and a set of five rows."""
    torch.manual_seed(sum(map(ord, name)))
    module, inputs = NETWORKS[name]()
    rows = len(next(iter(inputs.values())))
    target = torch.tensor([0, 2, 1, 1])[:rows]
    baseline = {key: 0.3 * torch.randn(1, *x.shape[1:]) for key, x in inputs.items()}
    references = {key: torch.randn(5, *x.shape[1:]) for key, x in inputs.items()}
    return module.eval(), inputs, target, baseline, references
