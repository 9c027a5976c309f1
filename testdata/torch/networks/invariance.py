"""One function, `W2 relu(W1 x + b1) + b2`, with its linear maps written in five ways."""

import torch
import torch.nn.functional as F
from torch import nn

WAYS = {
    "gemm": F.linear,
    "matmul": lambda x, w, b: torch.matmul(x[:, None], w.T)[:, 0] + b,
    "conv": lambda x, w, b: F.conv2d(x[:, :, None, None], w[:, :, None, None], b).flatten(1),
    "einsum": lambda x, w, b: torch.einsum("bi,oi->bo", x, w) + b,
    "mulsum": lambda x, w, b: (x[:, None, :] * w).sum(-1) + b,
}
"""Name of the way to the map `(x [batch, in], w [out, in], b [out]) -> [batch, out]`."""


class Invariance(nn.Module):
    def __init__(self, way, weights):
        super().__init__()
        self.linear = WAYS[way]
        self.w1, self.b1, self.w2, self.b2 = weights

    @staticmethod
    def weights(inputs=6, hidden=8, outputs=3):
        shapes = [(hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
        return [nn.Parameter(0.5 * torch.randn(shape)) for shape in shapes]

    def forward(self, features):
        return self.linear(F.relu(self.linear(features, self.w1, self.b1)), self.w2, self.b2)
