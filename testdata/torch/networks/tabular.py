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
