"""Records in the columns and turns of published sets that no other test reads."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mstar_data.rows import read_rows
from mstar_data.summary import Summary
from small_png import small_png
from trusting_looks import TrustingLooks

PEOPLE = [{"answer": "lots", "answer_confidence": "yes", "answer_id": person} for person in range(1, 11)]
STAGES = "<SUMMARY> I look. </SUMMARY>\n\n<REASONING> It is far. </REASONING>\n\n<CONCLUSION> {} </CONCLUSION>"
CAULDRON = "Question: What do plants give out?\nChoices:\nA. Oxygen\nB. Carbon dioxide\nAnswer with the letter."


FIRST = "<image>\nFirst perform reasoning, then finally select the question from the choices."
GEO = f"{FIRST}\nQuestion:Find x.\nChoices:\nA:3\nB:4"


@pytest.mark.parametrize(
    ("record", "question", "answer"),
    [
        (
            {"conversations": [{"from": "human", "value": GEO}, {"from": "gpt", "value": "It is 4.\nAnswer:B"}]},
            "Find x.",
            "B",
        ),
        ({"question": "How many?", "answer_type": "number", "answers": PEOPLE}, "How many?", "lots"),
        ({"question": "q", "answer_type": "unanswerable", "answers": ["unanswerable"]}, "q", "unanswerable"),
        ({"question": "q", "question_type": "open", "options": "[]", "answer": "['12', 'twelve']"}, "q", "12"),
        ({"texts": [{"user": CAULDRON, "assistant": "Answer: B", "source": "AI2D"}]}, "What do plants give out?", "B"),
        (
            {"conversations": [{"from": "human", "value": "How?"}, {"from": "gpt", "value": STAGES.format("12")}]},
            "How?",
            "12",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<answer>7</answer>"}]},
            "q",
            "7",
        ),
    ],
)
def test_question_and_answer_are_found(tmp_path: Path, record: dict[str, Any], question: str, answer: str) -> None:
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "0.png", **record}) + "\n")
    summary = Summary()
    (row,) = read_rows(tmp_path, summary, looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], summary.problems) == (question, answer, [])


def test_a_request_behind_the_options_is_no_part_of_the_last_one(tmp_path: Path) -> None:
    said = [{"user": CAULDRON, "assistant": "Answer: B"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"texts": said}) + "\n")
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert row.columns["choices"] == ["Oxygen", "Carbon dioxide"]


ICON = {"question": "Which?", "ques_type": "choose_img", "choices": ["choice_0.png", "choice_1.png"], "answer": 1}


def test_a_question_of_iconqa_has_its_picture_and_those_of_its_options(tmp_path: Path) -> None:
    for place, name in enumerate(("image", "choice_0", "choice_1")):
        (tmp_path / f"{name}.png").write_bytes(small_png(place))
    (tmp_path / "data.json").write_text(json.dumps(ICON))
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert len(row.images) == 3
    assert (row.columns["answer"], row.columns["choices"]) == ("B", ["option picture 1", "option picture 2"])


SCORED = [{"step": "One", "score": 0.125, "num_mc_correct": 2, "num_mc_total": 16}, {"step": "Two", "score": 1.0}]
WRITTEN = {"text": "Three", "rating": None, "source": "human", "corrected_rating": None}
RATED = [
    {"completions": [{"text": "One", "rating": 1}], "human_completion": None, "chosen_completion": 0},
    {"completions": [{"text": "Bad", "rating": -1}], "human_completion": WRITTEN, "chosen_completion": None},
    {"completions": [{"text": "Worse", "rating": -1}], "human_completion": None, "chosen_completion": None},
    {"completions": [{"text": "Never", "rating": 1}], "human_completion": None, "chosen_completion": 0},
]
SHEPHERD = "How many? Step 1: She has 3. {0}\nStep 2: So 3. The answer is: 3 {1}"


@pytest.mark.parametrize(
    ("record", "steps", "labels"),
    [
        (
            {
                "image": "VisualPRM400K-v1.1-Raw/Geo/train/1/a.png",
                "question": "<image>\nx?",
                "steps_with_score": SCORED,
            },
            ["One", "Two"],
            [0.125, 1.0],
        ),
        (
            {"question": "x?", "response": {"steps": ["One", "Two", "Three"], "process_correctness": [1, 0, -1]}},
            ["One", "Two", "Three"],
            [1.0, 0.0, 0.0],
        ),
        (
            {"input": SHEPHERD.format("ки", "ки"), "label": SHEPHERD.format("+", "-"), "task": "GSM8K"},
            ["Step 1: She has 3.", "Step 2: So 3. The answer is: 3"],
            [1.0, 0.0],
        ),
        (
            {"question": {"problem": "How many?", "ground_truth_answer": "7"}, "label": {"steps": RATED}},
            ["One", "Three", "Worse"],
            [1.0, 1.0, 0.0],
        ),
    ],
)
def test_labelled_steps_are_read(tmp_path: Path, record: dict[str, Any], steps: list[str], labels: list[float]) -> None:
    (tmp_path / "images/Geo/train/1").mkdir(parents=True)
    (tmp_path / "images/Geo/train/1/a.png").write_bytes(small_png(0))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.jsonl").write_text(json.dumps(record) + "\n")
    summary = Summary()
    (row,) = read_rows(tmp_path, summary, looks=TrustingLooks())
    assert (row.split, row.columns["completions"], row.columns["labels"]) == ("steps", steps, labels)
    assert len(row.images) == ("image" in record)


def test_steps_whose_marks_are_elsewhere_are_named(tmp_path: Path) -> None:
    record = {"input": SHEPHERD.format("ки", "ки"), "label": "How many? Step 1: She has two. +", "task": "GSM8K"}
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    summary = Summary()
    assert not list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert "with + or - after each step" in summary.problems[0]


def test_a_table_is_its_picture_where_the_source_has_it(tmp_path: Path) -> None:
    rows = {one: {"question": "How much?", "answer": one, "table": "a | b", "table_for_pd": {}} for one in ("1", "2")}
    (tmp_path / "problems_train.json").write_text(json.dumps(rows))
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/1.png").write_bytes(small_png(0))
    drawn, written = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (len(drawn.images), drawn.columns["question"]) == (1, "How much?")
    assert (len(written.images), written.columns["question"]) == (0, "a | b\nHow much?")


@pytest.mark.parametrize(
    ("image", "picture", "is_read"),
    [
        ("documents/a_1.png", "spdocvqa_images/a_1.png", True),
        ("set/geo/a_1.png", "images/geo/a_1.png", True),
        ("train/a_1.png", "val/a_1.png", False),
        ("train2014/a_1.png", "other/a_1.png", False),
        ("documents/a_1.png", "documents/b_1.png", False),
    ],
)
def test_a_folder_that_nobody_unpacks_is_left_out_of_a_path(
    tmp_path: Path, image: str, picture: str, is_read: bool
) -> None:
    (tmp_path / picture).parent.mkdir(parents=True)
    (tmp_path / picture).write_bytes(small_png(0))
    (tmp_path / "a.json").write_text(json.dumps([{"question": "q", "image": image, "answer": "3"}]))
    assert bool(list(read_rows(tmp_path, Summary(), looks=TrustingLooks()))) is is_read


PGPS = {
    "p1": {
        "diagram": "0.png",
        "text": "Find x.",
        "choices": ["5.00", "10.00"],
        "answer": "10.000",
        "parsing_stru_seqs": [],
    }
}
PLOT = {"qa_pairs": [{"question_string": "How many?", "image_index": 0, "answer": 1, "template": "structural"}]}
FIGURE = {"qa_pairs": [{"question_string": "Is Red the minimum?", "image_index": 0, "answer": 1}]}
VISION = [
    {"problem_version": "Vision Only", "question": "", "image": "0.png", "answer": "D", "question_type": "multi-choice"}
]
TABLE = {"1": {"question": "How much?", "answer": "2", "table_title": "T", "table": "a | b", "table_for_pd": {}}}
INFO = [{"question": "How many?", "answers": ["12"], "answer_type": ["single span"], "image": "0.png"}]


@pytest.mark.parametrize(
    ("source", "question", "answer"),
    [
        (PGPS, "Find x.", "B"),
        (FIGURE, "Is Red the minimum?", "Yes"),
        (PLOT, "How many?", "1"),
        (VISION, "Answer the question in the picture.", "D"),
        (TABLE, "T\na | b\nHow much?", "2"),
        (INFO, "How many?", "12"),
        ([{"image": "0.png", "question": "Find <image_1> x", "answer": "3"}], "Find\nx", "3"),
    ],
)
def test_own_columns_of_a_set_are_read(tmp_path: Path, source: object, question: str, answer: str) -> None:
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.json").write_text(json.dumps(source))
    summary = Summary()
    (row,) = read_rows(tmp_path, summary, looks=TrustingLooks())
    assert (row.columns["question"], row.columns["answer"], summary.problems) == (question, answer, [])
    assert len(row.images) == (source is not TABLE)


@pytest.mark.parametrize(
    ("question", "gold", "asked", "options"),
    [
        ("Find x. (A) 3 (B) 4 (C) 5", "B", "Find x.", ["3", "4", "5"]),
        ("Which is larger? A. 3, B. 4, C. 5", "C", "Which is larger?", ["3", "4", "5"]),
        ("What colour is it? Options: (a) red (b) blue", "blue", "What colour is it?", ["red", "blue"]),
        ("Vitamin A. Is it there? B. says so.", "yes", "Vitamin A. Is it there? B. says so.", None),
    ],
)
def test_options_on_one_line_are_options_where_the_answer_is_one(
    tmp_path: Path, question: str, gold: str, asked: str, options: list[str] | None
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": question, "answer": gold}) + "\n")
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (row.columns["question"], row.columns.get("choices")) == (asked, options)


OWN_SHAPES: dict[str, tuple[dict[str, Any], str, str, list[str] | None]] = {
    "DynaMath": (
        {
            "question": "Is it odd? choices: (A) odd (B) even",
            "ground_truth": "B",
            "answer_type": "multiple choice",
            "subject": "algebra",
        },
        "Is it odd?",
        "B",
        ["odd", "even"],
    ),
    "GeoQA": (
        {"subject": "Find AB.", "choices": ["1", "2", "3"], "label": 1, "answer": "By Pythagoras 2.", "comment": ""},
        "Find AB.",
        "B",
        ["1", "2", "3"],
    ),
    "FormalGeo7k": (
        {"problem_text_en": "Find x.", "problem_text_cn": "x", "problem_answer": "3*pi/2", "problem_level": 1},
        "Find x.",
        "3 \\pi/2",
        None,
    ),
    "HallusionBench": (
        {"question": "Are they equal?", "gt_answer": "0", "gt_answer_details": "No.", "visual_input": "1"},
        "Are they equal?",
        "No",
        None,
    ),
    "MMMU-Pro": (
        {"options": "['cat', 'dog']", "answer": "B", "subject": "Art"},
        "Answer the question in the picture.",
        "B",
        ["cat", "dog"],
    ),
    "VLAA-Thinking": (
        {
            "question": "Which function?",
            "gt": "Step 1: It holds.\n\n\u2020Answer: y = 2x.",
            "ds_answer": "<think>t</think>",
        },
        "Which function?",
        "y = 2x",
        None,
    ),
    "MM-Eureka": (
        {"conversations": [{"role": "user", "content": "Find C."}], "answer": "30"},
        "Find C.",
        "30",
        None,
    ),
    "LLaVA-CoT": (
        {
            "conversations": [
                {"from": "human", "value": "What is it?\nA. cat\nB. dog"},
                {"from": "gpt", "value": STAGES.format("B")},
            ]
        },
        "What is it?",
        "B",
        ["cat", "dog"],
    ),
}


@pytest.mark.parametrize("name", OWN_SHAPES)
def test_a_published_row_is_read_in_its_own_columns(tmp_path: Path, name: str) -> None:
    record, question, answer, choices = OWN_SHAPES[name]
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": "0.png", **record}) + "\n")
    summary = Summary()
    rows = list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert summary.problems == []
    columns = rows[0].columns
    assert (columns["question"], columns["answer"], columns.get("choices")) == (question, answer, choices)
    assert len(rows[0].images) == 1


def test_base64_in_a_conversation_is_a_picture_and_no_group(tmp_path: Path) -> None:
    picture = base64.b64encode(small_png(0)).decode()
    said = "<think>\nOne, two.\n</think>\n\nThere are \\boxed{2}."
    turns = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "assistant", "value": said}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"image": picture, "conversations": turns}) + "\n")
    summary = Summary()
    (row,) = read_rows(tmp_path, summary, looks=TrustingLooks())
    assert row.images == (small_png(0),)
    assert "group" not in row.columns
    assert "think" not in row.columns["answer"]


def test_a_question_of_hallusionbench_without_a_picture_is_in_words(tmp_path: Path) -> None:
    row = {"question": "Is it so?", "gt_answer": "1", "gt_answer_details": "", "visual_input": "0", "filename": None}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (read,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (read.columns["answer"], read.images) == ("Yes", ())


CHART = {"Question": ["How many bars?", "And red ones?"], "Answer": ["5", "2"], "Question Type": "Conversational"}
SIGN = {"Question_id": "p/1", "Text": "Which number?", "Answer choices": ["(A) 12", "(B) 34"], "Ground truth": "B"}
TURN = [{"role": "user", "content": "<image>\nFind x. Put the answer in \\boxed{}."}]
REWARD = {"data_source": "MMPR", "prompt": TURN, "reward_model": {"style": "rule", "ground_truth": "5"}}
LISTING = [{"role": "user", "content": "<image>\nFind x.\nA. 3\nB. 4"}]
ASKED = {"split": "train", "index": 1, "question": "<image>\nFind x."}
LATER_SHAPES: dict[str, tuple[dict[str, Any], str, str, list[str] | None]] = {
    "CharXiv": (
        {"reasoning_q": "What is the ratio?", "reasoning_a": "0.52", "reasoning_a_type": 4, "descriptive_q1": 1},
        "What is the ratio?",
        "0.52",
        None,
    ),
    "ChartQAPro": (CHART | {"Paragraph": "Of 2010."}, "Of 2010.\nHow many bars?", "5", None),
    "MME-RealWorld": (SIGN, "Which number?", "B", ["12", "34"]),
    "MME-RealWorld on the Hub": (
        {"question": "Which?", "multi-choice options": ["(A) 12", "(B) 34"], "answer": "B"},
        "Which?",
        "B",
        ["12", "34"],
    ),
    "OCRBench": (
        {"dataset": "docVQA", "question": "Which No.?", "question_type": "Doc", "answer": ["12", "No. 12"]},
        "Which No.?",
        "12",
        None,
    ),
    "an option's index": ({"question": "q", "choices": ["x", "y"], "correct_index": 1}, "q", "B", ["x", "y"]),
    "MM-Vet": ({"question": "How many?", "answer": "2<OR>two", "capability": ["ocr"]}, "How many?", "2", None),
    "V*": (
        {"text": "Which colour?\n(A) red\n(B) blue\nAnswer with the letter.", "label": "B", "question_id": "1"},
        "Which colour?",
        "B",
        ["red", "blue"],
    ),
    "ZeroBench": (
        {"question_text": "Add all.", "question_answer": "12", "question_images": ["0.png"]},
        "Add all.",
        "12",
        None,
    ),
    "MM-Math": ({"question": "Find AB.", "solution": "Since AB = AC, AB = \\boxed{5}."}, "Find AB.", "5", None),
    "MMPR, with a mapping's answer": ({"question": "q", "answer": "It is 5.\nFinal answer: **5**"}, "q", "5", None),
    "verl, with the bare question": (REWARD | {"extra_info": ASKED}, "Find x.", "5", None),
    "verl, with options in the prompt": (
        REWARD | {"prompt": LISTING, "extra_info": ASKED, "reward_model": {"ground_truth": "B"}},
        "Find x.",
        "B",
        ["3", "4"],
    ),
    "Vision-R1": (
        {
            "conversations": [
                {"from": "human", "value": "<image>\nFind x."},
                {"from": "gpt", "value": "<think>\nHm.\n</think>\n\nThe value is **Final Answer:** 3"},
            ]
        },
        "Find x.",
        "3",
        None,
    ),
}


@pytest.mark.parametrize("name", LATER_SHAPES)
def test_a_row_of_a_later_set_is_read_in_its_own_columns(tmp_path: Path, name: str) -> None:
    record, question, answer, choices = LATER_SHAPES[name]
    column = {"MM-Vet": "imagename", "MM-Math": "file_name", "MME-RealWorld": "Image"}.get(name, "image")
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.jsonl").write_text(json.dumps({column: "0.png", **record}) + "\n")
    summary = Summary()
    rows = list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert summary.problems == []
    columns = rows[0].columns
    assert (columns["question"], columns["answer"], columns.get("choices")) == (question, answer, choices)
    assert len(rows[0].images) == 1


def test_questions_behind_the_first_are_counted_as_turns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(CHART) + "\n")
    summary = Summary()
    assert list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert summary.later_turns == 1


def test_two_parts_of_an_answer_are_a_list(tmp_path: Path) -> None:
    record = {"imagename": "0.png", "question": "Find x.", "answer": "-1<AND>-5", "capability": ["math"]}
    (tmp_path / "0.png").write_bytes(small_png(0))
    (tmp_path / "a.json").write_text(json.dumps({"v1_0": record}))
    (row,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert (row.columns["answer_type"], row.columns["answer"]) == ("list", '["-1", "-5"]')


def test_a_picture_without_an_ending_goes_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "SEED-Bench-image").mkdir()
    (tmp_path / "SEED-Bench-image/1454426_25911").write_bytes(small_png(0))
    row = {"question": "How many?", "choice_a": "One", "choice_b": "Two", "answer": "B", "data_id": "1454426_25911"}
    (tmp_path / "SEED-Bench.json").write_text(json.dumps({"questions": [row], "question_type": {"Scene": 1}}))
    (read,) = read_rows(tmp_path, Summary(), looks=TrustingLooks())
    assert read.images == (small_png(0),)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"ask": {"question_en": "q"}, "gold": "3"}, "(columns: {question: ask.question_en})"),
        ({"question": "q", "id": "7", "chosen": "5", "by": {"answer": ""}}, "(columns: {answer: chosen})"),
        ({"question": "q", "answer_options": ["3", "4"], "answer": "A"}, "column 'answer_options' lists options"),
        ({"question": "q", "mc options": "['3', '4']", "answer": "A"}, "column 'mc options' lists options"),
    ],
)
def test_what_no_reader_knows_is_told_with_the_mapping_that_reads_it(
    tmp_path: Path, record: dict[str, Any], said: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    summary = Summary()
    assert not list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert said in summary.problems[0]


def test_pictures_that_no_record_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots/0.png").write_bytes(small_png(0))
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "How many?", "answer": "3", "shot": 7}) + "\n")
    summary = Summary()
    assert list(read_rows(tmp_path, summary, looks=TrustingLooks()))
    assert summary.pictures_unread
