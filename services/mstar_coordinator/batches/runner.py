"""Processes batches: one request at a time over all of them, so that they delay others by at most one request.

The PRM computes what waits together, people's requests as well as those of runs, so one request in hand gets its share
and no more. Before each, the runner waits a while for whoever else asks. It never waits for ever, or it would be
starved itself. Batches take turns of some seconds.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import structlog
from fastapi.concurrency import run_in_threadpool

from mstar.api.batches import BatchState
from mstar.errors import InvalidInput, MstarError, NotWritable, Unavailable
from mstar_coordinator.batches.clock_jumps import ClockJumps
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.batches.lines import RequestLine, answer_line, failed_line
from mstar_coordinator.batches.progress import BatchProgress
from mstar_coordinator.relay import AWAY
from mstar_coordinator.store.batches import BatchRecord

log = structlog.get_logger(__name__)
Forward = Callable[[str, bytes], Awaitable[httpx2.Response]]
"""Sends a body to a path of the PRM. Raises Unavailable."""
TURN_SECONDS = 2.0
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 1.0
"""How long a request of a batch waits while people ask, and how long while a run scores."""
LOOK_SECONDS = 0.05
AWAY_SECONDS = 5.0
AGAIN_SECONDS = 1.0
LONGEST_PAUSE = 30.0
GRACE_SECONDS = 5.0
"""How long the request in hand of a batch that is to end may take: then it is given up."""
TRIES = 3
"""Of a request that the PRM took and did not answer: perhaps it is what ends the PRM."""
NOT_NOW = (401, 403, 408, 429, 503)
"""Statuses that say nothing of the line: the PRM is busy, or does not know our key yet, as while keys are changed."""


class BatchRunner:
    """One task of the event loop; all it knows is on the disk and in the database."""

    def __init__(self, jobs: BatchJobs, forward: Forward, busy: Callable[[], bool], clock: Callable[[], float]) -> None:
        """`busy`: whether others ask the PRM now. `clock`: monotonic seconds."""
        self._jobs = jobs
        self._jumps = ClockJumps(clock)
        self._forward = forward
        self._busy = busy
        self._not_before = 0.0
        self._tried: dict[str, tuple[str, int]] = {}
        """Batch → its line that has no answer, and how often that was sent."""
        self.problem: str | None = None
        """Why the latest request has no answer; None: it has one."""
        self._held: dict[str, str] = {}
        """Batch → why its own files cannot be read or written."""

    def problem_of(self, batch: BatchRecord) -> str | None:
        """What holds a batch up now."""
        return self._held.get(batch.id) or (self.problem if batch.state is BatchState.IN_PROGRESS else None)

    def tidy(self) -> None:
        """Remove what a crash has left. Before anything is uploaded."""
        try:
            self._jobs.shelf.sweep()
            self._jobs.sweep()
        except (MstarError, OSError) as error:
            log.warning("files that a crash left behind are not removed", error=str(error))

    async def run(self) -> None:
        """Work until cancelled, where no other coordinator of the same database does."""
        try:
            await self._work_on()
        finally:
            await run_in_threadpool(self._jobs.baton.close)

    async def _work_on(self) -> None:
        while True:
            try:
                worked = await self._round()
            except (MstarError, OSError) as error:
                # The disk or the database; nothing is lost, and the next round finds what this one left.
                log.warning("batches are stalled", error=str(error))
                self.problem = error.detail if isinstance(error, MstarError) else _said(error)
                worked = False
            except Exception:
                # Whatever it is, a task that ended here would leave every batch waiting without a word.
                log.exception("batches are stalled")
                self.problem = "the log of the coordinator says why"
                worked = False
            if not worked:
                await asyncio.sleep(POLL_SECONDS)

    async def _round(self) -> bool:
        """End what is to end, and give the next batch its turn; False when there was nothing to do."""
        if not await run_in_threadpool(self._jobs.baton.held):
            # Whoever has it puts batches off for what the clock does meanwhile, and says what they wait for.
            self._jumps.forget()
            self.problem = None
            self._held.clear()
            return False
        due, _ = await self._end_due()
        # One pause for all batches, since they all ask the same PRM.
        if not due or _time() < self._not_before:
            return False
        # The one whose last turn is longest ago (`Batches.open`).
        return await self._apart(due[0], self._turn(due[0]))

    async def _end_due(self, but: str | None = None) -> tuple[list[BatchRecord], bool]:
        """End the batches that were cancelled or have expired, but for one that is in hand.

        Returns those that go on, who has waited longest first, and whether that one is to end too.
        """
        found, now = await run_in_threadpool(self._jobs.open)
        if moved := self._jumps.moved(now):
            # A batch has this many hours, whatever becomes of the time of day meanwhile.
            log.warning("the system clock was changed: batches end as much later", seconds=moved, batches=len(found))
            found = await run_in_threadpool(self._jobs.put_off, moved)
        going, over = [], False
        for batch in found:
            cancelled = batch.state is BatchState.CANCELLING
            if not cancelled and batch.expires_at > now:
                going.append(batch)
            elif batch.id == but:
                over = True
            else:
                state = BatchState.CANCELLED if cancelled else BatchState.EXPIRED
                await self._apart(batch, self._end(batch, state))
        return going, over

    async def _apart(self, batch: BatchRecord, work: Awaitable[None]) -> bool:
        """Do something with a batch, and whether it could be done: its own files hold up no other batch."""
        try:
            await work
        except (OSError, NotWritable) as error:
            problem = error.detail if isinstance(error, NotWritable) else _said(error)
            if self._held.get(batch.id) != problem:
                log.warning("a batch is stalled", batch=batch.id, error=str(error))
            self._held[batch.id] = problem
            await run_in_threadpool(self._jobs.pass_over, batch.id)
            return False
        self._held.pop(batch.id, None)
        return True

    async def _progress(self, batch: BatchRecord) -> BatchProgress:
        """How far the batch is, with its files open. Raises OSError."""
        opening = asyncio.ensure_future(run_in_threadpool(self._jobs.progress, batch))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped, and nobody else would close what it opens.
            with contextlib.suppress(OSError, MstarError):
                (await opening).close()
            raise

    async def _turn(self, batch: BatchRecord) -> None:
        try:
            progress = await self._progress(batch)
        except FileNotFoundError:
            await run_in_threadpool(self._jobs.fail, batch, "the content of the input file is gone")
            return
        finished, damage = False, None
        try:
            finished = await self._work(batch, progress)
        except InvalidInput as error:
            damage = f"the input file is damaged: {error.detail}"
        finally:
            await run_in_threadpool(progress.close)
        # Once the files are closed, since the note of how far they are would outlive them.
        if damage is not None:
            await run_in_threadpool(self._jobs.fail, batch, damage)
            return
        await run_in_threadpool(self._jobs.note, batch.id, progress)
        if finished:
            await self._end(batch, BatchState.COMPLETED)

    async def _work(self, batch: BatchRecord, progress: BatchProgress) -> bool:
        """Answer requests until the turn is over or the PRM wants a pause; whether the end was reached."""
        until = _time() + TURN_SECONDS
        while _time() < until:
            line = await run_in_threadpool(progress.next)
            if line is None:
                return True
            await self._let_others_pass()
            answer = await self._answer(batch, line, progress.done)
            if answer is None:
                return False
            good, row = answer
            await run_in_threadpool(progress.write, row, good=good)
        return False

    async def _answer(self, batch: BatchRecord, line: RequestLine, place: int) -> tuple[bool, dict[str, Any]] | None:
        """Whether a line is completed, and what is written for it; None when it is to be sent again later."""
        try:
            reply = await self._ask(batch, line)
        except Unavailable as error:
            away = error.detail == AWAY
            if away or self._tries(batch, line) < TRIES:
                self._pause(AWAY_SECONDS if away else AGAIN_SECONDS, error.detail)
                return None
            return False, failed_line(batch.id, place, line.custom_id, error)
        if reply is None:
            return None
        # Not counted as a try: the PRM is well, and has said when.
        if reply.status_code in NOT_NOW:
            self._pause(_retry_after(reply), _detail(reply))
            return None
        if reply.status_code >= 500 and self._tries(batch, line) < TRIES:
            self._pause(AGAIN_SECONDS, _detail(reply))
            return None
        self.problem = None
        row = answer_line(batch.id, place, line.custom_id, reply.status_code, _body(reply))
        # A line that the PRM refuses is answered, with its status, and goes to the error file.
        return reply.status_code == 200, row

    async def _ask(self, batch: BatchRecord, line: RequestLine) -> httpx2.Response | None:
        """The PRM's reply; None where it takes too long for a batch that is to end. Raises Unavailable."""
        began = _time()
        asking = asyncio.ensure_future(self._forward(batch.endpoint, line.payload))
        try:
            while not (await asyncio.wait({asking}, timeout=POLL_SECONDS))[0]:
                # A PRM that hangs holds nobody up who wants to end, neither this batch nor another.
                _, over = await self._end_due(but=batch.id)
                if over and _time() - began > GRACE_SECONDS:
                    return None
            return asking.result()
        finally:
            asking.cancel()

    def _tries(self, batch: BatchRecord, line: RequestLine) -> int:
        """How often this line was sent in vain, this time included."""
        tried, times = self._tried.get(batch.id, ("", 0))
        times = times + 1 if tried == line.custom_id else 1
        self._tried[batch.id] = line.custom_id, times
        return times

    def _pause(self, seconds: float, problem: str) -> None:
        self.problem = problem
        self._not_before = _time() + min(seconds, LONGEST_PAUSE)

    async def _let_others_pass(self) -> None:
        # A run scores with many requests at once, so a fixed pause is its share; people's requests can be counted.
        if await run_in_threadpool(self._jobs.runs_score):
            await asyncio.sleep(PATIENCE_SECONDS)
        until = _time() + PATIENCE_SECONDS
        while self._busy() and _time() < until:
            await asyncio.sleep(LOOK_SECONDS)

    async def _end(self, batch: BatchRecord, state: BatchState) -> None:
        self._tried.pop(batch.id, None)
        try:
            await run_in_threadpool(self._jobs.end, batch, state)
        except (FileNotFoundError, InvalidInput) as error:
            why = error.detail if isinstance(error, InvalidInput) else "its content is gone"
            await run_in_threadpool(self._jobs.fail, batch, f"the input file cannot be read: {why}")


def _said(error: OSError) -> str:
    """Without the path, which is the server's own."""
    return f"its files on the coordinator's disk cannot be used: {error.strerror or type(error).__name__}"


def _time() -> float:
    return asyncio.get_running_loop().time()


def _retry_after(reply: httpx2.Response) -> float:
    given = reply.headers.get("retry-after", "")
    return float(given) if given.isdecimal() and len(given) < 6 else AWAY_SECONDS


def _detail(reply: httpx2.Response) -> str:
    """What a PRM says of why it gives no answer."""
    body = _body(reply)
    said = body.get("detail") if isinstance(body, dict) else None
    return (
        f"the PRM answers with {reply.status_code}: {str(said)[:300]}"
        if said
        else f"the PRM answers {reply.status_code}"
    )


def _body(reply: httpx2.Response) -> Any:
    """The JSON of a reply, or its text: a proxy may answer with a page."""
    try:
        return json.loads(reply.content)
    except ValueError:
        return reply.text[:2000]
