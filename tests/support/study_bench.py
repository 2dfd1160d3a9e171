"""Runs of a study that never ran: marks are drawn, so that the difference between arms is known."""

import base64
import random
from collections.abc import Mapping

from mstar.marks import Marks, packed
from mstar.results import IterationResult, SweepResult
from mstar.study.plan import Study, parse_study
from mstar.study.record import Cost, PolicyRecord, StudyRun
from mstar.study.same_recipe import recipe_values

QUESTIONS = 300
LEVELS = {"warmup": 0.3, "all": 0.5, "top-2": 0.72}
"""Final accuracy of each arm, and that of the warm-up."""


def study(**changes: object) -> Study:
    """Two arms over four seeds."""
    return parse_study(
        {
            "name": "mine",
            "base": {"name": "base"},
            "arms": {"all": {"prm": None, "evolution": {"selection": {"mode": "all"}},
                             "exploration": {"mode": "fixed"}}, "top-2": {}},
            "seeds": [1, 2, 3, 4],
            "contrasts": [{"a": "top-2", "b": "all"}, {"a": "all", "b": "warmup"}],
            "non_inferiority": [{"a": "top-2", "b": "all", "margin": 2}],
            "properties": [
                {"name": "<warm-up>", "measure": "warmup_greedy", "low": 20, "high": 40},
                {"name": "first", "measure": "first_iteration_share", "arm": "all", "high": 40},
                {"name": "falls", "measure": "pass_at_k_change", "arm": "top-2", "high": 0},
                {"name": "apart", "measure": "difference", "arm": "top-2", "other": "all", "low": 50},
                {"name": "spread", "measure": "spread", "arms": ["all", "top-2"], "low": 5},
                {"name": "unsound", "measure": "warmup_unsound", "low": 40},
            ],
        }
        | changes
    )  # fmt: skip


def marks(draw: random.Random, level: float, questions: int = QUESTIONS, ids: str = "0" * 16) -> Marks:
    """Marks with about this share of right answers."""
    right = [draw.random() < level for _ in range(questions)]
    return Marks(questions=questions, ids=ids, right=base64.b64encode(packed(right)).decode())


def policy(draw: random.Random, label: str, level: float, ids: str = "0" * 16) -> PolicyRecord:
    """A policy of that accuracy on both tests."""
    both = {name: marks(draw, level, ids=ids) for name in ("test_id", "test_ood")}
    return PolicyRecord(
        label=label,
        tests={name: sum(one.outcomes()) / one.questions for name, one in both.items()},
        marks=both,
        pass_at_k=0.9,
        reward_pass_at_2=0.6,
        headroom=0.2,
        sampled_accuracy=round(level / 2, 3) + draw.randrange(10) / 1000,
        best_of_n=None,
        sound_among_correct=0.45,
    )


def run(plan: Study, arm: str, seed: int, ids: str = "0" * 16, levels: Mapping[str, float] = LEVELS) -> StudyRun:
    """A finished run of two iterations; the arms of a seed have one warm-up."""
    assert isinstance(plan.base, dict)
    first = policy(random.Random(seed), "warmup", levels["warmup"], ids)
    draw = random.Random(f"{arm}{seed}")
    after = [policy(draw, f"it0{n}", levels["warmup"] + (levels[arm] - levels["warmup"]) * n / 2, ids) for n in (1, 2)]
    iterations = tuple(
        IterationResult(
            index=n, temperature=1.0 if n == 1 else 0.7, sampled_accuracy=0.4, questions=8, responses=32, kept=9,
            weight_version="v@0", sound_among_kept=0.5,
        )
        for n in (1, 2)
    )  # fmt: skip
    return StudyRun(
        study=plan.name,
        arm=arm,
        seed=seed,
        recipe=recipe_values(plan.recipe(plan.base, arm, seed)),
        run=f"r-{arm}-{seed}",
        reused=3,
        policies=(policy(random.Random(0), "base", 0.1, ids), first, *after),
        iterations=iterations,
        sweeps=(SweepResult(iteration=2, curve={"0.7": 0.5, "1.0": 0.4}, chosen=0.7),),
        cost=Cost(responses=1000, tokens=20_000, trained_tokens=3000, updates=100, seconds=60.5),
    )


def runs(plan: Study) -> list[StudyRun]:
    """All runs of the study."""
    return [run(plan, arm, seed) for arm, seed in plan.runs()]
