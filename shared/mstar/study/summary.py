"""What a study found: `study.json`. Arms with their spread, named comparisons with their verdicts, and the properties.

Numbers are percent or points of accuracy. Only runs that are there count: an arm with fewer seeds than another is
compared with it on the seeds that both have.
"""

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from mstar.errors import InvalidInput
from mstar.study.plan import WARMUP, Contrast, Measure, NonInferiority, Property, Study
from mstar.study.record import Cost, PolicyRecord, StudyRun
from mstar.study.statistics import Estimate, Table, differences, estimates, holm, over_seeds
from mstar.types import Frozen

LEVEL = 0.05
HOLDS, REVERSED, OPEN = "holds", "does not hold", "cannot be told"
TESTS = ("test_id", "test_ood")
SAMPLED = "sampled"
"""Stands for the share of correct responses among those sampled of validation questions, where a test is named."""


class Spread(Frozen):
    """Mean over the seeds, and the standard deviation between them; None with one seed."""

    mean: float
    sd: float | None


class Gain(Frozen):
    """A mean with its interval; None with one seed."""

    mean: float
    low: float | None
    high: float | None


class PropertyResult(Frozen):
    """Whether something that the comparisons rest on holds."""

    name: str
    value: float | None
    """None where no run tells it."""
    wanted: str
    met: bool | None


class ArmResult(Frozen):
    """One arm over its seeds."""

    name: str
    seeds: tuple[int, ...]
    warmup: float
    final_id: Spread
    final_ood: Spread | None
    final_sampled: Spread
    """Share of correct responses among those that the last policy samples of validation questions."""
    gain_over_warmup: Gain
    cost: Cost
    """Mean of a run, as if it shared nothing."""


class PairResult(Frozen):
    """One comparison: a minus b."""

    a: str
    b: str
    test: str
    seeds: tuple[int, ...]
    """Those that both have."""
    difference: float
    low: float | None
    high: float | None
    probability: float | None
    """That a is truly above b."""
    wins: int
    """Seeds on which a is above b."""
    p: float | None
    p_holm: float | None = None
    """Corrected for the number of named contrasts."""
    margin: float | None = None
    """Set where only is asked whether a is not worse than b by more."""
    verdict: str


class StudySummary(Frozen):
    """The whole study."""

    name: str
    runs: int
    planned: int
    properties: tuple[PropertyResult, ...]
    arms: tuple[ArmResult, ...]
    pairs: tuple[PairResult, ...]
    """The named comparisons on test-ID, for which the study was made."""
    pairs_ood: tuple[PairResult, ...]
    """The same on test-OOD: shown, and no basis of a verdict that was registered."""
    pairs_sampled: tuple[PairResult, ...]
    """The same on samples of validation questions, paired by seed alone; corrected by Holm among themselves."""


def summarise(study: Study, runs: Sequence[StudyRun]) -> StudySummary:
    """Compare what is there of a study. Raises InvalidInput for runs that were measured on other questions."""
    by_arm = {arm: {run.seed: run for run in runs if run.arm == arm} for arm in study.arms}
    by_arm = {arm: found for arm, found in by_arm.items() if found}
    gains = _estimates([(arm, WARMUP) for arm in by_arm], by_arm, "test_id")
    pairs, pairs_ood = (_pairs(study, by_arm, test, _estimates(_named(study), by_arm, test)) for test in TESTS)
    return StudySummary(
        name=study.name,
        runs=len(runs),
        planned=len(study.runs()),
        properties=tuple(_property(one, by_arm) for one in study.properties),
        arms=tuple(_arm(arm, found, gains.get((arm, WARMUP))) for arm, found in by_arm.items()),
        pairs=pairs,
        pairs_ood=pairs_ood,
        pairs_sampled=_pairs(study, by_arm, SAMPLED, _sampled(_named(study), by_arm)),
    )


ByArm = dict[str, dict[int, StudyRun]]
Pair = tuple[str, str]


def _named(study: Study) -> list[Pair]:
    return [(one.a, one.b) for one in (*study.contrasts, *study.non_inferiority)]


def _pairs(study: Study, by_arm: ByArm, test: str, found: dict[Pair, Estimate]) -> tuple[PairResult, ...]:
    tested = [one for one in study.contrasts if (one.a, one.b) in found]
    p_values = [found[one.a, one.b].p_value for one in tested]
    # Contrasts that have no runs yet still count, or the correction would grow with the study.
    missing = [1.0] * (len(study.contrasts) - len(tested))
    # One seed has no p-value; as 1 it keeps its place in the correction.
    corrected = holm([1.0 if p is None else p for p in p_values] + missing)
    made = [
        _pair(one, found[one.a, one.b], by_arm, test, None if p is None else whole)
        # The corrected values of the missing contrasts stand after those that were tested.
        for one, p, whole in zip(tested, p_values, corrected, strict=False)
    ]
    made += [_pair(one, found[one.a, one.b], by_arm, test) for one in study.non_inferiority if (one.a, one.b) in found]
    return tuple(made)


def _pair(one: Contrast, found: Estimate, by_arm: ByArm, test: str, p_holm: float | None = None) -> PairResult:
    seeds = _common((one.a, one.b), by_arm, test)
    won = [_share(one.a, seed, by_arm, test) > _share(one.b, seed, by_arm, test, one.a) for seed in seeds]
    margin = one.margin if isinstance(one, NonInferiority) else None
    return PairResult(
        a=one.a,
        b=one.b,
        test=test,
        seeds=seeds,
        difference=found.mean,
        low=found.low,
        high=found.high,
        probability=found.probability,
        wins=sum(won),
        p=found.p_value,
        p_holm=p_holm,
        margin=margin,
        verdict=_verdict(found, p_holm) if margin is None else _not_worse(found, margin),
    )


def _verdict(found: Estimate, p_holm: float | None) -> str:
    if p_holm is None or p_holm >= LEVEL:
        return OPEN
    return HOLDS if found.mean > 0 else REVERSED


def _not_worse(found: Estimate, margin: float) -> str:
    if found.above(-margin):
        return HOLDS
    return REVERSED if found.below(-margin) else OPEN


def _estimates(pairs: Sequence[Pair], by_arm: ByArm, test: str) -> dict[Pair, Estimate]:
    """Estimates of the differences for which there are runs."""
    tables: dict[str, Table] = {}
    compared: list[tuple[StudyRun, PolicyRecord]] = []
    for a, b in pairs:
        seeds = _common((a, b), by_arm, test)
        compared += [
            # The warm-up is a policy of the run of `a` itself.
            (by_arm[a if arm == WARMUP else arm][s], _known(arm, s, by_arm, a))
            for s in seeds
            for arm in (a, b)
        ]
    # Before anything is paired: marks of other questions would give a number that means nothing.
    _same_questions(compared, test)
    for a, b in pairs:
        seeds = _common((a, b), by_arm, test)
        if seeds:
            one = [_outcomes(a, seed, by_arm, test) for seed in seeds]
            other = [_outcomes(b, seed, by_arm, test, a) for seed in seeds]
            tables[f"{a} {b}"] = differences(one, other)
    found = estimates(tables) if tables else {}
    return {(a, b): found[f"{a} {b}"] for a, b in pairs if f"{a} {b}" in found}


def _sampled(pairs: Sequence[Pair], by_arm: ByArm) -> dict[Pair, Estimate]:
    """Estimates of the differences in sampled accuracy: one number a seed, since records keep no marks of samples."""
    found: dict[Pair, Estimate] = {}
    for a, b in pairs:
        gaps = [
            100 * (_share(a, seed, by_arm, SAMPLED) - _share(b, seed, by_arm, SAMPLED, a))
            for seed in _common((a, b), by_arm, SAMPLED)
        ]
        if gaps:
            found[a, b] = over_seeds(gaps)
    return found


def _same_questions(compared: Sequence[tuple[StudyRun, PolicyRecord]], test: str) -> None:
    seen: dict[tuple[str, int], StudyRun] = {}
    for run, policy in compared:
        marks = policy.marks[test]
        seen.setdefault((marks.ids, marks.questions), run)
    if len(seen) > 1:
        one, other = list(seen.values())[:2]
        raise InvalidInput(
            f"{one.name} and {other.name} were measured on other questions of {test}, so they cannot be compared: run "
            "one of them again on the other's data",
            field="results",
        )


def _common(pair: Pair, by_arm: ByArm, test: str) -> tuple[int, ...]:
    """Seeds for which both policies have marks on the test; every policy has been sampled."""
    a, b = pair
    if a not in by_arm or (b != WARMUP and b not in by_arm):
        return ()
    there = [seed for seed in sorted(by_arm[a]) if b == WARMUP or seed in by_arm[b]]
    both = {seed: (_policy(a, seed, by_arm), _policy(b, seed, by_arm, a)) for seed in there}
    return tuple(seed for seed, pair in both.items() if all(one is not None and _measured(one, test) for one in pair))


def _measured(one: PolicyRecord, test: str) -> bool:
    return test == SAMPLED or test in one.marks


def _policy(arm: str, seed: int, by_arm: ByArm, beside: str = "") -> PolicyRecord | None:
    """The last policy of a run; for `warmup` that after the warm-up of the arm beside it."""
    return by_arm[beside][seed].policy(WARMUP) if arm == WARMUP else by_arm[arm][seed].final


def _known(arm: str, seed: int, by_arm: ByArm, beside: str = "") -> PolicyRecord:
    policy = _policy(arm, seed, by_arm, beside)
    assert policy is not None, "only seeds with both policies are compared"
    return policy


def _outcomes(arm: str, seed: int, by_arm: ByArm, test: str, beside: str = "") -> list[int]:
    try:
        return _known(arm, seed, by_arm, beside).marks[test].outcomes()
    except ValueError as error:
        raise InvalidInput(f"result of {beside or arm} with seed {seed}: {error}", field="results") from None


def _share(arm: str, seed: int, by_arm: ByArm, test: str, beside: str = "") -> float:
    policy = _known(arm, seed, by_arm, beside)
    return policy.sampled_accuracy if test == SAMPLED else policy.tests[test]


def _arm(name: str, found: dict[int, StudyRun], gain: Estimate | None) -> ArmResult:
    runs = list(found.values())
    # An arm without a warm-up begins with the base.
    first = [run.policy(WARMUP) or run.policies[0] for run in runs]
    ood = [run.final.tests["test_ood"] for run in runs if "test_ood" in run.final.tests]
    costs = {field: fmean(getattr(run.cost, field) for run in runs) for field in Cost.model_fields}
    change = fmean(run.final.tests["test_id"] - one.tests["test_id"] for run, one in zip(runs, first, strict=True))
    return ArmResult(
        name=name,
        seeds=tuple(sorted(found)),
        warmup=100 * fmean(one.tests["test_id"] for one in first),
        final_id=spread([run.final.tests["test_id"] for run in runs]),
        final_ood=spread(ood) if ood else None,
        final_sampled=spread([run.final.sampled_accuracy for run in runs]),
        gain_over_warmup=Gain(mean=gain.mean, low=gain.low, high=gain.high)
        if gain
        else Gain(mean=100 * change, low=None, high=None),
        cost=Cost.model_validate({key: round(value) for key, value in costs.items()}),
    )


def spread(shares: Sequence[float]) -> Spread:
    """Mean and standard deviation of shares, in percent."""
    return Spread(mean=100 * fmean(shares), sd=100 * stdev(shares) if len(shares) > 1 else None)


def _property(one: Property, by_arm: ByArm) -> PropertyResult:
    value = _MEASURES[one.measure](one, by_arm)
    met = None if value is None else one.met(value)
    return PropertyResult(name=one.name, value=value, wanted=one.wanted, met=met)


def _runs_of(one: Property, by_arm: ByArm) -> list[StudyRun]:
    """The runs that a property is measured on; one a seed where all arms begin with the same warm-up."""
    if one.arm is not None:
        return list(by_arm.get(one.arm, {}).values())
    return list({seed: run for found in by_arm.values() for seed, run in found.items()}.values())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return 100 * fmean(known) if known else None


def _of_warmup(read: Callable[[PolicyRecord], float | None]) -> Callable[[Property, ByArm], float | None]:
    def measured(one: Property, by_arm: ByArm) -> float | None:
        return _mean([read(first) for run in _runs_of(one, by_arm) if (first := run.policy(WARMUP)) is not None])

    return measured


def _first_iteration_share(one: Property, by_arm: ByArm) -> float | None:
    """A ratio of means: that of single runs would be anything where a gain is near zero."""
    steps = [(run.policy(WARMUP), run.policy("it01"), run.final) for run in _runs_of(one, by_arm)]
    known = [(a.tests["test_id"], b.tests["test_id"], c.tests["test_id"]) for a, b, c in steps if a and b]
    whole = sum(last - begin for begin, _, last in known)
    return 100 * sum(first - begin for begin, first, _ in known) / whole if whole > 0 else None


def _pass_at_k_change(one: Property, by_arm: ByArm) -> float | None:
    runs = [(run.policy(WARMUP), run.final) for run in _runs_of(one, by_arm)]
    return _mean([last.pass_at_k - first.pass_at_k for first, last in runs if first])


def _difference(one: Property, by_arm: ByArm) -> float | None:
    assert one.arm is not None and one.other is not None, "a difference has both"
    seeds = _common((one.arm, one.other), by_arm, "test_id")
    return _mean([_share(one.arm, s, by_arm, "test_id") - _share(one.other, s, by_arm, "test_id") for s in seeds])


def _spread(one: Property, by_arm: ByArm) -> float | None:
    """On the seeds that all of its arms have: a seed that one arm lacks would be a difference between seeds."""
    arms = [by_arm.get(arm, {}) for arm in one.arms]
    common = set.intersection(*(set(runs) for runs in arms))
    means = [fmean(runs[seed].final.tests["test_id"] for seed in common) for runs in arms] if common else []
    return 100 * (max(means) - min(means)) if means else None


def _unsound(policy: PolicyRecord) -> float | None:
    return None if policy.sound_among_correct is None else 1 - policy.sound_among_correct


_MEASURES: dict[Measure, Callable[[Property, ByArm], float | None]] = {
    Measure.WARMUP_GREEDY: _of_warmup(lambda policy: policy.tests["test_id"]),
    Measure.WARMUP_PASS_AT_K: _of_warmup(lambda policy: policy.pass_at_k),
    Measure.WARMUP_UNSOUND: _of_warmup(_unsound),
    Measure.FIRST_ITERATION_SHARE: _first_iteration_share,
    Measure.PASS_AT_K_CHANGE: _pass_at_k_change,
    Measure.DIFFERENCE: _difference,
    Measure.SPREAD: _spread,
}
