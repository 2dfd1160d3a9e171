"""Views that agree are equal; where they part is said; log-probabilities may differ by as much as their type."""

import pytest

from mstar.alignment import PromptView, ResponseView, ServiceView, compare

IDS = (1, 5, 5, 5, 9)


def prompt(ids: tuple[int, ...] = IDS, images: int = 3, positions: tuple[tuple[int, ...], ...] = ()) -> PromptView:
    return PromptView(picture="wide", ids=ids, image_tokens=images, positions=positions)


def response(by: str, logprobs: tuple[float, ...] = (-1.0, -2.0)) -> ResponseView:
    return ResponseView(sampled_by=by, picture="wide", ids=(7, 8), logprobs=logprobs)


def views(**changes: ServiceView) -> list[ServiceView]:
    there = {
        "policy": ServiceView(who="policy", dtype="float32", prompts=(prompt(),), responses=(response("policy"),)),
        "PRM": ServiceView(who="PRM", dtype="float32", prompts=(prompt(positions=((0, 1, 2, 3, 4),)),)),
        "trainer": ServiceView(
            who="trainer",
            dtype="float32",
            prompts=(prompt(positions=((0, 1, 2, 3, 4),)),),
            responses=(response("policy"),),
        ),
    }
    return list((there | changes).values())


def test_equal_views_are_equal_line_by_line() -> None:
    lines = compare(views())
    assert [line.what for line in lines] == [
        "wide: tokens",
        "wide: image tokens",
        "wide: positions",
        "response of policy",
    ]
    assert all(line.equal for line in lines)
    assert set(lines[0].cells) == {"policy", "PRM", "trainer"}
    assert set(lines[2].cells) == {"PRM", "trainer"}, "an engine may keep positions to itself"


@pytest.mark.parametrize(
    ("other", "what", "said"),
    [
        (prompt(ids=(1, 5, 5, 6, 9)), "wide: tokens", "position 3 on: [5, 5, 5, 9] / [5, 5, 6, 9]"),
        (prompt(ids=(1, *IDS)), "wide: tokens", "position 1"),
        (prompt(ids=(*IDS, 2)), "wide: tokens", "position 5"),
        (prompt(images=2), "wide: image tokens", "position 0 on: [3] / [2]"),
        (prompt(positions=((0, 1, 2, 3, 9),)), "wide: positions", "position 4"),
    ],
)
def test_a_prompt_that_differs_is_named_with_its_place(other: PromptView, what: str, said: str) -> None:
    changed = ServiceView(who="trainer", dtype="float32", prompts=(other,), responses=(response("policy"),))
    wrong = [line for line in compare(views(trainer=changed)) if not line.equal]
    assert [line.what for line in wrong] == [what]
    assert said in wrong[0].detail


@pytest.mark.parametrize(
    ("apart", "dtype", "equal"), [(1e-4, "float32", True), (0.01, "float32", False), (0.1, "bfloat16", True)]
)
def test_log_probabilities_may_differ_by_their_type(apart: float, dtype: str, equal: bool) -> None:
    seen = response("policy", (-1.0, -2.0 - apart))
    changed = ServiceView(who="trainer", dtype=dtype, prompts=(prompt(),), responses=(seen,))
    (line,) = (line for line in compare(views(trainer=changed)) if line.what.startswith("response"))
    assert line.equal is equal
    assert "nats apart" in line.detail


def test_a_response_that_nobody_else_looked_at_is_not_equal() -> None:
    lines = compare([one for one in views() if one.who != "trainer"])
    assert [line.equal for line in lines if line.what == "response of policy"] == [False]


def test_a_service_that_cannot_look_is_said_and_the_others_are_compared() -> None:
    lines = compare(views(PRM=ServiceView(who="PRM", error="it has no labels")))
    assert (lines[0].what, lines[0].equal, lines[0].detail) == ("PRM", False, "it has no labels")
    assert [line.equal for line in lines[1:]] == [True] * 4
