"""Starts the training processes, gives them one train step at a time, and notices when one dies.

They stay alive between steps, so libraries, model and optimizer are loaded once a run. After any failure they are
killed, and the next step starts new ones from its parent checkpoint. There is no torch in the worker's own process.
"""

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from mstar.api.steps import Claim, StepInput
from mstar.errors import Unavailable, from_problem
from mstar.host_memory import Ending
from mstar.leftovers import collect, owned_prefix
from mstar.stages.train import TRAIN
from mstar.writing import writing
from mstar_artefacts.storage import Storage, storage_of
from mstar_trainer.arrivals import Arrive, Line, StreamedInputs, next_line
from mstar_trainer.memory import SMALLER
from mstar_trainer.protocol import REPLY, Done, Failed, MoreInputs, RankProgress, Reply, TrainRequest

_log = structlog.get_logger(__name__)

LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
MEETING_PREFIX = "mstar-trainer-"
ROOM_BYTES = 2**20
"""What the folder for temporary files must have room for; what ranks write there is less."""
LAST_LINES = 15
"""Lines of standard error among which a report of a death looks for the last word."""


@dataclass(frozen=True)
class NodePlace:
    """Which of several nodes this is, and where all ranks meet; None: in a file, which one node can."""

    node: int = 0
    nodes: int = 1
    meeting: str | None = None


class _Rank:
    """One training process, with a thread for each of its outputs."""

    def __init__(self, rank: int, environment: dict[str, str], replies: "queue.SimpleQueue[Line]"):
        self.rank = rank
        self._ending = Ending()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mstar_trainer.rank_main"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # A group of its own: `killpg` reaches what it started, and a terminal's Ctrl-C is the worker's to handle.
            start_new_session=True,
        )
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._replies = replies
        # Both pipes are read all the time: a process stops at its next line once one of them is full.
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read_stdout, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def ask(self, line: str) -> None:
        try:
            _pipe(self.process.stdin).write(line + "\n")
            _pipe(self.process.stdin).flush()
        except BrokenPipeError:
            # The process has died; its end of output reaches the reading thread, which reports why.
            return

    def kill(self) -> None:
        """Kill the process and all that it started, and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()

    def obituary(self) -> str:
        """How the process ended, with what it said last; the trainer's log has the trace."""
        code = self.process.wait()
        how = f"{'was killed by' if code < 0 else 'ended with'} {self._ending.of(code)}"
        # A trace is indented below its first line, and what failed stands after it.
        said = [line for line in self.last_lines if line and not line.startswith((" ", "Traceback"))]
        remedy = f": {SMALLER}" if self._ending.starved(code) else ""
        last = f"it said last: {said[-1]}" if said else "it said nothing"
        return f"training process {self.rank} {how}{remedy}; {last}"

    def _read_stdout(self) -> None:
        for line in _pipe(self.process.stdout):
            self._replies.put((self.rank, line))
        self._replies.put((self.rank, None))

    def _read_stderr(self) -> None:
        for line in _pipe(self.process.stderr):
            self.last_lines.append(line.rstrip())
            _pass_on(line, self.rank)


class ResidentTrainer:
    """A group of training processes: this node's share of the ranks of the step at hand."""

    def __init__(
        self,
        home: Path | Storage,
        threads: int | None = None,
        silence_seconds: float = 1800.0,
        place: NodePlace = NodePlace(),
        busy_share: float = 1.0,
    ) -> None:
        """`threads`: CPU threads of each rank (None: OMP_NUM_THREADS, else the cores, divided among the ranks).

        A group that reports nothing for `silence_seconds` counts as hung and is killed. `busy_share`: share of a GPU's
        memory that others may hold when a step begins.
        """
        self.storage = storage_of(home)
        self._place = place
        self._threads = threads
        self._silence = silence_seconds
        self._busy_share = busy_share
        self._ranks: list[_Rank] = []
        self._replies: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._meeting: Path | None = None
        self._partitioned = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the ranks that are alive."""
        return [rank.process.pid for rank in self._ranks if rank.process.poll() is None]

    def train(self, claim: Claim, ranks: int, progress: Callable[[int, int], None], arrivals: Arrive) -> Done:
        """Have the step done. Raises what the training process raised, or Unavailable when it died or hung.

        `progress` gets optimizer steps done and to do; `arrivals` is asked what has come of the inputs that the claim
        lacks. Both may raise to give the step up.
        """
        partitioned = TRAIN.narrow(claim.step.params).settings.zero_stage == 3
        # ZeRO-3 replaces functions of torch permanently; other stages would then differ in the last bits.
        if len(self.pids) != ranks // self._place.nodes or self._partitioned is not partitioned:
            self._start(ranks)
            self._partitioned = partitioned
        try:
            line = TrainRequest(claim=claim, storage=self.storage, busy_share=self._busy_share).model_dump_json()
            for rank in self._ranks:
                rank.ask(line)
            return self._await_all(progress, StreamedInputs(claim, arrivals))
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """End the processes from another thread: `train` raises Unavailable."""
        for rank in list(self._ranks):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(rank.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the group, if there is one."""
        for rank in self._ranks:
            # Killed and not asked to end: a rank in a collective operation waits for the others and hears nothing.
            rank.kill()
        self._ranks = []
        if self._meeting is not None:
            shutil.rmtree(self._meeting, ignore_errors=True)
            self._meeting = None

    def _start(self, ranks: int) -> None:
        self.close()
        self._replies = queue.SimpleQueue()
        collect(MEETING_PREFIX)
        self._meeting = _meeting_folder()
        here = ranks // self._place.nodes
        threads = self._threads or max(1, int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1) // here)
        network = {} if self._place.meeting else {"GLOO_SOCKET_IFNAME": LOOPBACK}
        for rank in range(here):
            environment = (
                network
                # Left to right: the operator may name another network interface, but not what makes a rank this rank.
                | os.environ
                | {
                    "RANK": str(self._place.node * here + rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(ranks),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": "0",
                    "MSTAR_TRAINER_RENDEZVOUS": self._place.meeting or f"file://{self._meeting / 'ranks'}",
                    "OMP_NUM_THREADS": str(threads),
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "HF_HUB_OFFLINE": "1",
                }
            )
            self._ranks.append(_Rank(rank, environment, self._replies))

    def _await_all(self, progress: Callable[[int, int], None], stream: StreamedInputs) -> Done:
        """The answer of this node's first rank, once every one has given one."""
        answers: dict[int, Done] = {}
        while len(answers) < len(self._ranks):
            rank, reply = self._next_reply(stream)
            if isinstance(reply, Failed):
                # The first failure ends the group: the other ranks may be waiting for this one.
                raise from_problem(reply.problem, int(reply.problem["status"]))
            if isinstance(reply, Done):
                answers[rank] = reply
            elif isinstance(reply, RankProgress) and rank == 0:
                progress(reply.done, reply.total)
        return answers[0]

    def _next_reply(self, stream: StreamedInputs) -> tuple[int, Reply]:
        """What a rank says next. Ranks that may be waiting for an input are given what has come, and may be silent."""
        rank, line = next_line(self._replies, stream, self._silence, self._hand_out)
        if line is None:
            raise Unavailable(self._ranks[rank].obituary())
        return rank, REPLY.validate_json(line)

    def _hand_out(self, inputs: dict[str, StepInput]) -> None:
        if inputs:
            line = MoreInputs(inputs=inputs).model_dump_json()
            for rank in self._ranks:
                rank.ask(line)


def _meeting_folder() -> Path:
    """A new folder where ranks can meet. Raises StorageFull and NotWritable."""
    # Not a file of an earlier group: torch's file store must not find what that one wrote.
    prefix = owned_prefix(MEETING_PREFIX)
    with writing(Path(tempfile.gettempdir()) / prefix):
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            # Ranks would find out that there is no room after half a minute of imports, in words of their libraries.
            (folder / "room").write_bytes(bytes(ROOM_BYTES))
            (folder / "room").unlink()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _pass_on(line: str, rank: int) -> None:
    """A line of a training process into this one's log; what no logger wrote there becomes an event of its own."""
    if line.startswith("{"):
        sys.stderr.write(line)
    elif line.strip():
        _log.info("output of a training process", rank=rank, line=line.rstrip())


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "the process was started with pipes"
    return stream
