"""The official prompt with what a model was trained to be asked for, and where its answer is looked for."""

import pytest

from mstar.errors import InvalidInput
from mstar.judges import BENCHMARKS, Item
from mstar.judges.asking import asking
from mstar.prompts import PRESETS, PromptPreset

AI2D = BENCHMARKS["ai2d"]
ITEM = Item(id="1", question="Which?", options=("frog", "hawk"), gold="B")


def test_the_official_prompt_is_left_as_it_is_and_a_preset_adds_its_instruction() -> None:
    official = AI2D.prompt(ITEM)
    assert asking("official").text(AI2D, ITEM) == asking("auto").text(AI2D, ITEM) == official
    assert asking("minivista").text(AI2D, ITEM) == official
    worded = asking("mstar").text(AI2D, ITEM)
    assert worded.startswith(official + "\n\n") and "## Answer" in worded and "letter of the right option" in worded
    assert asking("mathvista").text(AI2D, ITEM).startswith("Hint: ")


def test_auto_is_the_runs_own_prompt() -> None:
    form = PRESETS[PromptPreset.BOXED].model_copy(update={"system": "Be brief."})
    own = asking("auto", form)
    assert (own.name, own.system) == ("run", "Be brief.") and "\\boxed{}" in own.text(AI2D, ITEM)


@pytest.mark.parametrize(
    ("prompt", "response", "correct"),
    [
        ("mstar", "A frog or a hawk?\n\n## Answer\n\nB", True),
        ("boxed", "A frog (A) or a hawk? So \\boxed{B}.", True),
        ("boxed", "A frog (A) or a hawk? So \\boxed{A}.", False),
        ("mathvista", "It is A or B.\nB", True),
        ("official", "It is A or B.\n\\boxed{B}", False),
    ],
)
def test_the_answer_is_looked_for_where_it_was_asked_for(prompt: str, response: str, correct: bool) -> None:
    assert AI2D.judge(asking(prompt).readable(response), ITEM).correct is correct


def test_an_unknown_prompt_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="auto, official, mstar, boxed, mathvista, minivista"):
        asking("cot")
