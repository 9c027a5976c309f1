"""Recurrent networks over float sequences."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from networks import Network, network, randomise


class Recurrent(nn.Module):
    """Two bidirectional LSTM layers, then a GRU whose last state is classified."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(12, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, sequence):
        states, _ = self.lstm(sequence)
        _, last = self.gru(states)
        return self.head(last[-1])


@network
def recurrent():
    return Network(
        randomise(Recurrent()),
        {"sequence": torch.randn(3, 7, 5)},
        target=torch.tensor([1, 0, 2]),
        axes={0: "batch", 1: "steps"},
    )


class RecurrentLengths(nn.Module):
    """A bidirectional LSTM over packed sequences of different lengths; reads its mean and its last states."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, sequence, lengths):
        packed = pack_padded_sequence(sequence, lengths, batch_first=True)
        states, (last, _) = self.lstm(packed)
        states, _ = pad_packed_sequence(states, batch_first=True)
        mean = states.sum(1) / lengths[:, None]
        return self.head(mean + torch.cat([last[0], last[1]], 1))


@network
def recurrent_lengths():
    return Network(
        randomise(RecurrentLengths()),
        {"sequence": torch.randn(3, 7, 5), "lengths": torch.tensor([7, 5, 3])},
        target=torch.tensor([1, 0, 2]),
        exporters=("legacy",),  # torch.export refuses lengths that are data
    )
