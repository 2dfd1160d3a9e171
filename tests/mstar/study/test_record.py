"""The record of a run: small, exact about which questions were right, and refused where it cannot be one."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.cli.study_files import read_properties, read_results, write_result
from mstar.errors import InvalidInput
from mstar.marks import Marks, marks_of, packed
from mstar.stages.generate import GenerateResult
from mstar.stages.label import LabelResult
from mstar.stages.train import TrainResult
from mstar.study.record import MAX_BYTES, Cost, cost_of, parse_record
from study_bench import QUESTIONS, run, study


@given(st.lists(st.booleans(), max_size=40))
def test_marks_give_back_what_was_packed(bits: list[bool]) -> None:

    made = Marks(questions=len(bits), ids="0" * 16, right=base64.b64encode(packed(bits)).decode())
    assert made.outcomes() == [int(bit) for bit in bits]


def test_marks_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="do not hold the marks of 20 questions"):
        Marks(questions=20, ids="0" * 16, right="AA==").outcomes()


def test_marks_of_nothing_are_empty() -> None:
    assert marks_of([]).outcomes() == []


def test_a_record_of_the_paper_s_size_is_small_enough_to_mail() -> None:
    one = run(study(), "top-2", 1)
    # Marks of 3,000 questions on two tests for each of fourteen policies, and everything else fourteen times as well.
    marks_bytes = 14 * 2 * (3000 // 8 * 4 // 3 + 100)
    assert marks_bytes + 14 * len(one.model_dump_json()) < MAX_BYTES
    assert len(one.model_dump_json()) < 4 * 2 * (QUESTIONS // 6 + 100) + 8000


def test_a_file_is_written_and_read_again(tmp_path: Path) -> None:
    plan = study()
    one = run(plan, "all", 2)
    path = write_result(tmp_path / "new", one)
    assert path.name == "mine--all--seed2.json"
    assert read_results(tmp_path, plan) == {("all", 2): one}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_of_another_recipe_is_refused_in_its_study_and_passed_over_in_others(tmp_path: Path) -> None:
    plan = study()
    write_result(tmp_path, run(plan, "all", 2))
    assert read_results(tmp_path, study(name="other", changes={"evolution": {"n": 3}})) == {}
    with pytest.raises(InvalidInput, match=r"another recipe than the study has now, which differs in evolution\.n:"):
        read_results(tmp_path, study(changes={"evolution": {"n": 3}}))


def test_a_file_of_another_study_counts_where_the_run_is_the_same(tmp_path: Path) -> None:
    lender, plan = study(name="first"), study()
    one, twice = run(lender, "all", 2), run(study(name="zero"), "all", 2)
    write_result(tmp_path, one)
    write_result(tmp_path, twice.model_copy(update={"run": "r-later"}))
    assert read_results(tmp_path, plan) == {("all", 2): one}
    assert read_results(tmp_path, study(seeds=[1])) == {}
    # Its own goes first, whatever others have.
    own = run(plan, "all", 2)
    write_result(tmp_path, own)
    assert read_results(tmp_path, plan) == {("all", 2): own}


@pytest.mark.parametrize(
    "changes",
    [{"model": {"base": "mine"}}, {"data": {"source": "mine"}}, {"evaluation": {"benchmarks": "mine"}}],
)
def test_a_file_of_another_study_does_not_count_where_a_folder_decides(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    lender, plan = study(name="first", changes=changes), study(changes=changes)
    write_result(tmp_path, run(lender, "all", 2))
    assert read_results(tmp_path, plan) == {}
    assert set(read_results(tmp_path, lender)) == {("all", 2)}


def test_two_different_results_of_one_run_are_refused(tmp_path: Path) -> None:
    plan = study()
    one = run(plan, "all", 2)
    write_result(tmp_path / "a", one)
    write_result(tmp_path / "b", one)
    assert len(read_results(tmp_path, plan)) == 1
    write_result(tmp_path / "b", one.model_copy(update={"run": "r-other"}))
    with pytest.raises(InvalidInput, match="second result of all with seed 2"):
        read_results(tmp_path, plan)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"\xff", b'{"format": 3}', b"x" * (MAX_BYTES + 1)])
def test_what_is_no_record_is_refused_by_its_name(text: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"here\.json"):
        parse_record(text, "here.json")


def test_costs_are_added_up_over_the_steps() -> None:
    generate = GenerateResult(questions=2, responses=8, correct=3, tokens=90, weight_version="v", seconds=2.0)
    label = LabelResult(solutions=2, prefixes=4, completions=32, seconds=1.0)
    train = TrainResult(
        examples=2, steps=5, global_step=9, first_loss=1, last_loss=1, losses=(), learning_rate=1, tokens=70, seconds=3
    )
    assert cost_of([generate, label, train, generate]) == Cost(
        responses=48, tokens=180, trained_tokens=70, updates=5, seconds=8.0
    )


def test_properties_of_another_program_are_read_whatever_else_its_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "gates.json"
    path.write_text('{"gates": [1], "properties": [{"name": "a", "value": 37.3, "wanted": "25% to 40%", "met": true}]}')
    (found,) = read_properties(path)
    assert (found.name, found.value, found.met) == ("a", 37.3, True)
    path.write_text('{"properties": [{"name": "a"}]}')
    with pytest.raises(InvalidInput, match=r"gates\.json: properties\.0\.value"):
        read_properties(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_properties(tmp_path / "none.json")
