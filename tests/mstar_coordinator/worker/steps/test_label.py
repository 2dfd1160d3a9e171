"""Monte-Carlo labels: every prefix of a solution is completed, and the label is the share that reaches the answer."""

from typing import Any

from example_rows import rollout
from mstar.layout import scored_segments
from mstar.stages.label import LabelParams, LabelResult
from mstar.types import FinishReason, RolloutRow, SampledTokens, StepLabelRow
from mstar_coordinator.worker.steps import label
from work_bench import Bench

END = "\n\n## Answer\n\n"


def asked(*texts: str, correct: list[bool] | None = None) -> RolloutRow:
    """Responses to `How many is 42?`, whose answer is 42."""
    row = rollout(correct or [text.endswith("42") for text in texts], texts=texts)
    return row.model_copy(update={"question": row.question.model_copy(update={"text": "How many is 42?"})})


def labelled(bench: Bench, *rows: RolloutRow, max_steps: int = 12) -> tuple[list[StepLabelRow], LabelResult]:
    bench.keep("rows", list(rows))
    params = LabelParams(rows="rows", weights="prepare", completions=8, temperature=1.0, max_steps=max_steps)
    artefact, result = label.run(bench.step("label", params))
    assert artefact is not None
    assert isinstance(result, LabelResult)
    return list(bench.store.rows(artefact, StepLabelRow)), result


def test_every_step_is_labelled_by_its_completions_and_the_last_by_the_answer_itself(bench: Bench) -> None:
    (row,), result = labelled(bench, asked(f"so so\n\ngood turn{END}42"))
    assert row.completions == ("so so", "good turn", "## Answer\n\n42")
    assert row.mc_rollouts == (8, 8, 1)
    assert row.mc_successes[1:] == (8, 1)
    assert 0 < row.mc_successes[0] < 8
    assert row.labels == (row.mc_successes[0] / 8, 1.0, 1.0)
    assert (result.solutions, result.prefixes, result.completions) == (1, 2, 16)


def test_a_separator_of_the_recipe_cuts_solutions_and_stands_behind_their_beginnings(bench: Bench) -> None:
    prompt = bench.recipe.prompt.model_copy(update={"step_separator": "<step>"})
    bench.recipe = bench.recipe.model_copy(update={"prompt": prompt})
    row = asked(f"so so\n\nbut<step>good turn{END}42").model_copy(update={"step_separator": "<step>"})
    (found,), _ = labelled(bench, row)
    assert found.completions == ("so so\n\nbut", "good turn", "## Answer\n\n42")
    assert [one.prefix for request in bench.policy.rollouts for one in request.prompts] == [
        "so so\n\nbut<step>",
        "so so\n\nbut<step>good turn\n\n",
    ]
    assert found.mc_successes[1:] == (8, 1)


def test_wrong_solutions_are_labelled_too(bench: Bench) -> None:
    (row,), _ = labelled(bench, asked(f"bad start{END}41"))
    assert row.labels == (0.0, 0.0)


def test_prefixes_that_solutions_share_are_completed_once(bench: Bench) -> None:
    texts = (f"good start\n\none{END}42", f"good start\n\ntwo{END}42", f"good start\n\none{END}42")
    rows, result = labelled(bench, asked(*texts))
    assert len(rows) == 2
    prefixes = [prompt.prefix for request in bench.policy.rollouts for prompt in request.prompts]
    assert prefixes == ["good start\n\n", "good start\n\none\n\n", "good start\n\ntwo\n\n"]
    assert result.prefixes == 3


def test_unfinished_solutions_and_those_of_too_many_steps_are_left_out(bench: Bench) -> None:
    long = "\n\n".join(f"good {place}" for place in range(4)) + f"{END}42"
    row = asked(long, f"good{END}42", "cut off")
    *whole, cut = row.responses
    cut = cut.model_copy(update={"response": cut.response.model_copy(update={"finish_reason": FinishReason.LENGTH})})
    shard = row.model_copy(update={"responses": (*whole, cut)})
    rows, result = labelled(bench, shard, max_steps=4)
    assert [one.completions for one in rows] == [("good", "## Answer\n\n42")]
    assert result.too_long == 1
    bench.store.path("r-1/label").rename(bench.store.path("r-1/before"))
    rows, result = labelled(bench, shard, max_steps=5)
    assert [len(one.labels) for one in rows] == [5, 2], "labels are one for each step that scoring sees"
    assert rows[0].completions == scored_segments(long)
    assert result.too_long == 0


def sampled(row: RolloutRow, *tokens: tuple[tuple[int, ...], tuple[int, ...]]) -> RolloutRow:
    """The row with token ids, and how many of them lie up to the end of each step."""
    responses = tuple(
        one.model_copy(update={"response": one.response.model_copy(update={"token_ids": ids, "step_ends": ends})})
        for one, (ids, ends) in zip(row.responses, tokens, strict=True)
    )
    return row.model_copy(update={"responses": responses, "vocabulary": "v"})


def test_sampled_tokens_are_completed_and_kept(bench: Bench) -> None:
    row = sampled(asked(f"so so\n\ngood turn{END}42"), ((5, 6, 7, 8, 9, 1), (2, 4, 5)))
    (found,), _ = labelled(bench, row)
    assert found.tokens == SampledTokens(ids=(5, 6, 7, 8, 9, 1), ends=(2, 4, 5), vocabulary="v")
    prompts = [prompt for request in bench.policy.rollouts for prompt in request.prompts]
    assert [(prompt.prefix, prompt.prefix_ids) for prompt in prompts] == [("", (5, 6)), ("", (5, 6, 7, 8))]


def test_steps_that_end_within_one_token_are_completed_together(bench: Bench) -> None:
    row = sampled(asked(f"good\n\nb\n\nc{END}42"), ((5, 6, 7, 1), (2, 2, 3, 3)))
    (found,), result = labelled(bench, row)
    assert found.mc_rollouts == (8, 8, 1, 1), "what ends with the solution needs no completion"
    assert found.labels[0] == found.labels[1]
    assert result.completions == 8


def test_a_shard_without_solutions_asks_for_nothing(bench: Bench) -> None:
    rows, result = labelled(bench, asked(" ", "\n"))
    assert rows == []
    assert result.completions == 0
    assert bench.policy.requests == []


def test_labelling_again_gives_the_same_rows(bench: Bench) -> None:
    row: Any = asked(f"so so\n\nand so{END}42", f"well{END}41")
    first, _ = labelled(bench, row)
    bench.store.path("r-1/label").rename(bench.store.path("r-1/before"))
    again, _ = labelled(bench, row)
    assert again == first


def test_a_solution_whose_prefix_is_too_long_to_go_on_has_no_label(bench: Bench) -> None:
    bench.policy.too_long = "endless"
    (row,), result = labelled(bench, asked(f"good start{END}42", f"good endless start{END}42"))
    assert row.completions[0] == "good start"
    assert result.solutions == 1
