"""Steps are found in the tokens that were sampled, for vocabularies that spell text in different ways."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from minivista.tokenizer import make_tokenizer
from mstar.layout import scored_segments
from mstar_models.encoding import encode_segments, encode_text
from mstar_models.spelling import TORN, Spelling, cut, segment_ends, step_ends, vocabulary_digest

LINES = ["3 + 4 = 7.", "Änderung: 1 €", "Look at $$a\n\nb$$.", "so", "  wide  open ", "日本", "7"]
TEXTS = (
    st.lists(st.sampled_from(LINES), min_size=1, max_size=5)
    .map("\n\n".join)
    .map(lambda text: text + "\n\n## Answer\n\n7")
)


def llama_like() -> Any:
    """Pieces of SentencePiece: a space before the first word, bytes for what has no piece."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
    )
    tokenizer.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def qwen_like() -> Any:
    """Byte pairs that join the end of a sentence with the blank line after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern="\n\n", behavior="merged_with_previous"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["3 + 4 = 7.\n\nso\n\n日本\n\n## Answer\n\n7"] * 20, trainer)
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", special=True, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


TOKENIZERS = {"llama": llama_like(), "qwen": qwen_like(), "idefics3": make_tokenizer()}
OPEN = ("llama", "qwen")
"""Those that spell any text."""


@pytest.mark.parametrize("name", OPEN)
@given(text=TEXTS)
def test_every_step_ends_in_the_white_space_behind_it(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = [*encode_text(tokenizer, text), tokenizer.eos_token_id]
    ends = step_ends(Spelling(tokenizer), ids, {tokenizer.eos_token_id})
    segments = scored_segments(text)
    assert len(ends) == len(segments)
    assert ends[-1] == len(ids) - 1
    for end, later, segment in zip(ends, (*ends[1:], None), segments, strict=True):
        begun = tokenizer.decode(ids[:end])
        if end != later:
            assert begun.rstrip().endswith(segment.splitlines()[-1])
            rest = tokenizer.decode(ids[:-1])[len(begun) :]
            assert not rest[:1].isspace() or rest.startswith(" wide"), "the blank line belongs to the step before it"
    assert [token for piece in cut(ids, ends) for token in piece] == ids[:-1]


@pytest.mark.parametrize("name", OPEN)
@given(text=TEXTS, separator=st.sampled_from(("\n\n", "\n", "<step>", " ки")))
def test_text_from_outside_is_cut_as_sampled_tokens_are(name: str, text: str, separator: str) -> None:
    steps, heading, answer = text.partition("\n\n## Answer")
    text = steps.replace("\n\n", separator) + heading + answer
    tokenizer, segments = TOKENIZERS[name], scored_segments(text, separator)
    ids, ends = encode_segments(tokenizer, segments, separator)
    assert tuple(ends) == step_ends(Spelling(tokenizer), ids, (), separator)
    assert scored_segments(tokenizer.decode(ids), separator) == segments
    # What separates belongs to the step before it, as far as whole tokens reach.
    for end, segment in zip(ends, segments, strict=True):
        assert segment.splitlines()[-1] in tokenizer.decode(ids[:end])


def test_a_llama_like_tokenizer_adds_no_space_to_every_step() -> None:
    tokenizer = TOKENIZERS["llama"]
    ids, _ = encode_segments(tokenizer, ("3 + 4 = 7", "so", "## Answer\n\n7"))
    assert tokenizer.decode(ids) == "3 + 4 = 7\n\nso\n\n## Answer\n\n7"
    space = tokenizer.convert_tokens_to_ids("▁")
    assert ids.count(space) == 1 + "3 + 4 = 7\n\nso\n\n## Answer\n\n7".count(" ")


def test_tokens_that_no_text_becomes_are_cut_where_they_stand() -> None:
    """What is sampled need not be what its text is tokenized to: two line feeds in place of one blank line."""
    tokenizer = TOKENIZERS["qwen"]
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "soĊĊ7."]
    assert letters != list(encode_text(tokenizer, "so\n\n7."))
    assert step_ends(Spelling(tokenizer), letters) == (4, 6)
    assert step_ends(Spelling(tokenizer), [*letters, tokenizer.eos_token_id], {tokenizer.eos_token_id}) == (4, 6)


def test_steps_that_one_token_holds_end_together() -> None:
    vocabulary = {"a": 0, "b\n\nc": 1, "\n\n": 2, "d": 3, "<unk>": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    spelling = Spelling(PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>"))
    assert step_ends(spelling, [0, 2, 1, 2, 3]) == (2, 4, 4, 5)
    assert cut([0, 2, 1, 2, 3], (2, 4, 4, 5)) == [(0, 2), (1, 2), (), (3,)]


def test_half_a_character_at_the_end_belongs_to_the_last_step() -> None:
    tokenizer = TOKENIZERS["llama"]
    ids = list(encode_text(tokenizer, "so\n\n7 €"))[:-1]
    assert step_ends(Spelling(tokenizer), ids) == (len(encode_text(tokenizer, "so\n\n")), len(ids))


@pytest.mark.parametrize("name", OPEN)
def test_a_sampled_nul_is_no_text_that_a_request_or_database_refuses(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    nul = tokenizer.convert_tokens_to_ids("\u0100" if name == "qwen" else "<0x00>")
    *begun, last = encode_text(tokenizer, "so\n\n7")
    ids = [*begun, nul, last]
    spelling = Spelling(tokenizer)
    assert "\x00" in tokenizer.decode(ids) and spelling.read(ids) == tokenizer.decode(ids).replace("\x00", TORN)
    assert spelling.bytes_of(nul) == b"\x00"
    ends = step_ends(spelling, ids)
    assert ends == segment_ends(spelling, ids, scored_segments(spelling.read(ids))) and ends[-1] == len(ids)


def test_blank_responses_have_no_steps() -> None:
    for tokenizer in TOKENIZERS.values():
        assert step_ends(Spelling(tokenizer), []) == ()
        assert step_ends(Spelling(tokenizer), [tokenizer.eos_token_id], {tokenizer.eos_token_id}) == ()


def test_a_text_that_a_vocabulary_cannot_spell_is_cut_step_by_step() -> None:
    tokenizer = TOKENIZERS["idefics3"]
    ids, ends = encode_segments(tokenizer, ("A € 3", "so it is"))
    assert tokenizer.unk_token_id in ids
    assert tokenizer.decode(ids[ends[0] :]) == "so it is"


def test_the_digest_tells_vocabularies_apart() -> None:
    digests = {vocabulary_digest(tokenizer) for tokenizer in TOKENIZERS.values()}
    assert len(digests) == len(TOKENIZERS)
    assert vocabulary_digest(make_tokenizer()) in digests
