"""Chooses the next token of every row: temperature, nucleus, suppressed tokens, and reproducible randomness.

Each sample has its own stream of uniforms, made from the prompt's seed and the sample's index by a counter-based
generator, and uses one for each token. So a sample does not depend on what is decoded in the same batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mstar_policy.engine import Likely

LEAST_TEMPERATURE = 0.01
"""Lowest temperature above 0; the same as in vLLM."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How one sample is drawn."""

    seed: int
    index: int
    """Place among the n samples of its prompt."""
    temperature: float
    """0 takes the most likely token."""
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()
    """Strings that end the sample."""
    ignore_eos: bool = False
    """Never sample the end of the turn."""
    likely: int = 0
    """How many of the most likely tokens to name at every place."""


class RowSampler:
    """Samples one token a row for a decoding batch."""

    def __init__(self, draws: Sequence[Draw], suppressed: torch.Tensor, ends: torch.Tensor | None = None) -> None:
        """`suppressed` [tokens] are never sampled; `ends` [tokens] are not in rows that ignore the end of the turn."""
        device = suppressed.device
        self._suppressed = suppressed
        self._ends = suppressed.new_empty(0) if ends is None else ends
        # Dividing by a smaller temperature may overflow, and as a 32-bit number it may be 0.
        temperatures = [max(draw.temperature, LEAST_TEMPERATURE) if draw.temperature else 0.0 for draw in draws]
        self._temperature = torch.tensor(temperatures, device=device)[:, None]  # [rows, 1]
        # A greedy row takes the likeliest token, which every nucleus has: 1 leaves its log-probability whole.
        self._top_p = torch.tensor([draw.top_p if draw.temperature else 1.0 for draw in draws], device=device)[:, None]
        self._endless = torch.tensor([draw.ignore_eos for draw in draws], device=device)[:, None]
        self._any_endless = any(draw.ignore_eos for draw in draws)
        self._any_likely = any(draw.likely for draw in draws)
        self._latest: torch.Tensor | None = None
        """Probabilities [rows, vocabulary] that the last tokens were drawn from, if a row wants the likeliest."""
        self._uniforms = torch.from_numpy(_uniforms(draws)).to(device)  # [rows, longest max_tokens]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the given rows, `rows` being increasing indices [kept]."""
        self._temperature, self._top_p = self._temperature[rows], self._top_p[rows]
        self._endless, self._uniforms = self._endless[rows], self._uniforms[rows]

    def choose(self, logits: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose tokens [rows] from logits [rows, vocabulary]; return them with their log-probabilities [rows].

        `step` counts sampled tokens from 0. Probabilities are those sampled from, with temperature and nucleus
        (Holtzman et al., arXiv 1904.09751) applied; for a greedy row those at temperature 1.
        """
        # In float32: sums over a whole vocabulary lose digits in half precision.
        logits = logits.float().index_fill(1, self._suppressed, -torch.inf)
        if self._any_endless:
            logits = torch.where(self._endless, logits.index_fill(1, self._ends, -torch.inf), logits)
        greedy = self._temperature == 0
        probabilities = torch.softmax(logits / torch.where(greedy, 1.0, self._temperature), dim=1)
        if bool((self._top_p < 1).any()):
            probabilities = _nucleus(probabilities, self._top_p)
        # Inverse transform sampling: the token whose interval of the cumulative sum holds the uniform.
        sums = probabilities.cumsum(dim=1)
        total = sums[:, -1:]
        # Strictly below the total, so that the search ends at a token of positive probability.
        target = torch.minimum(self._uniforms[:, step, None] * total, torch.nextafter(total, torch.zeros_like(total)))
        tokens = torch.searchsorted(sums, target, right=True)
        tokens = torch.where(greedy, logits.argmax(dim=1, keepdim=True), tokens)
        self._latest = probabilities / total if self._any_likely else None
        return tokens[:, 0], (probabilities.gather(1, tokens) / total).log()[:, 0]

    def likeliest(self, row: int, count: int) -> Likely:
        """The `count` most likely tokens of a row at the step just chosen, without those that could not be drawn.

        Only for batches in which a draw has `likely` above 0.
        """
        assert self._latest is not None, "a draw asked for them"
        found, tokens = self._latest[row].topk(min(count, self._latest.shape[1]))
        pairs = zip(tokens.tolist(), found.log().tolist(), strict=True)
        return tuple((token, logprob) for token, logprob in pairs if logprob > -math.inf)


def _nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Set to 0 each row's tokens outside the smallest set whose probabilities sum to `top_p`.

    `probabilities` [rows, vocabulary], `top_p` [rows, 1].
    """
    # Stable, so that among equal probabilities the same ones are left out on every machine.
    ordered, order = probabilities.sort(dim=1, descending=True, stable=True)
    # A row with 1 keeps all: in float32 a sum reaches 1 before its end, and the row may be beside others by chance.
    outside = (ordered.cumsum(dim=1) - ordered >= top_p) & (top_p < 1)
    # The set always has one token, even where top_p as a 32-bit number is 0.
    outside[:, 0] = False
    return torch.zeros_like(probabilities).scatter(1, order, ordered.masked_fill(outside, 0.0))


def _uniforms(draws: Sequence[Draw]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random numbers in [0, 1), shape [rows, longest max_tokens]; those of greedy rows are 0 and unused."""
    found = np.zeros((len(draws), max(draw.max_tokens for draw in draws)), dtype=np.float32)
    for row, draw in enumerate(draws):
        if draw.temperature > 0:
            # Counter-based (Salmon et al., 2011): streams are independent however close their keys are.
            stream = np.random.Generator(np.random.Philox(key=np.array([draw.seed, draw.index], dtype=np.uint64)))
            stream.random(out=found[row, : draw.max_tokens], dtype=np.float32)
    return found
