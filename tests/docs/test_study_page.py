"""What docs/study.md reports is what the result files say, and they are those of the study that was registered."""

from pathlib import Path

import pytest
from benchmarks.study_tables import (
    BEGIN,
    END,
    PAGE,
    RUNS,
    SECOND_BEGIN,
    SECOND_END,
    SECOND_RUNS,
    SFT_BEGIN,
    SFT_END,
    SUMMARY,
    merged,
    second_tables,
    sft_tables,
    tables,
)

from mstar.cli.study_files import in_order, read_properties, read_results, read_study
from mstar.study.page import study_csv
from mstar.study.record import StudyRun
from mstar.study.summary import StudySummary, summarise

ROOT = Path(__file__).parents[2]
STUDY = read_study(str(ROOT / "studies" / "paper.yaml"))


@pytest.fixture(scope="module")
def found() -> list[StudyRun]:
    """The runs; each names the digest of its recipe, so a study that was changed afterwards would be refused."""
    return in_order(STUDY, read_results(RUNS, STUDY).values())


def test_the_summary_follows_from_the_result_files(found: list[StudyRun]) -> None:
    made = summarise(STUDY, found)
    gates = read_properties(ROOT / "benchmarks" / "gates.json")
    made = made.model_copy(update={"properties": (*gates, *made.properties)})
    assert SUMMARY.read_text(encoding="utf-8") == made.model_dump_json(indent=1) + "\n"
    assert (ROOT / "docs" / "study.csv").read_text(encoding="utf-8") == study_csv(found)


def test_the_tables_follow_from_the_summary(found: list[StudyRun]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    summary = StudySummary.model_validate_json(SUMMARY.read_bytes())
    assert merged(page, tables(summary, found)) == page


def test_the_tables_of_the_second_base_follow_from_its_result_files() -> None:
    page = PAGE.read_text(encoding="utf-8")
    study = read_study(str(ROOT / "studies" / "second-base.yaml"))
    runs = in_order(study, read_results(SECOND_RUNS, study).values())
    assert merged(page, second_tables(summarise(study, runs), runs), SECOND_BEGIN, SECOND_END) == page


def test_the_tables_of_sft_follow_from_its_results_and_those_of_the_first_study() -> None:
    page = PAGE.read_text(encoding="utf-8")
    study = read_study(str(ROOT / "studies" / "sft.yaml"))
    runs = in_order(study, read_results(RUNS, study).values())
    # `continuous` is the first study's to the last field, so that nobody runs it again.
    assert {run.study for run in runs if run.arm == "continuous"} == {"paper"}
    assert merged(page, sft_tables(summarise(study, runs), runs), SFT_BEGIN, SFT_END) == page


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    assert merged(f"a\n{BEGIN}old{END}b\n", "new") == f"a\n{BEGIN}\nnew\n{END}b\n"
    with pytest.raises(ValueError, match="no place"):
        merged("nothing", "new")
