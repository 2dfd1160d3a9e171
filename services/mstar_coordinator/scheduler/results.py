"""Builds the numbers of a run (`results.json`) from what its steps committed. Pure: no reading, no writing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from mstar.data_check import DataCheck
from mstar.evolution import iteration_shards
from mstar.outcomes import Outcomes, together
from mstar.ranking_quality import ranking_together
from mstar.results import IterationResult, Milestone, Quarantined, RunResults, SweepResult, Unscored
from mstar.stages.choose import ChooseResult
from mstar.stages.collect import CollectResult
from mstar.stages.evaluate import EvaluateResult
from mstar.stages.label import LabelResult
from mstar.stages.prepare import PrepareResult
from mstar.stages.score import ScoreResult
from mstar.stages.select import SELECT, SelectResult
from mstar.stages.train import TrainResult
from mstar.step_names import (
    BASE,
    COLLECT,
    PREPARE,
    REWARD,
    WARMUP,
    evaluation_step,
    iteration_of,
    iteration_phase,
    sampling_phase,
    step_name,
    train_step,
)
from mstar.types import Frozen
from mstar_coordinator.store.records import RunRecord, StepRecord

Result = TypeVar("Result", bound=Frozen)
UNSCORED_NAMED = 5
"""Questions of a phase that are named for responses without a score."""


def build_results(
    run: RunRecord,
    steps: Sequence[StepRecord],
    starts: Mapping[str, float],
    artefacts: Mapping[str, str],
    quarantined: tuple[Quarantined, ...] = (),
) -> RunResults:
    """The run as numbers.

    `steps` are its committed steps of the kinds that are shown, in the order of the graph; `starts` says when each
    stage began; `artefacts` are the folders and files that the run has left, below its own folder.
    """
    by_name = {step.name: step for step in steps}
    by_stage: dict[str, list[StepRecord]] = {}
    for step in steps:
        by_stage.setdefault(step.stage, []).append(step)
    evaluations = {step.result.label: step.result for step in steps if isinstance(step.result, EvaluateResult)}
    return RunResults(
        id=run.id,
        name=run.name,
        state=run.state,
        error=run.error,
        recipe=run.recipe,
        iterations=tuple(_iterations(run, by_name, by_stage, starts)),
        sweeps=tuple(
            SweepResult.model_validate(step.result.model_dump(exclude={"kind"}))
            for step in steps
            if isinstance(step.result, ChooseResult)
        ),
        test=_milestones(evaluations),
        prm=_prm(by_name, steps),
        marks={label: one.marks for label, one in evaluations.items() if one.marks},
        data=_data(by_name),
        untried=_untried(by_name),
        quarantined=quarantined,
        outcomes=_outcomes(run, by_stage),
        unscored=_unscored(steps),
        artefacts=dict(artefacts),
        seconds=_span(starts.values(), (step.done_at for step in steps)),
    )


def _iterations(
    run: RunRecord,
    steps: Mapping[str, StepRecord],
    stages: Mapping[str, Sequence[StepRecord]],
    starts: Mapping[str, float],
) -> Iterable[IterationResult]:
    """Every iteration whose responses are selected; its evaluation follows later."""
    began: dict[int | None, list[float]] = {}
    for stage, at in starts.items():
        began.setdefault(iteration_of(stage), []).append(at)
    for index in range(1, run.iterations + 1):
        phase = iteration_phase(index)
        shards = stages.get(step_name(phase, SELECT.kind), ())
        selected = [step.result for step in shards if isinstance(step.result, SelectResult)]
        questions, responses = (sum(getattr(one, field) for one in selected) for field in ("questions", "responses"))
        # Shares of the shards that happen to be done would change with every page.
        if len(selected) < len(iteration_shards(run.recipe, index)):
            continue
        train = _result(steps, train_step(phase), TrainResult)
        after = _result(steps, evaluation_step(phase), EvaluateResult)
        own = [*shards, *(steps[n] for n in (train_step(phase), evaluation_step(phase)) if n in steps)]
        sound = [one.soundness for one in selected]
        judged = sum(one.judged for one in sound)
        yield IterationResult(
            index=index,
            temperature=selected[0].temperature,
            greedy=after and after.greedy.id,
            ood=after and after.greedy.ood,
            by_task=after.greedy.by_task if after else {},
            sets=after.greedy.sets if after else {},
            groups=after.greedy.groups if after else {},
            pass_at_k=after and after.pass_at_k,
            reward_pass_at_2=after and after.reward_pass_at_2,
            headroom=after and after.headroom,
            validation=after and after.validation,
            # All questions of an iteration may be in quarantine.
            sampled_accuracy=sum(one.correct for one in selected)
            / max(1, responses - sum(one.unlabelled for one in selected)),
            questions=questions,
            responses=responses,
            kept=sum(one.kept for one in selected),
            weight_version=selected[0].weight_version,
            seconds=_span(began.get(index, ()), (step.done_at for step in own)),
            losses=train.losses if train else (),
            sound_among_kept=sum(one.kept for one in sound) / judged if judged else None,
            sound_among_random=sum(one.random for one in sound) / judged if judged else None,
            sound_at_best=sum(one.best for one in sound) / judged if judged else None,
            ranking=ranking_together(one.ranking for one in selected),
        )


def _data(steps: Mapping[str, StepRecord]) -> DataCheck | None:
    prepared = _result(steps, PREPARE, PrepareResult)
    return prepared.data if prepared is not None and prepared.data.records else None


def _untried(steps: Mapping[str, StepRecord]) -> tuple[str, ...]:
    prepared = _result(steps, PREPARE, PrepareResult)
    return prepared.untried if prepared is not None else ()


def _outcomes(run: RunRecord, stages: Mapping[str, Sequence[StepRecord]]) -> dict[str, Outcomes]:
    """By phase, from its selected shards."""
    made = {}
    for index in range(run.iterations + 1):
        phase = sampling_phase(index)
        shards = [step.result for step in stages.get(step_name(phase, SELECT.kind), ())]
        seen = together([one.outcomes for one in shards if isinstance(one, SelectResult)])
        if seen.questions:
            made[phase] = seen
    return made


def _unscored(steps: Sequence[StepRecord]) -> dict[str, Unscored]:
    """By phase, in the order of the graph; phases whose responses all have a score are left out."""
    found: dict[str, Unscored] = {}
    for step in steps:
        if isinstance(step.result, ScoreResult | SelectResult) and step.result.refused:
            phase = step.stage.rpartition("/")[0]
            before = found.get(phase, Unscored(responses=0, questions=()))
            questions = tuple(dict.fromkeys((*before.questions, *step.result.refused_of)))[:UNSCORED_NAMED]
            found[phase] = Unscored(responses=before.responses + step.result.refused, questions=questions)
    return found


def _milestones(evaluations: Mapping[str, EvaluateResult]) -> dict[str, Milestone]:
    """Base, warm-up, and as `final` the newest iteration that is evaluated."""
    labels = {"base": BASE, "warmup": WARMUP}
    iterations = [label for label in evaluations if iteration_of(label) is not None]
    if iterations:
        labels["final"] = max(iterations, key=lambda label: iteration_of(label) or 0)
    return {
        name: Milestone(
            id=result.greedy.id,
            ood=result.greedy.ood,
            sets=result.greedy.sets,
            by_task=result.greedy.by_task,
            groups=result.greedy.groups,
            pass_at_k=result.pass_at_k,
            reward_pass_at_2=result.reward_pass_at_2,
            headroom=result.headroom,
            validation=result.validation,
        )
        for name, label in labels.items()
        if (result := evaluations.get(label)) is not None
    }


def _prm(steps: Mapping[str, StepRecord], all_steps: Sequence[StepRecord]) -> dict[str, Any]:
    labels = [step.result for step in all_steps if isinstance(step.result, LabelResult)]
    made: dict[str, Any] = {}
    if labels:
        made = {
            "solutions": sum(label.solutions for label in labels),
            "prefixes": sum(label.prefixes for label in labels),
            "completions": sum(label.completions for label in labels),
        }
    if (collect := _result(steps, COLLECT, CollectResult)) is not None:
        made |= {"kept": collect.kept, "steps": collect.steps, "mean_label": collect.mean_label}
    if (train := _result(steps, train_step(REWARD), TrainResult)) is not None:
        made |= {"examples": train.examples, "losses": list(train.losses)}
    return made


def _result(steps: Mapping[str, StepRecord], name: str, kind: type[Result]) -> Result | None:
    result = steps[name].result if name in steps else None
    return result if isinstance(result, kind) else None


def _span(starts: Iterable[float], ends: Iterable[float | None]) -> float | None:
    """Seconds from the first start to the last end."""
    begun = min(starts, default=None)
    ended = max((end for end in ends if end is not None), default=None)
    # The database's clock may have been put back between the two.
    return None if begun is None or ended is None else max(0.0, ended - begun)
