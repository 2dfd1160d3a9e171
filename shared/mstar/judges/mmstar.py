"""MMStar (arXiv 2403.20330): 1,500 questions in six groups of 250; MMStar-R leaves out the two of perception.

Official rule: accuracy over items. MMStar-R is the mean over instance reasoning, logical reasoning, mathematics, and
science & technology, as LLaVA-CoT defines it (arXiv 2411.10440, appendix E); that M-STaR averages the same way is our
reading.

Where toolkits differ: VLMEvalKit takes the mean over items and matches options as `options.named_option` does, asking a
model where that fails. lmms-eval takes the mean over the second-level categories, with a letter finder of its own.
"""

import re

from mstar.errors import InvalidDataset
from mstar.judges.benchmark import Benchmark, Item, Row
from mstar.judges.options import choice_prompt, lettered_choice, named_option, question_of, text_of
from mstar.judges.responses import answer_or_whole
from mstar.types import Verdict

COLUMNS = ("CP", "FP", "IR", "LR", "ST", "MA")
REASONING = ("IR", "LR", "MA", "ST")
_GROUPS = {
    "coarse perception": "CP", "fine-grained perception": "FP", "instance reasoning": "IR", "logical reasoning": "LR",
    "science & technology": "ST", "math": "MA", "mathematics": "MA",
}  # fmt: skip
_LIST = re.compile(r"\n\s*(?:Options|Choices):\s*(?P<list>.*)$", re.DOTALL)
_LETTER = re.compile(r"^[A-H][:.)]|[,\n] ?[A-H][:.)]\s")


def read(row: Row) -> Item:
    """An item from the published Parquet, whose question holds the options, or from VLMEvalKit's table.

    Raises InvalidDataset.
    """
    question, group = question_of(row), text_of(row, "category")
    column = _GROUPS.get(group.casefold())
    if column is None:
        raise InvalidDataset(f"category {group[:40]!r} is unknown: use one of {', '.join(_GROUPS)}", field="category")
    # The published Parquet has the options in the question's text; VLMEvalKit's table has columns for them.
    inside = _LIST.search(question)
    if inside is not None and not any(text_of(row, letter) for letter in "AB"):
        options = _options(inside["list"])
        row, question = {**row, "choices": options}, question[: inside.start()].strip()
    choices, letter = lettered_choice(row)
    return Item(
        id=text_of(row, "index", "id"),
        question=question,
        options=choices,
        gold=letter,
        group=column,
        subgroup=text_of(row, "l2_category", "l2-category"),
    )


def _options(text: str) -> list[str]:
    """Texts of `A: one, B: two` or of one option a line, without their letters."""
    # One blank in place of many, so that no pattern meets a run of them.
    lines = "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    starts = list(_LETTER.finditer(lines))
    ends = [*(one.start() for one in starts[1:]), len(lines)]
    return [lines[one.end() : end].strip(", \n") for one, end in zip(starts, ends, strict=True)]


def judge(response: str, item: Item) -> Verdict:
    """The option that the answer names; wrong where it names none."""
    letter = named_option(answer_or_whole(response), item.options)
    return Verdict(correct=letter == item.gold, extracted=letter, reason="mmstar-choice" if letter else "mmstar-none")


MMSTAR = Benchmark(
    name="mmstar", title="MMStar", read=read, prompt=choice_prompt, judge=judge, columns=COLUMNS,
    files=r"mmstar", size=1500, vlmevalkit="MMStar", lmms_eval="mmstar",
)  # fmt: skip
