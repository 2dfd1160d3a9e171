"""The one vLLM engine that a service has: how it starts, answers, dies and ends.

Nobody waits for an engine that is gone: a start has a deadline, and a stop answers what still runs. A request that
fails takes no other with it. What this leaves out: weights and their versions, which each service exchanges in its way.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mstar.errors import InvalidInput, Unavailable
from mstar_models.drain_lock import within
from mstar_models.vllm_core import VllmOptions, make_core

START_SECONDS = 1800.0
STOP_SECONDS = 60.0
END_SECONDS = 30.0
"""For vLLM's processes to end by themselves. Killed, which vLLM does after 5 s, they leave shared memory behind."""

Result = TypeVar("Result")
Make = Callable[[Path, VllmOptions], Any]
"""Starts an engine for the model in a folder."""


class VllmHost:
    """Holds an AsyncLLM, or none."""

    def __init__(self, options: VllmOptions, make: Make = make_core, start_seconds: float = START_SECONDS) -> None:
        self._options = options
        self._make = make
        self._start_seconds = start_seconds
        self._core: Any = None
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def live(self) -> bool:
        """Whether there is an engine whose processes are alive."""
        return self._core is not None and not self._core.errored

    @property
    def core(self) -> Any:
        """The engine. Raises Unavailable when there is none."""
        if self._core is None:
            raise Unavailable("the engine has stopped: load weights again", retry_after=5.0)
        return self._core

    async def start(self, folder: Path) -> None:
        """An engine for this model in place of the one there was. Raises Unavailable when it takes too long."""
        await self.stop()
        birth = _Birth()
        try:
            making = asyncio.to_thread(birth.make, partial(self._make, folder, self._options))
            await within(making, self._start_seconds, "starting the engine")
        except BaseException:
            birth.abandon()
            raise
        self._core = birth.take()

    async def stop(self) -> None:
        """End the engine, if there is one. Who waits for a sample gets Unavailable."""
        core, self._core = self._core, None
        # Taken away first: from here on requests and `live` see no engine, whatever goes wrong below.
        if core is None:
            return
        running = self._running - {asyncio.current_task()}
        for task in running:
            task.cancel()
        try:
            if running:
                await asyncio.wait(running, timeout=STOP_SECONDS)
            if core.output_handler is not None:
                # It would take the end of the processes for their failure.
                core.output_handler.cancel()
            await within(asyncio.to_thread(core.shutdown, END_SECONDS), STOP_SECONDS, "stopping the engine")
            # vLLM closes its sockets in the loop, behind its processes, and leaves what held them open.
            await asyncio.sleep(0)
            core.engine_core.resources.ctx.destroy(linger=0)
        finally:
            # The engine is part of a circle of references; with it goes its shared memory.
            del core
            gc.collect()

    async def sample(
        self,
        name: str,
        asked: dict[str, Any],
        parameters: Any,
        hear: Callable[[Any], Any] | None = None,
        *,
        field: str = "prompts",
    ) -> Any:
        """The last output of a request; `hear` is given each on the way and may give back another.

        `field`: of the caller's request, to be named in an error.

        It is run in a task of its own, which a stop cancels. Raises InvalidInput when vLLM refuses the prompt,
        Unavailable when the engine died or was stopped, or when it failed at this request alone.
        """
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        core = self.core
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            async for output in core.generate(asked, parameters, name):
                finished = output if hear is None else hear(output)
        except asyncio.CancelledError:
            # The engine is the same, so it is the caller who gave up; else a stop has cancelled this task.
            if self._core is core:
                raise
            raise Unavailable("the engine was stopped: ask again", retry_after=5.0) from None
        except VLLMClientError as error:
            raise InvalidInput(f"the engine refused a prompt: {error}", field=field) from error
        except EngineDeadError as error:
            raise Unavailable("the engine died: load weights again", retry_after=5.0) from error
        except EngineGenerateError as error:
            # vLLM wraps whatever goes wrong with one request in this; the others are well.
            cause = error.__cause__ or error
            raise Unavailable(f"the engine failed at a prompt: {cause}", retry_after=5.0) from error
        finally:
            self._running.discard(task)
        return finished


async def all_or_none(requests: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Results together, each made in a task of its own. When one fails, the others end before this does."""
    tasks = [asyncio.ensure_future(request) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Birth:
    """An engine that a thread is making. Abandoned, it ends as soon as it is there.

    It is not a variable or result in that thread: something in vLLM keeps the thread's frames until the interpreter
    ends, and they would keep the engine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._core: Any = None
        self._abandoned = False

    def make(self, make: Callable[[], Any]) -> None:
        self._core = make()
        # Either this thread sees the flag, or the one that sets it finds the core: `take` gives it to one of them only.
        if self._abandoned:
            self._end()

    def take(self) -> Any:
        with self._lock:
            core, self._core = self._core, None
            return core

    def abandon(self) -> None:
        self._abandoned = True
        self._end()

    def _end(self) -> None:
        core = self.take()
        if core is not None:
            core.shutdown(END_SECONDS)
