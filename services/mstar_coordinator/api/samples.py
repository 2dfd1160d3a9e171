"""Pages of the responses that an iteration sampled, with verdicts and step scores, read from its artefacts."""

from collections.abc import Sequence
from itertools import islice

from mstar.api.samples import QuestionSamples, ScoredSample
from mstar.errors import NotFound
from mstar.stages.generate import GENERATE
from mstar.stages.select import SELECT
from mstar.step_names import sampling_phase, shard_of, step_name
from mstar.types import RolloutRow, ScoreRow
from mstar_artefacts.store import SCORES, ArtefactStore
from mstar_coordinator.store.records import StepRecord


def stages_of(iteration: int) -> tuple[str, str]:
    """Stages whose shards hold an iteration's responses and their scores; 0 is the warm-up, which nobody scores."""
    phase = sampling_phase(iteration)
    return step_name(phase, GENERATE.kind), step_name(phase, SELECT.kind)


def read_samples(
    store: ArtefactStore, shards: Sequence[StepRecord], scores: Sequence[StepRecord], after: int, limit: int
) -> list[QuestionSamples]:
    """Samples of the questions at places above `after`, from the committed shards and the selected ones there are.

    Raises NotFound when no shard is committed yet, and CorruptArtefact.
    """
    if not shards:
        raise NotFound("this iteration has no responses yet", field="iteration")
    by_shard = {shard_of(step.name): step for step in scores}
    page: list[QuestionSamples] = []
    place = 0
    for shard in shards:
        count = _questions(shard)
        if place + count - 1 > after and len(page) < limit:
            skip = max(0, after + 1 - place)
            score = by_shard.get(shard_of(shard.name))
            page.extend(_read_shard(store, shard, score, place, skip, limit - len(page)))
        place += count
    return page


def _questions(shard: StepRecord) -> int:
    return GENERATE.narrow(shard.spec.params).count


def _read_shard(
    store: ArtefactStore, shard: StepRecord, score: StepRecord | None, first: int, skip: int, limit: int
) -> list[QuestionSamples]:
    assert shard.artefact is not None, f"step {shard.name} is not committed"
    scored: dict[str, ScoreRow] = {}
    if score is not None and score.artefact is not None:
        scored = {row.question_id: row for row in store.rows(score.artefact, ScoreRow, SCORES)}
    rows = islice(enumerate(store.rows(shard.artefact, RolloutRow), first), skip, skip + limit)
    return [_joined(place, row, scored.get(row.question.id)) for place, row in rows]


def _joined(place: int, row: RolloutRow, scores: ScoreRow | None) -> QuestionSamples:
    by_index = {} if scores is None else {one.index: one for one in scores.responses}
    return QuestionSamples(
        place=place,
        question=row.question,
        temperature=row.temperature,
        weight_version=row.weight_version,
        prm_version=None if scores is None else scores.prm_version,
        responses=tuple(ScoredSample(response=one, scores=by_index.get(one.index)) for one in row.responses),
    )
