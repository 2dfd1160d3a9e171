"""MMBench (arXiv 2307.06281), English dev 1.1: each question is asked once for every rotation of its options.

Official rule: a question counts if all its rotations are answered rightly. MMBench-R is the mean over attribute,
logical and relation reasoning, as LLaVA-CoT defines it (arXiv 2411.10440).

Where toolkits differ: VLMEvalKit does the same (`mcq_circular_eval`) and asks a model where its matching fails.
lmms-eval's static variant uses no model. A file without rotations gets them here, by moving the options on by one.
"""

from mstar.answers.options import LETTERS
from mstar.errors import InvalidDataset
from mstar.judges.benchmark import Benchmark, Item, Row
from mstar.judges.options import choice_prompt, lettered_choice, named_option, question_of, text_of
from mstar.judges.responses import answer_or_whole
from mstar.types import Verdict

COLUMNS = ("CP", "FP-S", "FP-C", "AR", "LR", "RR")
REASONING = ("AR", "LR", "RR")
ROTATION = 1_000_000
"""A rotation's index is the question's index plus a multiple of this."""
_GROUPS = {
    "coarse_perception": "CP", "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C", "logic_reasoning": "LR", "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}  # fmt: skip


def read(row: Row) -> Item:
    """An item from the published table. Raises InvalidDataset."""
    options, letter = lettered_choice(row)
    group = text_of(row, "l2-category", "l2_category", "L2-category")
    column = _GROUPS.get(group.casefold())
    if column is None:
        raise InvalidDataset(
            f"l2-category {group[:40]!r} is unknown: use one of {', '.join(_GROUPS)}", field="l2-category"
        )
    index = text_of(row, "index", "id")
    if not index.isdigit():
        raise InvalidDataset(f"index {index[:40]!r} must be a whole number", field="index")
    return Item(
        id=index,
        question=question_of(row),
        options=options,
        gold=letter,
        hint=text_of(row, "hint"),
        group=column,
        subgroup=text_of(row, "category"),
        # Rotations of one question share the index below a million.
        circle=text_of(row, "g_index") or str(int(index) % ROTATION),
    )


def rotations(item: Item) -> tuple[Item, ...]:
    """The question with its options moved on by 0, 1, … places, so that the right one stands once in every place."""
    count = len(item.options)
    return tuple(
        item.model_copy(
            update={
                "id": str(int(item.id) + by * ROTATION),
                "options": tuple(item.options[(place + by) % count] for place in range(count)),
                # Options move to the front by `by` places, and the right one with them.
                "gold": LETTERS[(LETTERS.index(item.gold) - by) % count],
            }
        )
        for by in range(count)
    )


def judge(response: str, item: Item) -> Verdict:
    """The option that the answer names; wrong where it names none. This is one rotation of the question."""
    letter = named_option(answer_or_whole(response), item.options)
    return Verdict(correct=letter == item.gold, extracted=letter, reason="mmbench-choice" if letter else "mmbench-none")


MMBENCH = Benchmark(
    name="mmbench", title="MMBench", read=read, prompt=choice_prompt, judge=judge, columns=COLUMNS,
    files=r"mmbench", size=0, vlmevalkit="MMBench_DEV_EN_V11", lmms_eval="mmbench_en_dev_static", rotations=rotations,
)  # fmt: skip
