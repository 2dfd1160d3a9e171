"""A request waits for the check of its data only so long."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from mstar.errors import InvalidDataset
from mstar.recipes import Recipe
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_data.looks import Looks
from small_png import small_png
from trusting_looks import TrustingLooks

NOWHERE = Path("/dev/null/home")
"""For sets that need no import: a folder there cannot be made."""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    for split in ("train", "validation", "test_id"):
        (tmp_path / split).mkdir()
        rows = [{"file_name": f"{n}.png", "question": "How many?", "answer": n} for n in range(4)]
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for n in range(4):
            (tmp_path / split / f"{n}.png").write_bytes(small_png(n))
    sizes = {"train": 4, "validation": 4, "test_id": 4, "test_ood": 0}
    return Recipe.model_validate(
        {"name": "a", "data": {"source": str(tmp_path), **sizes}, "warmup": None, "prm": None,
         "evolution": {"questions": 4, "selection": {"mode": "all"}}, "exploration": {"mode": "fixed"}}
    )  # fmt: skip


def ticking(step: float) -> Callable[[], float]:
    times: Iterator[float] = iter(step * n for n in range(1000))
    return lambda: next(times)


def test_a_small_set_is_checked_whole(recipe: Recipe) -> None:
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(0.001), seconds=20, home=NOWHERE)
    assert admission.check(recipe) == "all 12 records were checked"


def test_what_time_does_not_allow_is_left_to_the_first_step(recipe: Recipe) -> None:
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(1), seconds=5, home=NOWHERE)
    assert admission.check(recipe) == "5 records were checked in 5 s; the step prepare checks all of them"


def test_what_was_found_in_the_time_refuses_the_run(recipe: Recipe) -> None:
    (Path(recipe.data.source) / "test_id" / "1.png").write_bytes(b"GIF89a" + bytes(40))
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(1), seconds=5, home=NOWHERE)
    with pytest.raises(InvalidDataset, match=r"line 2: image 1\.png is not a PNG, JPEG or WebP"):
        admission.check(recipe)


def test_a_request_does_not_wait_for_another_ones_set(recipe: Recipe) -> None:
    said = []

    @contextmanager
    def busy() -> Iterator[TrustingLooks]:
        said.append(admission.check(recipe))
        yield TrustingLooks()

    admission = DataAdmission(busy, ticking(0.001), seconds=0.05, home=NOWHERE)
    admission.check(recipe)
    assert said == ["its records are checked by the step prepare, since another data set is being looked at"]


def test_the_benchmark_that_ships_needs_no_check() -> None:
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(1), seconds=5, home=NOWHERE)
    assert admission.check(Recipe(name="a")) == ""


def test_an_import_that_time_does_not_allow_goes_on_in_the_first_step(recipe: Recipe, tmp_path: Path) -> None:
    rows = [{"question": f"How many is {n}?", "answer": n} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shares = {"train": 0.4, "validation": 0.3, "test_id": 0.3}
    data = recipe.data.model_copy(update={"source": str(tmp_path / "rows.jsonl"), "split": shares})
    recipe = recipe.model_copy(update={"data": data})
    short = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(1), seconds=30, home=tmp_path / "home")
    assert short.check(recipe) == "30 records were imported in 30 s; the step prepare imports the rest"
    whole = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(0.001), seconds=30, home=tmp_path / "home")
    assert whole.check(recipe) == "all 12 records were checked"


def test_recipes_that_ask_the_same_of_a_set_have_it_looked_at_once(recipe: Recipe) -> None:
    opened = []

    def looks() -> AbstractContextManager[Looks]:
        opened.append(1)
        return nullcontext(TrustingLooks())

    admission = DataAdmission(looks, ticking(0.001), seconds=20, home=NOWHERE)
    assert admission.check(recipe, recipe.model_copy(update={"name": "b"})) == "all 12 records were checked"
    assert len(opened) == 1
    fewer = recipe.model_copy(update={"data": recipe.data.model_copy(update={"validation": 2})})
    assert admission.check(recipe, fewer) == "all 12 records were checked; all 10 records were checked"


def test_the_sets_of_a_request_share_its_time(recipe: Recipe) -> None:
    fewer = recipe.model_copy(update={"data": recipe.data.model_copy(update={"validation": 2})})
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), ticking(1), seconds=9, home=NOWHERE)
    assert admission.check(recipe, fewer) == (
        "9 records were checked in 9 s; the step prepare checks all of them; "
        "0 records were checked in 9 s; the step prepare checks all of them"
    )
