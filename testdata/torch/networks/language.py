"""Text models: an encoder and a decoder written in the style of their Hugging Face originals."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from networks import Network, network, randomise
from networks.classifiers import TEXT_AXES, padded_text


class BertLayer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.attention_output = nn.Linear(dim, dim)
        self.attention_norm = nn.LayerNorm(dim, eps=1e-12)
        self.intermediate = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(2 * dim, dim)
        self.output_norm = nn.LayerNorm(dim, eps=1e-12)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x, mask):
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask
        context = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        x = self.attention_norm(self.attention_output(context) + x)
        return self.output_norm(self.output(F.gelu(self.intermediate(x))) + x)


class Bert(nn.Module):
    def __init__(self, vocabulary=40, dim=16, heads=2, layers=2, positions=12, classes=4):
        super().__init__()
        self.words = nn.Embedding(vocabulary, dim, padding_idx=0)
        self.positions = nn.Embedding(positions, dim)
        self.register_buffer("position_ids", torch.arange(positions)[None], persistent=False)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(dim, heads) for _ in range(layers))
        self.pooler = nn.Linear(dim, dim)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, input_ids, attention_mask):
        words = self.words(input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(words.dtype)) * torch.finfo(words.dtype).min
        x = self.norm(words + self.positions(self.position_ids[:, : input_ids.shape[1]]))
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


@network
def bert():
    module = randomise(Bert())
    return Network(
        module,
        padded_text(),
        target=torch.tensor([3, 1]),
        axes=TEXT_AXES,
        embedding=module.words,
        exporters=("legacy", "dynamo", "legacy-opset14"),
    )


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


def rotate_half(x):
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


class LlamaLayer(nn.Module):
    def __init__(self, dim, heads, key_heads, hidden):
        super().__init__()
        self.head_dim = dim // heads
        self.groups = heads // key_heads
        self.input_norm = RmsNorm(dim)
        self.q_proj = nn.Linear(dim, heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(dim, key_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(dim, key_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)
        self.post_norm = RmsNorm(dim)
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], -1, self.head_dim).transpose(1, 2)

    def repeat(self, x):
        batch, heads, tokens, dim = x.shape
        expanded = x[:, :, None].expand(batch, heads, self.groups, tokens, dim)
        return expanded.reshape(batch, heads * self.groups, tokens, dim)

    def forward(self, x, cos, sin, mask):
        normed = self.input_norm(x)
        query, key, value = (self.split(p(normed)) for p in (self.q_proj, self.k_proj, self.v_proj))
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        scores = query @ self.repeat(key).transpose(2, 3) * self.head_dim**-0.5 + mask
        context = (scores.softmax(-1) @ self.repeat(value)).transpose(1, 2).flatten(2)
        x = x + self.o_proj(context)
        normed = self.post_norm(x)
        return x + self.down_proj(F.silu(self.gate_proj(normed)) * self.up_proj(normed))


class Llama(nn.Module):
    """Grouped-query attention, rotary positions, RMS norms, SwiGLU, causal mask, head tied to the embedding."""

    def __init__(self, vocabulary=40, dim=16, heads=4, key_heads=2, layers=2):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, dim)
        self.layers = nn.ModuleList(LlamaLayer(dim, heads, key_heads, 24) for _ in range(layers))
        self.norm = RmsNorm(dim)
        head_dim = dim // heads
        frequencies = 10000.0 ** (-torch.arange(0, head_dim, 2).float() / head_dim)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, input_ids):
        x = self.embed_tokens(input_ids)
        positions = torch.arange(input_ids.shape[1])
        angles = positions[:, None].to(x.dtype) * self.frequencies
        angles = torch.cat([angles, angles], -1)
        lowest = torch.finfo(x.dtype).min
        future = positions[None, :] > positions[:, None]
        mask = torch.zeros_like(future, dtype=x.dtype).masked_fill(future, lowest)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin(), mask)
        return self.norm(x) @ self.embed_tokens.weight.T


@network
def llama():
    module = randomise(Llama())
    return Network(
        module,
        {"input_ids": torch.randint(0, 40, (2, 8))},
        target=torch.tensor([7, 23]),
        axes=TEXT_AXES,
        output_axes=TEXT_AXES,
        embedding=module.embed_tokens,
    )
