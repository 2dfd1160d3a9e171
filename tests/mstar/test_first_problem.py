"""What pydantic says of a recipe or a study becomes a field and what to do about it."""

from typing import Any

import pytest

from mstar.errors import InvalidInput, InvalidRecipe
from mstar.recipes import parse_recipe
from mstar.study.plan import parse_study


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"evolutoin": {}}, r"^evolutoin: is not a field; did you mean evolution\?$"),
        ({"evolution": {"iteration": 1}}, r"^evolution.iteration: is not a field; did you mean iterations\?$"),
        ({"evolution": {"train": {"learning-rate": 1}}}, r"^evolution.train.learning-rate: .* mean learning_rate\?$"),
        ({"evaluation": {"zzz": 1}}, r"^evaluation.zzz: is not a field: remove it, or use one of .*, k, "),
        ({"prm": {"completion": 1}}, r"^prm.completion: is not a field; did you mean completions\?$"),
    ],
)
def test_a_name_that_is_mistyped_in_a_recipe_is_told_the_nearest(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRecipe, match=said):
        parse_recipe({"name": "a"} | values)


def test_so_is_one_in_a_study() -> None:
    with pytest.raises(InvalidInput, match=r"^contrast: is not a field; did you mean contrasts\?$"):
        parse_study({"name": "a", "base": "demo", "arms": {"b": {}}, "seeds": [1], "contrast": []})
