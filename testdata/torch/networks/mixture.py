"""A mixture of experts, `sum over chosen e of g_e E_e(x) + E_shared(x)`, computed in four ways."""

import torch
import torch.nn.functional as F
from torch import nn

from networks import randomise

EXPERTS, CHOSEN = 5, 3


def expert(x, w1, w2):
    """SwiGLU; `w1 [2 hidden, inputs]` holds gate and up."""
    gate, up = F.linear(x, w1).chunk(2, -1)
    return F.linear(F.silu(gate) * up, w2)


def masked(x, gates, chosen, w1, w2):
    """Every expert for every token; gates of experts that are not chosen are 0."""
    dense = torch.zeros(x.shape[0], EXPERTS, dtype=x.dtype).scatter(1, chosen, gates)
    y = torch.zeros_like(x)
    for e in range(EXPERTS):
        y = y + dense[:, e : e + 1] * expert(x, w1[e], w2[e])
    return y


def sparse(x, gates, chosen, w1, w2):
    """Every expert for the tokens that chose it, its results added where these stand."""
    y = torch.zeros_like(x)
    for e in range(EXPERTS):
        token, place = torch.where(chosen == e)
        y = y.index_add(0, token, expert(x[token], w1[e], w2[e]) * gates[token, place, None])
    return y


def gathered(x, gates, chosen, w1, w2):
    """For every token the weights of the experts that it chose."""
    gate, up = (w1[chosen] @ x[:, None, :, None]).squeeze(-1).chunk(2, -1)
    each = (w2[chosen] @ (F.silu(gate) * up).unsqueeze(-1)).squeeze(-1)
    return (each * gates[..., None]).sum(1)


def stacked(x, gates, chosen, w1, w2):
    """All experts in one product of stacked weights, then a product with the gates."""
    dense = torch.zeros(x.shape[0], EXPERTS, dtype=x.dtype).scatter(1, chosen, gates)
    gate, up = torch.einsum("ti,eoi->teo", x, w1).chunk(2, -1)
    each = torch.einsum("teh,eoh->teo", F.silu(gate) * up, w2)
    return torch.einsum("te,teo->to", dense, each)


WAYS = {"masked": masked, "sparse": sparse, "gathered": gathered, "stacked": stacked}


class Weights(nn.Module):
    """What all ways share."""

    def __init__(self, inputs=6, dim=8, hidden=6, classes=3):
        super().__init__()
        self.embed = nn.Linear(inputs, dim)
        self.router = nn.Linear(dim, EXPERTS, bias=False)
        self.w1 = nn.Parameter(torch.randn(EXPERTS, 2 * hidden, dim) * 0.6)
        self.w2 = nn.Parameter(torch.randn(EXPERTS, dim, hidden) * 0.6)
        self.shared1 = nn.Parameter(torch.randn(2 * hidden, dim) * 0.6)
        self.shared2 = nn.Parameter(torch.randn(dim, hidden) * 0.6)
        self.head = nn.Linear(dim, classes)


class Mixture(nn.Module):
    def __init__(self, way, weights, shared):
        super().__init__()
        self.mixture = WAYS[way]
        self.parts = weights
        self.shared = shared

    @staticmethod
    def weights():
        return randomise(Weights())

    def forward(self, features):
        p = self.parts
        x = p.embed(features)
        gates, chosen = p.router(x).softmax(-1).topk(CHOSEN, -1)
        y = self.mixture(x, gates / gates.sum(-1, keepdim=True), chosen, p.w1, p.w2)
        if self.shared:
            y = y + expert(x, p.shared1, p.shared2)
        return p.head(x + y)
