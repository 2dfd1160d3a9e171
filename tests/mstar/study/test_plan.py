"""Study files: what is refused and how, and the order of the runs."""

from pathlib import Path
from typing import Any

import pytest

from mstar.cli.study_files import STUDIES, read_study
from mstar.errors import InvalidInput, InvalidRecipe
from mstar.study.plan import Measure, Property, Study, parse_study, parse_study_yaml

GOOD: dict[str, Any] = {
    "name": "mine",
    "base": "demo",
    "arms": {"all": {"prm": None}, "top-2": {}},
    "seeds": [2, 1],
    "contrasts": [{"a": "top-2", "b": "all"}, {"a": "top-2", "b": "warmup"}],
}


def study(**changes: Any) -> Study:
    return parse_study(GOOD | changes)


def test_all_arms_of_a_seed_come_before_the_next_seed() -> None:
    assert study().runs() == [("all", 2), ("top-2", 2), ("all", 1), ("top-2", 1)]
    assert study().part(["top-2"], [1]) == [("top-2", 1)]
    assert study().chosen([("top-2", 1), ("all", 2)]) == [("all", 2), ("top-2", 1)]


@pytest.mark.parametrize(
    ("arms", "seeds", "field"), [(["nope"], [], "arms"), ([], [7], "seeds"), (["top-2", "al"], [1], "arms")]
)
def test_a_part_that_the_study_lacks_is_named(arms: list[str], seeds: list[int], field: str) -> None:
    with pytest.raises(InvalidInput, match="is not one of") as refusal:
        study().part(arms, seeds)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"seeds": []}, "seeds", "at least 1"),
        ({"seeds": [1, 1]}, "seeds", "different numbers"),
        ({"seeds": [-1]}, "seeds", "from 0"),
        ({"seeds": ["1"]}, "seeds.0", "valid integer"),
        ({"seeds": [True]}, "seeds.0", "valid integer"),
        ({"arms": {}}, "arms", "at least 1"),
        ({"arms": {"Top 2": {}}}, "arms.Top 2", "match pattern"),
        ({"arms": {"../x": {}}}, "arms.../x", "match pattern"),
        ({"arms": {"warmup": {}, "top-2": {}, "all": {}}}, "arms.warmup", "choose another name"),
        ({"arms": {"all": 3, "top-2": {}}}, "arms.all", "an object"),
        ({"name": "a/b"}, "name", "match pattern"),
        ({"contrasts": [{"a": "top-2", "b": "al"}]}, "contrasts.0.b", "'al' is not one of all, warmup"),
        ({"contrasts": [{"a": "top-2", "b": "top-2"}]}, "contrasts.0.b", "is not one of"),
        ({"contrasts": [{"a": "warmup", "b": "all"}]}, "contrasts.0.a", "is not one of"),
        ({"non_inferiority": [{"a": "top-2", "b": "all"}]}, "non_inferiority.0.margin", "required"),
        ({"non_inferiority": [{"a": "top-2", "b": "all", "margin": 0}]}, "non_inferiority.0.margin", "greater than 0"),
        ({"properties": [{"name": "x", "measure": "warmup_greedy"}]}, "properties.0.low", "give low, high or both"),
        ({"properties": [{"name": "x", "measure": "difference", "low": 1}]}, "properties.0.other", "arm and other"),
        ({"properties": [{"name": "x", "measure": "spread", "low": 1, "arms": ["all"]}]}, "properties.0.arms", "two"),
        (
            {"properties": [{"name": "x", "measure": "spread", "low": 1, "arms": ["all", "b"]}]},
            "properties.0.arms",
            "'b' is not one of",
        ),
        ({"arm": {}}, "arm", "is not a field"),
        ({"base": 3}, "base", "name a recipe"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        study(**changes)
    assert refusal.value.field == field


@pytest.mark.parametrize("text", ["[", "- a", "name: &a x\nbase: *a", "a: " + "[" * 40 + "]" * 40])
def test_text_that_is_no_study_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_study_yaml(text)


@pytest.mark.parametrize(
    ("low", "high", "wanted", "met"),
    [
        (25, 40, "25 to 40", [False, True, True, True, False]),
        (25, None, "at least 25", [False, True, True, True, True]),
        (None, 40, "at most 40", [True, True, True, True, False]),
    ],
)
def test_a_property_is_met_within_its_bounds_which_are_in_them(
    low: float | None, high: float | None, wanted: str, met: list[bool]
) -> None:
    one = Property(name="p", measure=next(iter(Measure)), arm="a", low=low, high=high)
    assert one.wanted == wanted
    assert [one.met(value) for value in (24.9, 25, 30, 40, 40.1)] == met


def test_an_arm_is_the_base_with_the_changes_of_study_and_arm() -> None:
    base = {"name": "base", "seed": 5, "evolution": {"n": 3, "iterations": 2}}
    plan = study(changes={"evolution": {"iterations": 4}}, arms={"all": {"evolution": {"n": 6}}, "top-2": {}})
    recipe = plan.recipe(base, "all", 9)
    assert (recipe.name, recipe.seed, recipe.evolution.n, recipe.evolution.iterations) == ("all", 9, 6, 4)
    with pytest.raises(InvalidRecipe, match=r"arms\.all: evolution\.n") as refusal:
        study(arms={"all": {"evolution": {"n": 0}}, "top-2": {}}).recipe(base, "all", 1)
    assert refusal.value.field == "arms.all.evolution.n"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_studies_that_ship_are_whole(path: Path) -> None:
    plan = read_study(path.stem)
    assert plan.name == path.stem
    assert isinstance(plan.base, dict)
    recipes = [plan.recipe(plan.base, arm, plan.seeds[0]) for arm in plan.arms]
    # Equal updates and equal question visits in every arm, or arms would differ in more than what they are named for.
    assert len({one.evolution.iterations * (one.evolution.train.updates or 0) for one in recipes}) == 1
    assert len({one.evolution.iterations * one.evolution.questions for one in recipes}) == 1


def test_an_arm_that_is_no_recipe_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nbase: demo\narms: {x: {evolution: {sharex: 1}}}\nseeds: [1]")
    with pytest.raises(InvalidRecipe, match=r"arms\.x: evolution\.sharex"):
        read_study(str(tmp_path / "bad.yaml"))
    with pytest.raises(InvalidInput, match="by name there are: paper, quick"):
        read_study("nope")
