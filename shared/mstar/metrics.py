"""The paper's measures over checked and scored responses (section 4), all as shares in [0, 1].

Rows come in as they stand in rollout and score shards. Means are exactly rounded, so they do not depend on the order of
rows and two equal tallies compare equal. A question that could not be sampled counts as one without a correct response.
What this leaves out: which temperature to choose (`exploration`) and which responses to keep (`selection`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import comb, fsum

from mstar.errors import InvalidInput
from mstar.needed_scores import decided
from mstar.reward import RewardRule, reward
from mstar.seeds import derive
from mstar.soundness import is_sound
from mstar.types import CheckedResponse, RolloutRow, ScoreRow

MINIMUM = RewardRule()
"""R_p of the paper: the least score of a step."""


def mean(values: Sequence[float]) -> float:
    """Exactly rounded mean. Raises InvalidInput where there is nothing to average."""
    if not values:
        raise InvalidInput("there is nothing to average: no question was sampled", field="rows")
    # A plain sum depends on the order of its terms, and shards may be read in another one after a repair.
    return fsum(values) / len(values)


def greedy_accuracy(rows: Sequence[RolloutRow]) -> float:
    """Share of questions whose one greedy response (T = 0) is correct."""
    return mean([float(any(one.verdict.correct for one in _sampled(row)[:1])) for row in rows])


def by_task(rows: Sequence[RolloutRow]) -> dict[str, float]:
    """Greedy accuracy of each task group, in alphabetical order."""
    groups: dict[str, list[RolloutRow]] = defaultdict(list)
    for row in rows:
        groups[row.question.group].append(row)
    return {group: greedy_accuracy(groups[group]) for group in sorted(groups)}


def sampled_accuracy(rows: Sequence[RolloutRow]) -> float:
    """Share of correct responses, each question weighing the same."""
    # By question and not over all responses, or a question with more samples would weigh more.
    return mean([_correct(row) / max(1, len(row.responses)) for row in rows])


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, hold a correct one.

    The unbiased estimator of Chen et al. (arXiv 2107.03374): 1 - C(n - c, k) / C(n, k). Raises InvalidInput for k > n.
    """
    if not 1 <= k <= n:
        raise InvalidInput(f"Pass@{k} needs at least {k} samples a question, but there are {n}: raise n", field="k")
    # In whole numbers: products of fractions lose digits for large n. comb is 0 where too few are wrong to fill k.
    return 1.0 - comb(n - correct, k) / comb(n, k)


def mean_pass_at_k(rows: Sequence[RolloutRow], k: int) -> float:
    """Pass@K over questions."""
    return mean([0.0 if row.problem else pass_at_k(len(row.responses), _correct(row), k) for row in rows])


def reward_pass_at_k(
    rows: Sequence[RolloutRow], scores: Sequence[ScoreRow], k: int, seed: int, rule: RewardRule = MINIMUM
) -> float:
    """Share of questions with a correct response among the k that the PRM ranks highest of ALL n sampled.

    There is no correctness filter before the ranking (paper, section 4; K = 2 because training keeps two). Equal
    rewards are ordered by seed and place. Raises InvalidInput when an outcome hangs on a score that is missing.
    """
    pairs = zip(rows, scores, strict=True)
    return mean([_reward_pass(row, score, k, seed, rule) for row, score in pairs])


def _reward_pass(row: RolloutRow, score: ScoreRow, k: int, seed: int, rule: RewardRule) -> float:
    # Rows that are decided may lack scores, since none was asked for (`prm.savings`).
    known = decided(row, k)
    if known is None:
        return float(any(response.verdict.correct for response in ranked(row, score, seed, rule)[:k]))
    return known


def best_of_n(rows: Sequence[RolloutRow], scores: Sequence[ScoreRow], seed: int, rule: RewardRule = MINIMUM) -> float:
    """Share of questions whose one response with the highest reward is correct: the PRM as a verifier."""
    return reward_pass_at_k(rows, scores, 1, seed, rule)


def headroom(pass_at_k: float, greedy: float) -> float:
    """What sampling finds and greedy decoding misses: Pass@K - greedy. It shrinks as training saturates."""
    return pass_at_k - greedy


def ranked(row: RolloutRow, score: ScoreRow, seed: int, rule: RewardRule = MINIMUM) -> list[CheckedResponse]:
    """All responses of a question from the highest reward to the lowest. Raises InvalidInput where one has no score."""
    rewards = rewards_by_index(row, score, rule)
    missing = [r.index for r in _sampled(row) if r.index not in rewards]
    if missing:
        raise InvalidInput(
            f"responses {missing} of question {row.question.id} have no score: score all n, not only correct ones",
            field="scores",
        )
    # Ties are common where scores are rounded; by place alone, earlier samples would win all of them.
    key = {r.index: (-rewards[r.index], derive(seed, "rank", row.question.id, r.index)) for r in row.responses}
    return sorted(row.responses, key=lambda r: key[r.index])


def rewards_by_index(row: RolloutRow, score: ScoreRow, rule: RewardRule = MINIMUM) -> dict[int, float]:
    """R_p of each scored response, by its place among the n. Raises InvalidInput for another question's scores."""
    if score.question_id != row.question.id:
        raise InvalidInput(
            f"scores of question {score.question_id} stand beside rollouts of {row.question.id}", field="scores"
        )
    # A paragraph that only repeats the answer is not a step, so R_p needs to know what the check read.
    answers = {checked.index: checked.verdict.extracted for checked in row.responses}
    return {scored.index: reward(scored, answers.get(scored.index), rule) for scored in score.responses}


def sound_among_correct(rows: Iterable[RolloutRow]) -> float | None:
    """Share of sound chains among all correct responses; None where no correct response has a known chain."""
    sound = [
        float(is_sound(r.response.text, row.question.gold_steps, row.step_separator))
        for row in rows
        if row.question.gold_steps
        for r in row.responses
        if r.verdict.correct
    ]
    return mean(sound) if sound else None


def _correct(row: RolloutRow) -> int:
    return sum(r.verdict.correct for r in _sampled(row))


def _sampled(row: RolloutRow) -> tuple[CheckedResponse, ...]:
    # A row that is empty for no reason is damage, and must not count as a question that nobody solved.
    if not row.responses and not row.problem:
        raise InvalidInput(f"question {row.question.id} has no response", field="rows")
    return row.responses
