"""Keeps the trackers of all runs up to date, in a thread of its own: a tracker that is slow or down delays nothing.

What each tracker has been sent is noted in a file a run, so that a coordinator that starts anew sends what is missing
and nothing twice; only what was sent in the moment before a crash may come a second time.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import structlog

from mstar.api.samples import QuestionSamples
from mstar.errors import NotFound
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar.trackers import Tracker
from mstar_artefacts.durable import write_json
from mstar_coordinator.tracking.scalars import COLUMNS, TABLE, Scalar, sample_rows, scalars
from mstar_coordinator.tracking.sinks import Sink

log = structlog.get_logger(__name__)
INTERVAL_SECONDS = 5.0
LONGEST_PAUSE = 300.0
"""Between two tries with a tracker that keeps failing."""
SAMPLES = 16
"""Questions in an iteration's table."""
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass
class _Followed:
    """One run in one tracker."""

    sink: Sink
    sent: set[str] = field(default_factory=set)
    """Names and steps of what it has."""


@dataclass
class _Failing:
    """A tracker that a run could not be sent to."""

    pause: float
    """Seconds from the last try to the next."""
    due: float
    """When to try again, on the follower's clock."""


class TrackerFollower:
    """Owns the thread."""

    def __init__(
        self,
        folder: Path,
        running: Callable[[], Iterable[str]],
        results: Callable[[str], RunResults],
        samples: Callable[[str, int], Sequence[QuestionSamples]],
        open_sink: Callable[[Tracker, str, str, dict[str, Any]], Sink],
        always: Iterable[Tracker] = (),
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder`: for the notes. `always`: trackers of every run, beside those of its recipe.

        `running`: ids of runs that go on. `results` raises NotFound for a run that was deleted.
        """
        self._folder = folder
        self._running, self._results, self._samples = running, results, samples
        self._open_sink = open_sink
        self._always = tuple(always)
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._followed: dict[tuple[str, Tracker], _Followed] = {}
        self._failing: dict[tuple[str, Tracker], _Failing] = {}
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="trackers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after what it is at; runs go on in their trackers with the next start."""
        self._stopping.set()
        # A tracker that does not answer must not hold up the end of the service.
        self._thread.join(5)

    def tick(self) -> None:
        """Send what is new of all runs. What goes wrong with one is logged and hinders no other."""
        # A run that has ended since the last look is no longer running, but its notes have no end yet.
        followed: set[str] = set()
        for run_id in [*dict.fromkeys([*self._running(), *self._unfinished()])]:
            try:
                results = self._results(run_id)
            except NotFound:
                self._note_path(run_id).unlink(missing_ok=True)
                continue
            followed.add(run_id)
            for tracker in dict.fromkeys([*results.recipe.tracking, *self._always]):
                self._try(tracker, results)
        self._forget_all_but(followed)

    def _try(self, tracker: Tracker, results: RunResults) -> None:
        place = (results.id, tracker)
        failing = self._failing.get(place)
        if failing is not None and self._clock() < failing.due:
            return
        try:
            self._send(tracker, results)
            self._failing.pop(place, None)
        # A package of others may raise anything, and no run fails because of it.
        except Exception as error:
            pause = self._interval_seconds if failing is None else min(2 * failing.pause, LONGEST_PAUSE)
            self._failing[place] = _Failing(pause, self._clock() + pause)
            log.warning(
                "a tracker failed", tracker=tracker.value, run=results.id, again_in=pause, error=str(error)[:500]
            )
            # Opened anew the next time; its notes say what it has been sent.
            self._leave(place)

    def _leave(self, place: tuple[str, Tracker]) -> None:
        """Free what a run's connection to a tracker holds: threads, processes and files of its package."""
        followed = self._followed.pop(place, None)
        if followed is None:
            return
        try:
            followed.sink.leave()
        except Exception as error:
            log.warning("a tracker cannot be closed", tracker=place[1].value, run=place[0], error=str(error)[:500])

    def _forget_all_but(self, run_ids: Collection[str]) -> None:
        """Free what is held for runs that were deleted, or have ended."""
        for place in [one for one in (*self._followed, *self._failing) if one[0] not in run_ids]:
            self._leave(place)
            self._failing.pop(place, None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tick()
            # The database may be away for a while; the thread is there when it is back.
            except Exception as error:
                log.warning("trackers are not up to date", error=str(error)[:500])
            self._stopping.wait(self._interval_seconds)

    def _send(self, tracker: Tracker, results: RunResults) -> None:
        notes = self._notes(results.id)
        # One that goes on after its end, since it was extended or resumed, is followed as before.
        if notes.get(tracker.value, {}).get("ended") and results.state in ENDED:
            return
        place = (results.id, tracker)
        if place not in self._followed:
            recipe = results.recipe.model_dump(mode="json")
            sink = self._open_sink(tracker, results.id, results.name, recipe)
            self._followed[place] = _Followed(sink, set(notes.get(tracker.value, {}).get("sent", ())))
        own = self._followed[place]
        new = [point for point in scalars(results) if _key(point) not in own.sent]
        if new:
            own.sink.log(new)
            own.sent |= {_key(point) for point in new}
        for iteration, rows in self._tables(results, own.sent):
            own.sink.table(TABLE, iteration, COLUMNS, rows)
            own.sent.add(f"{TABLE}@{iteration}")
        ended = results.state in ENDED
        if ended:
            own.sink.close(failed=results.state is not RunState.SUCCEEDED)
            del self._followed[place]
        # After all is sent: a crash before this sends points twice, which is better than never.
        self._note(results.id, tracker, own.sent, ended=ended)

    def _tables(self, results: RunResults, sent: set[str]) -> Iterator[tuple[int, list[tuple[str, ...]]]]:
        for iteration in results.iterations:
            if f"{TABLE}@{iteration.index}" not in sent:
                yield iteration.index, sample_rows(self._samples(results.id, iteration.index))

    def _note_path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"

    def _notes(self, run_id: str) -> dict[str, Any]:
        try:
            found = json.loads(self._note_path(run_id).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _note(self, run_id: str, tracker: Tracker, sent: set[str], *, ended: bool) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        entry = {"sent": sorted(sent), "ended": ended}
        write_json(self._note_path(run_id), self._notes(run_id) | {tracker.value: entry})

    def _unfinished(self) -> Iterator[str]:
        """Runs that a tracker has not heard the end of."""
        for path in sorted(self._folder.glob("*.json")):
            if not all(one.get("ended") for one in self._notes(path.stem).values()):
                yield path.stem


def _key(point: Scalar) -> str:
    return f"{point.name}@{point.step}"
