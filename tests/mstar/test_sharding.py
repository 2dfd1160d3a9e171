"""Questions are cut into shards without a gap, in equal parts or with small ones at both ends."""

from hypothesis import given
from hypothesis import strategies as st

from mstar.evolution import iteration_shards, small_shards
from mstar.evolution.sharding import shards_of
from mstar.recipes import Recipe

QUESTIONS = st.integers(0, 3000)
SIZES = st.integers(1, 512)


@given(QUESTIONS, SIZES, st.booleans())
def test_every_question_is_in_one_shard_of_no_more_than_the_size(questions: int, size: int, taper: bool) -> None:
    shards = shards_of(questions, size, taper=taper)
    assert [place for _, start, count in shards for place in range(start, start + count)] == list(range(questions))
    assert [shard for shard, _, _ in shards] == list(range(len(shards)))
    assert all(0 < count <= size for _, _, count in shards)


@given(QUESTIONS, SIZES)
def test_shards_taper_where_a_whole_one_fits_between(questions: int, size: int) -> None:
    ends = small_shards(size)
    counts = [count for _, _, count in shards_of(questions, size, taper=True)]
    if ends and questions >= 2 * sum(ends) + size:
        assert counts[: len(ends)] == ends == counts[: -len(ends) - 1 : -1]
        assert counts[len(ends)] == size
    else:
        assert counts == [count for _, _, count in shards_of(questions, size)]


def test_tapered_iterations_go_on_where_the_one_before_ended() -> None:
    recipe = Recipe.model_validate(
        {"name": "x", "generation": {"shard_questions": 16, "taper": True}, "evolution": {"questions": 100}}
    )
    first, second = iteration_shards(recipe, 1), iteration_shards(recipe, 2)
    assert [count for *_, count in first] == [2, 4, 8, 16, 16, 16, 16, 8, 8, 4, 2]
    assert [(shard, start) for shard, _, start, _ in second][:3] == [(0, 100), (1, 102), (2, 106)]
