"""Decides which rows train together, and in which order: by seed and position, never by arrival.

Rows of one question stay together, because they are trained with one copy of its prompt and images. The first pass
takes the shards in their order, so it can begin with the first; every later pass mixes all questions. An optimizer step
takes the next `batch_size` rows, and splits a question where it ends in the middle of one. A budget of updates repeats
rows, or takes equal parts of the shards. What this leaves out: tokens, tensors and the model.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol

from mstar.errors import InvalidDataset
from mstar.layout import STEP_SEPARATOR, scored_segments
from mstar.prompts import PromptForm, prompt_text
from mstar.seeds import derive, permutation
from mstar.train_recipe import TrainRecipe
from mstar.types import SampledTokens, SelectedRow, Sha256, StepLabelRow


@dataclass(frozen=True, slots=True)
class Example:
    """One row of either objective: a prompt with its images, and the segments of one response."""

    prompt: str
    """Text of the user turn."""
    images: tuple[Sha256, ...]
    segments: tuple[str, ...]
    """Pieces of the response: the steps, and the answer block if it has one."""
    labels: tuple[float, ...] = ()
    """A target in [0, 1] for the end of each segment; empty for the objective `sft`."""
    system: str = ""
    """Text of the system turn; without one there is none."""
    tokens: SampledTokens | None = None
    """The response as it was sampled; None for one that came as text."""
    separator: str = STEP_SEPARATOR
    """What stands between the segments of a text."""


Group = tuple[Example, ...]
"""Rows of one prompt and its images."""


def sft_examples(rows: Iterable[SelectedRow], form: PromptForm) -> list[Example]:
    """Selected responses. The prompt never shows the reference answer, not even in warm-up."""
    return [
        Example(
            prompt_text(row.question, form),
            row.question.images,
            scored_segments(row.response, form.step_separator),
            system=form.system,
            tokens=row.tokens,
            separator=form.step_separator,
        )
        for row in rows
    ]


def prm_examples(rows: Iterable[StepLabelRow], separator: str = STEP_SEPARATOR) -> list[Example]:
    """Solutions with a label after every step; one without a step is left out.

    Raises InvalidDataset when the numbers of steps, labels and ends of sampled steps differ.
    """
    examples = []
    for row in rows:
        if row.tokens is not None and len(row.tokens.ends) != len(row.labels):
            raise InvalidDataset(
                f"row {row.id} has {len(row.tokens.ends)} ends of steps and {len(row.labels)} labels: give each one",
                field="tokens",
            )
        if len(row.completions) != len(row.labels):
            raise InvalidDataset(
                f"row {row.id} has {len(row.completions)} completions and {len(row.labels)} labels: give each one",
                field="labels",
            )
        if row.labels:
            labelled = (row.completions, row.labels, row.system, row.tokens, separator)
            examples.append(Example(row.prompt, row.images, *labelled))
    return examples


def grouped(examples: Iterable[Example]) -> list[Group]:
    """Rows by prompt and images, in the order of each group's first row."""
    groups: dict[tuple[str, str, tuple[Sha256, ...]], list[Example]] = {}
    for example in examples:
        # All that comes before the response: rows that differ in any of it cannot share a tree.
        groups.setdefault((example.system, example.prompt, example.images), []).append(example)
    return [tuple(group) for group in groups.values()]


class Shards(Protocol):
    """Rows shard by shard; how many shards there are is known before they have arrived."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sequence[Example]]: ...


def plan(shards: Shards, settings: TrainRecipe, seed: int) -> Iterator[list[Group]]:
    """The optimizer steps of one train step, in the order in which they are taken.

    A shard is read only when it is needed, so later ones may still arrive; all of them are read in the end. Every pass
    has its own order, derived from `seed`, and every row is in it once: without `updates`, the last step of a pass is
    as small as what is left.
    """
    arriving = iter(shards)
    if settings.updates is not None:
        rows = _budgeted(arriving, len(shards), settings.updates * settings.batch_size, seed)
        yield from islice(_filled(rows, settings.batch_size), settings.updates)
        # Read to the end even when the budget is used up: a step must not end before its inputs have.
        for _ in arriving:
            pass
        return
    seen: list[Group] = []

    def first_pass() -> Iterator[Group]:
        for number, shard in enumerate(arriving):
            groups = grouped(shard)
            seen.extend(groups)
            yield from _shuffled(groups, derive(seed, "epoch", 0, number))

    yield from _filled(first_pass(), settings.batch_size)
    for epoch in range(1, settings.epochs):
        yield from _filled(_shuffled(seen, derive(seed, "epoch", epoch)), settings.batch_size)


def count_steps(rows: int, settings: TrainRecipe) -> int:
    """Number of optimizer steps that `plan` makes of `rows` rows."""
    return settings.updates or settings.epochs * -(-rows // settings.batch_size)


def count_visits(rows: int, settings: TrainRecipe) -> int:
    """Number of rows in all steps that `plan` makes of `rows` rows, repeats counted."""
    return settings.updates * settings.batch_size if settings.updates else settings.epochs * rows


def deal(groups: Sequence[Group], ranks: int) -> list[list[Group]]:
    """Groups of each rank: longest first, each to the rank with the least work so far; a rank may get none."""
    # Longest processing time first (Graham, 1969): the longest share is at most 4/3 of the best possible one.
    shares: list[list[Group]] = [[] for _ in range(ranks)]
    load = [0] * ranks
    for group in sorted(groups, key=_size, reverse=True):
        rank = load.index(min(load))
        shares[rank].append(group)
        load[rank] += _size(group)
    return shares


def _shuffled(groups: Sequence[Group], seed: int) -> list[Group]:
    return [groups[place] for place in permutation(len(groups), seed)]


def _budgeted(arriving: Iterator[Sequence[Example]], shards: int, rows: int, seed: int) -> Iterator[Group]:
    """At least `rows` rows, or none where the shards hold none; no row comes twice before each has come once.

    Each shard gives its part of the budget when it arrives, so a small budget takes from all of them. What was cut
    comes next, and then whole passes over everything.
    """
    seen: list[Group] = []
    cut: list[Group] = []
    taken = 0
    for number, shard in enumerate(arriving):
        groups = grouped(shard)
        seen += groups
        # Of the budget so far, so that what a small shard or rounding leaves goes to the next.
        room = rows * (number + 1) // shards - taken
        for group in _shuffled(groups, derive(seed, "epoch", 0, number)):
            now, later = group[:room], group[room:]
            room, taken = room - len(now), taken + len(now)
            if now:
                yield now
            if later:
                cut.append(later)
    yield from _shuffled(cut, derive(seed, "cut"))
    for epoch in count(1) if seen else ():
        yield from _shuffled(seen, derive(seed, "epoch", epoch))


def _filled(groups: Iterable[Group], size: int) -> Iterator[list[Group]]:
    """Steps of exactly `size` rows, except the last."""
    step: list[Group] = []
    room = size
    for group in groups:
        while len(group) >= room:
            yield [*step, group[:room]]
            group, step, room = group[room:], [], size
        if group:
            step.append(group)
            room -= len(group)
    if step:
        yield step


def _size(group: Group) -> int:
    """Length in characters: a measure of work that needs neither tokens nor images."""
    return len(group[0].prompt) + sum(len(segment) for example in group for segment in example.segments)
