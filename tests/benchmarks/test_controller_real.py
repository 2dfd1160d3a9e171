"""Parts of a real sweep: their average is the truth, and a part is worth what the project's own metric says."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.controller import PAGE, REAL, with_real
from benchmarks.controller_real import (
    CANDIDATES,
    KEPT,
    OUT,
    QUESTIONS,
    REFERENCE,
    RULES,
    SAMPLES,
    Sweep,
    measured,
    section,
    sweep_of,
    swept,
)
from benchmarks.controller_records import regrets

from mstar.metrics import MINIMUM, reward_pass_at_k
from mstar.recipes import parse_recipe
from mstar.types import CheckedResponse, FinishReason, Question, Response, RolloutRow, ScoreRow, StepScores, Verdict
from mstar_artefacts.store import ArtefactStore

GRID = (0.4, 1.0, 1.6)


def drawn(seed: int, questions: int = 100, n: int = 16, levels: tuple[float, ...] = (0.5, 0.3, 0.1)) -> Sweep:
    """A sweep whose responses are right by chance, and ranked by chance."""
    generator = np.random.default_rng(seed)
    luck = generator.random((questions, 1, n)) + generator.normal(0, 0.1, (questions, 3, n))
    order = np.argsort(generator.random((questions, 3, n)), axis=2)
    right = np.take_along_axis(luck < np.array(levels)[None, :, None], order, axis=2)
    return Sweep(seed=seed, iteration=1, grid=GRID, order=order, right=right)


@pytest.mark.parametrize("common", [True, False])
def test_the_truth_is_what_parts_show_on_average(common: bool) -> None:
    sweep, generator = drawn(0), np.random.default_rng(1)
    parts = [sweep.draw(generator, QUESTIONS, common=common) for _ in range(60)]
    means = [np.mean([np.mean([*part[temperature].values()]) for part in parts]) for temperature in GRID]
    assert means == pytest.approx(list(sweep.truth()), abs=0.02)


def test_common_places_are_the_same_at_all_temperatures_and_others_are_not() -> None:
    # Ranked by place and right by place, so that equal places have equal outcomes.
    order = np.tile(np.arange(16), (200, 3, 1))
    right = np.random.default_rng(0).random((200, 1, 16)).repeat(3, axis=1) < 0.3
    sweep, generator = Sweep(0, 1, GRID, order, right), np.random.default_rng(1)
    for common in (True, False):
        part = sweep.draw(generator, 100, common=common)
        assert (part[0.4] == part[1.0]) is common


def test_a_part_is_worth_what_reward_pass_at_k_says() -> None:
    rows, scores = zip(*(rated(str(question), t, question) for question in range(6) for t in GRID), strict=True)
    sweep = sweep_of(7, 1, rows, scores, MINIMUM)
    whole = [0.0] * len(GRID)
    for (place, row), score in zip(enumerate(rows), scores, strict=True):
        parts = list(itertools.combinations(range(10), SAMPLES))
        worth = [
            reward_pass_at_k(
                [row.model_copy(update={"responses": tuple(row.responses[one] for one in part)})], [score], KEPT, 7
            )
            for part in parts
        ]
        whole[place % 3] += sum(worth) / len(parts) / 6
    assert whole == pytest.approx(list(sweep.truth()))


def test_a_run_is_read_as_far_as_its_sweeps_are_whole(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "name": "x",
            "seed": 7,
            "generation": {"shard_questions": 2},
            "evolution": {"iterations": 2},
            "exploration": {"start": 1, "every": 1, "grid": GRID, "questions": 3, "n": 10},
        }
    )
    store = ArtefactStore(tmp_path)
    rows, scores = zip(*(rated(str(question), t, question) for question in range(3) for t in GRID), strict=True)
    for shard, part in enumerate((slice(0, 6), slice(6, 9))):
        store.write_rows(f"r-1/it01/sweep/generate/{shard:04d}", rows[part], {})
        store.write_rows(f"r-1/it01/sweep/score/{shard:04d}", scores[part], {})
    store.write_rows("r-1/it02/sweep/generate/0000", rows[:6], {})
    (found,) = swept(store, "r-1", recipe)
    assert (found.seed, found.iteration, found.grid, found.order.shape) == (7, 1, GRID, (3, 3, 10))
    assert found.right.sum() == sum(one.verdict.correct for row in rows for one in row.responses)


def rated(question: str, temperature: float, seed: int) -> tuple[RolloutRow, ScoreRow]:
    """Ten responses, of which some share a score."""
    draw = np.random.default_rng([seed, round(10 * temperature)])
    row = RolloutRow(
        question=Question(id=question, text="?", images=(), answer=None, split="validation"),
        temperature=temperature,
        weight_version="w",
        responses=tuple(
            CheckedResponse(
                index=index,
                response=Response(text="a", token_ids=(), finish_reason=FinishReason.STOP),
                verdict=Verdict(correct=bool(draw.random() < 0.3), reason="x"),
            )
            for index in range(10)
        ),
    )
    steps = tuple(StepScores(index=one, steps=("a", "b"), scores=(draw.integers(3) / 4, 0.9)) for one in range(10))
    return row, ScoreRow(question_id=question, prm_version="p", responses=steps)


def test_too_few_sweeps_decide_nothing_and_the_page_shows_all() -> None:
    record = measured([drawn(seed) for seed in range(2)], draws=4)
    assert [one["wins"] for one in record["verdicts"]] == [False] * 2 * len(CANDIDATES)
    text = section(record)
    assert text.count("\n| 1, 1 |") == 1 and all(f"| {rule.name} | {rule.cost:g} |" in text for rule in RULES)
    assert with_real(with_real("a\n", "b"), text) == f"a\n\n{REAL}\n{text}"
    assert REFERENCE in RULES


def test_regret_is_counted_against_the_others_curves() -> None:
    same = {0.4: 0.5, 1.0: 0.4}
    assert regrets([same, same]) == pytest.approx((0.0, 10.0))
    # The second one's arg-max costs what the first one loses there, and the other way round.
    assert regrets([same, {0.4: 0.3, 1.0: 0.6}]) == pytest.approx(((30 + 10) / 2, (0 + 10) / 2))


def test_the_page_ends_with_what_was_recorded() -> None:
    record = json.loads(OUT.read_bytes()) if OUT.is_file() else {"sweeps": []}
    page = PAGE.read_text(encoding="utf-8")
    assert with_real(page, section(record)) == page
