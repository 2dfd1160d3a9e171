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
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import torch

from mstar.errors import Internal, MstarError
from mstar_trainer.protocol import Done, Failed, MoreInputs, Progress, Reply, TrainRequest

if TYPE_CHECKING:
    from mstar_trainer.session import Session

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Join the other ranks, then do one train step after the other until the input ends."""
    out = _claim_stdout()
    _die_with_parent()
    lines = _lines()
    # DeepSpeed chooses its accelerator while it is imported, hence here.
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    from mstar_trainer.deepspeed_engine import join_ranks
    from mstar_trainer.session import Session

    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    join_ranks(rank, ranks, os.environ["MSTAR_TRAINER_RENDEZVOUS"])
    session: Session | None = None
    while True:
        request = TrainRequest.model_validate_json(lines.get())
        if session is None or session.home != Path(request.home):
            session = Session(Path(request.home))
        _answer(session, request, lines, out)


def _answer(session: "Session", request: TrainRequest, lines: "queue.SimpleQueue[str]", out: TextIO) -> None:
    def say(reply: Reply) -> None:
        out.write(reply.model_dump_json() + "\n")
        out.flush()

    try:
        artefact, result = session.train(
            request.claim,
            lambda done, total: say(Progress(done=done, total=total)),
            lambda: MoreInputs.model_validate_json(lines.get()).inputs,
        )
        say(Done(artefact=artefact, result=result))
    except MstarError as error:
        say(Failed(problem=error.problem()))
    except Exception as error:
        traceback.print_exc()
        say(Failed(problem=Internal(f"training failed: {type(error).__name__}: {error}").problem()))


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
