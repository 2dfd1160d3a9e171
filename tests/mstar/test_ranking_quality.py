"""Whether the PRM ranks sound above unsound among a question's correct responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.ranking_quality import Pairs, Ranking, ranking_quality, ranking_together

CHAIN = ("A is 12", "12 + 30 = 42")
SOUND = "A is 12\n\n12 + 30 = 42\n\n## Answer\n\n42"
SHORT, LONG = "12 + 31 = 42\n\n## Answer\n\n42", "A is 11\n\n11 + 31 = 42\n\nSo be it\n\n## Answer\n\n42"


def test_pairs_are_counted_by_how_many_steps_the_unsound_one_has_more() -> None:
    row = rollout([True] * 3, texts=[SOUND, SHORT, LONG], gold_steps=CHAIN, group="GPS")
    made = ranking_quality([(row, scored(row, [0.5, 0.9, 0.2]))])
    assert made.all == Pairs(pairs=2, above=1.0)
    assert made.all.share == 0.5
    assert made.by_steps == {"-1": Pairs(pairs=1, above=0.0), "1": Pairs(pairs=1, above=1.0)}
    assert made.by_group == {"GPS": made.all}


def test_only_what_the_selection_compares_is_judged() -> None:
    texts = [SOUND, SHORT, SHORT, "wrong", LONG]
    row = rollout([True, True, True, False, True], texts=texts, gold_steps=CHAIN)
    # A copy counts once, a wrong response never, and one without a score was not compared.
    assert ranking_quality([(row, scored(row, [0.5, 0.4, 0.9, 0.9, None]))]).all == Pairs(pairs=1, above=1.0)
    unknown = rollout([True, True], texts=[SOUND, SHORT])
    assert ranking_quality([(unknown, scored(unknown, [0.5, 0.4]))]) == Ranking()
    assert Ranking().all.share is None


def test_equal_rewards_are_a_toss_up() -> None:
    row = rollout([True, True], texts=[SOUND, SHORT], gold_steps=CHAIN)
    assert ranking_quality([(row, scored(row, [0.5, 0.5]))]).all == Pairs(pairs=1, above=0.5)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0.1, 0.5, 0.9])), max_size=6))
def test_shards_add_up(table: list[tuple[float, float]]) -> None:
    rows = []
    for place, rewards in enumerate(table):
        row = rollout([True, True], texts=[SOUND, LONG], gold_steps=CHAIN, name=f"q{place}", group="AB"[place % 2])
        rows.append((row, scored(row, rewards)))
    whole = ranking_quality(rows)
    assert ranking_together([ranking_quality([one]) for one in rows]) == whole
    assert whole.all.pairs == sum(one.pairs for one in whole.by_group.values()) == len(table)
    assert whole.all.above == pytest.approx(sum(one.above for one in whole.by_steps.values()))
