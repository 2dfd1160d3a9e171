"""The resident training process: one rank, driven by JSON lines on standard input, answering on standard output.

Started by `resident` as `python -m mstar_trainer.train` with RANK, WORLD_SIZE and MSTAR_TRAINER_RENDEZVOUS set. It ends
when its input ends or its parent dies. What libraries print goes to standard error.
"""

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import structlog
import torch

from mstar.errors import Internal, MstarError
from mstar_trainer.memory import Memory, await_room
from mstar_trainer.protocol import Done, Failed, MoreInputs, Progress, Reply, TrainRequest
from mstar_web.logs import configure_logs, one_log

if TYPE_CHECKING:
    from mstar_trainer.session import Session

_log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 2.0
"""Between two looks at a GPU that is not free yet."""


def main() -> None:
    """Join the other ranks, then do one train step after the other until the input ends."""
    out = _claim_stdout()
    configure_logs("mstar-trainer")
    _die_with_parent()
    lines = _lines()
    # DeepSpeed chooses its accelerator while it is imported, hence here.
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    from mstar_trainer.deepspeed_engine import join_ranks
    from mstar_trainer.session import Session

    one_log()
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    join_ranks(rank, ranks, os.environ["MSTAR_TRAINER_RENDEZVOUS"])
    session: Session | None = None
    while True:
        request = TrainRequest.model_validate_json(lines.get())
        if session is None or session.storage != request.storage:
            session = Session(request.storage)
        _answer(session, request, lines, out, _await_room)


def _answer(
    session: "Session",
    request: TrainRequest,
    lines: "queue.SimpleQueue[str]",
    out: TextIO,
    room: Callable[[float], None],
) -> None:
    """`room` waits until others hold at most a share of this rank's GPU, and raises when they go on holding more."""

    def say(reply: Reply) -> None:
        out.write(reply.model_dump_json() + "\n")
        out.flush()

    try:
        room(request.busy_share)
        artefact, result = session.train(
            request.claim,
            lambda done, total: say(Progress(done=done, total=total)),
            lambda: MoreInputs.model_validate_json(lines.get()).inputs,
        )
        say(Done(artefact=artefact, result=result))
    except MstarError as error:
        say(Failed(problem=error.problem()))
    except Exception as error:
        _log.exception("train step failed", step=request.claim.step.name)
        say(Failed(problem=Internal(f"training failed: {type(error).__name__}: {error}").problem()))


def _await_room(share: float) -> None:
    """On a CPU there is always room."""
    if torch.cuda.is_available() and share < 1:
        await_room(_memory, share, lambda: time.sleep(LOOK_SECONDS))


def _memory() -> Memory:
    device = int(os.environ["LOCAL_RANK"])
    free, total = torch.cuda.mem_get_info(device)
    return Memory(free, total, torch.cuda.memory_reserved(device))


def _claim_stdout() -> TextIO:
    """Keep standard output for replies; whatever else is printed to it goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent ends, for one that is killed closes nothing in good order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _lines() -> "queue.SimpleQueue[str]":
    """Standard input, read in a thread: the process ends with its input, even in the middle of a step."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    return lines


if __name__ == "__main__":
    main()
