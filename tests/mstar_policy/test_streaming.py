"""Text in pieces is the text of the whole, in whole characters; a stream ends cleanly however its work ends."""

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mstar.errors import Unavailable
from mstar.types import FinishReason
from mstar_policy.chat import Chat, ChatRequest, to_sampling
from mstar_policy.engine import Delta, Generation, TokenCallback
from mstar_policy.streaming import begun
from mstar_policy.text import TORN, StopSearch, TextWriter, TokenizerVocabulary, text_of


@cache
def by_bytes() -> Tokenizer:
    """Every byte a token, as in the worst case of byte-level BPE."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


class ByBytes:
    """Tokens that are single bytes."""

    ends: frozenset[int] = frozenset({300})

    def read(self, tokens: Sequence[int]) -> str:
        return str(by_bytes().decode(list(tokens), skip_special_tokens=False))

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        return TokenizerVocabulary(PreTrainedTokenizerFast(tokenizer_object=by_bytes()), ()).bytes_of(token)


VOCABULARY = ByBytes()


@given(st.text(max_size=30), st.lists(st.integers(1, 5), max_size=40))
def test_pieces_make_up_the_text_and_tear_no_character(text: str, cuts: list[int]) -> None:
    ids, writer, pieces = by_bytes().encode(text).ids, TextWriter(VOCABULARY), []
    for length in [*cuts, len(ids)]:
        pieces.append(writer.more(ids[:length]))
        ids = ids[length:]
    pieces += [writer.more(ids), writer.rest()]
    assert "".join(pieces) == text
    assert TORN in text or all(TORN not in piece for piece in pieces)


def test_half_a_character_at_the_end_is_never_shown() -> None:
    ids = by_bytes().encode("aé").ids[:2]
    writer = TextWriter(VOCABULARY)
    assert (writer.more(ids), writer.rest()) == ("", "a")
    assert text_of(VOCABULARY, ids) == "a"


def test_bytes_that_never_become_a_character_are_shown_once_others_follow() -> None:
    torn, letter = by_bytes().encode("é").ids[:1], by_bytes().encode("b").ids
    writer = TextWriter(VOCABULARY)
    assert writer.more(torn) + writer.more(letter) == f"{TORN}b"


@given(
    st.text("ab\n", max_size=12),
    st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 4), max_size=12),
)
def test_text_ends_before_the_stop_string_that_is_complete_first(text: str, stops: list[str], cuts: list[int]) -> None:
    search, pieces, left = StopSearch(stops), [], text
    for length in [*cuts, len(text)]:
        pieces.append(search.more(left[:length]))
        left = left[length:]
        assert not any(stop in "".join(pieces) for stop in stops)
    pieces.append(search.rest())
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    if not ends:
        assert search.found is None and "".join(pieces) == text
    else:
        longest = max((stop for stop in stops if text[: ends[0]].endswith(stop)), key=len)
        assert search.found == longest and "".join(pieces) == text[: ends[0] - len(longest)]


def asked(**fields: Any) -> Chat:
    return to_sampling(ChatRequest.model_validate({"messages": [{"role": "user", "content": "?"}]} | fields), seed=0)


def play(*deltas: Delta, error: Exception | None = None, **fields: Any) -> list[str]:
    """What a listener gets of work that reports these deltas and then ends, or fails."""

    async def work(on_tokens: TokenCallback) -> Generation:
        for delta in deltas:
            on_tokens(delta)
            await asyncio.sleep(0)
        if error is not None:
            raise error
        return Generation(weight_version="v@1", samples=((),), token_logprobs=((),))

    async def listen() -> list[str]:
        events = await begun(asked(**({"n": 2} | fields)), work, "v@1", "chatcmpl-1", VOCABULARY)
        return [event async for event in events]

    return asyncio.run(listen())


def choices(events: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(event.removeprefix("data: ")) for event in events if "[DONE]" not in event]
    return [choice for one in found for choice in one["choices"]]


@given(st.sampled_from(["one STOP two", "one ST", "oneSTOPSTOP", "aé STOPé", "STOP", "one"]), st.integers(1, 5))
def test_a_stream_never_shows_a_part_of_a_stop_string(text: str, size: int) -> None:
    ids = by_bytes().encode(text).ids
    parts = [tuple(ids[place : place + size]) for place in range(0, len(ids), size)]
    deltas = [Delta(0, part, (-0.1,) * len(part)) for part in parts] + [Delta(0, (), (), FinishReason.STOP)]
    told = [choice["delta"].get("content", "") for choice in choices(play(*deltas, n=1, stop="STOP"))]
    assert "".join(told) == text.partition("STOP")[0]


def test_tokens_of_half_a_character_have_their_own_bytes() -> None:
    ids = by_bytes().encode("é").ids
    deltas = [Delta(0, (token,), (-0.1,), likely=(((token, -0.1),),)) for token in ids]
    found = choices(play(*deltas, n=1, logprobs=True, top_logprobs=1))
    entries = [entry for choice in found if choice["logprobs"] for entry in choice["logprobs"]["content"]]
    spelled = [entry["bytes"] for entry in entries]
    assert spelled == [list(VOCABULARY.bytes_of(token)) for token in ids]
    assert [entry["top_logprobs"][0]["bytes"] for entry in entries] == spelled


def test_samples_come_interleaved_and_each_ends_with_its_reason() -> None:
    a, b = by_bytes().encode("ab").ids
    events = play(
        Delta(0, (a,), (-0.1,)),
        Delta(1, (b,), (-0.1,), FinishReason.LENGTH),
        Delta(0, (b, 300), (-0.1, -0.2), FinishReason.STOP),
    )
    assert events[-1] == "data: [DONE]\n\n"
    told = [(one["index"], one["delta"].get("content"), one["finish_reason"]) for one in choices(events)[2:]]
    assert told == [(0, "a", None), (1, "b", None), (1, None, "length"), (0, "b", None), (0, None, "stop")]


def test_a_failure_before_the_first_token_is_raised_and_a_later_one_is_told() -> None:
    with pytest.raises(Unavailable, match="the engine died"):
        play(error=Unavailable("the engine died"))
    *_, last = play(Delta(0, (1,), (-0.1,)), error=Unavailable("the engine died"))
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the engine died"
    *_, bare = play(Delta(0, (1,), (-0.1,)), error=RuntimeError("secret"))
    assert "secret" not in bare and json.loads(bare.removeprefix("data: "))["code"] == "internal"


def test_who_stops_listening_ends_the_work() -> None:
    ended: list[bool] = []

    async def endless(on_tokens: TokenCallback) -> Generation:
        try:
            while True:
                on_tokens(Delta(0, (1,), (-0.1,)))
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    async def leave() -> None:
        events = await begun(asked(), endless, "v@1", "chatcmpl-1", VOCABULARY)
        async for event in events:
            if "content" in event:
                break
        await events.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert ended == [True]
