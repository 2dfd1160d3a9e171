"""The run's state machine as a table, and the step graph of every arm."""

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from mstar.errors import IllegalTransition, InvalidRecipe
from mstar.evolution import RunEvent, RunState, graph, sweep_precedes, transition
from mstar.recipe_folder import RecipeFolder
from mstar.recipes import Recipe, parse_recipe, parse_recipe_yaml
from mstar.selection_rules import SelectionMode
from mstar.stages import StepSpec
from mstar.stages.evaluate import EvaluateParams
from mstar.stages.generate import GenerateParams
from mstar.stages.publish import PublishParams
from mstar.stages.score import ScoreParams
from mstar.stages.select import SelectParams
from mstar.stages.train import TrainParams

R, P, S, F, C = RunState.RUNNING, RunState.PAUSED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED
NO = None
TABLE = {
    # event:                R  P   S   F   C
    RunEvent.PAUSE: (P, NO, NO, NO, NO),
    RunEvent.RESUME: (NO, R, NO, R, NO),
    RunEvent.CANCEL: (C, C, NO, C, NO),
    RunEvent.REPAIR: (R, P, R, R, NO),
    RunEvent.EXTEND: (R, P, R, NO, NO),
    RunEvent.STEPS_DONE: (S, NO, NO, NO, NO),
    RunEvent.STEP_FAILED: (F, NO, NO, NO, NO),
}
RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))
SMALL = {
    "data.train": 60,
    "data.validation": 20,
    "data.test_id": 10,
    "data.test_ood": 10,
    "generation.shard_questions": 8,
    "warmup.questions": 20,
    "evolution.questions": 20,
    "exploration.questions": 10,
}


def recipe(name: str) -> Recipe:
    """A shipped recipe with fewer questions, so that its graph is small."""
    values = RecipeFolder(RECIPES).named(name)
    prm = {} if values["prm"] is None else {"prm.questions": 20}
    return parse_recipe(values, SMALL | prm)


def by_name(steps: tuple[StepSpec, ...]) -> dict[str, StepSpec]:
    return {step.name: step for step in steps}


def trained(steps: tuple[StepSpec, ...], name: str) -> TrainParams:
    params = by_name(steps)[name].params
    assert isinstance(params, TrainParams)
    return params


@pytest.mark.parametrize("event", list(RunEvent))
@pytest.mark.parametrize("place", range(5))
def test_every_state_and_event(event: RunEvent, place: int) -> None:
    state, after = (R, P, S, F, C)[place], TABLE[event][place]
    if after is None:
        with pytest.raises(IllegalTransition, match=f"cannot {event.value} a run that is {state.value}"):
            transition(state, event)
    else:
        assert transition(state, event) is after


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(IllegalTransition, match="possible now: cancel, repair, resume"):
        transition(F, RunEvent.PAUSE)
    with pytest.raises(IllegalTransition, match="possible now: nothing"):
        transition(C, RunEvent.RESUME)


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_named_once_and_need_others_without_a_circle(name: str) -> None:
    steps = graph(recipe(name), 4)
    needs = {step.name: step.needs for step in steps}
    assert len(needs) == len(steps)
    assert {need for step in steps for need in step.needs} <= set(needs)
    assert all(len(step.needs) == len(set(step.needs)) for step in steps)
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("name", NAMES)
def test_all_that_a_step_reads_is_needed_by_it(name: str) -> None:
    for step in graph(recipe(name), 4):
        values = step.params.model_dump()
        read = [values[key] for key in ("weights", "prm", "parent", "choose", "previous") if values.get(key)]
        read += [one for key in ("data", "rows", "scores", "greedy", "sampled") for one in _listed(values.get(key))]
        assert set(read) <= {*step.needs, *step.streams}


def _listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


@pytest.mark.parametrize("name", NAMES)
def test_a_longer_run_contains_the_shorter_one_but_for_publish(name: str) -> None:
    short, long = by_name(graph(recipe(name), 2)), by_name(graph(recipe(name), 5))
    assert set(short) - set(long) == {"publish/02"}
    assert all(long[one] == short[one] for one in short if one in long)


def test_tests_between_may_be_small_and_those_at_both_ends_are_whole() -> None:
    few = parse_recipe(recipe("minivista").model_dump(mode="json"), {"evaluation.between": 4})
    found = by_name(graph(few, 5))

    def asked(label: str, split: str) -> int:
        shards = [step.params for name, step in found.items() if name.startswith(f"eval/{label}/")]
        return sum(one.count for one in shards if isinstance(one, GenerateParams) and one.split == split)

    assert [asked(label, "test_id") for label in ("base", "warmup", "it01", "it03", "it04", "it05")] == [
        10, 10, 4, 4, 10, 10,
    ]  # fmt: skip
    assert asked("it01", "test_ood") == 4
    assert asked("it01", "validation") == asked("it04", "validation") == 40
    short = by_name(graph(few, 2))
    assert set(short) - set(found) == {"publish/02"}


def test_validation_is_answered_greedily_and_at_further_temperatures_beside_its_samples() -> None:
    values = {"evaluation.temperatures": [0.4, 1.3], "evaluation.n": 6, "evaluation.k": 6}
    steps = by_name(graph(parse_recipe(recipe("minivista").model_dump(mode="json"), values), 1))
    evaluate = steps["eval/it01/evaluate"].params
    assert isinstance(evaluate, EvaluateParams)

    def drawn(names: tuple[str, ...]) -> set[tuple[tuple[int, float | None], ...]]:
        params = [steps[name].params for name in names if "/test_" not in name]
        return {tuple((d.n, d.temperature) for d in one.draws) for one in params if isinstance(one, GenerateParams)}

    assert drawn(evaluate.greedy) == {((1, 0.0),)}
    assert drawn(evaluate.sampled) == {((6, 1.0),)}
    assert drawn(evaluate.spread) == {((6, 0.4), (6, 1.3))}
    # Pass@K at the further temperatures needs no score.
    assert len(evaluate.scores) == len(evaluate.sampled)


@pytest.mark.parametrize("name", NAMES)
def test_selection_rule_and_scores_follow_the_arm(name: str) -> None:
    plan = recipe(name)
    params = by_name(graph(plan, 2))["it02/select/0000"].params
    assert isinstance(params, SelectParams)
    assert params.rule == plan.evolution.selection
    ranked = plan.evolution.selection.mode in (SelectionMode.TOP, SelectionMode.THRESHOLD)
    assert params.prm == ("reward/train" if ranked else None)


def test_rest_em_starts_from_the_first_policy_with_a_fresh_optimizer() -> None:
    train = trained(graph(recipe("arms/rest-em"), 3), "it03/train")
    assert (train.parent, train.carry_optimizer) == ("warmup/train", False)


def test_iterative_rft_starts_from_the_last_policy_with_a_fresh_optimizer() -> None:
    train = trained(graph(recipe("arms/iterative-rft"), 3), "it03/train")
    assert (train.parent, train.carry_optimizer) == ("it02/train", False)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("arms/rest-em", "arms/iterative-rft")])
def test_continuous_arms_carry_policy_and_optimizer(name: str) -> None:
    steps = graph(recipe(name), 3)
    assert [(t.parent, t.carry_optimizer) for t in (trained(steps, f"it0{i}/train") for i in (1, 2, 3))] == [
        ("warmup/train", True),
        ("it01/train", True),
        ("it02/train", True),
    ]


def test_the_schedule_begins_with_the_first_iteration_and_the_optimizer_with_the_warm_up() -> None:
    steps = graph(recipe("minivista"), 2)
    assert [(t.carry_optimizer, t.carry_schedule) for t in (trained(steps, f"it0{i}/train") for i in (1, 2))] == [
        (True, False),
        (True, True),
    ]


def test_the_warm_up_s_moments_can_be_left_behind() -> None:
    plan = parse_recipe({"name": "x", "evolution": {"inherit_warmup": False, "updates": 9, "iterations": 2}})
    steps = graph(plan, 2)
    assert [trained(steps, f"it0{i}/train").carry_optimizer for i in (1, 2)] == [False, True]
    assert [(t.settings.updates, t.horizon) for t in (trained(steps, f"it0{i}/train") for i in (1, 2))] == [
        (5, 9),
        (4, 9),
    ]


def test_a_shard_is_chosen_from_as_soon_as_it_is_sampled() -> None:
    steps = [step for step in graph(recipe("minivista"), 1) if step.name.startswith("it01/select/")]
    assert len(steps) > 1
    for step in steps:
        assert isinstance(step.params, SelectParams)
        assert set(step.needs) == {"reward/train", step.params.rows}


def test_training_begins_with_the_first_shard_and_takes_the_others_as_they_come() -> None:
    train = by_name(graph(recipe("minivista"), 1))["it01/train"]
    shards = trained([train], "it01/train").data
    assert train.needs == ("warmup/train", shards[0])
    assert train.streams == shards[1:]


def test_iterations_take_the_next_share_of_the_training_split() -> None:
    steps = graph(recipe("minivista"), 3)
    shares: dict[str, list[tuple[int, int]]] = {}
    for step in steps:
        if isinstance(step.params, GenerateParams) and step.params.split == "train" and step.name.startswith("it"):
            shares.setdefault(step.name[:4], []).append((step.params.start, step.params.count))
    places = {one: [p for start, count in share for p in range(start, start + count)] for one, share in shares.items()}
    assert places == {"it01": list(range(20)), "it02": list(range(20, 40)), "it03": list(range(40, 60))}


def test_warm_up_and_prm_have_questions_of_their_own() -> None:
    def places(own: bool, phase: str) -> set[int]:
        plan = parse_recipe({"name": "x"}, SMALL | {"prm.questions": 20, "prm.own_questions": own})
        sampled = [step.params for step in graph(plan, 1) if step.name.startswith(phase)]
        params = [one for one in sampled if isinstance(one, GenerateParams)]
        return {place for one in params for place in range(one.start, one.start + one.count)}

    assert places(True, "warmup/generate") == set(range(20))
    assert places(True, "reward/sample") == set(range(20, 40))
    assert places(False, "reward/sample") == set(range(20))


def test_sweeps_come_every_second_iteration_and_set_the_temperature() -> None:
    plan = recipe("minivista")
    assert [sweep_precedes(plan, i) for i in range(1, 8)] == [False, False, True, False, True, False, True]
    steps = by_name(graph(plan, 4))
    chosen = [steps[f"it0{i}/generate/0000"].params for i in (2, 3, 4)]
    assert [p.choose for p in chosen if isinstance(p, GenerateParams)] == [
        None,
        "it03/sweep/choose",
        "it03/sweep/choose",
    ]


def test_a_run_without_iterations_evaluates_base_and_warmup() -> None:
    names = by_name(graph(recipe("minivista"), 0))
    assert "publish/00" in names
    assert {"eval/base/evaluate", "eval/warmup/evaluate"} <= set(names)
    assert not any(name.startswith("it") for name in names)


def test_a_prm_that_others_trained_is_fetched_and_asked() -> None:
    plan = parse_recipe_yaml("name: x\nprm:\n  train: false\n  base: some/prm\n", SMALL)
    steps = by_name(graph(plan, 3))
    assert [name for name in steps if name.startswith("reward/")] == ["reward/fetch"]
    assert "reward/fetch" in steps["it01/select/0000"].needs
    asked = {step.params.prm for step in steps.values() if isinstance(step.params, SelectParams | ScoreParams)}
    assert asked == {"reward/fetch", None}, "warm-up asks none"
    published = steps["publish/03"].params
    assert isinstance(published, PublishParams)
    assert (published.prm, published.collected) == ("reward/fetch", None)


def test_a_prm_may_be_trained_from_a_base_of_its_own() -> None:
    steps = graph(parse_recipe_yaml("name: x\nprm: {base: some/model, questions: 20}", SMALL), 1)
    assert trained(steps, "reward/train").parent == "reward/fetch"
    assert {"reward/fetch", "reward/collect"} == set(by_name(steps)["reward/train"].needs)


def test_a_run_without_warmup_starts_from_the_base() -> None:
    plan = parse_recipe({"name": "x", "warmup": None})
    assert trained(graph(plan, 1), "it01/train").parent == "prepare"


def test_unlabelled_questions_are_a_share_of_each_iteration_from_its_begin_on() -> None:
    values = {"data.unlabelled": 40, "evolution.unlabelled.share": 0.4, "evolution.unlabelled.begin": 0.5}
    mixed = recipe("minivista").model_copy()
    mixed = parse_recipe(mixed.model_dump(mode="json"), values)
    steps = by_name(graph(mixed, 4))
    for iteration, labelled, unlabelled in ((1, 20, 0), (2, 20, 0), (3, 12, 8), (4, 12, 8)):
        sampled = [
            step.params
            for name, step in steps.items()
            if name.startswith(f"it{iteration:02d}/generate") and isinstance(step.params, GenerateParams)
        ]
        counts = {split: sum(one.count for one in sampled if one.split == split) for split in ("train", "unlabelled")}
        assert counts == {"train": labelled, "unlabelled": unlabelled}
    last = [step.params for name, step in steps.items() if name.startswith("it04/select")]
    assert [one.votes for one in last if isinstance(one, SelectParams)] == [False, False, True]
    published = next(step.params for step in steps.values() if isinstance(step.params, PublishParams))
    assert set(published.selections) == {name for name in steps if "/select/" in name and not name.startswith("warmup")}


def test_an_unlabelled_share_needs_questions_and_a_prm_or_the_oracle() -> None:
    values = recipe("minivista").model_dump(mode="json")
    with pytest.raises(InvalidRecipe, match=r"data\.unlabelled: 0 is less than the 10"):
        parse_recipe(values, {"evolution.unlabelled.share": 0.5})
    bare = {"prm": None, "evolution.selection.mode": "all", "exploration.mode": "fixed", "data.unlabelled": 10}
    with pytest.raises(InvalidRecipe, match="the PRM weighs the votes"):
        parse_recipe(values, {**bare, "evolution.unlabelled.share": 0.5})
    oracle = parse_recipe(values, {**bare, "evolution.unlabelled.share": 0.5, "evolution.unlabelled.oracle": True})
    assert not any(getattr(step.params, "votes", False) for step in graph(oracle, 2))


def test_further_tests_are_answered_wherever_the_two_are() -> None:
    more = parse_recipe(recipe("minivista").model_dump(mode="json"), {"evaluation.sets": {"charts": 70, "maps": 5}})
    assert more.tests == {"test_id": 10, "test_ood": 10, "charts": 70, "maps": 5}
    assert more.splits == {"train": 60, "validation": 20, **more.tests}
    steps = by_name(graph(more, 1))
    for label in ("base", "warmup", "it01"):
        counts = {
            split: sum(
                step.params.count
                for name, step in steps.items()
                if name.startswith(f"eval/{label}/{split}/") and isinstance(step.params, GenerateParams)
            )
            for split in more.tests
        }
        assert counts == more.tests
        evaluate = steps[f"eval/{label}/evaluate"]
        assert {f"eval/{label}/charts/0000", f"eval/{label}/charts/0001"} <= set(evaluate.needs)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"train": 5}, "cannot name a set"),
        ({"a/x": 5}, "cannot name a set"),
        ({"Charts": 5}, "cannot name a set"),
        ({"charts": 0}, "between 1 and"),
        ({"charts": "5"}, "evaluation.sets"),
    ],
)
def test_a_bad_set_is_named(sets: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRecipe, match=said) as refused:
        parse_recipe({"name": "x"}, {"evaluation.sets": sets})
    assert refused.value.field is not None and refused.value.field.startswith("evaluation.sets")


def test_labelled_solutions_of_the_data_set_are_neither_sampled_nor_labelled() -> None:
    given = parse_recipe(recipe("minivista").model_dump(mode="json"), {"prm.given": 30, "prm.questions": 9_999})
    assert given.splits["steps"] == 30
    steps = by_name(graph(given, 1))
    assert not [name for name in steps if name.startswith(("reward/sample", "reward/label"))]
    collect = steps["reward/collect"]
    assert collect.needs == ("prepare",) and getattr(collect.params, "given", False)
    assert trained(tuple(steps.values()), "reward/train").data == ("reward/collect",)
