"""A chat completion as server-sent events, token by token while the engine samples.

Text is told in whole characters: a token that ends within one is held back until the rest has come. What this leaves
out: OpenAI's other bodies (`chat`), and sampling.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from mstar.api.policy import RolloutReply
from mstar.errors import MstarError
from mstar.types import FinishReason
from mstar_policy.chat import ChatRequest, Read, head, logprob_entry, usage
from mstar_policy.engine import Delta, Heard
from mstar_web.problems import problem_of

TORN = "\ufffd"
"""What a tokenizer makes of bytes that are not a whole character yet."""


class Writer:
    """The text of a growing sequence of tokens, in pieces that make up the text of the whole."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ids: list[int] = []
        self._begin = self._said = 0
        """Tokens before the window that is read again, and tokens whose text was told."""

    def more(self, ids: Sequence[int]) -> str:
        """Text that these tokens complete."""
        self._ids += ids
        return self._told(hold=True)

    def rest(self) -> str:
        """What was held back and will not be completed."""
        return self._told(hold=False)

    def _told(self, hold: bool) -> str:
        # How a token reads may depend on the one before, so a window of two pieces is read and the first one cut off.
        before = self._read(self._ids[self._begin : self._said])
        whole = self._read(self._ids[self._begin :])
        if hold and whole.endswith(TORN):
            return ""
        self._begin, self._said = self._said, len(self._ids)
        return whole[len(before) :]


async def begun(
    chat: ChatRequest, sample: Callable[[Heard], Awaitable[RolloutReply]], version: str, identity: str, read: Read
) -> AsyncIterator[str]:
    """Events of a completion, once its first token is there. Raises what `sample` raises before that."""
    heard: asyncio.Queue[Delta | None] = asyncio.Queue()
    work = asyncio.ensure_future(sample(heard.put_nowait))
    work.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        first = await heard.get()
        if first is None:
            work.result()
    except BaseException:
        work.cancel()
        raise
    return _events(chat, work, first, heard, head(version, identity, "chat.completion.chunk"), read)


async def _events(
    chat: ChatRequest,
    work: "asyncio.Future[RolloutReply]",
    delta: Delta | None,
    heard: "asyncio.Queue[Delta | None]",
    begin: dict[str, Any],
    read: Read,
) -> AsyncIterator[str]:
    """Events from the first delta on. Whoever stops listening cancels the work."""
    writers = [Writer(read) for _ in range(chat.n)]
    try:
        for index in range(chat.n):
            yield _event(begin, [_choice(index, {"role": "assistant", "content": ""})])
        while delta is not None:
            yield _event(begin, [_piece(delta, writers[delta.sample], read, logprobs=bool(chat.logprobs))])
            if delta.finish_reason is not None:
                yield _event(begin, [_choice(delta.sample, {}, finish_reason=delta.finish_reason.value)])
            delta = await heard.get()
        reply = work.result()
        if chat.stream_options is not None and chat.stream_options.include_usage:
            yield _event(begin | {"usage": usage(reply)}, [])
        yield "data: [DONE]\n\n"
    except Exception as error:
        # The status has been sent: what is left is to say it in the stream.
        problem: MstarError = problem_of(error)
        yield f"data: {json.dumps(problem.problem())}\n\n"
    finally:
        work.cancel()


def _piece(delta: Delta, writer: Writer, read: Read, *, logprobs: bool) -> dict[str, Any]:
    """The token that ends the turn is in the log-probabilities, not in the text."""
    ids = delta.token_ids[:-1] if delta.finish_reason is FinishReason.STOP else delta.token_ids
    text = writer.more(ids) + (writer.rest() if delta.finish_reason is not None else "")
    entries = [logprob_entry(*pair, read) for pair in zip(delta.token_ids, delta.logprobs, strict=True)]
    return _choice(delta.sample, {"content": text}, {"content": entries, "refusal": None} if logprobs else None)


def _choice(
    index: int, delta: dict[str, str], logprobs: dict[str, Any] | None = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _event(begin: dict[str, Any], choices: list[dict[str, Any]]) -> str:
    return f"data: {json.dumps(begin | {'choices': choices})}\n\n"
