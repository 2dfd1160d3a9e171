"""Two steps have one key exactly where everything that determines what they leave is equal."""

import re
from pathlib import Path
from typing import Any

import pytest

from mstar.evolution import graph
from mstar.recipe_folder import RecipeFolder
from mstar.recipe_inheritance import overlaid
from mstar.recipes import MeasuredSet, MeasureRecipe, Recipe, parse_recipe
from mstar.step_keys import prepare_key, step_keys

ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "data": {"train": 60, "validation": 20, "test_id": 10, "test_ood": 10},
    "generation": {"shard_questions": 10},
    "warmup": {"questions": 20},
    "prm": {"questions": 20},
    "evolution": {"questions": 20, "iterations": 2},
    "exploration": {"mode": "fixed"},
}
READ_BY_ALL = {"seed", "form", "prompt", "answers", "generation"}
READ_WHERE_SCORED = {"prm", "reward_rule", "scoring_form"}
READ = {
    "prepare.py": {"data", "model", "splits", "evolution.unlabelled"},
    "fetch.py": {"prm", "model"},
    "publish.py": {"prm"},
    "evaluate.py": {"tests"},
    "published.py": {"evaluation"},
}
"""What a kind of step may read beside. `fetch` and `publish` have no key; `prepare` has one of its own."""


def recipe(changes: dict[str, Any] | None = None) -> Recipe:
    base = overlaid(RecipeFolder(ROOT / "recipes").named("minivista"), SMALL)
    return parse_recipe(overlaid(base, changes or {}))


def keys(changes: dict[str, Any] | None = None, prepared: str = "p", code: str = "c") -> dict[str, str]:
    made = recipe(changes)
    return step_keys(made, graph(made, made.evolution.iterations), prepared, code)


def shared(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name, key in one.items() if other.get(name) == key}


def test_every_step_but_publish_has_a_key_of_its_own() -> None:
    found = keys()
    assert {step.name for step in graph(recipe(), 2)} - set(found) == {"prepare", "publish/02"}
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("other", [keys({"seed": 1}), keys(prepared="q"), keys(code="d")])
def test_seed_data_and_code_are_in_every_key(other: dict[str, str]) -> None:
    assert not shared(keys(), other)


def test_another_rule_changes_what_follows_from_it_alone() -> None:
    both = shared(keys(), keys({"evolution": {"selection": {"mode": "random"}}}))
    assert {"warmup/train", "reward/train", "it01/generate/0000", "eval/warmup/evaluate"} <= both
    assert not {"it01/select/0000", "it01/train", "it02/generate/0000", "eval/it01/evaluate"} & both


def test_an_arm_without_a_prm_shares_what_needs_none() -> None:
    without = keys({"prm": None, "evolution": {"selection": {"mode": "all"}}})
    both = shared(keys(), without)
    assert {"warmup/train", "it01/generate/0000", "eval/base/test_id/0000", "eval/warmup/validation/0000"} <= both
    assert not {"eval/base/evaluate", "it01/select/0000"} & both


def test_how_rewards_are_made_changes_scores_and_no_training_of_the_prm() -> None:
    both = shared(keys(), keys({"prm": {"aggregate": "mean"}}))
    assert {"reward/train", "reward/label/0000", "it01/generate/0000"} <= both
    assert not {"it01/select/0000", "eval/warmup/evaluate", "it01/train"} & both


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"warmup": {"n": 3}}, "warmup/generate/0000"),
        ({"warmup": {"train": {"learning_rate": 0.5}}}, "warmup/train"),
        ({"generation": {"max_tokens": 47}}, "eval/base/test_id/0000"),
        ({"prompt": {"instruction": "Think."}}, "eval/base/test_id/0000"),
        ({"answers": {"number_words": False}}, "eval/base/test_id/0000"),
        ({"evolution": {"temperature": 0.9}}, "it01/generate/0000"),
    ],
)
def test_a_changed_setting_changes_the_first_step_that_reads_it(changes: dict[str, Any], first: str) -> None:
    assert keys()[first] != keys(changes)[first]


def test_prepare_has_a_key_only_for_sets_that_ship() -> None:
    key = prepare_key(recipe(), "c")
    assert key is not None and key == prepare_key(recipe({"seed": 9, "evolution": {"n": 3}}), "c")
    assert key != prepare_key(recipe({"data": {"train": 61}}), "c") != prepare_key(recipe(), "d")
    assert prepare_key(recipe({"data": {"source": "/data/own"}}), "c") is None
    assert prepare_key(recipe({"model": {"base": "/models/own"}}), "c") is None
    assert prepare_key(recipe({"evaluation": {"benchmarks": "/data/benchmarks", "sets": {"ai2d": 20}}}), "c") is None
    measure = MeasureRecipe(model="m", sets={"ai2d": MeasuredSet(path="/data", items=1)})
    assert prepare_key(recipe().model_copy(update={"measure": measure}), "c") is None


def test_a_prm_from_a_folder_has_no_key_and_nor_has_what_it_scores() -> None:
    found = keys({"prm": {"base": "/models/prm", "train": False}})
    assert "it01/generate/0000" in found
    assert not {"reward/fetch", "it01/select/0000", "it01/train", "eval/base/evaluate"} & set(found)


def test_workers_read_no_part_of_the_recipe_that_the_keys_leave_out() -> None:
    """A worker that reads a further section must add it to `step_keys`, or runs would share what differs."""
    services = ROOT / "services"
    for path in (*(services / "mstar_coordinator/worker").rglob("*.py"), *(services / "mstar_trainer").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        read = set(re.findall(r"(?:step|claim)\.recipe\.(evolution\.\w+|\w+)", text))
        # Evaluations have no keys and share nothing, so their section is in none.
        allowed = READ_BY_ALL | READ_WHERE_SCORED | {"measure"} | READ.get(path.name, set())
        assert read <= allowed, f"{path.name} reads {sorted(read - allowed)}"
