"""What a study found, from drawn runs whose differences are known: verdicts, properties, and the three files."""

import csv
import io
import json

import pytest

from mstar.errors import InvalidInput
from mstar.study.page import study_csv, study_page
from mstar.study.summary import summarise
from study_bench import LEVELS, run, runs, study


def test_a_difference_that_is_there_holds_and_its_interval_has_it() -> None:
    plan = study()
    found = summarise(plan, runs(plan))
    assert (found.runs, found.planned) == (8, 8)
    first, second, third = found.pairs
    assert (first.a, first.b, first.seeds, first.verdict) == ("top-2", "all", (1, 2, 3, 4), "holds")
    assert first.low is not None and first.high is not None and first.low < 22 < first.high
    assert first.wins == 4 and first.probability is not None and first.probability > 0.97
    assert first.p is not None and first.p_holm is not None and first.p <= first.p_holm
    assert (second.b, second.verdict) == ("warmup", "holds")
    assert (third.margin, third.verdict, third.p_holm) == (2, "holds", None)


def test_arms_have_their_spread_and_their_gain() -> None:
    plan = study()
    arms = {one.name: one for one in summarise(plan, runs(plan)).arms}
    assert list(arms) == ["all", "top-2"]
    assert arms["top-2"].final_id.mean == pytest.approx(100 * LEVELS["top-2"], abs=5)
    assert arms["top-2"].final_id.sd is not None and arms["top-2"].final_ood is not None
    gain = arms["top-2"].gain_over_warmup
    assert gain.low is not None and gain.high is not None and gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx(arms["top-2"].final_id.mean - arms["top-2"].warmup)
    assert arms["all"].cost.updates == 100


def test_no_difference_cannot_be_told_and_a_loss_does_not_hold() -> None:
    plan = study()
    same = [run(plan, arm, seed, levels=LEVELS | {"top-2": 0.5}) for arm, seed in plan.runs()]
    assert summarise(plan, same).pairs[0].verdict == "cannot be told"
    worse = [run(plan, arm, seed, levels=LEVELS | {"top-2": 0.25}) for arm, seed in plan.runs()]
    first, _, third = summarise(plan, worse).pairs
    assert (first.verdict, third.verdict) == ("does not hold", "does not hold")


def test_one_seed_tells_a_difference_and_no_interval() -> None:
    plan = study()
    found = summarise(plan, [run(plan, arm, 1) for arm in plan.arms])
    assert [(one.low, one.p, one.verdict) for one in found.pairs] == [(None, None, "cannot be told")] * 3
    assert all(one.final_id.sd is None for one in found.arms)
    assert "one seed" in study_page(plan, found, runs(plan))


def test_arms_are_compared_on_the_seeds_that_both_have_and_missing_contrasts_still_count() -> None:
    plan = study()
    part = [one for one in runs(plan) if (one.arm, one.seed) != ("all", 2)]
    assert summarise(plan, part).pairs[0].seeds == (1, 3, 4)
    alone = summarise(plan, [one for one in runs(plan) if one.arm == "all"])
    (pair,) = alone.pairs
    assert pair.p is not None and pair.p_holm == pytest.approx(min(1.0, 2 * pair.p))


def test_properties_are_measured_whether_or_not_they_are_met() -> None:
    plan = study()
    found = {one.name: one for one in summarise(plan, runs(plan)).properties}
    assert found["<warm-up>"].met is True and found["<warm-up>"].wanted == "20 to 40"
    assert found["first"].value == pytest.approx(50, abs=30) and found["first"].wanted == "at most 40"
    assert (found["falls"].value, found["falls"].met) == (pytest.approx(0), True)
    assert found["apart"].met is False and found["apart"].wanted == "at least 50"
    assert found["spread"].value == pytest.approx(found["apart"].value)
    assert found["unsound"].value == pytest.approx(55)
    nothing = {one.name: one for one in summarise(plan, [run(plan, "all", 1)]).properties}
    assert (nothing["apart"].value, nothing["apart"].met) == (None, None)


def test_a_spread_is_over_the_seeds_that_all_of_its_arms_have() -> None:
    plan = study()
    short = [one for one in runs(plan) if one.arm == "all" or one.seed == 3]
    found = {one.name: one for one in summarise(plan, short).properties}
    of_three = [one.final.tests["test_id"] for one in short if one.seed == 3]
    assert found["spread"].value == pytest.approx(100 * (max(of_three) - min(of_three)))
    alone = {one.name: one for one in summarise(plan, [one for one in short if one.seed != 3]).properties}
    assert alone["spread"].value is None


def test_runs_on_other_questions_are_not_compared() -> None:
    plan = study()
    with pytest.raises(InvalidInput, match=r"mine--all--seed2 .* other questions of test_id"):
        summarise(plan, [run(plan, "all", 1), run(plan, "all", 2, ids="1" * 16)])


def test_what_is_sampled_is_compared_by_seed_alone() -> None:
    plan = study()
    found = summarise(plan, runs(plan))
    first, second, third = found.pairs_sampled
    assert (first.test, first.seeds, first.verdict, second.b) == ("sampled", (1, 2, 3, 4), "holds", "warmup")
    assert first.difference == pytest.approx(100 * (LEVELS["top-2"] - LEVELS["all"]) / 2, abs=1)
    assert first.low is not None and first.high is not None and first.low < first.difference < first.high
    assert first.p is not None and first.p_holm is not None and first.p <= first.p_holm
    assert (third.margin, third.p_holm, third.verdict) == (2, None, "holds")
    arms = {one.name: one for one in found.arms}
    gap = arms["top-2"].final_sampled.mean - arms["all"].final_sampled.mean
    assert gap == pytest.approx(first.difference)
    (alone,) = summarise(plan, [run(plan, "all", 1)]).pairs_sampled
    assert (alone.b, alone.low, alone.p, alone.verdict) == ("warmup", None, None, "cannot be told")


def test_study_json_has_the_registered_shape() -> None:
    plan = study()
    made = json.loads(summarise(plan, runs(plan)).model_dump_json())
    assert {"name", "value", "wanted", "met"} == set(made["properties"][0])
    assert {"name", "seeds", "warmup", "final_id", "final_ood", "gain_over_warmup"} <= set(made["arms"][0])
    assert set(made["arms"][0]["final_id"]) == {"mean", "sd"}
    assert {"a", "b", "difference", "low", "high", "probability"} <= set(made["pairs"][0])


def test_the_page_shows_every_comparison_and_loads_nothing() -> None:
    plan = study()
    page = study_page(plan, summarise(plan, runs(plan)), runs(plan))
    assert "&lt;warm-up&gt;" in page and "<warm-up>" not in page
    assert "top-2 − all, not worse by 2" in page and page.count("<svg") >= 5 and "polygon" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page


def test_the_csv_has_a_line_for_each_policy() -> None:
    plan = study()
    rows = list(csv.DictReader(io.StringIO(study_csv(runs(plan)))))
    assert len(rows) == 8 * 4
    last = rows[-1]
    assert (last["arm"], last["seed"], last["policy"], last["temperature"]) == ("top-2", "4", "it02", "0.7")
    assert float(last["test_id"]) == pytest.approx(72, abs=9) and last["run_updates"] == "100"
