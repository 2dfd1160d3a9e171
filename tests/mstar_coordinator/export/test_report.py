"""The report: one file, everything escaped, nothing loaded, empty places that say what will come."""

import re

from mstar.evolution import RunState
from mstar.results import RunResults
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
    assert html.count("will appear here") == 7
    assert "points</strong>" not in html
