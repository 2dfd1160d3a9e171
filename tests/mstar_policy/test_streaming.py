"""Text in pieces is the text of the whole, in whole characters; a stream ends cleanly however its work ends."""

import asyncio
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mstar.api.policy import RolloutReply, Usage
from mstar.errors import Unavailable
from mstar.types import FinishReason
from mstar_policy.chat import ChatRequest
from mstar_policy.engine import Delta, Heard
from mstar_policy.streaming import TORN, Writer, begun

BYTES = 256


@cache
def by_bytes() -> Tokenizer:
    """Every byte a token, as in the worst case of byte-level BPE."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def read(ids: Any) -> str:
    return str(by_bytes().decode(list(ids), skip_special_tokens=False))


@given(st.text(max_size=30), st.lists(st.integers(1, 5), max_size=40))
def test_pieces_make_up_the_text_and_tear_no_character(text: str, cuts: list[int]) -> None:
    ids, writer, pieces = by_bytes().encode(text).ids, Writer(read), []
    for length in [*cuts, len(ids)]:
        pieces.append(writer.more(ids[:length]))
        ids = ids[length:]
    pieces += [writer.more(ids), writer.rest()]
    assert "".join(pieces) == text
    assert TORN in text or all(TORN not in piece for piece in pieces)


def test_bytes_that_never_become_a_character_are_told_at_the_end() -> None:
    ids = by_bytes().encode("aé").ids[:2]
    writer = Writer(read)
    assert (writer.more(ids), writer.rest()) == ("", f"a{TORN}")


def play(*deltas: Delta, error: Exception | None = None) -> list[str]:
    """What a listener gets of work that tells of these deltas and then ends, or fails."""
    chat = ChatRequest.model_validate({"messages": [{"role": "user", "content": "?"}], "n": 2})

    async def work(heard: Heard) -> RolloutReply:
        for delta in deltas:
            heard(delta)
            await asyncio.sleep(0)
        if error is not None:
            raise error
        return RolloutReply(weight_version="v@1", samples=((),), usage=Usage())

    async def listen() -> list[str]:
        return [event async for event in await begun(chat, work, "v@1", "chatcmpl-1", read)]

    return asyncio.run(listen())


def test_samples_come_interleaved_and_each_ends_with_its_reason() -> None:
    a, b = by_bytes().encode("ab").ids
    events = play(
        Delta(0, (a,), (-0.1,)),
        Delta(1, (b,), (-0.1,), FinishReason.LENGTH),
        Delta(0, (b, a), (-0.1, -0.2), FinishReason.STOP),
    )
    assert events[-1] == "data: [DONE]\n\n"
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events[:-1]]
    told = [(one["index"], one["delta"].get("content"), one["finish_reason"]) for one in choices[2:]]
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

    async def endless(heard: Heard) -> RolloutReply:
        try:
            while True:
                heard(Delta(0, (1,), (-0.1,)))
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    async def leave() -> None:
        chat = ChatRequest.model_validate({"messages": [{"role": "user", "content": "?"}]})
        events = await begun(chat, endless, "v@1", "chatcmpl-1", read)
        async for event in events:
            if "content" in event:
                break
        await events.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert ended == [True]
