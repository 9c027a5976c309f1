"""Small fully connected networks whose graphs end in a probability."""

import torch
import torch.nn.functional as F
from torch import nn

from networks import Network, network, randomise


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 3)
        )

    def logits(self, features):
        return self.body(features)

    def forward(self, features):
        return self.logits(features).softmax(-1)


@network
def mlp():
    return Network(
        randomise(Mlp()), {"features": torch.randn(3, 10)}, target=torch.tensor([2, 0, 1]), output="probabilities"
    )


class MlpBinary(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 12)
        self.head = nn.Linear(12, 1)

    def logits(self, features):
        return self.head(F.relu(self.hidden(features)))

    def forward(self, features):
        return self.logits(features).sigmoid()


@network
def mlp_binary():
    return Network(
        randomise(MlpBinary()),
        {"features": torch.randn(3, 10)},
        target=torch.tensor([0, 0, 0]),
        output="probability",
    )


class Categories(nn.Module):
    """Numbers beside categories; the categories of all columns share one table, each from its own offset on."""

    def __init__(self, sizes=(5, 3, 7), dim=4, numbers=6, classes=3):
        super().__init__()
        self.table = nn.Embedding(sum(sizes), dim)
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.hidden = nn.Linear(numbers + dim * len(sizes), 16)
        self.head = nn.Linear(16, classes)

    def forward(self, categories, numbers):
        embedded = self.table(categories + self.offsets).flatten(1)
        return self.head(F.relu(self.hidden(torch.cat([numbers, embedded], 1))))


@network
def categories():
    module = randomise(Categories())
    drawn = [torch.randint(0, size, (3,)) for size in (5, 3, 7)]
    return Network(
        module,
        {"categories": torch.stack(drawn, 1), "numbers": torch.randn(3, 6)},
        target=torch.tensor([2, 0, 1]),
        embedding=module.table,
    )


class CategoryColumns(nn.Module):
    """The same with a table of its own width per column, as most code has it."""

    def __init__(self, sizes=(6, 7, 8), dims=(2, 3, 4), numbers=6, classes=3):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, dim) for size, dim in zip(sizes, dims))
        self.hidden = nn.Linear(numbers + sum(dims), 16)
        self.head = nn.Linear(16, classes)

    def forward(self, categories, numbers):
        embedded = [table(categories[:, i]) for i, table in enumerate(self.tables)]
        return self.head(F.relu(self.hidden(torch.cat([numbers, *embedded], 1))))


@network
def category_columns():
    module = randomise(CategoryColumns())
    drawn = [torch.randint(0, size, (3,)) for size in (6, 7, 8)]
    return Network(
        module, {"categories": torch.stack(drawn, 1), "numbers": torch.randn(3, 6)}, target=torch.tensor([2, 0, 1])
    )
