"""A vision transformer written with functional attention."""

import torch
import torch.nn.functional as F
from torch import nn

from networks import Network, network, randomise


class Block(nn.Module):
    def __init__(self, dim, heads, gelu):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(approximate=gelu), nn.Linear(2 * dim, dim))

    def forward(self, x):
        batch, tokens, dim = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.project(attended.transpose(1, 2).reshape(batch, tokens, dim))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Pre-norm blocks, one with the tanh form of GELU and one with the erf form; reads the class token."""

    def __init__(self, dim=16, patch=4, size=16):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.3 * torch.randn(1, 1 + (size // patch) ** 2, dim))
        self.blocks = nn.Sequential(Block(dim, 2, "tanh"), Block(dim, 2, "none"))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 5)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


@network
def vit():
    return Network(
        randomise(VisionTransformer()),
        {"image": torch.randn(2, 3, 16, 16)},
        target=torch.tensor([4, 2]),
        exporters=("legacy", "dynamo", "legacy-opset14"),
    )
