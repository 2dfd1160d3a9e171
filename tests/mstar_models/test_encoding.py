"""Text and image to tokens: step ends, special tokens, padding."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minivista.architecture import make_processor
from minivista.tokenizer import make_tokenizer
from mstar.errors import InvalidInput
from mstar.layout import join_segments
from mstar_models.chat import Turn, question_turns
from mstar_models.encoding import PromptEncoder, collate, encode_segments, encode_text
from mstar_models.special_tokens import suppressed_ids

TOKENIZER = make_tokenizer()
SEGMENTS = st.lists(st.sampled_from(["A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7", "x"]), min_size=1, max_size=5)
IMAGE = Image.new("RGB", (64, 64), (10, 20, 200))


@given(SEGMENTS)
def test_segments_end_where_they_end_in_the_whole(segments: list[str]) -> None:
    ids, ends = encode_segments(TOKENIZER, segments)
    assert TOKENIZER.decode(ids) == join_segments(segments)
    assert ends[-1] == len(ids)
    for count in range(1, len(segments)):
        assert TOKENIZER.decode(ids[: ends[count - 1]]) == join_segments(segments[:count]) + "\n\n"


@pytest.mark.parametrize("token", ["<image>", "<end_of_utterance>", "<fake_token_around_image>", "<pad>", "<good>"])
def test_text_never_becomes_a_special_token(processor: Any, token: str) -> None:
    special = processor.tokenizer.convert_tokens_to_ids(token)
    assert special not in encode_text(processor.tokenizer, f"It says {token} here")
    encoded = PromptEncoder(processor).encode(f"What is {token}?", [IMAGE], system=token)
    plain = PromptEncoder(processor).encode("What is it?", [IMAGE], system="it")
    assert encoded.input_ids.count(special) == plain.input_ids.count(special)


def test_special_tokens_but_the_end_are_suppressed(processor: Any) -> None:
    tokenizer = processor.tokenizer
    names = set(tokenizer.convert_ids_to_tokens(suppressed_ids(tokenizer)))
    assert {"<image>", "<pad>", "<s>", "<fake_token_around_image>"} <= names
    assert tokenizer.eos_token not in names


def test_a_prompt_is_encoded_once_for_each_image_and_question(processor: Any) -> None:
    encoder = PromptEncoder(processor)
    first = encoder.encode("How many?", [IMAGE])
    assert encoder.encode("How many?", [IMAGE.copy()]) is first
    others = (
        encoder.encode("How many?", [Image.new("RGB", (64, 64))]),
        encoder.encode("How many?", [IMAGE], system="Be brief."),
    )
    assert all(other is not first for other in others)


def test_pictures_of_the_same_bytes_in_another_shape_differ(processor: Any) -> None:
    encoder = PromptEncoder(processor)
    wide, high = Image.new("RGB", (64, 32)), Image.new("RGB", (32, 64))
    assert wide.tobytes() == high.tobytes()
    assert encoder.encode("How many?", [wide]) is not encoder.encode("How many?", [high])


def test_the_prompts_used_least_lately_make_room(processor: Any) -> None:
    first = PromptEncoder(processor).encode("one", [IMAGE])
    encoder = PromptEncoder(processor, remembered_bytes=5 * sum(t.nbytes for t in first.pixels.values()) // 2)
    one, two = encoder.encode("one", [IMAGE]), encoder.encode("two", [IMAGE])
    assert encoder.encode("one", [IMAGE]) is one
    encoder.encode("three", [IMAGE])
    assert encoder.encode("one", [IMAGE]) is one
    again = encoder.encode("two", [IMAGE])
    assert again is not two and again.input_ids == two.input_ids


def test_one_place_holder_stands_for_the_image_before_expansion(processor: Any) -> None:
    encoder = PromptEncoder(processor)
    image_id = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert encoder.unexpanded(question_turns("How many?")).count(image_id) == 1
    assert encoder.encode("How many?", [IMAGE]).input_ids.count(image_id) == 16


def test_a_conversation_may_show_several_images_or_none(processor: Any) -> None:
    encoder = PromptEncoder(processor)
    image_id = processor.tokenizer.convert_tokens_to_ids("<image>")
    other = Image.new("RGB", (64, 64))
    turns = [Turn("system", ("Be brief.",)), Turn("user", (None, "and", None, "differ?")), Turn("assistant", ("yes",))]
    two = encoder.encode_turns(turns, [IMAGE, other])
    assert two.input_ids.count(image_id) == 2 * 16 and encoder.unexpanded(turns).count(image_id) == 2
    assert encoder.encode_turns(turns, [other, IMAGE]) is not two
    assert encoder.encode_turns(turns, [IMAGE, other]) is two
    words = encoder.encode_turns([Turn("user", ("How many?",))], [])
    assert image_id not in words.input_ids and not words.pixels


def test_turns_that_the_template_does_not_take_are_refused() -> None:
    processor = make_processor()
    processor.chat_template = "{{ raise_exception('only user turns') }}"
    with pytest.raises(InvalidInput, match="only user turns") as caught:
        PromptEncoder(processor).encode_turns([Turn("system", ("Be brief.",))], [])
    assert caught.value.field == "messages"


def test_prompts_without_images_take_memory_as_well(processor: Any) -> None:
    encoder = PromptEncoder(processor, remembered_bytes=50_000)
    for number in range(200):
        encoder.encode_turns([Turn("user", (f"How many of {number}?",))], [])
    assert 2 < len(encoder._cache) < 100


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_stands_on_the_side_that_was_asked_for(processor: Any, side: Any) -> None:
    encoder = PromptEncoder(processor)
    short, long = encoder.encode("How many?", [IMAGE]), encoder.encode("How many of them are there now?", [IMAGE])
    batch = collate([(short, [7, 8]), (long, [])], side, pad_id=0)
    lengths = [len(short.input_ids) + 2, len(long.input_ids)]
    assert batch["attention_mask"].sum(1).tolist() == lengths
    assert batch["input_ids"].shape == (2, max(lengths))
    edge = 0 if side == "left" else -1
    assert int(batch["attention_mask"][lengths.index(min(lengths)), edge]) == 0
    assert batch["pixel_values"].shape[0] == 2
    assert batch["input_ids"][0][batch["attention_mask"][0].bool()].tolist() == [*short.input_ids, 7, 8]
    assert batch["input_ids"].dtype == torch.long


def test_a_prompt_that_the_processor_does_not_take_is_refused_in_one_sentence(processor: Any) -> None:
    class Picky:
        tokenizer, chat_template = processor.tokenizer, processor.chat_template
        apply_chat_template = processor.apply_chat_template

        def __call__(self, **kwargs: object) -> object:
            raise ValueError("`images` are expected as arguments.\nMore about it.")

    with pytest.raises(InvalidInput, match="does not take 0 images in this prompt: `images` are expected") as refused:
        PromptEncoder(Picky()).encode_turns([Turn("user", ("Hello",))], [])
    assert refused.value.field == "messages"
    assert len(refused.value.detail.splitlines()) == 1
