import torch
from torch import nn


class Resampler(nn.Module):
    """A fixed number of tokens for a slice of any number of patches."""

    def __init__(self, queries, width, out):
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, width))
        self.proj = nn.Linear(width, out)

    def forward(self, states, sizes):
        made = []
        for row, (height, width) in zip(states, sizes.tolist(), strict=True):
            seen = row[: height * width]
            made.append((self.query @ seen.T).softmax(-1) @ seen)
        return self.proj(torch.stack(made))
