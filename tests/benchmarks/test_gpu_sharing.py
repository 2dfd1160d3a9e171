"""The simulation keeps to what no cluster could break: bounds, and more GPUs never take longer."""

from benchmarks.gpu_sharing import (
    BATCH,
    KEPT,
    SIZES,
    Mode,
    Split,
    best_split,
    best_trainer,
    bound,
    cheapest,
    colocated,
    costs,
    dedicated,
    fastest,
    iteration_work,
    pipeline_seconds,
    report,
    scale_to_zero,
    training_seconds,
)
from hypothesis import given
from hypothesis import strategies as st

WORK = iteration_work()
SHARES = st.integers(1, 200)


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=4), st.integers(1, 2000))
def test_a_pipeline_lies_between_its_slowest_stage_and_their_sum(stages: list[float], shards: int) -> None:
    seconds = pipeline_seconds(stages, shards)
    assert max(stages) * (1 - 1e-9) <= seconds <= sum(stages) * (1 + 1e-9)


@given(st.lists(st.floats(0.001, 1e5), min_size=2, max_size=4), st.integers(1, 2000))
def test_smaller_shards_overlap_more(stages: list[float], shards: int) -> None:
    assert pipeline_seconds(stages, shards + 1) <= pipeline_seconds(stages, shards) * (1 + 1e-9)


@given(SHARES, SHARES, SHARES)
def test_dedicated_never_beats_its_slowest_stage(policy: int, prm: int, trainer: int) -> None:
    split = Split(policy, prm, trainer)
    assert dedicated(WORK, split).wall > bound(WORK, split)


@given(st.integers(1, 512))
def test_turns_on_the_same_gpus_never_beat_all_the_work_shared_out(gpus: int) -> None:
    for cost in (scale_to_zero(WORK, gpus), colocated(WORK, gpus)):
        assert cost.wall > WORK.total / gpus
        assert cost.held <= gpus * cost.wall * (1 + 1e-9)


@given(st.integers(4, 511))
def test_one_more_gpu_never_makes_turns_slower(gpus: int) -> None:
    for mode in (scale_to_zero, colocated):
        assert mode(WORK, gpus + 1).wall <= mode(WORK, gpus).wall


@given(st.integers(3, 80))
def test_the_best_split_uses_every_gpu_and_no_other_ends_sooner(gpus: int) -> None:
    best = best_split(WORK, gpus)
    assert best.gpus == gpus
    third = max(1, gpus // 3)
    assert dedicated(WORK, best).wall <= dedicated(WORK, Split(gpus - 2 * third, third, third)).wall


@given(st.integers(3, 80))
def test_one_more_gpu_never_makes_dedicated_slower(gpus: int) -> None:
    assert dedicated(WORK, best_split(WORK, gpus + 1)).wall <= dedicated(WORK, best_split(WORK, gpus)).wall


def test_no_more_gpus_train_than_a_batch_has_questions() -> None:
    assert training_seconds(WORK, 512) == training_seconds(WORK, BATCH // KEPT)
    assert best_trainer(WORK, 512) <= BATCH // KEPT


def test_dedicated_needs_a_gpu_for_each_service() -> None:
    assert Mode.DEDICATED not in [cost.mode for cost in costs(WORK, 2)]
    assert Mode.DEDICATED in [cost.mode for cost in costs(WORK, 3)]


def test_only_scaling_to_zero_gives_gpus_back_that_training_cannot_use() -> None:
    assert scale_to_zero(WORK, 512).held < 512 * scale_to_zero(WORK, 512).wall
    assert colocated(WORK, 512).held == 512 * colocated(WORK, 512).wall


def test_few_gpus_take_turns_and_many_are_shared_out() -> None:
    assert fastest(WORK, 8).mode is cheapest(WORK, 8).mode is Mode.COLOCATED
    assert fastest(WORK, 256).mode is cheapest(WORK, 256).mode is Mode.DEDICATED


def test_the_report_has_a_line_for_every_size() -> None:
    page = report()
    assert all(f"\n| {gpus} | colocated |" in page for gpus in SIZES)
