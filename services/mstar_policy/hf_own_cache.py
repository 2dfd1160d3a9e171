"""Decoding with the model's own cache, for models whose layers keep more or less than every token's keys and values.

Linear attention keeps a running state, a sliding window forgets, cross-attention keeps the image. Rows without padding
are exact for all of them, so only prefixes of one length are decoded together, and nothing is shared between prefixes:
slower than `hf_decoding`, and right.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

from mstar_policy.hf_batches import batches
from mstar_policy.hf_decoding import Continuation, Decoder, Drawn, Rows
from mstar_policy.hf_prefill import DecodeStart, PromptPrefix


class OwnCacheDecoder(Decoder):
    """Samples from one model in batches of equal lengths."""

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[Sequence[PromptPrefix]], is_abandoned: Callable[[], bool] = lambda: False
    ) -> list[Drawn]:
        """See `Decoder.run`; every prefix is computed whole."""
        found: dict[int, list[Continuation]] = {}
        for alike in _alike([prefix for prefixes in prompts for prefix in prefixes]):
            for batch in batches(alike, self.limits):
                found |= self._samples(self._start(batch), is_abandoned)
        return [Drawn([found[id(one)] for one in prefixes], sum(map(len, prefixes))) for prefixes in prompts]

    def _start(self, batch: Sequence[PromptPrefix]) -> DecodeStart:
        chunk = self.prefill.whole(batch)
        # [rows]: the sequence that each row continues.
        rows = torch.tensor(
            [row for row, prefix in enumerate(batch) for _ in prefix.draws], device=chunk.next_positions.device
        )
        # Made for beam search; an index that repeats gives each draw a row of its own, whatever kind of layer it is.
        chunk.cache.reorder_cache(rows)
        per_token = {name: value[rows] for name, value in chunk.per_token.items()}
        return DecodeStart(list(batch), chunk.cache, chunk.logits[rows], chunk.next_positions[rows], per_token)

    def _mask(self, rows: Rows, step: int) -> torch.Tensor:
        """[rows, columns]: no row has padding; each kind of layer makes its own mask from this one."""
        count = len(rows.next_positions)
        return torch.ones((count, rows.width + step + 1), dtype=torch.long, device=rows.next_positions.device)

    def _keep(self, cache: Any, rows: torch.Tensor) -> None:
        """`rows` [kept]: places of the rows that go on."""
        cache.reorder_cache(rows)


def _alike(prefixes: Sequence[PromptPrefix]) -> Iterator[list[PromptPrefix]]:
    """Prefixes of one length and with pixels of one shape."""

    def kind(prefix: PromptPrefix) -> tuple[int, tuple[tuple[str, tuple[int, ...]], ...]]:
        return len(prefix), prefix.prompt.pixel_shapes

    for _, group in groupby(sorted(prefixes, key=kind), key=kind):
        yield list(group)
