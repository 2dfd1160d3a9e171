"""A run that a test does by hand to its end: every step is committed with numbers and responses as a real run's."""

import base64
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from coordinator_bench import SMALL, MemoryPublisher, commit_of
from mstar.api.steps import Claim
from mstar.marks import Marks, packed
from mstar.stages.choose import ChooseParams, ChooseResult
from mstar.stages.evaluate import Accuracy, EvaluateParams, EvaluateResult
from mstar.stages.generate import GenerateParams
from mstar.stages.select import SelectParams
from mstar.stages.train import TrainParams, TrainResult
from mstar.step_names import iteration_of
from mstar.types import (
    Answer,
    AnswerType,
    CheckedResponse,
    Question,
    Response,
    RolloutRow,
    ScoreRow,
    SelectedRow,
    StepScores,
    Verdict,
)
from mstar_artefacts.store import ROWS, SCORES, ArtefactStore
from mstar_coordinator.config import CoordinatorSettings
from pages_bench import step_by_hand
from small_png import small_png

TESTED = 200
"""Questions of each test."""
LEVELS = (0.1, 0.3, 0.5, 0.65)
"""Greedy accuracy of base, warm-up and two iterations."""
STEPS = ("A is 34 and C is 27", "34 + 27 = 61", "## Answer\n\n61")


def finished(
    client: httpx2.Client,
    publisher: MemoryPublisher,
    home: Path,
    *,
    seed: int = 0,
    better: float = 0.0,
    changes: Mapping[str, Any] | None = None,
) -> str:
    """Start a run of two iterations and do it to its end. `better`: added to its greedy accuracy after warm-up."""
    overrides = {"seed": seed, "evolution.iterations": 2, "generation.shard_questions": 8, **(changes or {})}
    body = {"recipe": json.loads(SMALL.model_dump_json()), "overrides": overrides}
    answer = client.post("/v1/runs", json=body)
    assert answer.status_code == 202, answer.text
    run_id = str(answer.json()["id"])
    worker = _Worker(home, better)
    for _ in range(2000):
        idle = step_by_hand(client, publisher, worker.commit) is None
        if idle and client.get(f"/v1/runs/{run_id}").json()["state"] == "succeeded":
            return run_id
    raise AssertionError(f"run {run_id} did not end")


def finished_study(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> str:
    """Start a study of two arms with one seed, and do its runs to their ends; its id."""
    study = {
        "name": "halves",
        "base": json.loads(SMALL.model_dump_json()),
        "arms": {"all": {"exploration": {"mode": "fixed"}}, "top-2": {}},
        "seeds": [1],
        "contrasts": [{"a": "top-2", "b": "all"}],
    }
    answer = client.post("/v1/studies", json={"study": study})
    assert answer.status_code == 202, answer.text
    study_id, worker = str(answer.json()["id"]), _Worker(home, 0.0)
    for _ in range(2000):
        idle = step_by_hand(client, publisher, worker.commit) is None
        if idle and client.get(f"/v1/studies/{study_id}").json()["state"] == "succeeded":
            return study_id
    raise AssertionError(f"study {study_id} did not end")


class _Worker:
    def __init__(self, home: Path, better: float) -> None:
        self._store = ArtefactStore(home / "runs")
        settings = CoordinatorSettings(broker_url="redis://unused", home=home / "runs", data_root=home)
        self._image = settings.storage().images().put(small_png(1))
        self._better = better

    def commit(self, claim: Claim) -> dict[str, Any]:
        params, made = claim.step.params, commit_of(claim)
        if isinstance(params, GenerateParams):
            rows = [self._row(params.start + place) for place in range(params.count)]
            made = made.model_copy(update={"artefact": self._store.write_tables(claim.output_id, {ROWS: rows}, {})})
        elif isinstance(params, SelectParams):
            made = made.model_copy(update={"artefact": self._select(claim, params)})
        elif isinstance(params, TrainParams):
            made = made.model_copy(update={"result": _trained(params)})
        elif isinstance(params, EvaluateParams):
            made = made.model_copy(update={"result": self._evaluated(claim, params)})
        elif isinstance(params, ChooseParams):
            curve = {"0.5": 0.4, "1": 0.5 + 0.01 * (iteration_of(claim.step.name) or 0)}
            result = ChooseResult(iteration=iteration_of(claim.step.name) or 2, curve=curve, chosen=1.0)
            made = made.model_copy(update={"result": result})
        return made.model_dump(mode="json")

    def _row(self, place: int) -> RolloutRow:
        asked = Question(
            id=f"train/{place:06d}",
            text="What is the total of A and C?",
            images=(self._image,),
            answer=Answer(type=AnswerType.INTEGER, value="61"),
            group=("FQA", "MWP")[place % 2],
        )
        texts = ["\n\n".join(STEPS), "\n\n".join((STEPS[0], f"That makes {60 - place}.", f"## Answer\n\n{60 - place}"))]
        responses = tuple(
            CheckedResponse(
                index=index,
                response=Response(text=texts[index % 2]),
                verdict=Verdict(correct=index % 2 == 0, extracted=texts[index % 2][-2:], reason="integer"),
            )
            for index in range(4)
        )
        return RolloutRow(question=asked, temperature=1.0, weight_version="v", responses=responses)

    def _select(self, claim: Claim, params: SelectParams) -> Any:
        ref = claim.inputs[params.rows].artefact
        assert ref is not None
        kept, scores = [], []
        for row in self._store.rows(ref, RolloutRow):
            right = [one for one in row.responses if one.verdict.correct]
            made = tuple(StepScores(index=one.index, steps=STEPS, scores=(0.9, 0.35, 0.7)) for one in right)
            scores.append(ScoreRow(question_id=row.question.id, prm_version="p", responses=made))
            kept += [
                SelectedRow(
                    question=row.question,
                    response=one.response.text,
                    iteration=params.iteration,
                    index=one.index,
                    temperature=row.temperature,
                    weight_version="v",
                    reason="top",
                )
                for one in right[:1]
            ]
        return self._store.write_tables(claim.output_id, {ROWS: kept, SCORES: scores}, {})

    def _evaluated(self, claim: Claim, params: EvaluateParams) -> EvaluateResult:
        number = 1 + (iteration_of(params.label) or 0) if params.label != "base" else 0
        level = min(1.0, LEVELS[number] + (self._better if number > 1 else 0.0))
        draw = random.Random(f"{claim.recipe.seed} {params.label}")
        both = {test: _marks(draw, level - lower) for test, lower in (("test_id", 0.0), ("test_ood", 0.1))}
        shares = {test: sum(one.outcomes()) / one.questions for test, one in both.items()}
        return EvaluateResult(
            label=params.label,
            greedy=Accuracy(id=shares["test_id"], ood=shares["test_ood"], by_task={"FQA": level, "MWP": level / 2}),
            pass_at_k=min(1.0, level + 0.2),
            k=params.k,
            reward_pass_at_2=min(1.0, level + 0.1),
            sampled_accuracy=level,
            headroom=0.2,
            marks=both,
        )


def _marks(draw: random.Random, level: float) -> Marks:
    right = [draw.random() < level for _ in range(TESTED)]
    return Marks(questions=TESTED, ids="0" * 16, right=base64.b64encode(packed(right)).decode())


def _trained(params: TrainParams) -> TrainResult:
    losses = tuple(2.0 / (params.iteration + 1) - 0.05 * step for step in range(8))
    return TrainResult(
        examples=8,
        steps=8,
        global_step=8,
        first_loss=losses[0],
        last_loss=losses[-1],
        losses=losses,
        learning_rate=1e-4,
        tokens=9000,
        seconds=3.0,
    )
