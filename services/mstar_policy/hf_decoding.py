"""Batched decoding over a transformers model: prefill, then one token a step for all samples.

It replaces `generate` of transformers, whose cost on small models is mostly bookkeeping. Rows are padded on the left,
so that every row's next token is in the same column; finished rows are removed from the batch. What this leaves out:
text, and requests (the engine).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mstar.types import FinishReason
from mstar_policy.engine import Delta, Likely
from mstar_policy.hf_batches import BatchLimits, batches
from mstar_policy.hf_prefill import DecodeStart, Prefill, PrefillChunk, PromptPrefix, decode_start, shared_prefix
from mstar_policy.hf_sampling import RowSampler
from mstar_policy.text import StopWatch, Vocabulary

COMPACT_BELOW = 0.75
"""Finished rows are removed when the share of running ones falls below this: each removal copies the cache."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """One sampled continuation; `token_ids` includes the token that it stopped at."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped: bool
    """Whether the turn ended or a stop string was complete; else it reached its limit of tokens."""
    likely: tuple[Likely, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """Samples of all prefixes of one prompt."""

    samples: list[list[Continuation]]
    """Of each prefix, in the order of its draws."""
    computed: int
    """Tokens of prompt and prefixes that went through the model."""


class Rows:
    """State of a decoding batch: running rows by their current index, results by their first one."""

    def __init__(
        self,
        start: DecodeStart,
        suppressed: torch.Tensor,
        ends: torch.Tensor,
        dtype: torch.dtype,
        vocabulary: Vocabulary | None,
    ) -> None:
        """`suppressed` and `ends` [tokens]; `dtype` of the model, which its mask must share."""
        prefixes, device = start.prefixes, suppressed.device
        draws = [draw for prefix in prefixes for draw in prefix.draws]
        lengths = [len(prefix) for prefix in prefixes for _ in prefix.draws]
        self.longest = longest = max(draw.max_tokens for draw in draws)
        self.width = max(lengths)
        """Columns before the first sampled token."""
        self.sampler = RowSampler(draws, suppressed, ends)
        self.next_positions = start.next_positions
        self.per_token = start.per_token
        self.running = torch.ones(len(draws), dtype=torch.bool, device=device)
        self.mask = _padding_mask(torch.tensor(lengths, device=device), longest).to(dtype)
        # First index of each running row: rows leave the batch, and results stay where they are.
        self._place = torch.arange(len(draws), device=device)  # [running rows]
        self._allowed = torch.tensor([draw.max_tokens for draw in draws], device=device)
        self._tokens = torch.zeros((len(draws), longest), dtype=torch.long, device=device)  # [draws, longest]
        self._counts = torch.zeros(len(draws), dtype=torch.long, device=device)  # [draws]
        self._logprobs = torch.zeros((len(draws), longest), device=device)
        self._stopped = torch.zeros(len(draws), dtype=torch.bool, device=device)
        self._watches = {
            row: StopWatch(vocabulary, draw.stop) for row, draw in enumerate(draws) if draw.stop and vocabulary
        }
        self._wanted = {row: draw.likely for row, draw in enumerate(draws) if draw.likely}
        self._likely: dict[int, list[Likely]] = {row: [] for row in self._wanted}
        places = ((prefix.on_tokens, sample) for prefix in prefixes for sample in range(len(prefix.draws)))
        self._callbacks = {row: (call, sample) for row, (call, sample) in enumerate(places) if call is not None}

    def note(self, step: int, tokens: torch.Tensor, logprobs: torch.Tensor, ends: torch.Tensor) -> None:
        """Record one token of every running row; rows that stop or reach their limit are finished.

        `tokens`, `logprobs` and `ends`, which says whether the token ends the turn, have shape [rows].
        """
        stops = ends | self._completed_stops(tokens)
        self._note_likely()
        place = self._place[self.running]
        self._tokens[place, step] = tokens[self.running]
        self._logprobs[place, step] = logprobs[self.running]
        self._counts[place] = step + 1
        self._stopped[place] = stops[self.running]
        # The next line changes `running` in place, and a row's last token is reported as well.
        was_running = self.running.clone() if self._callbacks else self.running
        self.running &= ~stops & (self._allowed > step + 1)
        if self._callbacks:
            # Copying these to the host waits for the GPU, so it is done only where somebody listens.
            columns = (self._place, tokens, logprobs, stops, self.running)
            self._report(*(column[was_running].tolist() for column in columns))

    def _completed_stops(self, tokens: torch.Tensor) -> torch.Tensor:
        """Whether the token completes a stop string of its row, [rows] from tokens [rows]."""
        found = torch.zeros_like(self.running)
        if self._watches:
            for row, (place, token) in enumerate(zip(self._place.tolist(), tokens.tolist(), strict=True)):
                found[row] = place in self._watches and self._watches[place].completes(token)
        return found

    def _note_likely(self) -> None:
        if self._wanted:
            for row, (place, runs) in enumerate(zip(self._place.tolist(), self.running.tolist(), strict=True)):
                if runs and place in self._wanted:
                    self._likely[place].append(self.sampler.likeliest(row, self._wanted[place]))

    def _report(
        self, rows: list[int], tokens: list[int], logprobs: list[float], stops: list[bool], going_on: list[bool]
    ) -> None:
        for row, token, logprob, stop, goes_on in zip(rows, tokens, logprobs, stops, going_on, strict=True):
            if row in self._callbacks:
                on_tokens, sample = self._callbacks[row]
                reason = None if goes_on else FinishReason.STOP if stop else FinishReason.LENGTH
                likely = (self._likely[row][-1],) if row in self._likely else ()
                on_tokens(Delta(sample, (token,), (logprob,), reason, likely))

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the given rows in the batch, `rows` being increasing indices [kept]."""
        self.sampler.keep(rows)
        self.next_positions, self.mask = self.next_positions[rows], self.mask[rows]
        self.per_token = {name: value[rows] for name, value in self.per_token.items()}
        self.running, self._place, self._allowed = self.running[rows], self._place[rows], self._allowed[rows]

    def samples(self) -> list[Continuation]:
        """Results of all rows, finished ones included, in the order of the draws."""
        counts, logprobs, stopped = self._counts.tolist(), self._logprobs.tolist(), self._stopped.tolist()
        return [
            Continuation(tuple(ids[:count]), tuple(logprob[:count]), stop, tuple(self._likely.get(row, ())))
            for row, (ids, count, logprob, stop) in enumerate(
                zip(self._tokens.tolist(), counts, logprobs, stopped, strict=True)
            )
        ]


class Abandoned(Exception):
    """Nobody waits for the samples any more."""


class Decoder:
    """Samples from one model in batches."""

    def __init__(
        self,
        model: Any,
        stop: Collection[int],
        suppressed: Sequence[int],
        limits: BatchLimits | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """`stop`: tokens that end a turn. `vocabulary` is needed for draws with stop strings."""
        self.model = model
        self.vocabulary = vocabulary
        self.limits = limits or BatchLimits()
        self.prefill = Prefill(model)
        self._stop = torch.tensor(sorted(stop), device=model.device)
        # A tokenizer may name tokens that the model has no row for.
        known = range(model.config.get_text_config().vocab_size)
        # A token that ends a turn must be sampled, or no response would end.
        never = sorted(token for token in set(suppressed) - set(stop) if token in known)
        self._suppressed = torch.tensor(never, dtype=torch.long, device=model.device)

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[Sequence[PromptPrefix]], is_abandoned: Callable[[], bool] = lambda: False
    ) -> list[Drawn]:
        """Draw the samples of the prefixes of each prompt; what prefixes of a prompt share is computed once.

        `is_abandoned`: asked before every token; once it is true, this raises Abandoned.
        """
        shared = [shared_prefix(prefixes) for prefixes in prompts]
        # All prompts are prefilled before any batch is decoded: batches are made by length, across prompts.
        chunks = self.prefill.run(shared)
        found: dict[int, list[Continuation]] = {}
        for batch in batches([prefix for prefixes in prompts for prefix in prefixes], self.limits):
            found |= self._batch(chunks, batch, is_abandoned)
        return [Drawn([found[id(prefix)] for prefix in one.prefixes], one.cost) for one in shared]

    def _batch(
        self, chunks: Sequence[PrefillChunk], batch: Sequence[PromptPrefix], is_abandoned: Callable[[], bool]
    ) -> dict[int, list[Continuation]]:
        """Samples by the `id` of their prefix."""
        start = decode_start(chunks, batch, max(draw.max_tokens for prefix in batch for draw in prefix.draws))
        return self._samples(start, is_abandoned)

    def _samples(self, start: DecodeStart, is_abandoned: Callable[[], bool]) -> dict[int, list[Continuation]]:
        rows = Rows(start, self._suppressed, self._stop, self.model.dtype, self.vocabulary)
        samples = iter(self._decode(rows, start, is_abandoned))
        return {id(prefix): [next(samples) for _ in prefix.draws] for prefix in start.prefixes}

    def _decode(self, rows: Rows, start: DecodeStart, is_abandoned: Callable[[], bool]) -> list[Continuation]:
        """Sample a token of every row, then run the model on those, until no row runs."""
        cache, logits = start.cache, start.logits  # [rows, vocabulary]
        for step in range(rows.longest):
            if is_abandoned():
                raise Abandoned
            tokens, logprobs = rows.sampler.choose(logits, step)
            rows.note(step, tokens, logprobs, torch.isin(tokens, self._stop))
            running = int(rows.running.sum())
            if running == 0:
                break
            # Rows that have finished and stay go on computing; what they sample is not recorded.
            if running < COMPACT_BELOW * len(tokens):
                keep = rows.running.nonzero()[:, 0]
                tokens = tokens[keep]
                rows.keep(keep)
                self._keep(cache, keep)
            logits = self.model(
                input_ids=tokens[:, None],
                attention_mask=self._mask(rows, step),
                position_ids=rows.next_positions[:, None] + step,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                **rows.per_token,
            ).logits[:, -1]
        return rows.samples()

    def _mask(self, rows: Rows, step: int) -> torch.Tensor:
        """What the tokens of a step see: [rows, 1, 1, columns], added to the scores."""
        return rows.mask[..., : rows.width + step + 1]

    def _keep(self, cache: Any, rows: torch.Tensor) -> None:
        """Keep only the given rows of the cache, `rows` being increasing indices [kept]."""
        cache.keep(rows)


def _padding_mask(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """Additive mask [rows, 1, 1, columns] from `lengths` [rows]: minus infinity at the padding on the left, else 0."""
    width = int(lengths.max())
    # Columns of the tokens to come are unmasked from the start, and each step takes its part of the mask.
    columns = torch.arange(width + longest, device=lengths.device)
    padding = columns < (width - lengths)[:, None]
    return torch.zeros(padding.shape, device=lengths.device).masked_fill(padding, -torch.inf)[:, None, None]
