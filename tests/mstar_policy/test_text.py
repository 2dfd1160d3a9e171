"""The bytes of single tokens make up the text of the whole, for each kind of vocabulary that models have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from minivista.tokenizer import make_tokenizer
from mstar_policy.text import TokenizerVocabulary, text_of


def byte_level() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentence_piece() -> Tokenizer:
    """As Llama's: words begin with a mark, other characters fall back to bytes."""
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", "a", "b", "▁a", "▁b"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(["<unk>", *pieces])},
            merges=[("▁", "a"), ("▁", "b")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


VOCABULARIES = {
    "byte-level": PreTrainedTokenizerFast(tokenizer_object=byte_level()),
    "sentencepiece": PreTrainedTokenizerFast(tokenizer_object=sentence_piece()),
    "word-level": make_tokenizer(),
}


@given(st.sampled_from(list(VOCABULARIES)), st.text("ab é🙂", min_size=1, max_size=8))
def test_bytes_of_tokens_make_up_the_text(kind: str, text: str) -> None:
    tokenizer: Any = VOCABULARIES[kind]
    vocabulary = TokenizerVocabulary(tokenizer, ())
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    spelled = b"".join(vocabulary.bytes_of(token, first=not place) for place, token in enumerate(ids))
    assert spelled == vocabulary.read(ids).encode()
    # The mark of a first word is dropped, whether it stands for a space of the text or not.
    if kind == "byte-level":
        assert spelled.decode() == text


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
def test_half_a_character_has_its_own_bytes(kind: str) -> None:
    tokenizer: Any = VOCABULARIES[kind]
    vocabulary = TokenizerVocabulary(tokenizer, ())
    *_, last = tokenizer("a🙂", add_special_tokens=False)["input_ids"]
    assert vocabulary.bytes_of(last) == "🙂".encode()[-1:]


def test_the_end_of_the_turn_is_no_text() -> None:
    tokenizer = make_tokenizer()
    vocabulary = TokenizerVocabulary(tokenizer, [tokenizer.eos_token_id])
    ids = [*tokenizer("There are")["input_ids"], tokenizer.eos_token_id]
    assert text_of(vocabulary, ids) == "There are"
    assert vocabulary.bytes_of(tokenizer.eos_token_id) == b"<end_of_utterance>"
