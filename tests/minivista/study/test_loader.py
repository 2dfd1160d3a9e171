"""The study's set through its loader, and as a run gets it."""

import hashlib
import io

import pytest
from PIL import Image

from minivista.builtin import BUILTINS
from minivista.study import SIZES
from minivista.study.architecture import make_processor
from minivista.study.loader import load_split
from mstar.errors import InvalidDataset
from mstar.layout import ANSWER_HEADING, join_segments
from mstar.soundness import is_sound

GOLDEN = {
    "train": "d7f0757ad008ed1d",
    "unlabelled": "690390f19fffa472",
    "validation": "139ff9343158551d",
    "test_id": "101e9129e1616b2b",
    "test_ood": "34a1e86506b41ec6",
}


def test_questions_come_with_answer_chain_and_picture() -> None:
    for question, data in load_split("test_ood", 25):
        assert hashlib.sha256(data).hexdigest() == question.images[0]
        assert Image.open(io.BytesIO(data)).size == (48, 48)
        assert question.answer is not None
        assert is_sound(join_segments([*question.gold_steps, ANSWER_HEADING, "0"]), question.gold_steps)


def test_a_shorter_split_is_the_beginning_of_a_longer_one() -> None:
    assert list(load_split("train", 10)) == list(load_split("train", 20))[:10]


def test_no_picture_is_in_two_splits_or_twice() -> None:
    images = [question.images[0] for split in SIZES for question, _ in load_split(split, 100)]
    assert len(images) == len(set(images)) == 100 * len(SIZES)


def test_answers_of_unlabelled_questions_are_hidden_unless_the_oracle_asks() -> None:
    hidden, _ = next(load_split("unlabelled", 1))
    shown, _ = next(load_split("unlabelled", 1, oracle=True))
    assert hidden.answer is None and hidden.gold_steps == ()
    assert shown.answer is not None and len(shown.gold_steps) == 5


@pytest.mark.parametrize(("split", "count", "field"), [("tests", 1, "data"), ("train", 4001, "data.train")])
def test_what_is_not_there_is_named(split: str, count: int, field: str) -> None:
    with pytest.raises(InvalidDataset) as caught:
        list(load_split(split, count))
    assert caught.value.field == field


def test_the_first_pictures_and_questions_of_each_split_never_change() -> None:
    """A change here is a new benchmark: results before and after cannot be compared."""
    found = {}
    for split in SIZES:
        digest = hashlib.sha256()
        for question, data in load_split(split, 10):
            digest.update(data + question.text.encode() + "|".join(question.gold_steps).encode())
        found[split] = digest.hexdigest()[:16]
    assert found == GOLDEN


def test_the_tokenizer_knows_every_word() -> None:
    tokenizer = make_processor().tokenizer
    for question, _ in load_split("train", 60):
        assert question.answer is not None
        text = join_segments([*question.gold_steps, ANSWER_HEADING, question.answer.value])
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids
        assert len(ids) <= 34


def test_builtin_sets_answer_to_their_names() -> None:
    assert set(BUILTINS) == {"builtin:minivista", "builtin:minivista-study"}
    for name, one in BUILTINS.items():
        assert one.name == name
        assert one.sizes["train"] >= 2000
        assert len(list(one.load_split("validation", 3))) == 3
