"""Pages of samples come in the order of the graph and join each response with its scores."""

import dataclasses
from pathlib import Path

import pytest

from coordinator_bench import SMALL, Bench
from example_rows import rollout, scored
from mstar.errors import NotFound
from mstar.types import RolloutRow, ScoreRow
from mstar_artefacts.store import ROWS, SCORES, ArtefactStore
from mstar_coordinator.api.samples import read_samples, stages_of
from mstar_coordinator.store.records import StepRecord


@pytest.fixture
def shards(bench: Bench) -> tuple[list[StepRecord], list[StepRecord]]:
    """Two rollout shards of four questions, and what was chosen from the second."""
    run_id = bench.lifecycle.create(SMALL)
    steps = bench.steps(run_id)
    store = ArtefactStore(bench.home)
    rows = [rollout([True, False], name=f"q{i}") for i in range(8)]
    score = scored(rows[5], [0.9, None])
    first = left(store, steps["it01/generate/0000"], rows[:4])
    second = left(store, steps["it01/generate/0001"], rows[4:])
    return [first, second], [left(store, steps["it01/select/0001"], [], {SCORES: [score]})]


def left(
    store: ArtefactStore, step: StepRecord, rows: list[RolloutRow], beside: dict[str, list[ScoreRow]] | None = None
) -> StepRecord:
    tables = {ROWS: rows, **(beside or {})}
    return dataclasses.replace(step, artefact=store.write_tables(f"{step.run_id}/{step.name}", tables, {}))


@pytest.mark.parametrize(
    ("after", "limit", "places"), [(-1, 3, [0, 1, 2]), (2, 4, [3, 4, 5, 6]), (7, 5, []), (-1, 99, list(range(8)))]
)
def test_pages_go_over_the_ends_of_shards(
    bench: Bench, shards: tuple[list[StepRecord], list[StepRecord]], after: int, limit: int, places: list[int]
) -> None:
    page = read_samples(ArtefactStore(bench.home), *shards, after, limit)
    assert [one.place for one in page] == places
    assert [one.question.id for one in page] == [f"q{place}" for place in places]


def test_scores_stand_beside_the_responses_that_have_them(
    bench: Bench, shards: tuple[list[StepRecord], list[StepRecord]]
) -> None:
    page = read_samples(ArtefactStore(bench.home), *shards, 4, 2)
    assert [one.scores is not None for one in page[0].responses] == [True, False]
    assert page[0].prm_version == "p1" and page[1].prm_version is None


def test_an_iteration_without_responses_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_samples(ArtefactStore(tmp_path), [], [], -1, 5)


def test_iteration_zero_is_the_warm_up() -> None:
    assert stages_of(0) == ("warmup/generate", "warmup/select")
    assert stages_of(3) == ("it03/generate", "it03/select")
