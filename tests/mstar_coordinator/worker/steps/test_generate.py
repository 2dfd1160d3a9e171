"""Rollout shards: who is asked, with which seeds and weights, and what comes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import StaleEpoch
from mstar.prompts import PromptPreset, PromptRecipe
from mstar.stages.choose import ChooseResult
from mstar.stages.generate import GenerateParams, GenerateResult, Sampling
from mstar.types import RolloutRow
from mstar_coordinator.worker.steps import generate
from work_bench import Bench


def params(**changes: Any) -> GenerateParams:
    values: dict[str, Any] = {
        "purpose": "it01",
        "split": "train",
        "start": 0,
        "count": 4,
        "draws": (Sampling(n=6, temperature=1.0),),
        "weights": "prepare",
    }
    return GenerateParams(**(values | changes))


def sampled(bench: Bench, name: str = "it01/generate/0000", **changes: Any) -> tuple[list[RolloutRow], GenerateResult]:
    artefact, result = generate.run(bench.step(name, params(**changes)))
    assert artefact is not None
    assert isinstance(result, GenerateResult)
    return list(bench.store.rows(artefact, RolloutRow)), result


def test_a_shard_holds_checked_responses_of_the_weights_asked_for(bench: Bench) -> None:
    rows, result = sampled(bench)
    given = bench.inputs["prepare"].artefact
    assert given is not None
    assert {row.weight_version for row in rows} == {given.version} == {result.weight_version}
    for row in rows:
        for response in row.responses:
            assert response.verdict.correct == response.response.text.startswith("good")
    assert (result.questions, result.responses, result.tokens) == (4, 24, 72)
    assert 0 < result.correct < 24
    assert bench.progress[-1] == (4, 4)


def test_shards_of_the_train_split_cut_one_seeded_order_and_wrap_around(bench: Bench) -> None:
    first, _ = sampled(bench, "a", start=0)
    second, _ = sampled(bench, "b", start=4)
    third, _ = sampled(bench, "c", start=8)
    ids = [[row.question.id for row in rows] for rows in (first, second, third)]
    assert len({*ids[0], *ids[1]}) == 8
    assert ids[2] == ids[0]
    assert ids[0] + ids[1] != sorted(ids[0] + ids[1])


def test_temperatures_of_a_sweep_may_share_their_random_numbers(bench: Bench) -> None:
    draws = tuple(Sampling(n=2, temperature=t) for t in (0.5, 1.0))

    sampled(bench, "a", draws=draws)
    sampled(bench, "b", draws=draws, common_numbers=True)
    own, common = ([prompt.seed for prompt in request.prompts] for request in bench.policy.rollouts)
    assert len(set(own)) == len(own) == 8
    # Question-major: the two temperatures of a question stand side by side.
    assert common[::2] == common[1::2] and len(set(common)) == 4


def test_other_splits_stay_in_their_order(bench: Bench) -> None:
    rows, _ = sampled(bench, split="validation")
    assert [row.question.id for row in rows] == [f"validation/{place:06d}" for place in range(4)]


def test_a_sweep_is_question_major_and_every_draw_has_its_own_seed(bench: Bench) -> None:
    draws = (Sampling(n=2, temperature=0.5), Sampling(n=2, temperature=1.0))
    rows, _ = sampled(bench, split="validation", draws=draws, count=2)
    assert [(row.question.id[-1], row.temperature) for row in rows] == [("0", 0.5), ("0", 1.0), ("1", 0.5), ("1", 1.0)]
    (request,) = bench.policy.rollouts
    assert len({prompt.seed for prompt in request.prompts}) == 4


def test_the_chosen_temperature_is_used(bench: Bench) -> None:
    bench.done("it03/sweep/choose", None, ChooseResult(iteration=3, curve={"0.7": 0.5}, chosen=0.7))
    rows, _ = sampled(bench, draws=(Sampling(n=2),), choose="it03/sweep/choose")
    assert {row.temperature for row in rows} == {0.7}


def test_only_warm_up_shows_the_reference_answer(bench: Bench) -> None:
    sampled(bench, "plain")
    sampled(bench, "shown", with_reference=True)
    plain, shown = bench.policy.rollouts
    assert not any("Reference answer" in prompt.question for prompt in plain.prompts)
    for before, after in zip(plain.prompts, shown.prompts, strict=True):
        assert after.question.startswith(f"{before.question}\n\nReference answer: ")


def test_a_recipe_s_prompt_and_answer_place_reach_sampling(bench: Bench) -> None:
    prompt = PromptRecipe(preset=PromptPreset.BOXED, system="Be brief.")
    bench.recipe = bench.recipe.model_copy(update={"prompt": prompt})
    rows, result = sampled(bench)
    (request,) = bench.policy.rollouts
    assert {prompt.system for prompt in request.prompts} == {"Be brief."}
    assert all("\\boxed{}: a whole number" in prompt.question for prompt in request.prompts)
    # The stand-in answers after a heading, which is not where this recipe looks.
    assert {one.verdict.reason for row in rows for one in row.responses} == {"no-single-box"}
    assert result.correct == 0


def test_the_policy_and_every_row_know_what_separates_steps(bench: Bench) -> None:
    prompt = bench.recipe.prompt.model_copy(update={"step_separator": "<step>"})
    bench.recipe = bench.recipe.model_copy(update={"prompt": prompt})
    rows, _ = sampled(bench)
    assert [request.step_separator for request in bench.policy.rollouts] == ["<step>"]
    assert {row.step_separator for row in rows} == {"<step>"}


def test_images_travel_as_hashes(bench: Bench) -> None:
    sampled(bench)
    assert {prompt.images[0].data for prompt in bench.policy.rollouts[0].prompts} == {None}


def test_two_workers_make_the_same_artefact(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        bench = Bench(tmp_path / name)
        bench.recipe = bench.recipe if not made else made[0][0]
        bench.prepare()
        artefact, _ = generate.run(bench.step("it01/generate/0000", params()))
        made.append((bench.recipe, artefact))
    assert made[0][1] == made[1][1]


def test_an_artefact_that_is_there_is_adopted_without_sampling(bench: Bench) -> None:
    rows, first = sampled(bench)
    again, second = sampled(bench)
    assert again == rows
    assert len(bench.policy.rollouts) == 1
    assert second.model_copy(update={"seconds": 0}) == first.model_copy(update={"seconds": 0})


def test_a_lost_lease_stops_the_work_and_leaves_no_artefact(bench: Bench) -> None:
    step = bench.step("it01/generate/0000", params())

    def lost(done: int, total: int) -> None:
        raise StaleEpoch("a newer claim exists")

    with pytest.raises(StaleEpoch):
        generate.run(replace(step, progress=lost))
    assert bench.store.find(step.claim.output_id) is None
    assert bench.policy.rollouts == []


def test_a_question_whose_prompt_is_too_long_is_named_and_the_shard_goes_on(bench: Bench) -> None:
    before, _ = sampled(bench, "before")
    long = before[1].question
    bench.policy.too_long = long.text
    rows, result = sampled(bench)
    assert [row.question for row in rows] == [row.question for row in before]
    assert (rows[1].responses, rows[1].problem) == ((), "too long for the model")
    assert all(row.responses and not row.problem for row in rows if row.question != long)
    assert (result.outcomes.skipped, result.outcomes.skipped_ids) == (1, (long.id,))
    assert result.questions == len(before)
