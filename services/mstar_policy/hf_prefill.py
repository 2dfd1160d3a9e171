"""Prefill: keys and values of all that stands before the first token of each sample, computed once where it is shared.

Openings of one prompt have image and question in common, and Monte-Carlo prefixes often their first steps too. This
stem is computed once; what an opening adds to it is computed behind a copy of the stem's keys and values. What this
leaves out: how samples are drawn, and what is prefilled and decoded together (`hf_batches`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from mstar_models.encoding import EncodedPrompt, collate
from mstar_models.packing import prompt_axes
from mstar_models.suitability import image_kinds
from mstar_policy.engine import TokenCallback
from mstar_policy.hf_cache import RowCache, only_columns, rows_of
from mstar_policy.hf_sampling import Draw

PREFILL_ROWS = 64
"""Sequences of one forward pass at most."""


@dataclass(frozen=True)
class Opening:
    """Where samples begin: a prompt with the beginning of its response, and the samples to draw from there."""

    prompt: EncodedPrompt
    prefix: tuple[int, ...]
    draws: list[Draw]
    on_tokens: TokenCallback | None = None
    """Called with every token of its samples as it is drawn."""

    def __len__(self) -> int:
        return len(self.prompt.input_ids) + len(self.prefix)


@dataclass(frozen=True)
class Stem:
    """What openings of one prompt have in common: the prompt, and as much of their prefixes."""

    openings: Sequence[Opening]
    prompt: EncodedPrompt
    common: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt.input_ids) + len(self.common)

    @property
    def ends(self) -> list[Opening]:
        """Openings that add nothing to it."""
        return [opening for opening in self.openings if len(opening) == len(self)]

    @property
    def cost(self) -> int:
        """Tokens computed for all its openings."""
        return len(self) + sum(len(opening) - len(self) for opening in self.openings)


def stem_of(openings: Sequence[Opening]) -> Stem:
    """The stem of openings that all have the same prompt."""
    columns = zip(*(opening.prefix for opening in openings), strict=False)
    common = (tokens[0] for tokens in takewhile(lambda tokens: len(set(tokens)) == 1, columns))
    return Stem(openings, openings[0].prompt, tuple(common))


@dataclass(frozen=True)
class Piece:
    """Sequences that went through the model together, and the openings that begin behind some of them."""

    begun: list[tuple[int, Opening]]
    """With the place of the sequence."""
    cache: Cache
    logits: torch.Tensor
    """[sequences, vocabulary]"""
    nexts: torch.Tensor
    """[sequences]: the position behind each."""


@dataclass(frozen=True)
class Start:
    """All rows of a batch, ready for their first token."""

    openings: list[Opening]
    """In the order of their rows: one row for each draw."""
    cache: RowCache
    logits: torch.Tensor
    """[rows, vocabulary]"""
    nexts: torch.Tensor
    """[rows]: the position that a row's first token has."""


def start_of(pieces: Sequence[Piece], batch: Sequence[Opening], longest: int) -> Start:
    """Rows for some of the openings that the pieces begin, with room for `longest` more tokens."""
    rows, width = sum(len(opening.draws) for opening in batch), max(map(len, batch))
    cache, wanted = RowCache(rows, width, width + longest), set(map(id, batch))
    openings: list[Opening] = []
    logits, nexts, first = [], [], 0
    for piece in pieces:
        begun = [(place, opening) for place, opening in piece.begun if id(opening) in wanted]
        # One entry for each row: the place of its sequence.
        places = torch.tensor([place for place, opening in begun for _ in opening.draws], device=piece.nexts.device)
        if begun:
            cache.place(piece.cache, first, places)
            openings += [opening for _, opening in begun]
            logits.append(piece.logits[places])
            nexts.append(piece.nexts[places])
            first += len(places)
    return Start(openings, cache, torch.cat(logits), torch.cat(nexts))


@dataclass(frozen=True)
class _Branch:
    """What an opening adds to its stem."""

    opening: Opening
    row: int
    """Of the stem in its piece."""
    tokens: tuple[int, ...]


class Prefill:
    """Prefills batches over one model."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, stems: Sequence[Stem]) -> list[Piece]:
        """Pieces that begin all openings of the stems."""
        return [piece for piece in self._pieces(stems) if piece.begun]

    def _pieces(self, stems: Sequence[Stem]) -> Iterator[Piece]:
        for part in _alike(stems):
            inputs = collate([(stem.prompt, stem.common) for stem in part], side="left")
            piece = self._stems(part, inputs)
            yield piece
            branches = [
                _Branch(opening, row, opening.prefix[len(stem.common) :])
                for row, stem in enumerate(part)
                for opening in stem.openings
                if len(opening) > len(stem)
            ]
            branches.sort(key=lambda branch: len(branch.tokens))
            mask = inputs["attention_mask"].to(self._model.device)
            for begin in range(0, len(branches), PREFILL_ROWS):
                yield self._branches(branches[begin : begin + PREFILL_ROWS], piece, mask)

    def _stems(self, part: Sequence[Stem], inputs: dict[str, torch.Tensor]) -> Piece:
        places = [_places(self._model, stem) for stem in part]
        ids = inputs["input_ids"]
        inputs = inputs | {"position_ids": _on_the_right(places, ids.shape[1])} | image_kinds(self._model, ids)
        return Piece(
            begun=[(row, opening) for row, stem in enumerate(part) for opening in stem.ends],
            nexts=self._here([int(place.max()) + 1 for place in places]),
            **self._forward(inputs),
        )

    def _branches(self, branches: Sequence[_Branch], stems: Piece, mask: torch.Tensor) -> Piece:
        """`mask` [stems, columns]: where the stems have tokens."""
        rows = self._here([branch.row for branch in branches])
        width = max(len(branch.tokens) for branch in branches)
        own = [EncodedPrompt(list(branch.tokens)) for branch in branches]
        inputs = {
            key: value.to(self._model.device) for key, value in collate([(one, ()) for one in own], "left").items()
        }
        lengths = inputs["attention_mask"].sum(dim=1)
        # Text behind the stem has the same position on all axes. Padding may have any: nothing looks at it.
        positions = (stems.nexts[rows] - width + lengths)[:, None] + torch.arange(width, device=rows.device)
        seen = torch.cat([mask[rows], inputs["attention_mask"]], dim=1)
        inputs |= {"attention_mask": seen, "position_ids": positions.clamp(min=0)}
        found = self._forward(inputs, past_key_values=rows_of(stems.cache, rows))
        # Between stem and branch may be padding. What is not padding moves to the right, in its order.
        only_columns(found["cache"], seen.argsort(dim=1, stable=True)[:, -int(seen.sum(dim=1).max()) :])
        return Piece(
            begun=[(row, branch.opening) for row, branch in enumerate(branches)],
            nexts=stems.nexts[rows] + lengths,
            **found,
        )

    def _forward(self, inputs: dict[str, torch.Tensor], past_key_values: DynamicCache | None = None) -> dict[str, Any]:
        """Cache, and logits [sequences, vocabulary] of the last column; pixels in the type of the weights."""
        kinds = {key: self._model.dtype if value.is_floating_point() else value.dtype for key, value in inputs.items()}
        moved = {key: value.to(self._model.device, kinds[key]) for key, value in inputs.items()}
        output = self._model(**moved, past_key_values=past_key_values, use_cache=True, logits_to_keep=1)
        return {"cache": output.past_key_values, "logits": output.logits[:, -1]}

    def _here(self, numbers: Sequence[int]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self._model.device)


def _alike(stems: Sequence[Stem]) -> Iterator[list[Stem]]:
    """Stems that can share a forward pass: their pixels have one shape, and they are neighbours in length."""
    order = sorted(stems, key=lambda stem: (stem.prompt.pixel_shapes, len(stem)))
    for _, group in groupby(order, key=lambda stem: stem.prompt.pixel_shapes):
        alike = list(group)
        yield from (alike[begin : begin + PREFILL_ROWS] for begin in range(0, len(alike), PREFILL_ROWS))


def _places(model: Any, stem: Stem) -> torch.Tensor:
    """Positions [axes, tokens] of a stem: three axes where the model has M-RoPE, else one.

    An image takes fewer positions than tokens there. Text goes on behind the largest one, the same on all axes.
    """
    axes = prompt_axes(model, stem.prompt)
    prompt = torch.arange(len(stem.prompt.input_ids))[None] if axes is None else axes
    behind = prompt.max() + 1 + torch.arange(len(stem.common))
    return torch.cat([prompt, behind.expand(len(prompt), -1)], dim=1)


def _on_the_right(places: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    """Positions of a batch that is padded on the left: [rows, width], or with several axes [axes, rows, width]."""
    padded = torch.zeros((len(places[0]), len(places), width), dtype=torch.long)
    for row, own in enumerate(places):
        padded[:, row, width - own.shape[1] :] = own
    return padded if len(padded) > 1 else padded[0]
