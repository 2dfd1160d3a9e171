"""Splits: sizes, balance, and that none of them shows anything of another."""

import hashlib
import random
from collections import Counter, defaultdict
from functools import cache

import pytest

from minivista import SIZES
from minivista.digits import SHARES, flowers, handwritten
from minivista.loader import load_split
from minivista.problems import STANDARD
from minivista.splits import GROUPS, owner
from mstar.types import AnswerType, Question

EACH = 200
"""Questions looked at in every split; ownership by content hash covers the rest."""


@cache
def loaded(split: str) -> tuple[tuple[Question, bytes], ...]:
    return tuple(load_split(split, EACH))


def test_every_picture_belongs_to_its_split_by_hash() -> None:
    for split in SIZES:
        for question, image in loaded(split):
            assert hashlib.sha256(image).hexdigest() == question.images[0]
            assert owner(question.images[0]) == split


def test_no_picture_and_no_question_with_picture_is_in_two_splits_or_twice() -> None:
    images = [question.images[0] for split in SIZES for question, _ in loaded(split)]
    assert len(images) == len(set(images)) == EACH * len(SIZES)
    pairs = [
        hashlib.sha256(image + question.text.encode()).digest() for split in SIZES for question, image in loaded(split)
    ]
    assert len(pairs) == len(set(pairs))


def test_pretraining_owns_none_of_the_splits_pictures() -> None:
    assert set(SHARES) == {*SIZES, "pretrain"}
    assert "pretrain" not in {owner(question.images[0]) for split in SIZES for question, _ in loaded(split)}


def test_a_handwritten_digit_and_a_flower_belong_to_one_split() -> None:
    digits = Counter(image.tobytes() for split in SHARES for images in handwritten(split).values() for image in images)
    assert sum(digits.values()) == 1797
    assert set(digits.values()) == {1}
    assert sum(len(flowers(split)) for split in SHARES) == 150


def test_any_prefix_holds_the_groups_in_equal_parts() -> None:
    for split in SIZES:
        assert [question.group for question, _ in load_split(split, 12)] == [*GROUPS, *GROUPS, *list(GROUPS)[:2]]


def test_only_the_unlabelled_split_hides_the_answers() -> None:
    for split in SIZES:
        for question, _ in loaded(split):
            assert (question.answer is None) == (not question.gold_steps) == (split == "unlabelled")


def test_answers_are_of_four_types() -> None:
    types = {question.answer.type for question, _ in loaded("train") if question.answer}
    assert types == {AnswerType.INTEGER, AnswerType.FLOAT, AnswerType.CHOICE, AnswerType.LIST}


@pytest.mark.parametrize("group", ["FQA", "GPS", "MWP", "TQA"])
def test_the_best_blind_guess_is_seldom_right(group: str) -> None:
    """The most frequent answer overall, and to each wording (whose bar allows for the noise of fewer draws)."""
    rng, draws = random.Random(5), 4000
    overall: Counter[str] = Counter()
    by_wording: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for _ in range(draws):
        problem = GROUPS[group](rng, STANDARD, "train")
        overall[problem.answer.value] += 1
        by_wording[wording(problem.question)][problem.answer.value] += 1
    assert overall.most_common(1)[0][1] / draws <= 0.03
    assert sum(counter.most_common(1)[0][1] for counter in by_wording.values()) / draws <= 0.035


def wording(text: str) -> str:
    """The question without what it names, so that every count rests on hundreds of answers."""
    names = {"apples", "coins", "books", "cards", "A", "B", "C", "D", "A?", "B?", "C?", "D?"}
    return " ".join(word for word in text.split() if word not in names)
