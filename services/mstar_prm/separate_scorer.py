"""The scorer in its own process, so that requests and forward passes do not share one interpreter.

A forward pass of a small model, or one on a GPU, is mostly Python that prepares the next kernel. In one process with
the event loop it would wait for every request that is read, and every refusal would wait for it.
"""

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.host_memory import Ending
from mstar.layout import STEP_SEPARATOR
from mstar.steps import ArtefactRef
from mstar_prm.config import PrmSettings
from mstar_prm.scorer import Segments, WorkCounts, no_weights
from mstar_prm.scorer_frames import Frames, GiveUp, MethodCall, MethodReply, frames, packed

if TYPE_CHECKING:
    from PIL.Image import Image

STOP_SECONDS = 60.0
LOOK_SECONDS = 0.05
END_LOOKS = 40
NOTHING = WeightsState(weight_version="", ready=False, model="")

_log = structlog.get_logger(__name__)


class SeparateScorer:
    """A `Scorer` that asks the one of `scorer_process`; used in one event loop."""

    def __init__(self, settings: PrmSettings, ended: Callable[[], None]) -> None:
        """`ended` is called when the process has ended without being told to: no score comes from here any more."""
        self.work = WorkCounts()
        self._settings = settings
        self._state = NOTHING
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = Ending()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[MethodReply]] = {}
        self._connecting = asyncio.Lock()
        self._pipe: Frames | None = None
        self._listening: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Start the process, which imports its libraries while this one begins to listen."""
        self._ending = Ending()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mstar_prm.scorer_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin is not None
        # Through the pipe, since everybody on the machine can read arguments.
        self._process.stdin.write(packed(self._settings))

    def weights(self) -> WeightsState:
        return self._state

    async def load(self, ref: ArtefactRef) -> None:
        await self._call("load", ref)

    async def load_folder(self, folder: Path) -> None:
        await self._call("load_folder", folder)

    async def sleep(self) -> None:
        await self._call("sleep")

    async def score(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        if not self._state.ready:
            raise no_weights()
        found: tuple[str, list[tuple[float, ...]]] = await self._call(
            "score", question, tuple(images), tuple(responses), version, system, separator
        )
        return found

    async def count_tokens(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        if not self._state.ready:
            raise no_weights()
        counted: int = await self._call("count_tokens", question, tuple(images), tuple(responses), system, separator)
        return counted

    async def close(self) -> None:
        self._closing = True
        if self._process is None:
            return
        if not self._state.ready:
            # Without weights it has no batch to finish, and may be importing torch for many seconds yet.
            self._process.kill()
        # The process sees the end of its input, finishes the running batch, and ends.
        if self._pipe is not None:
            self._pipe.end()
        elif self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.stdout.close()
        try:
            await asyncio.wait_for(asyncio.to_thread(self._process.wait), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self._listening is not None:
            await self._listening

    async def _call(self, method: str, *arguments: Any) -> Any:
        pipe = await self._connected()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await pipe.send(MethodCall(number, method, arguments))
            found = await answer
        except ConnectionError:
            # Nobody waits for this answer any more; asyncio complains of an error that nobody has looked at.
            if not answer.cancel():
                answer.exception()
            raise _gone(await self._how_it_ended()) from None
        except asyncio.CancelledError:
            pipe.post(GiveUp(number))
            raise
        finally:
            self._waiting.pop(number, None)
        if found.error is not None:
            raise found.error
        return found.result

    async def _connected(self) -> Frames:
        async with self._connecting:
            if self._pipe is None and not self._closing:
                if self._process is None:
                    self.start()
                assert self._process is not None and self._process.stdout is not None
                assert self._process.stdin is not None
                self._pipe = await frames(self._process.stdout, self._process.stdin)
                self._listening = asyncio.create_task(self._listen(self._pipe))
        if self._pipe is None or self._listening is None or self._listening.done():
            raise _gone()
        return self._pipe

    async def _listen(self, pipe: Frames) -> None:
        """Hand answers to who waits for them, until the process ends."""
        try:
            while True:
                answer: MethodReply = await pipe.receive()
                self._state = answer.state
                # Into the same object, which the metrics read.
                vars(self.work).update(vars(answer.work))
                waiting = self._waiting.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except EOFError:
            self._state = NOTHING
            pipe.close()
        how = await self._how_it_ended()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_gone(how))
        if not self._closing:
            assert self._process is not None
            await asyncio.to_thread(self._process.wait)
            _log.error("the scorer process has ended: this service stops", ended=how)
            self._ended()

    async def _how_it_ended(self) -> str:
        assert self._process is not None
        # Its output is closed a moment before its end.
        for _ in range(END_LOOKS):
            if (code := self._process.poll()) is not None:
                return self._ending.of(code)
            await asyncio.sleep(LOOK_SECONDS)
        return "its output is closed"


def _gone(how: str = "") -> Unavailable:
    why = f" ({how})" if how else ""
    return Unavailable(f"the process that computes scores has ended{why}: send this again", retry_after=5.0)
