"""What docs/study.md reports is what the result files say, and they are those of the study that was registered."""

from pathlib import Path

import pytest
from benchmarks.study_tables import BEGIN, END, PAGE, SUMMARY, merged, tables

from mstar.cli.study_files import in_order, read_properties, read_results, read_study
from mstar.study.page import study_csv
from mstar.study.summary import StudySummary, summarise

ROOT = Path(__file__).parents[2]


def test_the_summary_follows_from_the_result_files() -> None:
    """Each of them names the digest of its recipe, so a study that was changed afterwards would be refused."""
    study = read_study(str(ROOT / "studies" / "paper.yaml"))
    runs = in_order(study, read_results(ROOT / "benchmarks" / "study", study).values())
    made = summarise(study, runs)
    gates = read_properties(ROOT / "benchmarks" / "gates.json")
    made = made.model_copy(update={"properties": (*gates, *made.properties)})
    assert SUMMARY.read_text(encoding="utf-8") == made.model_dump_json(indent=1) + "\n"
    assert (ROOT / "docs" / "study.csv").read_text(encoding="utf-8") == study_csv(runs)


def test_the_tables_follow_from_the_summary() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = StudySummary.model_validate_json(SUMMARY.read_bytes())
    assert merged(page, tables(found)) == page


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    assert merged(f"a\n{BEGIN}old{END}b\n", "new") == f"a\n{BEGIN}\nnew\n{END}b\n"
    with pytest.raises(ValueError, match="no place"):
        merged("nothing", "new")
