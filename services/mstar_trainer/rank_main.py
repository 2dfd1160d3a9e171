"""Entry point of a training process: one rank, driven by JSON lines on standard input and output.

Started by `resident` as `python -m mstar_trainer.rank_main` with RANK, WORLD_SIZE and MSTAR_TRAINER_RENDEZVOUS set. It
ends when its input ends or its parent dies. Output of libraries goes to standard error.
"""

import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TextIO

import structlog
import torch

from mstar.errors import Internal, InvalidInput, MstarError
from mstar.host_memory import is_exhausted, no_memory
from mstar_trainer.memory import SMALLER, Memory, await_room
from mstar_trainer.protocol import Done, Failed, MoreInputs, RankProgress, Reply, TrainRequest
from mstar_web.logs import configure_logs, one_log

if TYPE_CHECKING:
    from mstar_trainer.training_loop import TrainingLoop

_log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 2.0
"""Time between two looks at a GPU that is not free yet."""


def main() -> None:
    """Join the other ranks, then do train steps until the input ends."""
    out = _claim_stdout()
    configure_logs("mstar-trainer")
    _die_with_parent()
    lines = _lines()
    # DeepSpeed chooses its accelerator while it is imported, so this must come first.
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    from mstar_models.remote_code import allow_code
    from mstar_trainer.deepspeed_engine import join_ranks
    from mstar_trainer.training_loop import TrainingLoop

    one_log()
    # The worker has checked it with its other settings, and hands its environment on.
    allow_code(os.environ.get("MSTAR_TRAINER_TRUSTED_CODE", ""))
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        require_gpu(int(os.environ["LOCAL_RANK"]), torch.cuda.device_count())
    except MstarError as error:
        _say(out, Failed(problem=error.problem()))
        return
    join_ranks(rank, ranks, os.environ["MSTAR_TRAINER_RENDEZVOUS"])
    loop: TrainingLoop | None = None
    while True:
        request = TrainRequest.model_validate_json(lines.get())
        if loop is None or loop.storage != request.storage:
            loop = TrainingLoop(request.storage)
        _answer(loop, request, lines, out, _await_room)


def require_gpu(local_rank: int, gpus: int) -> None:
    """Raises InvalidInput for a rank of this node that has no GPU of its own, where others have one."""
    if gpus and local_rank >= gpus:
        raise InvalidInput(
            f"train.ranks needs more GPUs than the {gpus} of this node: lower train.ranks, or train on more nodes",
            field="train.ranks",
        )


def _say(out: TextIO, reply: Reply) -> None:
    out.write(reply.model_dump_json() + "\n")
    out.flush()


def _answer(
    loop: "TrainingLoop",
    request: TrainRequest,
    lines: "queue.SimpleQueue[str]",
    out: TextIO,
    room: Callable[[float], None],
) -> None:
    """Do one request and write its replies; errors become a reply, so that the worker can raise them.

    `room` waits until other processes hold at most a share of this rank's GPU, and raises Unavailable if they do not.
    """
    say = partial(_say, out)
    try:
        room(request.busy_share)
        artefact, result = loop.train(
            request.claim,
            lambda done, total: say(RankProgress(done=done, total=total)),
            lambda: MoreInputs.model_validate_json(lines.get()).inputs,
        )
        say(Done(artefact=artefact, result=result))
    except MstarError as error:
        say(Failed(problem=error.problem()))
    except torch.OutOfMemoryError as error:
        _log.exception("train step needs more memory than the GPU has", step=request.claim.step.name)
        say(Failed(problem=_too_large(error).problem()))
    except Exception as error:
        if is_exhausted(error):
            _log.exception("train step needs more memory than the machine has", step=request.claim.step.name)
            say(Failed(problem=no_memory(error, SMALLER).problem()))
            return
        _log.exception("train step failed", step=request.claim.step.name)
        say(Failed(problem=Internal(f"training failed: {type(error).__name__}: {error}").problem()))


def _too_large(error: torch.OutOfMemoryError) -> InvalidInput:
    """As bad input, which is not tried again: the same training would need as much the next time."""
    first = str(error).partition(". If reserved")[0]
    return InvalidInput(
        "this training takes more memory than the GPU has: set train.gradient_checkpointing, train.lora or "
        f"train.offload_optimizer, lower train.micro_tokens, or use more GPUs with train.zero_stage 3 ({first})",
        field="train.micro_tokens",
    )


def _await_room(share: float) -> None:
    """Wait for room on the GPU; on a CPU there always is."""
    if torch.cuda.is_available() and share < 1:
        await_room(_memory, share, lambda: time.sleep(LOOK_SECONDS))


def _memory() -> Memory:
    device = int(os.environ["LOCAL_RANK"])
    free, total = torch.cuda.mem_get_info(device)
    return Memory(free, total, torch.cuda.memory_reserved(device))


def _claim_stdout() -> TextIO:
    """Keep standard output for replies; whatever else is printed to it goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # By number, below Python: what C libraries print is caught as well.
    os.dup2(2, 1)
    return out


def _die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent ends: a parent that is killed cannot stop its children itself."""
    if sys.platform == "linux":
        # A parent that died before this call is noticed all the same: the input has ended then (`_lines`).
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _lines() -> "queue.SimpleQueue[str]":
    """Lines of standard input, read in a thread: the process ends with its input, even in the middle of a step."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        # Not sys.exit, which would end this thread only, and wait for a collective operation that never ends.
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    return lines


if __name__ == "__main__":
    main()
