"""Careful attempts: one question at a time, each named before it is begun, suspects last, and equal rows at the end."""

from pathlib import Path

import pytest

from mstar.api.steps import Claim
from mstar.stages.generate import GenerateParams, Sampling
from mstar.stages.label import LabelParams
from mstar.stages.score import ScoreParams
from mstar.steps import DoneResult
from mstar.types import RolloutRow, ScoreRow, StepLabelRow
from mstar_coordinator.worker.context import ClaimedStep, Params
from mstar_coordinator.worker.steps import generate, label, score
from work_bench import Bench

GENERATE = GenerateParams(
    purpose="it01",
    split="train",
    start=0,
    count=4,
    draws=(Sampling(n=4, temperature=1.0), Sampling(n=2, temperature=0.5)),
    weights="prepare",
)
ROWS = "it01/generate/0000"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.prepare()
    return bench


class Careful:
    """Claims of careful attempts, and the questions that they named, each with how many requests were sent before."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.named: list[str] = []

    def step(self, name: str, params: Params, **claimed: object) -> ClaimedStep[Params]:
        claim: Claim = self.bench.claim(name, params).model_copy(update=claimed)
        return ClaimedStep(claim, params, self.report, self.bench.context)

    def report(self, done: int, total: int, question: str | None = None) -> None:
        if question is not None:
            self.named.append(question)


@pytest.fixture
def sampled(bench: Bench) -> list[RolloutRow]:
    ref, _ = generate.run(bench.step(ROWS, GENERATE))
    assert ref is not None
    bench.done(ROWS, ref, DoneResult())
    return list(bench.store.rows(ref, RolloutRow))


def test_rollouts_are_the_same_one_question_at_a_time(bench: Bench, sampled: list[RolloutRow]) -> None:
    questions = list(dict.fromkeys(row.question.id for row in sampled))
    careful = Careful(bench)
    suspects = (questions[0], questions[2])
    ref, result = generate.run(careful.step("it01/generate/0001", GENERATE, careful=True, suspects=suspects))
    assert ref is not None and result.questions == 4
    assert list(bench.store.rows(ref, RolloutRow)) == sampled
    assert careful.named == [questions[1], questions[3], questions[0], questions[2]]
    assert [len(request.prompts) for request in bench.policy.rollouts[1:]] == [2, 2, 2, 2]


def test_what_is_in_quarantine_is_neither_sampled_nor_read(bench: Bench, sampled: list[RolloutRow]) -> None:
    out = sampled[2].question.id
    careful = Careful(bench)
    ref, result = generate.run(careful.step("it01/generate/0002", GENERATE, quarantined=(out,)))
    assert ref is not None and result.questions == 3
    rest = [row for row in sampled if row.question.id != out]
    assert list(bench.store.rows(ref, RolloutRow)) == rest
    assert list(careful.step("it01/x", GENERATE, quarantined=(out,)).rows((ROWS,), RolloutRow)) == rest


def test_scores_are_the_same_one_question_at_a_time(bench: Bench, sampled: list[RolloutRow]) -> None:
    bench.use_prm(savings=False)
    params = ScoreParams(rows=ROWS, prm="prepare", k=2)
    plain, _ = score.run(bench.step("it01/score/0000", params))
    careful = Careful(bench)
    ref, _ = score.run(careful.step("it01/score/0001", params, careful=True))
    assert plain is not None and ref is not None
    assert list(bench.store.rows(ref, ScoreRow)) == list(bench.store.rows(plain, ScoreRow))
    assert careful.named == list(dict.fromkeys(row.question.id for row in sampled))


def test_labels_are_the_same_one_question_at_a_time(bench: Bench, sampled: list[RolloutRow]) -> None:
    params = LabelParams(rows=ROWS, weights="prepare", completions=4, temperature=1.0, max_steps=8)
    plain, _ = label.run(bench.step("reward/label/0000", params))
    careful = Careful(bench)
    last = sampled[0].question.id
    ref, _ = label.run(careful.step("reward/label/0001", params, careful=True, suspects=(last,)))
    assert plain is not None and ref is not None
    assert list(bench.store.rows(ref, StepLabelRow)) == list(bench.store.rows(plain, StepLabelRow))
    assert careful.named[-1] == last and len(careful.named) == len(set(careful.named))


def test_a_shard_without_questions_has_no_rows(bench: Bench, sampled: list[RolloutRow]) -> None:
    out = tuple({row.question.id for row in sampled})
    for careful in (False, True):
        step = Careful(bench).step(f"it01/generate/001{careful:d}", GENERATE, quarantined=out, careful=careful)
        ref, result = generate.run(step)
        assert ref is not None and (result.questions, result.responses) == (0, 0)
        assert list(bench.store.rows(ref, RolloutRow)) == []
