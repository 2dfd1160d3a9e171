"""The answer check for tools that ask for a reward in a thread of theirs.

Formulas are compared under a time limit that only the main thread of a process can have, so they go to a process of
their own.
"""

import functools
import multiprocessing
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from mstar.answers import AnswerPlace, answer_of, check
from mstar.types import Answer, AnswerType


def is_right(text: str, gold: Mapping[str, Any], place: AnswerPlace = AnswerPlace.HEADING) -> bool:
    """Whether a response gives the reference answer. `gold`: columns as a data set has them, with the question's text.

    Raises InvalidDataset for a reference that cannot be read.
    """
    answer, question = answer_of(gold), str(gold.get("question") or "")
    if answer.type is AnswerType.MATH and threading.current_thread() is not threading.main_thread():
        return _apart().submit(_checked, text, answer, place, question).result()
    return _checked(text, answer, place, question)


def _checked(text: str, answer: Answer, place: AnswerPlace, question: str) -> bool:
    return check(text, answer, place=place, question=question).correct


@functools.cache
def _apart() -> ProcessPoolExecutor:
    # Forked off a process with threads, such as those of a trainer, it could wait for a lock that nobody lets go.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
