"""Cards: front matter that parses, licence that follows the base model, the numbers of the run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mstar.prm_schemes import LabelTokens
from mstar.prompts import PromptPreset, PromptRecipe
from mstar_coordinator.export import cards
from publish_bench import finished_run


def front(card: str) -> dict[str, Any]:
    parsed = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(parsed, dict)
    return parsed


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# Base", "apache-2.0"),
        ('---\nlicense: "mit"\n---\n# Modèle', "mit"),
        ("---\nlicense:\n- mit\n---\n", "other"),
        ("# Base", "other"),
        (None, "other"),
    ],
)
def test_licence_follows_the_base_model(tmp_path: Path, text: str | None, licence: str) -> None:
    if text is not None:
        # Of whatever encoding: the card is somebody else's.
        (tmp_path / "README.md").write_text(text, encoding="latin-1")
    assert cards.licence_of(tmp_path) == licence


def test_policy_card_tells_base_numbers_and_temperatures() -> None:
    card = cards.policy_card(finished_run(), "mit")
    assert front(card)["license"] == "mit"
    assert front(card)["base_model"] == "builtin:minivista"
    assert "license_name" not in front(card)
    assert "| iteration 4 | 0.9 | 43.0 | 28.0 | 74.0 | 57.0 |" in card
    assert "iteration 2: T = 1, 1200 of 8000 responses kept, from `r-01/it01/train@0123456789ab`" in card


def test_an_unknown_licence_says_what_it_follows() -> None:
    assert front(cards.policy_card(finished_run(), "other"))["license_name"] == "unknown: follows the base model"


def test_prm_card_says_what_separates_steps() -> None:
    run = finished_run()
    assert "A step is a paragraph, and the answer block" in cards.prm_card(run, "mit", LabelTokens())
    prompt = run.recipe.prompt.model_copy(update={"step_separator": "<step>"})
    other = run.model_copy(update={"recipe": run.recipe.model_copy(update={"prompt": prompt})})
    card = cards.prm_card(other, "mit", LabelTokens())
    assert 'Steps are separated by `"<step>"`' in card
    assert 'behind = ["<step>", "\\n\\n", ""]' in card


def test_prm_card_tells_how_it_was_made() -> None:
    card = cards.prm_card(finished_run(), "mit", LabelTokens(good="+", bad="-"))
    assert "process-reward-model" in front(card)["tags"]
    assert "- solutions: 1200" in card
    assert "losses" not in card
    assert "`+` against `-`" in card
    assert card.count("```") == 2, "the code that scores"


def test_cards_name_models_and_data_by_their_own_names() -> None:
    run = finished_run()
    prm = run.recipe.prm.model_copy(update={"base": "/srv/models/Some-PRM", "train": None}) if run.recipe.prm else None
    where = {
        "model": run.recipe.model.model_copy(update={"base": "/srv/models/Qwen2.5-VL-3B"}),
        "data": run.recipe.data.model_copy(update={"source": "/srv/data/MathV360K"}),
        "prm": prm,
    }
    moved = run.model_copy(update={"recipe": run.recipe.model_copy(update=where)})
    made = [
        cards.policy_card(moved, "mit"),
        cards.prm_card(moved, "mit", LabelTokens()),
        cards.published_prm_card(moved, "mit"),
        cards.dataset_card(moved, "mit", "CoT data set", "Chains.", 17),
    ]
    assert not any("/srv" in card for card in made)
    bases = [front(card).get("base_model") for card in made]
    assert bases == ["Qwen2.5-VL-3B", "Some-PRM", "Some-PRM", None]
    assert "from `MathV360K`" in made[3]


def test_dataset_card_counts_its_rows() -> None:
    card = cards.dataset_card(finished_run(), "mit", "CoT data set", "Chains.", 17)
    assert front(card)["task_categories"] == ["visual-question-answering"]
    assert "pipeline_tag" not in front(card)
    assert "17 rows from `builtin:minivista`" in card


def test_cards_show_how_the_model_is_asked() -> None:
    run = finished_run()
    boxed = run.recipe.model_copy(update={"prompt": PromptRecipe(preset=PromptPreset.BOXED, system="Be exact.")})
    for card in (
        cards.policy_card(run.model_copy(update={"recipe": boxed}), "mit"),
        cards.prm_card(run.model_copy(update={"recipe": boxed}), "mit", LabelTokens(good="+", bad="-")),
        cards.dataset_card(run.model_copy(update={"recipe": boxed}), "mit", "CoT data set", "Chains.", 7),
    ):
        assert "Prompt preset `boxed`; the answer is read from `boxed`. A system turn says: Be exact." in card
        assert "> Which bar is taller?\n>\n> (A) red\n> (B) blue\n" in card
