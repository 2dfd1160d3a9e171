"""The report: one file, everything escaped, nothing loaded, empty places that say what will come."""

import re

from mstar.evolution import RunState
from mstar.ranking_quality import Pairs, Ranking
from mstar.results import IterationResult, RunResults
from mstar.stages.evaluate import OnValidation
from mstar_coordinator.export.report import render_report
from publish_bench import finished_run, sample, small_recipe

RIGHT = "A is 12\n\n## Answer\n\n42"


def test_one_file_that_loads_nothing() -> None:
    html = render_report(finished_run(), [sample([RIGHT], [True], [0.7])])
    assert re.findall(r"(?:src|href)=[\"'](?!data:)", html) == []
    assert "<script" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_results_and_gain_in_percent() -> None:
    html = render_report(finished_run(), [])
    for shown in ("+16.0 points", "<td>iteration 4</td>", "<td>43.0</td>", "<td>57.0</td>", "Pass@8", "80.0", "65.0"):
        assert shown in html
    assert html.count("<svg") == 3


def test_votes_ranking_groups_and_saturation_are_shown_where_they_were_measured() -> None:
    run = finished_run()
    ranking = Ranking(
        all=Pairs(pairs=8, above=6), by_steps={"-1": Pairs(pairs=4, above=2), "0": Pairs(pairs=4, above=4)}
    )
    own = OnValidation(greedy=0.331, majority=0.442, weighted_vote=0.453, best_of_n=0.394, ranking=ranking)

    def measured(one: IterationResult) -> IterationResult:
        spread = {"0.5": 0.9 - 0.1 * one.index, "1.0": 0.8}
        own_spread = own.model_copy(update={"pass_by_temperature": spread})
        return one.model_copy(update={"validation": own_spread, "ranking": ranking})

    final = run.test["final"].model_copy(update={"groups": {"test_ood": {"FQA": 0.123}}})
    shown = run.model_copy(
        update={"iterations": tuple(map(measured, run.iterations)), "test": {**run.test, "final": final}}
    )
    html = render_report(shown, [])
    cells = ("iteration 4", "33.1", "44.2", "45.3", "39.4", "57.0", "74.0", "31.0")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in html
    assert "<td>selection of iteration 1</td><td>8</td><td>75.0</td><td>50.0</td><td>100.0</td><td></td>" in html
    assert "By task, greedy on test_ood" in html and "<td>12.3</td>" in html
    assert ">T 0.5<" in html and "Pass@8 on validation, %" in html


def test_without_further_temperatures_the_sweeps_show_how_pass_at_k_falls() -> None:
    run = finished_run()
    sweeps = tuple(one.model_copy(update={"pass_at_k": {"0.5": 0.6, "0.9": 0.7}, "passes": 4}) for one in run.sweeps)
    html = render_report(run.model_copy(update={"sweeps": sweeps}), [])
    assert ">T 0.9<" in html and "Pass@4 on validation, %" in html


def test_what_a_model_wrote_is_escaped() -> None:
    html = render_report(finished_run(), [sample(["<img src=x onerror=alert(1)>\n\n## Answer\n\n<b>"], [True], [None])])
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_steps_carry_their_score_and_the_least_is_marked() -> None:
    html = render_report(finished_run(), [sample([RIGHT], [True], [0.25])])
    steps = re.findall(r'class="step( least)?" style="background:([^"]+)">([ab])<span class="score">([\d.]+)', html)
    assert [(least, text, score) for least, _, text, score in steps] == [("", "a", "1.00"), (" least", "b", "0.25")]
    assert steps[0][1].startswith("rgba(0,114,178")
    assert steps[1][1].startswith("rgba(213,94,0")


def test_responses_are_ranked_and_say_correct_and_kept() -> None:
    texts = [f"{name}\n\n## Answer\n\n42" for name in ("low", "wrong", "high")]
    html = render_report(finished_run(), [sample(texts, [True, False, True], [0.2, None, 0.9])])
    badges = re.findall(r'class="badge" title="[^"]*">([^<]+)', html)
    assert badges == ["correct", "correct · kept", "wrong"]
    assert "answer: 42" in html


def test_an_empty_response_is_shown_as_such() -> None:
    assert "empty response" in render_report(finished_run(), [sample([""], [False], [None])])


def test_a_run_without_results_says_what_will_appear() -> None:
    empty = RunResults(id="r-2", name="new", state=RunState.RUNNING, recipe=small_recipe())
    html = render_report(empty, [])
    assert html.count("will appear here") == 8
    assert "points</strong>" not in html
