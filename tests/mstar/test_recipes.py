"""Recipes: the shipped ones, refusals that name the field, overrides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mstar.errors import InvalidRecipe
from mstar.evolution import sweep_precedes
from mstar.recipe_folder import RecipeFolder
from mstar.recipes import PAPER_GRID, ExplorationMode, InitFrom, OptimizerState, Recipe, parse_recipe, parse_recipe_yaml
from mstar.selection_rules import SelectionMode

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = sorted(FOLDER.rglob("*.yaml"))
LAST, FIRST, CARRIED, FRESH = InitFrom.LAST, InitFrom.FIRST, OptimizerState.CARRIED, OptimizerState.FRESH
FIXED, TUNED = ExplorationMode.FIXED, ExplorationMode.REWARD_PASS
SHARES = ("6.25", "12.5", "25", "50", "100")
ARMS = {
    "arms/rest-em": (FIRST, FRESH, SelectionMode.ALL, FIXED),
    "arms/iterative-rft": (LAST, FRESH, SelectionMode.ALL, FIXED),
    "arms/continuous": (LAST, CARRIED, SelectionMode.ALL, FIXED),
    "arms/random-2": (LAST, CARRIED, SelectionMode.RANDOM, FIXED),
    "arms/threshold": (LAST, CARRIED, SelectionMode.THRESHOLD, FIXED),
    "arms/top-1": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/top-4": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/pass-at-k": (LAST, CARRIED, SelectionMode.TOP, ExplorationMode.PASS),
    "arms/sound": (LAST, CARRIED, SelectionMode.SOUND, FIXED),
    "arms/sft": (LAST, CARRIED, SelectionMode.ANSWERS, FIXED),
    "arms/top-2": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    **{f"arms/interval-{share}": (LAST, CARRIED, SelectionMode.ALL, FIXED) for share in SHARES},
    **{f"arms/mix-in-{begin}": (LAST, CARRIED, SelectionMode.TOP, FIXED) for begin in (25, 50, 75)},
    "arms/unlabelled-oracle-all": (LAST, CARRIED, SelectionMode.ALL, FIXED),
    "arms/unlabelled-00": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/unlabelled-25": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/unlabelled-50": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/unlabelled-75": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/unlabelled-oracle": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "minivista": (LAST, CARRIED, SelectionMode.TOP, TUNED),
    "study/base": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "demo": (LAST, CARRIED, SelectionMode.TOP, TUNED),
    "paper": (LAST, CARRIED, SelectionMode.TOP, TUNED),
    **{
        f"models/{name}-{kind}": (LAST, CARRIED, SelectionMode.TOP, TUNED)
        for name in ("minicpm-v-2.5", "phi-3.5-vision", "internvl2-2b", "qwen2.5-vl-3b", "qwen2.5-vl-7b")
        for kind in ("full", "lora")
    },
}


def read(name: str) -> Recipe:
    return parse_recipe(RecipeFolder(FOLDER).named(name))


def test_every_shipped_recipe_is_listed_here() -> None:
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in SHIPPED} == set(ARMS)


@pytest.mark.parametrize("name", sorted(ARMS))
def test_each_arm_is_what_its_name_says(name: str) -> None:
    recipe = read(name)
    plan = recipe.evolution
    assert recipe.name in (Path(name).name, name.replace("/", "-"))
    assert (plan.init, plan.optimizer, plan.selection.mode, recipe.exploration.mode) == ARMS[name]


@pytest.mark.parametrize("name", sorted(name for name in ARMS if name.startswith("arms/")))
def test_arms_differ_from_the_standard_run_in_the_arm_only(name: str) -> None:
    arm, standard = read(name), read("minivista")
    shared = ("seed", "model", "generation", "warmup", "evaluation")
    assert arm.data.model_copy(update={"unlabelled": 0}) == standard.data
    # Many short iterations are evaluated on fewer questions between.
    arm = arm.model_copy(update={"evaluation": arm.evaluation.model_copy(update={"between": None})})
    assert [getattr(arm, key) for key in shared] == [getattr(standard, key) for key in shared]
    assert arm.evolution.train == standard.evolution.train
    # What trains on the answers alone needs no responses.
    assert arm.evolution.n == (1 if name == "arms/sft" else standard.evolution.n)
    seen = arm.evolution.iterations * arm.evolution.questions
    assert seen >= standard.evolution.iterations * standard.evolution.questions


def test_kept_per_question() -> None:
    assert [read(f"arms/{name}").evolution.selection.k for name in ("top-1", "top-4", "random-2")] == [1, 4, 2]


@pytest.mark.parametrize("percent", [0, 25, 50, 75])
def test_a_mixture_has_the_share_that_its_name_says(percent: int) -> None:
    arm = read(f"arms/unlabelled-{percent:02d}")
    assert [arm.evolution.unlabelled_in(iteration) for iteration in (1, 4)] == [10 * percent] * 2
    assert read("arms/unlabelled-oracle").evolution.unlabelled.oracle


def test_intervals_share_their_updates_and_questions_and_differ_in_their_share() -> None:
    arms = {share: read(f"arms/interval-{share}") for share in SHARES}
    for share, arm in arms.items():
        assert arm.evolution.questions == float(share) / 100 * arm.data.train
    plans = [arm.evolution for arm in arms.values()]
    assert {plan.updates for plan in plans} == {480}
    assert {plan.iterations * plan.questions for plan in plans} == {12_000}


@pytest.mark.parametrize("percent", [25, 50, 75])
def test_a_mix_in_begins_where_its_name_says(percent: int) -> None:
    plan = read(f"arms/mix-in-{percent}").evolution
    mixed = [plan.unlabelled_in(iteration) > 0 for iteration in range(1, plan.iterations + 1)]
    assert mixed == [iteration > percent / 100 * plan.iterations for iteration in range(1, plan.iterations + 1)]


def test_top_2_keeps_the_paper_s_temperature() -> None:
    assert read("arms/top-2").evolution.temperature == 1.0


def test_the_paper_s_numbers() -> None:
    recipe = read("paper")
    assert recipe.evolution.questions == 45_000 == 0.25 * recipe.data.train
    assert recipe.evolution.updates == 10_000
    assert recipe.evolution.iterations >= 15
    assert sum(sweep_precedes(recipe, number) for number in range(1, recipe.evolution.iterations + 1)) >= 5
    assert (recipe.evolution.n, recipe.evolution.selection.k) == (16, 2)
    assert (recipe.evolution.train.learning_rate, recipe.evolution.train.batch_size) == (1e-6, 128)
    assert (recipe.exploration.grid, recipe.exploration.questions, recipe.exploration.every) == (PAPER_GRID, 250, 2)


def train(**settings: Any) -> dict[str, Any]:
    """A recipe with these settings for the iterations."""
    return {"name": "x", "evolution": {"train": settings}}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "name", "required"),
        ({"name": "x", "sede": 1}, "sede", "is not a field"),
        ({"name": "x", "evolution": {"iteration": 3}}, "evolution.iteration", "is not a field"),
        ({"name": "x", "evolution": {"n": 0}}, "evolution.n", "greater than or equal to 1"),
        ({"name": "../x"}, "name", "match pattern"),
        ({"name": "x", "exploration": {"grid": [0.7, 0.3]}}, "exploration.grid", "must rise"),
        ({"name": "x", "exploration": {"grid": []}}, "exploration.grid", "at least 1 item"),
        ({"name": "x", "exploration": {"grid": [0.5] * 200_000}}, "recipe.exploration.grid", "more than 10000"),
        ({"name": "x", "exploration": {"grid": [n / 100 for n in range(1, 66)]}}, "exploration.grid", "at most 64"),
        ({"name": "x", "exploration": {"n": 2, "k": 3}}, "exploration.k", "raise it or lower k"),
        ({"name": "x", "evaluation": {"n": 4, "k": 8}}, "evaluation.k", "evaluation.n is 4"),
        ({"name": "x", "prm": None}, "evolution.selection.mode", "add a prm section"),
        ({"name": "x", "warmup": {"questions": 9000}}, "warmup.questions", "exceeds data.train"),
        (
            {"name": "x", "data": {"train": 1000}, "warmup": {"questions": 601}},
            "prm.questions",
            "own_questions to false",
        ),
        ({"name": "x", "evolution": {"questions": 9000}}, "evolution.questions", "raise data.train"),
        ({"name": "x", "exploration": {"questions": 300}}, "exploration.questions", "exceeds data.validation"),
        ({"name": "x", "seed": {1, 2}}, "recipe.seed", "JSON cannot"),
        ({"name": "x", "seed": 10**30}, "recipe.seed", "beyond 64 bits"),
        ({"name": "x", "evolution": {"temperature": float("nan")}}, "recipe.evolution.temperature", "finite"),
        ({"name": "x", "evolution": {"n": 10**9}}, "evolution.n", "less than or equal to 1024"),
        ({"name": "x", "evolution": {"n": "4"}}, "evolution.n", "valid integer"),
        ({"name": "x", "evolution": {"n": True}}, "evolution.n", "valid integer"),
        ({"name": "x", "generation": {"max_tokens": 10**12}}, "generation.max_tokens", "32768"),
        ({"name": "x", "data": {"train": 10**9}}, "data.train", "10000000"),
        ({"name": "x", "data": {"source": "\x00"}}, "recipe.data.source", "NUL"),
        ({"name": "x", "data": {"source": "\ud800"}}, "recipe.data.source", "surrogate"),
        ({"name": "x", "data": {"source": "a" * 2000}}, "data.source", "1024 characters"),
        ({"name": "x", "warmup": {"train": {"ranks": 10**6}}}, "warmup.train.ranks", "1024"),
        ({"name": "x", "prm": {"train": {"learning_rate": 1e308}}}, "prm.train.learning_rate", "equal to 1"),
        (
            {"name": "x", "evolution": {"train": {"batch_size": 100, "ranks": 8}}},
            "evolution.train.batch_size",
            "set 96 or 104",
        ),
        (
            {"name": "x", "generation": {"shard_questions": 512}, "data": {"validation": 512}}
            | {"exploration": {"questions": 512, "grid": [n / 100 for n in range(1, 65)]}},
            "generation.shard_questions",
            "lower it to 128",
        ),
        (train(epochs=2, updates=5), "evolution.train.epochs", "leave epochs out"),
        (train(schedule="cosine"), "evolution.train.schedule", "set evolution.updates or evolution.train.updates"),
        ({"name": "x", "prm": {"train": {"schedule": "wsd"}}}, "prm.train.schedule", "set train.updates"),
        (train(updates=5, warmup_steps=20), "evolution.train.warmup_steps", "nothing of 20 updates"),
        ({"name": "x", "evolution": {"updates": 3}}, "evolution.updates", "less than one for each of the 4"),
        (
            {"name": "x", "evolution": {"updates": 8, "train": {"updates": 2}}},
            "evolution.train.updates",
            "leave one of the two out",
        ),
        (
            train(freeze_vision=True, freeze_projector=True, freeze_language=True),
            "evolution.train.freeze_language",
            "nothing is left to train",
        ),
        (train(offload_parameters=True), "evolution.train.offload_parameters", "zero_stage 3"),
        (train(lora={"quantize": True}, zero_stage=3), "evolution.train.lora.quantize", "zero_stage to 2"),
        (train(lora={"targets": ["a b"]}), "evolution.train.lora.targets.0", "match pattern"),
        (train(lora={}), "evolution.inherit_warmup", "set it to false"),
        (train(optimizer="sgd"), "evolution.inherit_warmup", "set it to false"),
        ({"name": "x", "y" * 10**6: 1}, "recipe", "which is too long"),
        ({"name": "x", "y" * 150: 1}, "y" * 150, "is not a field"),
        ({"name": "x" * 5000}, "recipe.name", "longer than 4096"),
    ],
)
def test_refusal_names_field_and_fix(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words) as caught:
        parse_recipe(values)
    assert caught.value.field == field
    assert len(caught.value.detail) < 400


def numeric_fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of every field of a recipe that takes a number."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        for kind in kinds:
            if issubclass(kind, BaseModel):
                yield from numeric_fields(kind, f"{prefix}{name}.")
            elif kind in (int, float):
                yield f"{prefix}{name}"


NUMBERS = sorted(one for one in set(numeric_fields(Recipe)) - {"exploration.grid"} if not one.startswith("measure."))


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [2**62, -1, 1.7e308])
def test_every_number_has_bounds(field: str, value: float) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        parse_recipe({"name": "x"}, {field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(("field", "value"), [("measure.n", 4), ("measure", {"model": "m"})])
def test_what_an_evaluation_measures_is_no_users_to_say(field: str, value: object) -> None:
    with pytest.raises(InvalidRecipe, match="`mstar eval` measures one") as caught:
        parse_recipe({"name": "x"}, {field: value})
    assert caught.value.field == "measure"
    assert parse_recipe({"name": "x", "measure": None}).measure is None


def test_a_prm_is_needed_by_the_controller_too() -> None:
    values = {"name": "x", "prm": None, "evolution": {"selection": {"mode": "all"}}}
    with pytest.raises(InvalidRecipe, match="reward_pass needs a prm section"):
        parse_recipe(values)
    assert parse_recipe(values, {"exploration.mode": "pass"}).prm is None


def test_overrides_lie_over_the_recipe_and_leave_it_alone() -> None:
    values: dict[str, Any] = {"name": "x", "evolution": {"n": 4}}
    recipe = parse_recipe(values, {"evolution.iterations": 2, "warmup.train.batch_size": 8})
    assert (recipe.evolution.iterations, recipe.evolution.n) == (2, 4)
    assert recipe.warmup is not None
    assert recipe.warmup.train.batch_size == 8
    assert values == {"name": "x", "evolution": {"n": 4}}


STANDARD = {
    "name": "x",
    "evolution": {"n": 4, "train": {"learning_rate": 1e-4, "batch_size": 32}, "selection": {"mode": "all"}},
}


@pytest.mark.parametrize(
    "overrides",
    [
        {"evolution.iterations": 1, "evolution.train.ranks": 2},
        {"evolution": {"iterations": 1, "train": {"ranks": 2}}},
        {"evolution": {"iterations": 1}, "evolution.train.ranks": 2},
        {"evolution.train": {"ranks": 2}, "evolution.iterations": 1},
        {"evolution": {"iterations": 1, "train.ranks": 2}},
        {"evolution": {"iterations": 1, "train": {"ranks": 2}, "selection": {}}},
    ],
)
def test_a_section_is_merged_at_every_depth(overrides: dict[str, Any]) -> None:
    plan = parse_recipe(STANDARD, overrides).evolution
    assert (plan.iterations, plan.train.ranks) == (1, 2)
    assert (plan.n, plan.train.learning_rate, plan.train.batch_size) == (4, 1e-4, 32)
    assert plan.selection.mode is SelectionMode.ALL


def test_null_takes_a_section_away_and_a_list_is_replaced_whole() -> None:
    recipe = parse_recipe(STANDARD, {"warmup": None, "exploration": {"grid": [0.5, 1.0]}})
    assert recipe.warmup is None and recipe.exploration.grid == (0.5, 1.0)
    assert parse_recipe({**STANDARD, "warmup": None}, {"warmup": {"n": 2}}).warmup is not None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"evolution": {"n": 2}, "evolution.n": 3}, "evolution.n is given twice"),
        ({"warmup": None, "warmup.n": 3}, "lies inside warmup"),
        ({".".join("a" * 50): 1}, "more than 16 levels"),
        ({"a." * 10**6: 1}, "too long"),
        ({"": 1}, "is not a field"),
        ({"evolution..n": 1}, "evolution.: is not a field: remove it, or use one of "),
    ],
)
def test_overrides_that_contradict_or_lead_nowhere(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        parse_recipe(STANDARD, overrides)


@pytest.mark.parametrize("off", [False, None])
def test_a_prm_that_is_not_trained_needs_a_folder(off: bool | None) -> None:
    plan = parse_recipe({"name": "x"}, {"prm.train": off, "prm.base": "some/prm"})
    assert plan.prm is not None and plan.prm.train is None
    assert plan.scoring_form.instruction == "" != plan.form.instruction or plan.form.instruction == ""
    with pytest.raises(InvalidRecipe, match="name the folder of a PRM") as refused:
        parse_recipe({"name": "x"}, {"prm.train": off})
    assert refused.value.field == "prm.base"


def test_an_override_can_not_go_below_a_value() -> None:
    with pytest.raises(InvalidRecipe, match="name is not a section"):
        parse_recipe({"name": "x"}, {"name.first": 1})


@pytest.mark.parametrize(("text", "words"), [("a: [", "not valid YAML"), ("- 1", "must be a mapping"), ("", "mapping")])
def test_text_that_is_no_recipe(text: str, words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        parse_recipe_yaml(text)


def test_yaml_builds_no_objects() -> None:
    with pytest.raises(InvalidRecipe, match="not valid YAML"):
        parse_recipe_yaml("name: !!python/object/apply:os.getcwd []")


def test_updates_of_a_run_are_shared_out_evenly() -> None:
    plan = parse_recipe({"name": "x", "evolution": {"iterations": 4, "updates": 10}}).evolution
    assert [plan.train_of(number).updates for number in (1, 2, 3, 4, 5)] == [3, 3, 2, 2, 2]
    assert [plan.horizon(number) for number in (1, 4)] == [10, 10]
    fresh = parse_recipe({"name": "x", "evolution": {"iterations": 4, "updates": 10, "optimizer": "fresh"}}).evolution
    assert [fresh.horizon(number) for number in (1, 4)] == [3, 2], "each iteration has a schedule of its own"


def test_an_optimizer_may_go_on_with_less_to_train_but_not_with_more() -> None:
    less = {"name": "x", "evolution": {"train": {"freeze_vision": True}}}
    assert parse_recipe(less).evolution.train.freeze_vision
    more = {"name": "x", "warmup": {"train": {"freeze_vision": True}}}
    with pytest.raises(InvalidRecipe, match="no state for what the iterations train"):
        parse_recipe(more)
    assert parse_recipe(more, {"evolution.inherit_warmup": False})
    adapters = {"lora": {"rank": 4}}
    assert parse_recipe({"name": "x", "warmup": {"train": adapters}, "evolution": {"train": adapters}})


def test_the_prm_takes_every_option_that_the_policy_takes() -> None:
    options = {"updates": 9, "schedule": "cosine", "optimizer": "sgd", "lora": {"targets": ["q_proj"]}, "dtype": "bf16"}
    parsed = parse_recipe(
        {"name": "x", "prm": {"train": options}, "evolution": {"train": options, "inherit_warmup": False}}
    )
    assert parsed.prm is not None and parsed.prm.train == parsed.evolution.train
    assert parsed.trainings() == {
        "warmup": parsed.warmup and parsed.warmup.train,
        "prm": parsed.prm.train,
        "evolution": parsed.evolution.train,
    }


def test_a_recipe_without_a_sweep_needs_no_questions_for_one() -> None:
    small = {"name": "x", "data": {"validation": 12}, "exploration": {"mode": "fixed"}}
    assert parse_recipe(small).data.validation == 12
