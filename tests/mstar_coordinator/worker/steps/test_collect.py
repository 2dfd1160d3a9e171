"""The PRM's training set: hard labels, and balance between poor and good solutions."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mstar.recipes import LabelRule
from mstar.stages.collect import CollectParams, CollectResult
from mstar.types import Answer, AnswerType, StepLabelRow
from mstar_coordinator.worker.steps import collect
from small_png import small_png
from work_bench import Bench


def row(name: str, *labels: float) -> StepLabelRow:
    return StepLabelRow(
        id=name,
        prompt="?",
        completions=("step",) * len(labels),
        labels=labels,
        images=("0" * 64,),
        answer=Answer(type=AnswerType.INTEGER, value="1"),
        mc_successes=tuple(round(8 * label) for label in labels),
        mc_rollouts=(8,) * len(labels),
        weight_version="w",
    )


def collected(bench: Bench, rule: LabelRule, *, balance: bool) -> tuple[list[StepLabelRow], CollectResult]:
    params = CollectParams(rows=("a", "b"), label=rule, balance=balance)
    artefact, result = collect.run(bench.step("collect", params))
    assert artefact is not None
    assert isinstance(result, CollectResult)
    return list(bench.store.rows(artefact, StepLabelRow)), result


def test_shards_are_joined_in_order_with_soft_or_hard_labels(bench: Bench) -> None:
    bench.keep("a", [row("1", 0.25, 0.0)])
    bench.keep("b", [row("2", 1.0)])
    soft, result = collected(bench, LabelRule.SOFT, balance=False)
    assert [one.labels for one in soft] == [(0.25, 0.0), (1.0,)]
    assert (result.solutions, result.kept, result.steps) == (2, 2, 3)
    bench.store.path("r-1/collect").rename(bench.store.path("r-1/soft"))
    hard, _ = collected(bench, LabelRule.HARD, balance=False)
    assert [one.labels for one in hard] == [(1.0, 0.0), (1.0,)]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 9))
def test_balance_keeps_all_of_the_smaller_side_and_as_many_of_the_larger(labels: list[float], seed: int) -> None:
    rows = [row(str(place), 1.0, label) for place, label in enumerate(labels)]
    kept = collect.balanced(rows, seed)
    poor = [one for one in rows if min(one.labels) < collect.MIDDLE]
    smaller = min(len(poor), len(rows) - len(poor))
    assert kept == [one for one in rows if one in kept]
    if smaller:
        assert sum(one in poor for one in kept) == smaller == len(kept) - smaller
    else:
        assert kept == rows


def test_labelled_solutions_come_from_the_data_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    folder = Path(bench.recipe.data.source) / "steps"
    folder.mkdir()
    (folder / "a.png").write_bytes(small_png(99))
    rows = [
        {"file_name": "a.png", "question": "?", "id": "s1", "completions": ["a", "b"], "labels": [True, False],
         "soft_labels": [0.9, 0.0], "answer": 3},
        {"file_name": "a.png", "prompt": "!", "id": "s2", "completions": ["c"], "labels": [True]},
    ]  # fmt: skip
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bench.use_prm(savings=True)
    assert bench.recipe.prm is not None
    plan = bench.recipe.prm.model_copy(update={"given": 2})
    bench.recipe = bench.recipe.model_copy(update={"prm": plan})
    bench.prepare()
    params = CollectParams(rows=(), given=True, label=LabelRule.SOFT, balance=False)
    artefact, result = collect.run(bench.step("reward/collect", params))
    assert artefact is not None and isinstance(result, CollectResult)
    first, second = bench.store.rows(artefact, StepLabelRow)
    assert (first.completions, first.labels, first.weight_version) == (("a", "b"), (0.9, 0.0), "")
    assert first.prompt.startswith("?") and first.answer is not None and second.answer is None
    assert bench.images.get(first.images[0]) == small_png(99) and (result.solutions, result.steps) == (2, 3)
