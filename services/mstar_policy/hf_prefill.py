"""Prefill: computes keys and values of everything before the first sampled token, once where samples share it.

Prefixes of one prompt have image and question in common, and Monte-Carlo prefixes often their first steps too. This
shared prefix is computed once; what one prefix adds to it is computed on top of a copy of the shared keys and values.
What this leaves out: how samples are drawn, and how prompts are grouped into batches (`hf_batches`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from mstar_models.encoding import EncodedPrompt, collate
from mstar_models.packing import prompt_axes
from mstar_models.token_inputs import token_inputs
from mstar_policy.engine import TokenCallback
from mstar_policy.hf_cache import RowCache, only_columns, rows_of
from mstar_policy.hf_sampling import Draw

PREFILL_ROWS = 64
"""Most sequences in one forward pass."""


@dataclass(frozen=True)
class PromptPrefix:
    """A prompt with the beginning of its response, and the samples to draw from there."""

    prompt: EncodedPrompt
    response: tuple[int, ...]
    """Tokens that the response begins with."""
    draws: list[Draw]
    on_tokens: TokenCallback | None = None
    """Called with every token of its samples as it is drawn."""

    def __len__(self) -> int:
        return len(self.prompt.input_ids) + len(self.response)


@dataclass(frozen=True)
class SharedPrefix:
    """The longest token sequence that all prefixes of one prompt begin with."""

    prefixes: Sequence[PromptPrefix]
    prompt: EncodedPrompt
    response: tuple[int, ...]
    """Tokens that all the responses begin with."""

    def __len__(self) -> int:
        return len(self.prompt.input_ids) + len(self.response)

    @property
    def complete(self) -> list[PromptPrefix]:
        """Prefixes that add nothing to it."""
        return [prefix for prefix in self.prefixes if len(prefix) == len(self)]

    @property
    def cost(self) -> int:
        """Tokens computed for all its prefixes."""
        return len(self) + sum(len(prefix) - len(self) for prefix in self.prefixes)


def shared_prefix(prefixes: Sequence[PromptPrefix]) -> SharedPrefix:
    """What prefixes share that all have the same prompt."""
    # The shortest response ends the zip: what all share cannot be longer.
    columns = zip(*(prefix.response for prefix in prefixes), strict=False)
    common = (tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, columns))
    return SharedPrefix(prefixes, prefixes[0].prompt, tuple(common))


@dataclass(frozen=True)
class PrefillChunk:
    """Result of one forward pass: its sequences, and the prefixes that some of them complete."""

    complete: list[tuple[int, PromptPrefix]]
    """Each with the index of its sequence."""
    cache: Cache
    """Keys and values [sequences, key-value heads, columns, head width] of each layer, padded on the left."""
    logits: torch.Tensor
    """[sequences, vocabulary] at the last token of each."""
    next_positions: torch.Tensor
    """[sequences]: the position of the token that follows each."""
    per_token: dict[str, torch.Tensor] = field(default_factory=dict)
    """[sequences, 1, ...]: what the model takes beside the id of every token that follows."""


@dataclass(frozen=True)
class DecodeStart:
    """State of a decoding batch before its first token."""

    prefixes: list[PromptPrefix]
    """In the order of their rows: one row for each draw."""
    cache: Cache
    logits: torch.Tensor
    """[rows, vocabulary]"""
    next_positions: torch.Tensor
    """[rows]: the position of each row's first sampled token."""
    per_token: dict[str, torch.Tensor] = field(default_factory=dict)
    """[rows, 1, ...]: what the model takes beside the id of every sampled token."""


def decode_start(chunks: Sequence[PrefillChunk], batch: Sequence[PromptPrefix], longest: int) -> DecodeStart:
    """One row for each draw of the batch, gathered from prefilled chunks, with room for `longest` sampled tokens."""
    rows, width = sum(len(prefix.draws) for prefix in batch), max(map(len, batch))
    # By identity: prefixes compare by content, and two requests may ask for equal ones.
    cache, wanted = RowCache(rows, width, width + longest), set(map(id, batch))
    prefixes: list[PromptPrefix] = []
    logits, next_positions, first = [], [], 0
    for chunk in chunks:
        complete = [(sequence, prefix) for sequence, prefix in chunk.complete if id(prefix) in wanted]
        # [rows of this chunk]: the sequence that each row continues.
        sequences = torch.tensor(
            [sequence for sequence, prefix in complete for _ in prefix.draws], device=chunk.next_positions.device
        )
        if complete:
            cache.place(chunk.cache, first, sequences)
            prefixes += [prefix for _, prefix in complete]
            # [rows of this chunk, vocabulary]
            logits.append(chunk.logits[sequences])
            next_positions.append(chunk.next_positions[sequences])
            first += len(sequences)
    return DecodeStart(prefixes, cache, torch.cat(logits), torch.cat(next_positions))


@dataclass(frozen=True)
class _Suffix:
    """What one prefix adds to its shared prefix."""

    prefix: PromptPrefix
    row: int
    """Row of the shared prefix in its chunk."""
    tokens: tuple[int, ...]


class Prefill:
    """Prefills batches with one model."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, shared: Sequence[SharedPrefix]) -> list[PrefillChunk]:
        """Chunks that together complete all prefixes, each in exactly one of them."""
        # A chunk that completes none was needed by the suffixes only, and its memory is freed here.
        return [chunk for chunk in self._chunks(shared) if chunk.complete]

    def whole(self, prefixes: Sequence[PromptPrefix]) -> PrefillChunk:
        """One chunk of prefixes of one length and of pixels of one shape, with nothing shared and no padding."""
        group = [SharedPrefix([prefix], prefix.prompt, prefix.response) for prefix in prefixes]
        return self._shared_chunk(group, collate([(one.prompt, one.response) for one in group], side="left"))

    def _chunks(self, shared: Sequence[SharedPrefix]) -> Iterator[PrefillChunk]:
        for group in _same_shapes(shared):
            # Padded on the left, so that the last column of every row is its last token.
            inputs = collate([(one.prompt, one.response) for one in group], side="left")
            chunk = self._shared_chunk(group, inputs)
            yield chunk
            suffixes = [
                _Suffix(prefix, row, prefix.response[len(one.response) :])
                for row, one in enumerate(group)
                for prefix in one.prefixes
                if len(prefix) > len(one)
            ]
            # Neighbours in length need the least padding.
            suffixes.sort(key=lambda suffix: len(suffix.tokens))
            mask = inputs["attention_mask"].to(self._model.device)
            for begin in range(0, len(suffixes), PREFILL_ROWS):
                yield self._suffix_chunk(suffixes[begin : begin + PREFILL_ROWS], chunk, mask)

    def _shared_chunk(self, group: Sequence[SharedPrefix], inputs: dict[str, torch.Tensor]) -> PrefillChunk:
        """Compute shared prefixes, one a row.

        `inputs`: `input_ids` and `attention_mask` [len(group), columns], and the pixels of all images.
        """
        positions = [_positions(self._model, one) for one in group]
        width = inputs["input_ids"].shape[1]
        inputs = inputs | {"position_ids": _left_padded(positions, width)}
        inputs |= token_inputs(self._model, [(one.prompt, len(one)) for one in group], width, "left")
        return PrefillChunk(
            complete=[(row, prefix) for row, one in enumerate(group) for prefix in one.complete],
            next_positions=self._on_device([int(own.max()) + 1 for own in positions]),
            # Every later token is text and sees what the last one sees of the images: [sequences, 1, ...].
            per_token={name: inputs[name][:, -1:].to(self._model.device) for name in group[0].prompt.per_token},
            **self._forward(inputs),
        )

    def _suffix_chunk(self, suffixes: Sequence[_Suffix], shared: PrefillChunk, mask: torch.Tensor) -> PrefillChunk:
        """Compute suffixes on top of their shared prefixes; `mask` [sequences, columns]: where those have tokens."""
        rows = self._on_device([suffix.row for suffix in suffixes])
        width = max(len(suffix.tokens) for suffix in suffixes)
        own = [EncodedPrompt(list(suffix.tokens)) for suffix in suffixes]
        inputs = {
            key: value.to(self._model.device) for key, value in collate([(one, ()) for one in own], "left").items()
        }
        lengths = inputs["attention_mask"].sum(dim=1)  # [rows]
        # Text after the images has the same position on all axes. Padding is masked, so its position may be any.
        starts = shared.next_positions[rows] - width + lengths
        positions = starts[:, None] + torch.arange(width, device=rows.device)  # [rows, width]
        seen = torch.cat([mask[rows], inputs["attention_mask"]], dim=1)  # [rows, columns + width]
        inputs |= {"attention_mask": seen, "position_ids": positions.clamp(min=0)}
        # A copy, because the forward pass appends to it and the next suffixes begin from the same shared prefix.
        found = self._forward(inputs, past_key_values=rows_of(shared.cache, rows))
        # Padding may lie between shared prefix and suffix. A stable sort moves all of it to the left.
        only_columns(found["cache"], seen.argsort(dim=1, stable=True)[:, -int(seen.sum(dim=1).max()) :])
        return PrefillChunk(
            complete=[(row, suffix.prefix) for row, suffix in enumerate(suffixes)],
            next_positions=shared.next_positions[rows] + lengths,
            **found,
        )

    def _forward(self, inputs: dict[str, torch.Tensor], past_key_values: DynamicCache | None = None) -> dict[str, Any]:
        """Run the model on `input_ids` [sequences, columns]; return its cache and logits [sequences, vocabulary].

        The logits are those of the last column. Pixels are cast to the type of the weights.
        """
        kinds = {key: self._model.dtype if value.is_floating_point() else value.dtype for key, value in inputs.items()}
        moved = {key: value.to(self._model.device, kinds[key]) for key, value in inputs.items()}
        # Some models make no cache of their own.
        past = DynamicCache(config=self._model.config) if past_key_values is None else past_key_values
        # Logits of every column would take columns × vocabulary floats a sequence; sampling needs the last one's only.
        output = self._model(**moved, past_key_values=past, use_cache=True, logits_to_keep=1)
        return {"cache": output.past_key_values, "logits": output.logits[:, -1]}

    def _on_device(self, numbers: Sequence[int]) -> torch.Tensor:
        """Numbers as a tensor [len(numbers)] on the device of the model."""
        return torch.tensor(numbers, dtype=torch.long, device=self._model.device)


def _same_shapes(shared: Sequence[SharedPrefix]) -> Iterator[list[SharedPrefix]]:
    """Groups that can share a forward pass: their pixels have one shape, and they are neighbours in length."""
    order = sorted(shared, key=lambda one: (one.prompt.pixel_shapes, len(one)))
    for _, group in groupby(order, key=lambda one: one.prompt.pixel_shapes):
        alike = list(group)
        yield from (alike[begin : begin + PREFILL_ROWS] for begin in range(0, len(alike), PREFILL_ROWS))


def _positions(model: Any, shared: SharedPrefix) -> torch.Tensor:
    """Positions [axes, tokens] of a shared prefix: three axes where the model has M-RoPE, else one.

    With M-RoPE an image takes fewer positions than tokens (Qwen2-VL, arXiv 2409.12191, section 2.1). Text continues
    after the largest position, the same on all axes.
    """
    prompt = prompt_positions(model, shared.prompt)
    after = prompt.max() + 1 + torch.arange(len(shared.response))
    return torch.cat([prompt, after.expand(len(prompt), -1)], dim=1)


def prompt_positions(model: Any, prompt: EncodedPrompt) -> torch.Tensor:
    """Positions [axes, P] of a prompt alone."""
    axes = prompt_axes(model, prompt)
    return torch.arange(len(prompt.input_ids))[None] if axes is None else axes


def _left_padded(positions: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Positions, each [axes, tokens], as one batch padded on the left: [rows, width], or [axes, rows, width]."""
    padded = torch.zeros((len(positions[0]), len(positions), width), dtype=torch.long)
    for row, own in enumerate(positions):
        padded[:, row, width - own.shape[1] :] = own
    return padded if len(padded) > 1 else padded[0]
