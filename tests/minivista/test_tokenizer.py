"""The tokenizer: lossless on the benchmark's texts and on any plain English."""

import string

from hypothesis import given
from hypothesis import strategies as st

from minivista.loader import load_split
from minivista.tokenizer import make_tokenizer
from mstar.layout import ANSWER_HEADING, join_segments

TOKENIZER = make_tokenizer()
PLAIN = string.ascii_letters + string.digits + string.punctuation + " \n"


def encode(text: str) -> list[int]:
    ids: list[int] = TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


@given(st.text(PLAIN, max_size=60))
def test_plain_text_comes_back_unchanged(text: str) -> None:
    assert TOKENIZER.decode(encode(text)) == text


def test_the_benchmark_needs_no_unknown_token_and_few_tokens() -> None:
    for question, _ in load_split("train", 100):
        assert question.answer is not None
        text = join_segments([*question.gold_steps, ANSWER_HEADING, question.answer.value])
        ids = encode(text)
        assert TOKENIZER.decode(ids) == text
        assert TOKENIZER.unk_token_id not in ids
        assert len(ids) <= 48


def test_digits_are_single_tokens_and_a_blank_line_is_one() -> None:
    assert len(encode("123")) == 3
    assert len(encode("\n\n")) == 1


def test_other_characters_are_unknown() -> None:
    assert TOKENIZER.unk_token_id in encode("été")


def test_label_tokens_are_single() -> None:
    for token in ("<good>", "<bad>"):
        assert TOKENIZER.convert_tokens_to_ids(token) != TOKENIZER.unk_token_id
