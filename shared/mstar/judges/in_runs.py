"""Published benchmarks in a run or an evaluation: which they are, how they are asked, and how they are judged."""

from collections.abc import Mapping, Sequence

from mstar.answers.options import LETTERS
from mstar.judges import BENCHMARKS
from mstar.judges.asking import Asking
from mstar.judges.benchmark import Benchmark, Item
from mstar.judges.tables import Judged, TableRow, lines
from mstar.recipes import Recipe
from mstar.types import Question, RolloutRow, Sha256, Verdict


def official_sets(recipe: Recipe) -> dict[str, Benchmark]:
    """The sets that are read from the benchmarks' published files: of `evaluation.sets`, or all of an evaluation."""
    if recipe.measure is not None:
        return {name: BENCHMARKS[name] for name in recipe.measure.sets}
    if recipe.evaluation.benchmarks is None:
        return {}
    return {name: BENCHMARKS[name] for name in recipe.evaluation.sets if name in BENCHMARKS}


def asking_of(recipe: Recipe) -> Asking:
    """The official prompt with the run's instruction, as `mstar eval` asks the policy of a run.

    An evaluation has said what it adds.
    """
    if recipe.measure is not None:
        return Asking(name=recipe.measure.prompt, form=recipe.measure.form)
    return Asking(name="run", form=recipe.form)


def question_of(benchmark: Benchmark, item: Item, image: Sha256, asking: Asking) -> Question:
    """An item as a run samples it: its text is the whole user turn, and it has no answer for the answer check."""
    # Without an answer, so that neither selection nor the answer check can ever train on a benchmark.
    return Question(
        id=question_id(benchmark, item),
        text=asking.text(benchmark, item),
        images=(image,),
        group=item.group,
        split=benchmark.name,
        source=benchmark.title,
    )


def question_id(benchmark: Benchmark, item: Item) -> str:
    """Id of the question that an item becomes; the seed of its samples follows from it."""
    return f"{benchmark.name}/{item.id}"


def reference_of(item: Item) -> str:
    """The right answer as it is shown to people: for a choice its letter and its text."""
    place = LETTERS.find(item.gold) if item.options and len(item.gold) == 1 else -1
    return f"({item.gold}) {item.options[place]}" if 0 <= place < len(item.options) else item.gold


def verdict_of(benchmark: Benchmark, item: Item, response: str, asking: Asking) -> Verdict:
    """By the official rule."""
    if not response:
        return Verdict(correct=False, reason="no-response")
    return benchmark.judge(asking.readable(response), item)


def line_of(benchmark: Benchmark, items: Mapping[str, Item], rows: Sequence[RolloutRow]) -> TableRow:
    """The benchmark's line for greedy answers: its columns and its own kind of average.

    `items`: by the question's id. Raises ValueError for no row.
    """
    judged = [Judged(items[row.question.id], (any(one.verdict.correct for one in row.responses[:1]),)) for row in rows]
    return lines(benchmark, judged)[0]
