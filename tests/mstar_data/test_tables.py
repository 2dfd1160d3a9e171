"""Tables as spreadsheets of many countries write them."""

from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidInput
from mstar_data.mapping import Mapping
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks


def read(folder: Path, table: str, options: ReadOptions | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    for place in range(3):
        (folder / f"{place}.png").write_bytes(small_png(place))
    (folder / "train.csv").write_text(table)
    summary = Summary()
    rows = list(read_rows(folder, summary, options or ReadOptions(), looks=TrustingLooks()))
    return [dict(row.columns) for row in rows], summary.problems


def table(*answers: str) -> str:
    lines = [f'{place % 3}.png;Question {place}?;"{answer}"' for place, answer in enumerate(answers)]
    return "\n".join(["image;question;answer", *lines]) + "\n"


@pytest.mark.parametrize(
    ("answers", "read_as", "refused"),
    [
        (["1,5", "12,25", "3"], ["1.5", "12.25", "3"], 0),
        (["12,5 %", "1.234,56 €", "3,5 cm", "yes, 2"], ["12.5 %", "1234.56 €", "3.5 cm", "yes, 2"], 0),
        # Where others have two decimals, three are decimals as well.
        (["1,5", "1,234"], ["1.5", "1.234"], 0),
        # A point may then be one of thousands.
        (["1,5", "1.234"], ["1.5"], 1),
        (["1,234", "7"], ["7"], 1),
        # Lists and decimal points say that a comma is none.
        (["1,2", "1, 2, 3"], ["1,2", "1, 2, 3"], 0),
        (["1,2", "0.5"], ["1,2", "0.5"], 0),
    ],
)
def test_a_table_with_semicolons_shows_what_a_comma_is(
    tmp_path: Path, answers: list[str], read_as: list[str], refused: int
) -> None:
    rows, problems = read(tmp_path, table(*answers))
    assert [row["answer"] for row in rows] == read_as
    assert len(problems) == refused
    assert all("or say decimal: ',' or decimal: '.' in a mapping" in one for one in problems)


def test_a_mapping_says_what_a_comma_is(tmp_path: Path) -> None:
    for sign, value in ((",", "1.234"), (".", "1,234")):
        rows, problems = read(tmp_path, table("1,234"), ReadOptions(mapping=Mapping(decimal=sign)))  # type: ignore[arg-type]
        assert ([row["answer"] for row in rows], problems) == ([value], [])


def test_options_keep_their_commas(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "image;question;choices;answer\n0.png;How long?;1,5|2,5;2,5\n")
    assert not problems
    assert (rows[0]["choices"], rows[0]["answer"]) == (["1,5", "2,5"], "B")


@pytest.mark.parametrize(
    "cell",
    [
        "red|blue",
        "red | blue |",
        "red; blue",
        "red\nblue",
        "red<br>blue",
        "(A) red (B) blue",
        "A) red, B) blue",
        "['red', 'blue']",
        "['red' 'blue']",
        "array(['red', 'blue'], dtype=object)",
        "[('A', 'red'), ('B', 'blue')]",
    ],
)
def test_a_cell_holds_options_as_people_write_them(tmp_path: Path, cell: str) -> None:
    rows, problems = read(tmp_path, f'image,question,choices,answer\n0.png,Which?,"{cell}",blue\n')
    assert not problems
    assert (rows[0]["choices"], rows[0]["answer"]) == (["red", "blue"], "B")


@pytest.mark.parametrize("cell", ["red, blue", "|x|; |y|", "(1; 2)|(3; 4)", "(1; 2)", "red"])
def test_a_cell_that_may_be_cut_in_several_ways_is_refused(tmp_path: Path, cell: str) -> None:
    rows, problems = read(tmp_path, f'image,question,choices,answer\n0.png,Which?,"{cell}",A\n')
    assert not rows
    assert 'write ["red", "blue"], or red|blue in a table' in problems[0]


def test_options_with_a_numbered_column_each_are_options(tmp_path: Path) -> None:
    head = "image,question,option_1,option_2,option_3,answer\n"
    rows, problems = read(tmp_path, f"{head}0.png,Which?,x,y,z,2\n1.png,And now?,x,y,,x\n")
    assert not problems
    assert [(row["choices"], row["answer"]) for row in rows] == [(["x", "y", "z"], "B"), (["x", "y"], "A")]


def test_the_line_that_names_the_separator_and_empty_lines_are_no_records(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "sep=;\nimage;question;answer\n0.png;Which?;5\n;;\n\n1.png;And now?;6\n;;\n")
    assert ([row["answer"] for row in rows], problems) == (["5", "6"], [])


@pytest.mark.parametrize("cell", ["car|automobile", "['car', 'automobile']"])
def test_a_mapping_may_say_that_a_cell_lists_answers_of_which_each_is_right(tmp_path: Path, cell: str) -> None:
    said = ReadOptions(mapping=Mapping(columns={"answers": "gold"}))
    rows, problems = read(tmp_path, f'image,question,gold\n0.png,Which?,"{cell}"\n', said)
    assert not problems
    assert (rows[0]["answer"], rows[0]["alternatives"]) == ("car", ["automobile"])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("image,question,answer,Answer\n0.png,a?,1,2\n", "train.csv: the head names 'answer' twice: rename one"),
        ('image,question,answer\n0.png,"a" is?,1\n', "put a field with quotation marks into such marks, and double"),
    ],
)
def test_a_table_of_which_something_would_be_lost_says_what_to_do(tmp_path: Path, table: str, said: str) -> None:
    rows, problems = read(tmp_path, table)
    assert not rows
    assert said in problems[0]


@pytest.mark.parametrize("answer", ["B) 13 cm", "(B) 13 cm", "b", "13 cm"])
def test_an_answer_may_be_an_option_of_the_questions_text_with_its_name(tmp_path: Path, answer: str) -> None:
    rows, problems = read(tmp_path, f'image,question,answer\n0.png,"How long?\nA) 12 cm\nB) 13 cm",{answer}\n')
    assert not problems
    assert (rows[0]["question"], rows[0]["choices"], rows[0]["answer"]) == ("How long?", ["12 cm", "13 cm"], "B")


def test_an_index_beyond_the_options_says_how_to_count_from_1(tmp_path: Path) -> None:
    _, problems = read(tmp_path, "image,question,choices,answer\n0.png,Which?,x|y,2\n")
    assert problems[0].endswith("where options count from 1, say --first-index 1")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("3 + 4 = 7. So the answer is 7.", "7"),
        ("We add.\nTherefore, the final answer is: 2.5", "2.5"),
        ("The answer is 42 because 6*7=42.", "The answer is 42 because 6*7=42."),
    ],
)
def test_the_last_sentence_of_a_solution_may_state_the_answer(tmp_path: Path, answer: str, value: str) -> None:
    rows, problems = read(tmp_path, f'image,question,answer\n0.png,Which?,"{answer}"\n')
    assert ([row["answer"] for row in rows], problems) == ([value], [])


def test_a_decimal_of_another_sign_is_refused(tmp_path: Path) -> None:
    from mstar_data.mapping import read_mapping

    (tmp_path / "map.yaml").write_text("decimal: ';'\n")
    with pytest.raises(InvalidInput, match="decimal"):
        read_mapping(tmp_path / "map.yaml")
