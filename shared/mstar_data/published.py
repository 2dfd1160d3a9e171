"""Rows of published sets whose columns mean something of their own, brought to the names that all other rows have.

IconQA, PGPS9K, MathVerse, MMMU-Pro, FigureQA, PlotQA, TabMWP, InfographicVQA, GeoQA, FormalGeo7k, HallusionBench,
CharXiv, ChartQAPro, MapQA, MME-RealWorld, OCRBench, MM-Vet, V*, ZeroBench and what others publish in verl's layout.
What this leaves out: rows that the usual columns say all about, and where a picture lies (`files`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from mstar.answers.options import LETTERS, missing, options_in, options_on_a_line
from mstar.answers.records import QUESTION_COLUMNS

_IN_THE_PICTURE = "Answer the question in the picture."
"""MathVerse's Vision Only rows and MMMU-Pro's vision rows have no question but in their picture."""
_PICTURES = "The first picture belongs to the question, the others are the options in their order."
LATER = "later_turns"
"""Column for how many questions after the first are not read."""
_ICONQA = ("choose_img", "choose_txt", "fill_in_blank")

Row = dict[str, Any]


def as_usual(row: Mapping[str, Any], has: Callable[[str], bool] = lambda _: False) -> Mapping[str, Any]:
    """The row in the usual columns; any row that is of none of these sets as it is.

    `has`: whether a file of the source goes by this path.
    """
    if _has("table", "table_for_pd", "id")(row) and row.get("image") is None:
        row = _drawn_table(dict(row), has)
    for belongs, read in _SETS:
        if belongs(row):
            return read(dict(row))
    return row


def _iconqa(row: Row) -> Row:
    """Each question has a folder, with its picture in `image.png` and those of its options in `choice_0.png` and on."""
    if all(row.get(name) is None for name in ("image", "query_image")):
        row["image"] = "image.png"
    choices = row.get("choices")
    if isinstance(choices, str) and choices.strip()[:1] not in ("[", "{"):
        choices = row["choices"] = [part.strip() for part in choices.split(",")]
    if row["ques_type"] != "choose_img" or not isinstance(choices, list):
        return row
    pictures = [row.pop(f"choice_image_{place}", None) or name for place, name in enumerate(choices)]
    row["images"] = [row.pop("image", None) or row.pop("query_image", None), *pictures]
    if row.get("answer") in choices:
        row["answer"] = choices.index(row["answer"])
    row["choices"] = [f"option picture {place}" for place in range(1, len(choices) + 1)]
    row["question"] = f"{row.get('question')}\n{_PICTURES}"
    return row


def _pgps9k(row: Row) -> Row:
    """The answer has another number of decimals than the option that it is."""
    row["question"] = row.pop("text")
    choices, answer = row.get("choices"), row.get("answer")
    if isinstance(choices, list) and answer not in choices:
        same = [one for one in choices if _number(one) is not None and _number(one) == _number(answer)]
        row["answer"] = same[0] if len(same) == 1 else answer
    return row


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _mathverse(row: Row) -> Row:
    return row | {"question": _IN_THE_PICTURE}


def _figureqa(row: Row) -> Row:
    """Also PlotQA's, which has a `template`: its 1 is a number, where FigureQA's is yes."""
    said = row["answer"] if "template" in row else {0: "No", 1: "Yes"}.get(row["answer"], row["answer"])
    return row | {"question": row["question_string"], "image": f"{row['image_index']}.png", "answer": said}


def _drawn_table(row: Row, has: Callable[[str], bool]) -> Row:
    """TabMWP's table as its picture, where the source has the folder of these."""
    picture = f"tables/{row['id']}.png"
    title = None if missing(row.get("table_title")) else row["table_title"]
    return row | {"image": picture, "context": title} if has(picture) else row


def _tabmwp(row: Row) -> Row:
    """Its table as text, where the row names no picture of it."""
    title = "" if missing(row.get("table_title")) else f"{row['table_title']}\n"
    return row | {"context": f"{title}{row['table']}"}


def _infographic(row: Row) -> Row:
    """What kind of place the answer has in the picture is not a type of an answer."""
    del row["answer_type"]
    return row


def _geoqa(row: Row) -> Row:
    """The question is the `subject`, the option's place the `label`, and `answer` the way there."""
    row["question"], label = row.pop("subject"), row.pop("label")
    del row["answer"]
    known = isinstance(label, int) and 0 <= label < len(LETTERS)
    return row | {"answer": LETTERS[label] if known else label, "answer_type": "choice"}


def _formalgeo(row: Row) -> Row:
    """Its answers are written as Python would: `3*pi/2`, `sqrt(34)`."""
    answer = re.sub(r"sqrt\(([^()]*)\)", r"\\sqrt{\1}", str(row["problem_answer"]))
    answer = re.sub(r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi", answer).replace("*", " ")
    row.setdefault("image", row.get("problem_img"))
    return row | {"question": row["problem_text_en"] or row.get("problem_text_cn"), "answer": answer}


def _hallusion(row: Row) -> Row:
    """1 is yes. A question about no picture has a `visual_input` of 0."""
    if str(row.get("visual_input")) == "0":
        row = {name: value for name, value in row.items() if name not in ("image", "filename")}
    elif row.get("image") is None:
        row["image"] = row.get("filename")
    return row | {"answer": {"0": "No", "1": "Yes"}.get(str(row["gt_answer"]), row["gt_answer"])}


def _charxiv(row: Row) -> Row:
    """Its reasoning question; what its four descriptive questions ask is not part of the data set but their numbers."""
    asked = row | {"question": row["reasoning_q"], "answer": row["reasoning_a"], "group": row.get("category")}
    # The fourth kind is a number that stands nowhere in the chart, to as many decimals as the reference has.
    if row.get("reasoning_a_type") == 4:
        asked["precision"] = len(str(row["reasoning_a"]).partition(".")[2])
    return asked


def _chartqapro(row: Row) -> Row:
    """Questions and answers are lists. Those after the first need what was said before; they are turns."""
    row[LATER] = len(row["question"]) - 1
    row["question"], row["answer"] = row["question"][0], row["answer"][0]
    row["context"] = row.pop("Paragraph", None) or row.get("context")
    return row


def _mme_realworld(row: Row) -> Row:
    return row | {"question": row.pop("Text"), "group": row.get("category")}


def _ocrbench(row: Row) -> Row:
    """Of several answers each is right."""
    return row | {"answers": row.pop("answer"), "group": row["question_type"], "question_type": None}


def _mmvet(row: Row) -> Row:
    """`2<OR>two` are two spellings of which each is right, `-1<AND>-5` two parts of one answer."""
    answer = str(row.pop("answer"))
    if "<AND>" in answer:
        # Of the spellings of each part the first: a list has no alternatives to its parts.
        return row | {"answer": [part.partition("<OR>")[0].strip() for part in answer.split("<AND>")]}
    first, *others = (part.strip() for part in answer.split("<OR>"))
    return row | {"answer": first, "alternatives": others or None}


def _vstar(row: Row) -> Row:
    row["question"], row["answer"] = row.pop("text"), row.pop("label")
    return row


def _zerobench(row: Row) -> Row:
    row["images"] = row.get("question_images_decoded") or row.get("question_images")
    return row | {"question": row["question_text"], "answer": row["question_answer"]}


def _is_verl(row: Mapping[str, Any]) -> bool:
    """Whether verl's layout has the bare question beside its prompt, which asks for a form of the answer as well."""
    reward, extra, prompt = row.get("reward_model"), row.get("extra_info"), row.get("prompt")
    if not (isinstance(reward, Mapping) and isinstance(extra, Mapping) and isinstance(prompt, list)):
        return False
    said = [turn["content"] for turn in prompt if isinstance(turn, Mapping) and isinstance(turn.get("content"), str)]
    asked = extra.get("question")
    if row.get("question") is not None or not said or not isinstance(asked, str) or asked.strip() not in said[-1]:
        return False
    # Options that only the prompt lists would be lost with it.
    listed = _lists_options(said[-1], reward.get("ground_truth"))
    return listed == _lists_options(asked, reward.get("ground_truth"))


def _lists_options(text: str, answer: Any) -> bool:
    return bool(options_in(text)[1] or options_on_a_line(text, answer)[1])


def _verl(row: Row) -> Row:
    extra = row["extra_info"]
    row |= {"question": extra["question"], "answer": row["reward_model"].get("ground_truth")}
    row.setdefault("split", extra.get("split"))
    row.setdefault("id", extra.get("index"))
    return row


def _mapqa(row: Row) -> Row:
    return row | {"image": row["map_id"]}


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: all(name in row for name in names)


def _listed(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether each column is a list of texts."""

    def are(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)

    return lambda row: all(are(row.get(name)) for name in names)


_SETS: tuple[tuple[Callable[[Mapping[str, Any]], Any], Callable[[Row], Row]], ...] = (
    (lambda row: row.get("ques_type") in _ICONQA, _iconqa),
    (lambda row: _has("text", "diagram", "parsing_stru_seqs")(row) and "question" not in row, _pgps9k),
    (
        lambda row: row.get("problem_version") == "Vision Only" and not str(row.get("question") or "").strip(),
        _mathverse,
    ),
    (
        lambda row: _has("image", "options", "answer", "subject")(row) and not set(QUESTION_COLUMNS) & set(row),
        _mathverse,
    ),
    (lambda row: _has("subject", "choices", "label", "answer")(row) and "question" not in row, _geoqa),
    (_has("problem_text_en", "problem_answer"), _formalgeo),
    (_has("question", "gt_answer", "gt_answer_details"), _hallusion),
    (_has("question_string", "image_index", "answer"), _figureqa),
    (lambda row: _has("map_id", "question", "answer")(row) and row.get("image") is None, _mapqa),
    (lambda row: _has("table", "table_for_pd")(row) and row.get("image") is None, _tabmwp),
    (lambda row: isinstance(row.get("answer_type"), list) and "answers" in row, _infographic),
    (_has("reasoning_q", "reasoning_a"), _charxiv),
    (_listed("question", "answer"), _chartqapro),
    (_has("Text", "answer_choices", "ground_truth"), _mme_realworld),
    (lambda row: _has("dataset", "question_type")(row) and isinstance(row.get("answer"), list), _ocrbench),
    (lambda row: _has("imagename", "capability")(row) and re.search("<(?:OR|AND)>", str(row.get("answer"))), _mmvet),
    (lambda row: _has("text", "label", "question_id")(row) and not set(QUESTION_COLUMNS) & set(row), _vstar),
    (_has("question_text", "question_answer"), _zerobench),
    (_is_verl, _verl),
)
