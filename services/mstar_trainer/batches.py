"""Which rows train together, and in which order: fixed by seed and place, never by arrival.

An optimizer step takes the next `batch_size` rows of the epoch's order (the last one what is left), sorts them by
length and cuts them into micro-batches, so that little is padded. Lengths are counted in characters, for that is known
without opening an image. What this leaves out: tokens, tensors and the model.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mstar.errors import InvalidDataset
from mstar.layout import scored_segments
from mstar.recipes import TrainRecipe
from mstar.seeds import derive, permutation
from mstar.types import SelectedRow, Sha256, StepLabelRow


@dataclass(frozen=True, slots=True)
class Example:
    """One row of either objective: a prompt with its image, and the segments of one response."""

    prompt: str
    image: Sha256
    segments: tuple[str, ...]
    """Pieces of the response: the steps, and the answer block if it has one."""
    labels: tuple[float, ...] = ()
    """A target in [0, 1] for the end of each segment; empty for the objective `sft`."""

    @property
    def size(self) -> int:
        """Length of prompt and response in characters."""
        return len(self.prompt) + sum(len(segment) for segment in self.segments)


Micro = tuple[int, ...]
"""Places of the rows of one forward pass of one rank; empty where a rank has nothing left to do in a step."""


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """The rows of one update, as one tuple of micro-batches for each rank; all ranks have equally many."""

    shares: tuple[tuple[Micro, ...], ...]


def sft_examples(rows: Iterable[SelectedRow]) -> list[Example]:
    """Selected responses in canonical layout. The prompt never shows the reference answer, not even in warm-up."""
    return [Example(row.question.text, row.question.image, scored_segments(row.response)) for row in rows]


def prm_examples(rows: Iterable[StepLabelRow]) -> list[Example]:
    """Solutions with a label after every step; one without a step teaches nothing and is left out.

    Raises InvalidDataset when the numbers of steps and labels differ.
    """
    examples = []
    for row in rows:
        if len(row.completions) != len(row.labels):
            raise InvalidDataset(
                f"row {row.id} has {len(row.completions)} completions and {len(row.labels)} labels: give each one",
                field="labels",
            )
        if row.labels:
            examples.append(Example(row.prompt, row.image, row.completions, row.labels))
    return examples


def plan(sizes: Sequence[int], settings: TrainRecipe, seed: int) -> Iterator[OptimizerStep]:
    """The optimizer steps of one train step over rows of these sizes, in the order in which they are taken.

    Every epoch has its own permutation, derived from `seed`, and every row is in it once: the last step of an epoch is
    as small as what is left. Fewer rows than `batch_size` are one step.
    """
    for epoch in range(settings.epochs):
        order = permutation(len(sizes), derive(seed, "epoch", epoch))
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            yield OptimizerStep(_shares(rows, sizes, settings))


def count_steps(rows: int, settings: TrainRecipe) -> int:
    """How many optimizer steps `plan` gives for so many rows."""
    return settings.epochs * -(-rows // settings.batch_size)


def _shares(rows: Sequence[int], sizes: Sequence[int], settings: TrainRecipe) -> tuple[tuple[Micro, ...], ...]:
    by_length = sorted(rows, key=lambda place: (sizes[place], place))
    rounds = -(-len(rows) // (settings.micro_batch * settings.ranks))
    count = rounds * settings.ranks
    bounds = [len(rows) * place // count for place in range(count + 1)]
    micros = [tuple(by_length[low:high]) for low, high in pairwise(bounds)]
    return tuple(tuple(micros[rank :: settings.ranks]) for rank in range(settings.ranks))
