"""The loop around a step: what is committed, what is given back, and what a lost lease stops."""

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import FrameType

import httpx2
import pytest

from kept_spans import kept_spans
from mstar.api.steps import Ack, Claim, Heartbeat, HeartbeatReply
from mstar.errors import CorruptArtefact, InvalidDataset, MstarError
from mstar.gpu_memory import GpuMemory
from mstar.http_json import Sender, Target
from mstar.steps import ArtefactRef, DoneResult, Queue
from mstar.tracing import attempt_place
from mstar_worker.client import StepClient
from mstar_worker.lease import Handler, ReportProgress, advance
from silent_server import SilentServer
from step_board import StepBoard

RESULT = DoneResult(seconds=1.5)


def do(board: StepBoard, client: StepClient, handler: Handler) -> None:
    advance(board.add("s1"), {"prepare": handler}, client, "tester")


def failing(error: Exception) -> Handler:
    def handler(claim: Claim, progress: ReportProgress) -> tuple[ArtefactRef | None, DoneResult]:
        raise error

    return handler


def test_what_the_handler_returns_is_committed_once_under_its_epoch(board: StepBoard, client: StepClient) -> None:
    artefact = ArtefactRef(id="r-1/s1", sha256="a" * 64)
    do(board, client, lambda claim, progress: (artefact, RESULT))
    (commit,) = board.steps["s1"].commits
    assert (commit.epoch, commit.artefact, commit.result) == (1, artefact, RESULT)
    assert board.steps["s1"].releases == []


def test_a_step_that_is_taken_or_unknown_is_left_alone(board: StepBoard, client: StepClient) -> None:
    def never(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        raise AssertionError("must not be called")

    do(board, client, lambda claim, progress: (None, RESULT))
    advance("s1", {"prepare": never}, client, "late")
    advance("nobody", {"prepare": never}, client, "late")
    assert len(board.steps["s1"].commits) == 1


def test_a_coordinator_that_is_away_costs_the_task_message_only() -> None:
    advance("s1", {}, StepClient("http://127.0.0.1:9"), "tester")


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (InvalidDataset("train/metadata.jsonl line 3: no answer"), "invalid-dataset", False),
        (CorruptArtefact("rows of it01/generate/0001"), "corrupt-artefact", True),
        (ZeroDivisionError("division by zero"), "internal", True),
        (MemoryError(), "unavailable", True),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/of/x"), "storage-full", True),
        (OSError(errno.EIO, "Input/output error", "/tmp/of/x"), "internal", True),
    ],
)
def test_a_failure_is_handed_back_with_its_reason(
    board: StepBoard, client: StepClient, error: Exception, code: str, retryable: bool
) -> None:
    do(board, client, failing(error))
    (release,) = board.steps["s1"].releases
    assert (release.code, release.retryable, release.preempted) == (code, retryable, False)
    said = {
        ZeroDivisionError: "ZeroDivisionError: division",
        MemoryError: "the memory of this machine or container is used up: give this worker more memory",
        OSError: "no space left in /tmp/of while writing x: free some disk",
    }
    if not (isinstance(error, OSError) and error.errno == errno.EIO):
        assert (error.detail if isinstance(error, MstarError) else said[type(error)]) in release.error
    assert board.steps["s1"].commits == []


def test_heartbeats_keep_a_lease_longer_than_its_time_and_carry_progress(board: StepBoard, client: StepClient) -> None:
    def slow(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        progress(3, 9)
        time.sleep(2.5 * claim.lease_seconds)
        return None, RESULT

    do(board, client, slow)
    assert len(board.steps["s1"].commits) == 1
    assert {(beat.done, beat.total) for beat in board.steps["s1"].beats} == {(3, 9)}


def test_heartbeats_tell_the_memory_of_the_gpus_that_the_steps_queue_uses(board: StepBoard, client: StepClient) -> None:
    def slow(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        time.sleep(0.8 * claim.lease_seconds)
        return None, RESULT

    own, other = GpuMemory(used=1, total=2), GpuMemory(used=3, total=4)
    told = {Queue.CONTROL: lambda: own, Queue.SCORE: lambda: other}
    for name, memory in (("s1", told), ("s2", {Queue.SCORE: told[Queue.SCORE]})):
        advance(board.add(name), {"prepare": slow}, client, "tester", gpu_memory=memory)
    assert {beat.gpu_memory for beat in board.steps["s1"].beats} == {own}
    assert {beat.gpu_memory for beat in board.steps["s2"].beats} == {None}


def test_a_lost_lease_stops_the_handler_and_nothing_is_committed(board: StepBoard, client: StepClient) -> None:
    units = []

    def robbed(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        board.steal("s1")
        for unit in range(500):
            units.append(unit)
            time.sleep(0.01)
            progress(unit, 500)
        return None, RESULT

    do(board, client, robbed)
    assert len(units) < 500
    assert board.steps["s1"].commits == board.steps["s1"].releases == []


def test_a_commit_after_a_theft_that_no_heartbeat_saw_is_refused(board: StepBoard, client: StepClient) -> None:
    def robbed(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        board.steal("s1")
        return None, RESULT

    do(board, client, robbed)
    assert board.steps["s1"].commits == []


def test_a_commit_waits_for_a_coordinator_that_restarts(board: StepBoard, client: StepClient) -> None:
    board.away = 2
    do(board, client, lambda claim, progress: (None, RESULT))
    assert len(board.steps["s1"].commits) == 1


class Garbling(httpx2.HTTPTransport):
    """Puts a page of HTML in the place of the first answers to one verb; the coordinator never sees those requests."""

    def __init__(self, verb: str, status: int, times: int) -> None:
        super().__init__()
        self.verb, self.status, self.left = verb, status, times

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.left and request.url.path.endswith(self.verb):
            self.left -= 1
            return httpx2.Response(self.status, html="<html>welcome</html>")
        return super().handle_request(request)


@pytest.mark.parametrize("status", [200, 404, 409, 502])
def test_a_heartbeat_with_a_strange_answer_does_not_cost_the_lease(board: StepBoard, status: int) -> None:
    transport = Garbling("heartbeat", status, 2)
    client = StepClient(board.url, transport=transport)

    def slow(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        board.wait(lambda steps: steps["s1"].beats)
        progress(1, 1)
        return None, RESULT

    do(board, client, slow)
    client.close()
    assert transport.left == 0
    assert len(board.steps["s1"].commits) == 1


@pytest.mark.parametrize("status", [200, 401, 404, 500, 502])
def test_a_claim_with_a_strange_answer_costs_the_task_message_only(board: StepBoard, status: int) -> None:
    client = StepClient(board.url, transport=Garbling("claim", status, 1))
    do(board, client, lambda claim, progress: (None, RESULT))
    assert board.steps["s1"].commits == []
    advance("s1", {"prepare": lambda claim, progress: (None, RESULT)}, client, "tester")
    client.close()
    assert len(board.steps["s1"].commits) == 1


def test_a_commit_with_a_strange_answer_gives_the_step_back(board: StepBoard) -> None:
    client = StepClient(board.url, transport=Garbling("commit", 200, 1))
    do(board, client, lambda claim, progress: (None, RESULT))
    client.close()
    (release,) = board.steps["s1"].releases
    assert (release.code, release.retryable) == ("internal", True)


@pytest.fixture
def stops() -> Iterator[list[int]]:
    """Stop signals that reached the handler which stood before, as Celery's would."""
    seen: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGTERM, remember)
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_a_stop_signal_gives_the_step_back_at_once(board: StepBoard, client: StepClient, stops: list[int]) -> None:
    def told_to_stop(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        return None, RESULT

    began = time.monotonic()
    do(board, client, told_to_stop)
    assert time.monotonic() - began < 10
    (release,) = board.steps["s1"].releases
    assert (release.code, release.preempted) == ("preempted", True)
    assert stops == [signal.SIGTERM]
    os.kill(os.getpid(), signal.SIGTERM)
    assert stops == [signal.SIGTERM] * 2


def test_a_stop_signal_does_not_tear_a_commit(board: StepBoard, stops: list[int]) -> None:
    class StoppedWhileCommitting(StepClient):
        def commit(self, step_id: str, commit: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            super().commit(step_id, commit)  # type: ignore[arg-type]

    client = StoppedWhileCommitting(board.url)
    do(board, client, lambda claim, progress: (None, RESULT))
    client.close()
    assert len(board.steps["s1"].commits) == 1
    assert board.steps["s1"].releases == []


def test_a_stop_signal_does_not_tear_the_release_of_a_failed_step(board: StepBoard, stops: list[int]) -> None:
    class StoppedWhileReleasing(StepClient):
        def release(self, step_id: str, release: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            super().release(step_id, release)  # type: ignore[arg-type]

    client = StoppedWhileReleasing(board.url)
    do(board, client, failing(InvalidDataset("no answer")))
    client.close()
    (release,) = board.steps["s1"].releases
    assert (release.code, release.preempted) == ("invalid-dataset", False)
    assert stops == [signal.SIGTERM]


def test_a_request_in_hand_is_given_up_when_the_lease_is_lost(board: StepBoard, client: StepClient) -> None:
    sender = Sender(httpx2.Timeout(60))
    stopped: list[float] = []
    with SilentServer() as silent:

        def ask(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
            board.steal("s1")
            sender.send(Target(silent.url), "GET", "/slow", Ack)
            raise AssertionError("nobody answers")

        began = time.monotonic()
        advance(board.add("s1"), {"prepare": ask}, client, "tester", sender.give_up)
        stopped.append(time.monotonic() - began)
        assert silent.left.wait(10)
    # The request itself would wait for a minute.
    assert stopped[0] < 30 and board.steps["s1"].releases == []


def test_a_worker_asks_every_two_seconds_whether_its_lease_still_holds() -> None:
    with StepBoard(lease_seconds=60) as board, closing(StepClient(board.url)) as client:

        def slow(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
            board.wait(lambda steps: len(steps["s1"].beats) >= 2, seconds=25)
            return None, RESULT

        advance(board.add("s1"), {"prepare": slow}, client, "tester")
        assert len(board.steps["s1"].commits) == 1


def test_a_question_is_known_before_it_is_begun(board: StepBoard, client: StepClient) -> None:
    known: list[str | None] = []

    def one_by_one(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        for question in ("a", "a", "b"):
            progress(0, 2, question)
            known.append(board.steps["s1"].beats[-1].question)
        return None, RESULT

    do(board, client, one_by_one)
    assert known == ["a", "a", "b"]


def test_an_older_heartbeat_never_arrives_after_a_newer_one(board: StepBoard) -> None:
    """The question that the coordinator heard of last would be blamed for the end of the worker."""
    under_way = threading.Event()

    class SlowBehindTheHandler(StepClient):
        def heartbeat(self, step_id: str, beat: Heartbeat) -> HeartbeatReply:
            if threading.current_thread().name == "lease":
                under_way.set()
                time.sleep(0.2)
            return super().heartbeat(step_id, beat)

    def begins_one(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        assert under_way.wait(10)
        progress(0, 2, "a")
        return None, RESULT

    with closing(SlowBehindTheHandler(board.url)) as client:
        do(board, client, begins_one)
    told = [beat.question for beat in board.steps["s1"].beats]
    assert told == sorted(told, key=lambda question: question is not None) and "a" in told


def test_every_attempt_is_a_span_of_the_steps_one_trace(board: StepBoard, client: StepClient) -> None:
    def failing_once(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
        if claim.epoch == 1:
            raise CorruptArtefact("sesame")
        return None, RESULT

    step_id = board.add("s1")
    with kept_spans() as kept:
        for _ in range(3):
            advance(step_id, {"prepare": failing_once}, client, "tester")
    first, second = kept.named("step prepare")
    assert [one.values["mstar.attempt"] for one in (first, second)] == [1, 2]
    assert [one.values["mstar.outcome"] for one in (first, second)] == ["failed", "committed"]
    assert (first.failed, second.failed) == (True, False)
    assert [one.parent for one in (first, second)] == [f"{attempt_place(step_id, k).span_id:016x}" for k in (1, 2)]
    assert {one.trace for one in kept.spans()} == {f"{attempt_place(step_id).trace_id:032x}"}
    calls = [(one.name.rpartition("/")[2], one.parent) for one in kept.spans() if one.name.startswith("POST")]
    root = first.parent
    assert calls == [("claim", root), ("release", first.id), ("claim", root), ("commit", second.id), ("claim", root)]
    assert all("sesame" not in one.to_json() for one in kept.exporter.get_finished_spans())
