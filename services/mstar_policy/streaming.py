"""Streams a chat completion as server-sent events while the engine samples.

Text is sent in whole characters, and never a part of a stop string: what may become one is held back. What this leaves
out: OpenAI's other bodies (`chat`, `chat_reply`), and sampling.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from mstar.errors import MstarError
from mstar_policy.chat import Chat
from mstar_policy.chat_reply import Logprobs, logprob_entries, usage
from mstar_policy.engine import Delta, Generation, TokenCallback
from mstar_policy.text import StopSearch, TextWriter, Vocabulary
from mstar_web.problems import problem_of


class _Answer:
    """One sample as it grows."""

    def __init__(self, chat: Chat, vocabulary: Vocabulary) -> None:
        self._chat, self._vocabulary = chat, vocabulary
        self._writer, self._search = TextWriter(vocabulary), StopSearch(chat.request.stop)
        self._begun = False

    def grown(self, delta: Delta) -> dict[str, Any]:
        """The choice of one chunk. The token that ends the turn is in the log-probabilities, not in the text."""
        text = self._search.more(self._writer.more(delta.token_ids))
        if delta.finish_reason is not None:
            text += self._search.more(self._writer.rest()) + self._search.rest()
        logprobs = None
        if self._chat.logprobs:
            entries = logprob_entries(
                delta.token_ids, delta.logprobs, delta.likely, self._vocabulary, first=not self._begun
            )
            logprobs = Logprobs(content=entries, refusal=None)
        self._begun = self._begun or bool(delta.token_ids)
        return _choice(delta.sample, {"content": text}, logprobs)


async def begun(
    chat: Chat,
    sample: Callable[[TokenCallback], Awaitable[Generation]],
    version: str,
    identity: str,
    vocabulary: Vocabulary,
) -> AsyncIterator[str]:
    """Events of a completion, returned when its first token is there.

    Raises what `sample` raises before that, so that an early failure still gets its own HTTP status.
    """
    deltas: asyncio.Queue[Delta | None] = asyncio.Queue()
    work = asyncio.ensure_future(sample(deltas.put_nowait))
    # Comes after the last delta: an engine reports every token before its reply is there (`Engine.generate`).
    work.add_done_callback(lambda _: deltas.put_nowait(None))
    try:
        first = await deltas.get()
        if first is None:
            # Raises what sampling raised; without an error the answer has no token, and the stream is only its frame.
            work.result()
    except BaseException:
        work.cancel()
        raise
    head = {"id": identity, "object": "chat.completion.chunk", "created": int(time.time()), "model": version}
    return _events(chat, work, first, deltas, head, vocabulary)


async def _events(
    chat: Chat,
    work: "asyncio.Future[Generation]",
    delta: Delta | None,
    deltas: "asyncio.Queue[Delta | None]",
    begin: dict[str, Any],
    vocabulary: Vocabulary,
) -> AsyncIterator[str]:
    """Events from the first delta on. The work is cancelled when the client stops reading."""
    answers = [_Answer(chat, vocabulary) for _ in range(chat.request.prompts[0].n)]
    try:
        for index in range(len(answers)):
            yield _event(begin, [_choice(index, {"role": "assistant", "content": ""})])
        while delta is not None:
            yield _event(begin, [answers[delta.sample].grown(delta)])
            if delta.finish_reason is not None:
                yield _event(begin, [_choice(delta.sample, {}, finish_reason=delta.finish_reason.value)])
            delta = await deltas.get()
        generation = work.result()
        if chat.include_usage:
            yield _event(begin | {"usage": usage(generation.usage)}, [])
        yield "data: [DONE]\n\n"
    except Exception as error:
        # The status 200 has been sent already, so the error becomes an event of the stream.
        problem: MstarError = problem_of(error)
        yield f"data: {json.dumps(problem.problem())}\n\n"
    finally:
        work.cancel()


def _choice(
    index: int, delta: dict[str, str], logprobs: Logprobs | None = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _event(begin: dict[str, Any], choices: list[dict[str, Any]]) -> str:
    return f"data: {json.dumps(begin | {'choices': choices})}\n\n"
