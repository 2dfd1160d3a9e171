"""A made-up finished run, for tests of what a run leaves behind."""

import io
from collections.abc import Sequence

from PIL import Image

from example_rows import question, rollout, scored
from mstar.evolution import RunState
from mstar.recipes import Recipe, parse_recipe
from mstar.results import IterationResult, Milestone, RunResults, SweepResult
from mstar.types import RolloutRow
from mstar_coordinator.export.report import ShownSample

GROUPS = ("FQA", "GPS", "MWP", "TQA", "VQA")


def small_recipe() -> Recipe:
    return parse_recipe({"name": "minivista", "seed": 3})


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(out, format="PNG")
    return out.getvalue()


def finished_run(iterations: int = 4) -> RunResults:
    """Results that rise over the iterations, with two sweeps."""
    return RunResults(
        id="r-01",
        name="minivista",
        state=RunState.SUCCEEDED,
        recipe=small_recipe(),
        iterations=tuple(iteration(number) for number in range(1, iterations + 1)),
        sweeps=tuple(
            SweepResult(iteration=number, curve={"0.5": 0.31, "0.9": 0.42, "1.3": 0.36}, chosen=0.9)
            for number in range(3, iterations + 1, 2)
        ),
        test={"base": milestone(0.22), "warmup": milestone(0.27), "final": milestone(0.27 + 0.04 * iterations)},
        prm={"solutions": 1200, "prefixes": 3600, "losses": [0.7, 0.5]},
        seconds=1234.5,
    )


def iteration(number: int) -> IterationResult:
    losses = tuple(0.9 - 0.05 * number - 0.002 * step for step in range(12))
    return IterationResult(
        index=number,
        temperature=1.0 if number < 3 else 0.9,
        greedy=0.27 + 0.04 * number,
        ood=0.2 + 0.02 * number,
        by_task=dict.fromkeys(GROUPS, 0.3),
        pass_at_k=0.7 + 0.01 * number,
        reward_pass_at_2=0.45 + 0.03 * number,
        headroom=0.43 - 0.03 * number,
        sampled_accuracy=0.3,
        questions=1000,
        responses=8000,
        kept=1200,
        weight_version=f"r-01/it{number - 1:02d}/train@0123456789ab",
        losses=losses,
        sound_among_kept=0.8,
        sound_among_random=0.65,
    )


def milestone(accuracy: float) -> Milestone:
    tasks = {group: accuracy + 0.01 * place for place, group in enumerate(GROUPS)}
    return Milestone(id=accuracy, ood=accuracy - 0.04, by_task=tasks, pass_at_k=0.68, reward_pass_at_2=0.44)


def sample(texts: Sequence[str], correct: Sequence[bool], minima: Sequence[float | None]) -> ShownSample:
    """A sample whose first response was kept."""
    row: RolloutRow = rollout(correct, texts=texts)
    return ShownSample(
        question=question(),
        images=(png(),),
        rollouts=row,
        scores=scored(row, minima),
        kept=frozenset({0}),
        iteration=1,
    )
