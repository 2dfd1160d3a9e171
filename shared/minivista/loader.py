"""Questions with their images, split by split, in a fixed order."""

from collections.abc import Iterator

from minivista import SIZES
from minivista.canvas import png
from minivista.problems import Problem
from minivista.sizes import count_of
from minivista.splits import draws, group_at
from mstar.types import Question


def load_split(split: str, limit: int | None = None, *, oracle: bool = False) -> Iterator[tuple[Question, bytes]]:
    """Yield (question, PNG bytes). The first `limit` questions of a split are the same for every limit.

    `oracle`: with the answers of the unlabelled split, which are hidden otherwise.

    No picture of one split is in another, see `splits`, and none comes twice in its own. Raises InvalidDataset for an
    unknown split or a limit above its size.
    """
    count = count_of("MiniVista", SIZES, split, limit)
    seen: set[str] = set()
    for index in range(count):
        # Earlier places win, so a limit changes no question before it.
        problem, digest = next(pair for pair in draws(split, index) if pair[1] not in seen)
        seen.add(digest)
        yield _question(split, index, problem, digest, oracle), png(problem.picture)


def _question(split: str, index: int, problem: Problem, digest: str, oracle: bool) -> Question:
    labelled = oracle or split != "unlabelled"
    return Question(
        id=f"minivista/{split}/{index:06d}",
        text=problem.question,
        images=(digest,),
        answer=problem.answer if labelled else None,
        group=group_at(index),
        split=split,
        source="minivista",
        gold_steps=problem.steps if labelled else (),
    )
