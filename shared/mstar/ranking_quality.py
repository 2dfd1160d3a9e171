"""How well the PRM ranks where its choice is made: sound above unsound among a question's correct responses.

Only there can a ranking change what trains. Best-of-n among all responses asks something else, whether the PRM can tell
right from wrong, and a PRM that is poor at that still chooses well (paper, section 5: best-of-16 lies below greedy).
Counts add up over shards. What this leaves out: which chains are sound (`soundness`).
"""

from collections.abc import Iterable

from mstar.layout import split_response
from mstar.metrics import MINIMUM, rewards_by_index
from mstar.needed_scores import distinct_correct
from mstar.reward import RewardRule
from mstar.soundness import is_sound
from mstar.types import Frozen, RolloutRow, ScoreRow


class Pairs(Frozen):
    """Pairs of a sound and an unsound correct response to one question."""

    pairs: int = 0
    above: float = 0.0
    """Pairs in which the sound one has the higher reward; equal rewards count half, as the seed would settle them."""

    @property
    def share(self) -> float | None:
        """0.5 is chance; None without a pair."""
        return self.above / self.pairs if self.pairs else None


class Ranking(Frozen):
    """The counts, and what they hide: a reward may favour chains for being short, or in one task group only."""

    all: Pairs = Pairs()
    by_steps: dict[str, Pairs] = {}
    """By the number of steps of the unsound response, less that of the sound one: `-1` is one step shorter."""
    by_group: dict[str, Pairs] = {}


def ranking_quality(
    rows: Iterable[tuple[RolloutRow, ScoreRow]], rule: RewardRule = MINIMUM, min_steps: int = 0
) -> Ranking:
    """Over all distinct correct responses that have a score, of questions with a known chain.

    `min_steps`: steps that a response must have to be kept. Raises InvalidInput for scores of another question.
    """
    return ranking_together(_ranking(row, score, rule, min_steps) for row, score in rows)


def ranking_together(parts: Iterable[Ranking]) -> Ranking:
    """The counts of several shards as one."""
    every, by_steps, by_group = Pairs(), dict[str, Pairs](), dict[str, Pairs]()
    for part in parts:
        every = _sum(every, part.all)
        for name, pairs in part.by_steps.items():
            by_steps[name] = _sum(by_steps.get(name, Pairs()), pairs)
        for name, pairs in part.by_group.items():
            by_group[name] = _sum(by_group.get(name, Pairs()), pairs)
    return Ranking(
        all=every,
        # Names are text because JSON objects have no other keys.
        by_steps={name: by_steps[name] for name in sorted(by_steps, key=int)},
        by_group={name: by_group[name] for name in sorted(by_group)},
    )


def _ranking(row: RolloutRow, score: ScoreRow, rule: RewardRule, min_steps: int) -> Ranking:
    gold = row.question.gold_steps
    if not gold:
        return Ranking()
    rewards = rewards_by_index(row, score, rule)
    sound: list[tuple[float, int]] = []
    unsound: list[tuple[float, int]] = []
    for text, checked in distinct_correct(row, min_steps).items():
        if checked.index in rewards:
            own = (rewards[checked.index], len(split_response(text, row.step_separator).steps))
            (sound if is_sound(text, gold, row.step_separator) else unsound).append(own)
    by_steps: dict[str, Pairs] = {}
    for high, steps in sound:
        for low, others in unsound:
            # The share is the Mann-Whitney estimate, in which a tie counts half.
            won = Pairs(pairs=1, above=1.0 if high > low else 0.5 if high == low else 0.0)
            by_steps[str(others - steps)] = _sum(by_steps.get(str(others - steps), Pairs()), won)
    every = Pairs()
    for pairs in by_steps.values():
        every = _sum(every, pairs)
    return Ranking(all=every, by_steps=by_steps, by_group={row.question.group: every} if every.pairs else {})


def _sum(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(pairs=one.pairs + other.pairs, above=one.above + other.above)
