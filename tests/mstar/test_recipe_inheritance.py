"""A recipe with `extends` is its parent with some values changed, and nothing about a bad chain is left to guess."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.errors import InvalidRecipe
from mstar.recipe_folder import RecipeFolder
from mstar.recipe_inheritance import MAX_PARENTS, overlaid
from mstar.recipes import parse_recipe

KEYS = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.integers() | st.none() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(KEYS, TREES, max_size=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipes" / "arms").mkdir(parents=True)
    write(tmp_path / "recipes" / "base.yaml", "name: base\nevolution: {iterations: 3, selection: {k: 4}}\nprm: {n: 2}")
    write(tmp_path / "recipes" / "arms" / "child.yaml", "name: child\nextends: base\nevolution: {n: 5}\nprm: null")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def recipes(folder: Path) -> RecipeFolder:
    return RecipeFolder(folder / "recipes")


@given(SECTIONS, SECTIONS)
def test_every_leaf_of_the_child_stands_and_the_rest_is_the_parent_s(below: Any, above: Any) -> None:
    merged = overlaid(below, above)
    assert set(merged) == set(below) | set(above)
    for key, value in merged.items():
        if key not in above:
            assert value == below[key]
        elif isinstance(above[key], Mapping):
            assert value == overlaid(below[key] if isinstance(below.get(key), Mapping) else {}, above[key])
        else:
            assert value == above[key]


@given(SECTIONS, SECTIONS, SECTIONS)
def test_a_chain_is_the_same_from_either_end(first: Any, second: Any, third: Any) -> None:
    assert overlaid({}, first) == first == overlaid(first, {})
    if not any(isinstance(value, Mapping) for value in second.values()):
        assert overlaid(overlaid(first, second), third) == overlaid(first, overlaid(second, third))


def test_sections_are_merged_and_null_takes_one_away(folder: Path) -> None:
    values = recipes(folder).named("arms/child")
    assert values == {
        "name": "child",
        "evolution": {"iterations": 3, "n": 5, "selection": {"k": 4}},
        "prm": None,
    }


def test_a_file_extends_a_name_or_a_file_beside_it(folder: Path) -> None:
    middle = write(folder / "middle.yaml", "extends: arms/child\nname: middle\nseed: 7")
    last = write(folder / "last.yml", f"extends: {middle.name}\nevolution: {{n: 6}}")
    values = recipes(folder).file(last)
    assert (values["name"], values["seed"], values["evolution"]["n"]) == ("middle", 7, 6)
    assert "extends" not in values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: nope", "'nope' is unknown; there are: arms/child, base"),
        ("extends: ./nope.yaml", "nope.yaml does not exist"),
        ("extends: [base]", "name one recipe or one .yaml file"),
        ("extends: ''", "name one recipe or one .yaml file"),
        ("extends: mine.yaml", "cannot extend itself"),
        ("extends: broken.yaml", "broken.yaml: recipe is not valid YAML"),
    ],
)
def test_a_bad_parent_is_refused_by_name(folder: Path, text: str, words: str) -> None:
    write(folder / "broken.yaml", "a: [")
    with pytest.raises(InvalidRecipe, match=words):
        recipes(folder).file(write(folder / "mine.yaml", text))


def test_a_cycle_is_shown_link_by_link(folder: Path) -> None:
    write(folder / "one.yaml", "extends: two.yaml")
    write(folder / "two.yaml", "extends: one.yaml")
    with pytest.raises(InvalidRecipe, match=r"one\.yaml extends .*two\.yaml extends .*one\.yaml") as refusal:
        recipes(folder).file(folder / "one.yaml")
    assert refusal.value.field == "extends"


def test_a_chain_has_an_end(folder: Path) -> None:
    write(folder / "0.yaml", "name: x")
    for number in range(1, MAX_PARENTS + 2):
        write(folder / f"{number}.yaml", f"extends: {number - 1}.yaml")
    assert recipes(folder).file(folder / f"{MAX_PARENTS}.yaml") == {"name": "x"}
    with pytest.raises(InvalidRecipe, match=f"at most {MAX_PARENTS} parents"):
        recipes(folder).file(folder / f"{MAX_PARENTS + 1}.yaml")


@pytest.mark.parametrize("given", [({"name": "x", "extends": "base"}, {}), ({"name": "x"}, {"extends": "base"})])
def test_values_alone_have_no_parents_to_read(given: tuple[dict[str, Any], dict[str, Any]]) -> None:
    with pytest.raises(InvalidRecipe, match="start the recipe by its file or its name") as refusal:
        parse_recipe(*given)
    assert refusal.value.field == "extends"
