"""AI2D (Kembhavi et al. 2016): 3,088 test questions about diagrams of school science; accuracy over items.

Where toolkits differ: VLMEvalKit's AI2D_TEST shows diagrams whose labels are masked by letters, and AI2D_TEST_NO_MASK
does not; their numbers differ by several points, so name the file. Both match options as `options.named_option` does.
lmms-eval asks for the letter alone, with 16 new tokens and a match of the first letter, which no chain of thought fits.
"""

from mstar.judges.benchmark import Benchmark, Item, Row
from mstar.judges.options import choice_prompt, lettered_choice, named_option, numbered_choice, question_of, text_of
from mstar.judges.responses import answer_or_whole
from mstar.types import Verdict


def read(row: Row) -> Item:
    """An item from the published Parquet (`options`, `answer` from 0) or VLMEvalKit's table. Raises InvalidDataset."""
    options, letter = numbered_choice(row) if row.get("options") is not None else lettered_choice(row)
    return Item(
        id=text_of(row, "index", "question_id", "questionId", "id"),
        question=question_of(row),
        options=options,
        gold=letter,
        subgroup=text_of(row, "category"),
    )


def judge(response: str, item: Item) -> Verdict:
    """The option that the answer names; wrong where it names none."""
    letter = named_option(answer_or_whole(response), item.options)
    return Verdict(correct=letter == item.gold, extracted=letter, reason="ai2d-choice" if letter else "ai2d-none")


AI2D = Benchmark(
    name="ai2d", title="AI2D", read=read, prompt=choice_prompt, judge=judge, columns=("ALL",),
    files=r"ai2d", size=3088, vlmevalkit="AI2D_TEST", lmms_eval="ai2d",
)  # fmt: skip
