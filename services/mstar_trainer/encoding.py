"""Encodes groups of examples as packed tensors: prompt and images once, then the responses as a tree.

A response that the policy sampled is trained on as it was sampled, token by token. Prompts, which never contain the
reference answer, and responses that came as text are encoded by `mstar_models.encoding`, as in policy and PRM.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from mstar.types import Sha256
from mstar_artefacts.storage import Storage, storage_of
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments
from mstar_models.images import ImageGate
from mstar_models.layout import SequenceLayout
from mstar_models.loading import load_processor
from mstar_models.packing import Packed
from mstar_models.special_tokens import end_of_turn, turn_ends
from mstar_models.spelling import cut, vocabulary_digest
from mstar_models.suitability import require_fit
from mstar_trainer.batches import Example, Group
from mstar_trainer.loss import MicroBatch


@dataclass(slots=True)
class Tree:
    """One prompt with some of its responses, T tokens, and P scored places."""

    images: tuple[Sha256, ...]
    layout: SequenceLayout
    prompt: EncodedPrompt
    packed: Packed
    columns: list[int] = field(default_factory=list)
    """P indices of tokens whose hidden state is read; a step that responses share is there once for each."""
    targets: list[float] = field(default_factory=list)
    """P targets: ids of the next tokens, or labels."""

    def add(self, pieces: Sequence[tuple[int, ...]], labels: Sequence[float]) -> None:
        """Add a response after the prompt, `pieces` being the tokens of its segments.

        With labels the end of each segment is scored, without them every token is a target.
        """
        before = len(self.prompt.input_ids) - 1
        self.packed.add(pieces)
        ends = self.packed.ends[-1]
        if labels:
            self.columns += ends
            self.targets += labels
            return
        for end, tokens in zip(ends, pieces, strict=True):
            # The hidden state of a token predicts the next one. The token before a segment need not be its neighbour
            # in the packed sequence: shared segments are packed once.
            self.columns += [before, *range(end - len(tokens) + 1, end)]
            self.targets += tokens
            before = end


class ExampleEncoder:
    """Encodes examples for one model."""

    def __init__(self, model_folder: Path, home: Path | Storage, model: Any) -> None:
        """Raises InvalidInput for a model whose response does not continue its prompt, or without rows for its ids."""
        self.layout = SequenceLayout(model)
        processor = load_processor(model_folder)
        self.tokenizer = processor.tokenizer
        self._vocabulary = vocabulary_digest(self.tokenizer)
        self._end = end_of_turn(processor)
        require_fit(model_folder, model, processor, {self._end})
        self.ends = turn_ends(model_folder, processor)
        """Tokens that end a response."""
        self._prompts = PromptEncoder(processor)
        self._gate = ImageGate()
        self._images = storage_of(home).images()

    def trees(self, groups: Sequence[Group], budget: int) -> list[Tree]:
        """A tree for each group, or several where one would exceed `budget` tokens or the model takes no trees.

        Raises NotFound or InvalidImage for an image that cannot be read.
        """
        self._images.bring(image for group in groups for image in group[0].images)
        return [tree for group in groups for tree in self._grow(group, budget)]

    def _grow(self, group: Group, budget: int) -> Iterator[Tree]:
        pictures = [self._gate.decode(self._images.get(image)) for image in group[0].images]
        prompt = self._prompts.encode(group[0].prompt, pictures, group[0].system)
        tree = Tree(group[0].images, self.layout, prompt, self.layout.start(prompt))
        for example in group:
            pieces = self._pieces(example)
            # Another tree has its own copy of the prompt; the scored places stay the same, so the loss does too.
            if not self.layout.takes(tree.packed, pieces, budget):
                yield tree
                tree = Tree(group[0].images, self.layout, prompt, self.layout.another(tree.packed))
            tree.add(pieces, example.labels)
        yield tree

    def tree(self, example: Example, pictures: Sequence[Image]) -> Tree:
        """The tree of one example whose pictures are there already."""
        prompt = self._prompts.encode(example.prompt, pictures, example.system)
        tree = Tree(example.images, self.layout, prompt, self.layout.start(prompt))
        tree.add(self._pieces(example), example.labels)
        return tree

    def _pieces(self, example: Example) -> list[tuple[int, ...]]:
        """Token ids of each segment: those that were sampled, or those of the text.

        Where the response itself is trained on, the last piece ends the turn: with the token that was sampled there, or
        with the one that the chat template writes.
        """
        sampled = example.tokens
        if sampled is None or sampled.vocabulary != self._vocabulary:
            # Ids of another vocabulary mean other tokens, so its text is what counts.
            ids, ends = encode_segments(self.tokenizer, example.segments, example.separator)
            whole = [*ids, self._end]
        else:
            ids, ends, whole = list(sampled.ids), list(sampled.ends), list(sampled.ids)
        if example.labels:
            return cut(ids, ends)
        return [piece for piece in cut(whole, [*ends[:-1], len(whole)]) if piece]


def micro_batches(trees: Sequence[Tree], budget: int, device: torch.device) -> list[MicroBatch]:
    """Batches of trees that are similar in length, with at most `budget` tokens each, padding included, or one tree.

    Tensors have the shapes that `MicroBatch` says. Images of different shapes are in different batches.
    """
    batches: list[list[Tree]] = []
    order = sorted(trees, key=lambda tree: (tree.prompt.pixel_shapes, len(tree.packed.ids)))
    for _, alike in groupby(order, key=lambda tree: tree.prompt.pixel_shapes):
        batches.append([])
        for tree in alike:
            # The newest tree is the longest, so it gives the width.
            if batches[-1] and (len(batches[-1]) + 1) * len(tree.packed.ids) > budget:
                batches.append([])
            batches[-1].append(tree)
    return [_batch(batch, device) for batch in batches]


def _batch(trees: Sequence[Tree], device: torch.device) -> MicroBatch:
    inputs = trees[0].layout.inputs([(tree.prompt, tree.packed) for tree in trees])
    rows = [row for row, tree in enumerate(trees) for _ in tree.columns]  # [P]
    targets = [target for tree in trees for target in tree.targets]
    kind = torch.int64 if isinstance(targets[0], int) else torch.float32
    return MicroBatch(
        inputs={name: tensor.to(device) for name, tensor in inputs.items()},
        images=tuple((tree.images, tree.prompt.pixels) for tree in trees),
        rows=torch.tensor(rows, device=device),
        columns=torch.tensor([column for tree in trees for column in tree.columns], device=device),
        targets=torch.tensor(targets, dtype=kind, device=device),
    )
