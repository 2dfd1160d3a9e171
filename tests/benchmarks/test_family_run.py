"""What the docs show of the runs on families is what was recorded, and the data set is one that a run takes."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.family_halves import CELL, COLOURS, POINTS, SIZES, draw, write_splits
from benchmarks.family_run import RECIPE, RESULTS, report

from mstar.recipes import parse_recipe
from mstar_data.rows import read_rows
from mstar_data.summary import Summary

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_docs_show_what_was_recorded() -> None:
    assert report(json.loads(RESULTS.read_text())) in PAGE.read_text()


def test_the_data_set_has_what_the_recipe_asks_for(tmp_path: Path) -> None:
    recipe = parse_recipe(yaml.safe_load(RECIPE.read_text()))
    for split, questions in recipe.splits.items():
        assert questions <= SIZES[split]
    summary = Summary()
    rows = list(read_rows(write_splits(tmp_path / "data"), summary))
    assert len(rows) == sum(SIZES.values()) and not summary.problems
    assert len({row.images for row in rows}) == len(rows), "no picture twice"


@pytest.mark.parametrize("discs", [False, True])
def test_a_chain_reads_what_the_picture_shows(discs: bool) -> None:
    for seed in range(20):
        problem = draw(random.Random(seed), discs=discs)
        upper, lower = (_colour(problem.image.getpixel((CELL // 2, CELL * row + CELL // 2))) for row in (0, 1))
        assert f"upper half is {upper}," in problem.response and f"lower half is {lower}," in problem.response
        assert problem.answer == str(POINTS[upper] + POINTS[lower])
        assert problem.response.endswith(f"## Answer\n\n{problem.answer}")


def _colour(shade: Any) -> str:
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], shade, strict=True)))
