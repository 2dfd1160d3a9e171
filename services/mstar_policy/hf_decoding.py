"""Batched decoding over a transformers model: prefill once an opening, then a token a step for all its samples.

It replaces `generate`, whose cost on small models is mostly its own bookkeeping. Rows are padded on the left, so that
every row's next token is in the same column; a finished row soon leaves the batch. What this leaves out: text, and
which requests are decoded together (the engine).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mstar.types import FinishReason
from mstar_models.encoding import EncodedPrompt, collate
from mstar_models.packing import prompt_axes
from mstar_policy.engine import Delta, Heard
from mstar_policy.hf_cache import RowCache
from mstar_policy.hf_sampling import Draw, RowSampler

PREFILL_OPENINGS = 64
COMPACT_BELOW = 0.75
"""Share of running rows at which the finished ones are taken out: each time costs a copy of the cache."""


@dataclass(frozen=True)
class Opening:
    """What is prefilled once: a prompt with the beginning of its response, and the samples to draw from there."""

    prompt: EncodedPrompt
    prefix: tuple[int, ...]
    draws: list[Draw]
    heard: Heard | None = None
    """Told of every token of its samples as it is drawn."""

    def __len__(self) -> int:
        return len(self.prompt.input_ids) + len(self.prefix)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled continuation; `token_ids` includes the end-of-turn token if it `stopped` there."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped: bool


class _Rows:
    """What is known of each row of a batch: running ones by their place in it, results by their first place."""

    def __init__(
        self, openings: Sequence[Opening], nexts: torch.Tensor, suppressed: torch.Tensor, dtype: torch.dtype
    ) -> None:
        """`nexts` [rows]: the position of each row's first token; `dtype`: of the model, which its mask must share."""
        device = suppressed.device
        draws = [draw for opening in openings for draw in opening.draws]
        lengths = [len(opening) for opening in openings for _ in opening.draws]
        self.longest = longest = max(draw.max_tokens for draw in draws)
        self.sampler = RowSampler(draws, suppressed)
        self.nexts = nexts
        self.running = torch.ones(len(draws), dtype=torch.bool, device=device)
        self.mask = _padding_mask(torch.tensor(lengths, device=device), longest).to(dtype)
        self._place = torch.arange(len(draws), device=device)
        self._allowed = torch.tensor([draw.max_tokens for draw in draws], device=device)
        self._tokens = torch.zeros((len(draws), longest), dtype=torch.long, device=device)
        self._counts = torch.zeros(len(draws), dtype=torch.long, device=device)
        self._logprobs = torch.zeros((len(draws), longest), device=device)
        self._stopped = torch.zeros(len(draws), dtype=torch.bool, device=device)
        places = ((opening.heard, sample) for opening in openings for sample in range(len(opening.draws)))
        self._ears = {row: (heard, sample) for row, (heard, sample) in enumerate(places) if heard is not None}

    def note(self, step: int, tokens: torch.Tensor, logprobs: torch.Tensor, stops: torch.Tensor) -> None:
        """Record one token of every running row; rows that stop or reach their limit run no more."""
        place = self._place[self.running]
        self._tokens[place, step] = tokens[self.running]
        self._logprobs[place, step] = logprobs[self.running]
        self._counts[place] = step + 1
        self._stopped[place] = stops[self.running]
        was_running = self.running.clone() if self._ears else self.running
        self.running &= ~stops & (self._allowed > step + 1)
        if self._ears:
            columns = (self._place, tokens, logprobs, stops, self.running)
            self._tell(*(column[was_running].tolist() for column in columns))

    def _tell(
        self, rows: list[int], tokens: list[int], logprobs: list[float], stops: list[bool], going_on: list[bool]
    ) -> None:
        for row, token, logprob, stop, goes_on in zip(rows, tokens, logprobs, stops, going_on, strict=True):
            if row in self._ears:
                heard, sample = self._ears[row]
                reason = None if goes_on else FinishReason.STOP if stop else FinishReason.LENGTH
                heard(Delta(sample, (token,), (logprob,), reason))

    def keep(self, rows: torch.Tensor) -> None:
        """Leave only the given rows in the batch."""
        self.sampler.keep(rows)
        self.nexts, self.mask = self.nexts[rows], self.mask[rows]
        self.running, self._place, self._allowed = self.running[rows], self._place[rows], self._allowed[rows]

    def samples(self) -> list[Sample]:
        """Results of all rows, in the order they came in."""
        counts, logprobs, stopped = self._counts.tolist(), self._logprobs.tolist(), self._stopped.tolist()
        return [
            Sample(tuple(ids[:count]), tuple(logprob[:count]), stop)
            for ids, count, logprob, stop in zip(self._tokens.tolist(), counts, logprobs, stopped, strict=True)
        ]


class Decoder:
    """Decodes batches over one model."""

    def __init__(self, model: Any, stop: Collection[int], suppressed: Sequence[int]) -> None:
        self.model = model
        self._stop = torch.tensor(sorted(stop), device=model.device)
        self._suppressed = torch.tensor(sorted(set(suppressed) - set(stop)), dtype=torch.long, device=model.device)

    @torch.inference_mode()
    def run(self, openings: Sequence[Opening]) -> list[list[Sample]]:
        """Samples of each opening, in the order of its draws."""
        longest = max(draw.max_tokens for opening in openings for draw in opening.draws)
        cache, logits, nexts = self._prefill(openings, longest)
        samples = iter(self._decode(_Rows(openings, nexts, self._suppressed, self.model.dtype), cache, logits))
        return [[next(samples) for _ in opening.draws] for opening in openings]

    def _prefill(self, openings: Sequence[Opening], longest: int) -> tuple[RowCache, torch.Tensor, torch.Tensor]:
        """Cache of all rows, and logits [rows, vocabulary] and position [rows] of their first token."""
        width = max(len(opening) for opening in openings)
        repeats = torch.tensor([len(opening.draws) for opening in openings], device=self.model.device)
        cache = RowCache(int(repeats.sum()), width, width + longest)
        logits, nexts, start = [], [], 0
        for begin in range(0, len(openings), PREFILL_OPENINGS):
            part = openings[begin : begin + PREFILL_OPENINGS]
            inputs = collate([(opening.prompt, opening.prefix) for opening in part], side="left")
            places = [_places(self.model, opening) for opening in part]
            inputs["position_ids"] = _on_the_right(places, inputs["input_ids"].shape[1])
            output = self.model(**self._moved(inputs), use_cache=True, logits_to_keep=1)
            own = repeats[begin : begin + PREFILL_OPENINGS]
            cache.place(output.past_key_values, start, own)
            logits.append(output.logits[:, -1])
            nexts += [int(place.max()) + 1 for place in places]
            start += int(own.sum())
        after = torch.tensor(nexts, device=self.model.device)
        return cache, torch.cat(logits).repeat_interleave(repeats, dim=0), after.repeat_interleave(repeats)

    def _moved(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Inputs on the model's device, pixels in the type of its weights."""
        kinds = {key: self.model.dtype if value.is_floating_point() else value.dtype for key, value in inputs.items()}
        return {key: value.to(self.model.device, kinds[key]) for key, value in inputs.items()}

    def _decode(self, rows: _Rows, cache: RowCache, logits: torch.Tensor) -> list[Sample]:
        for step in range(rows.longest):
            tokens, logprobs = rows.sampler.choose(logits, step)
            rows.note(step, tokens, logprobs, torch.isin(tokens, self._stop))
            running = int(rows.running.sum())
            if running == 0:
                break
            if running < COMPACT_BELOW * len(tokens):
                keep = rows.running.nonzero()[:, 0]
                tokens = tokens[keep]
                rows.keep(keep)
                cache.keep(keep)
            logits = self.model(
                input_ids=tokens[:, None],
                attention_mask=rows.mask[..., : cache.get_seq_length() + 1],
                position_ids=rows.nexts[:, None] + step,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return rows.samples()


def _places(model: Any, opening: Opening) -> torch.Tensor:
    """Positions [axes, tokens] of an opening: three axes where the model has M-RoPE, else one.

    An image takes fewer positions than tokens there. Text goes on behind the largest one, the same on all axes.
    """
    axes = prompt_axes(model, opening.prompt)
    prompt = torch.arange(len(opening.prompt.input_ids))[None] if axes is None else axes
    behind = prompt.max() + 1 + torch.arange(len(opening.prefix))
    return torch.cat([prompt, behind.expand(len(prompt), -1)], dim=1)


def _on_the_right(places: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Positions of a batch that is padded on the left: [rows, width], or with several axes [axes, rows, width]."""
    padded = torch.zeros((len(places[0]), len(places), width), dtype=torch.long)
    for row, own in enumerate(places):
        padded[:, row, width - own.shape[1] :] = own
    return padded if len(padded) > 1 else padded[0]


def _padding_mask(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """Additive mask [rows, 1, 1, columns]: 0, and minus infinity at the padding on the left."""
    width = int(lengths.max())
    columns = torch.arange(width + longest, device=lengths.device)
    padding = columns < (width - lengths)[:, None]
    return torch.zeros(padding.shape, device=lengths.device).masked_fill(padding, -torch.inf)[:, None, None]
