"""What the docs show of the runs on families is what was recorded, and the data set is one that a run takes."""

import json
import random
from pathlib import Path

import yaml
from benchmarks.family_cells import SIZES, draw, write_splits
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


def test_a_chain_counts_what_the_picture_shows() -> None:
    for seed in range(20):
        problem = draw(random.Random(seed))
        assert problem.response.endswith(f"## Answer\n\n{problem.answer}")
