"""The process that computes scores: `python -m mstar_prm.scorer_process`, started by `separate_scorer`.

It reads its settings and then calls from standard input, and answers on standard output. It ends when standard input
does, so also when the service is killed.
"""

import asyncio
import contextlib
import os
import signal
import sys

import structlog

from mstar.errors import Internal, MstarError
from mstar.host_memory import is_exhausted, no_memory
from mstar_prm.config import PrmSettings
from mstar_prm.scorer import Scorer
from mstar_prm.scorer_frames import Frames, GiveUp, MethodCall, MethodReply, first_message, frames
from mstar_web.logs import configure_logs, log_place

NICE = 5
END_SECONDS = 30.0
"""For the batch that runs when the service stops."""

_log = structlog.get_logger(__name__)


def main() -> None:
    """Answer calls until standard input ends."""
    # A terminal's Ctrl-C reaches this process too; requests that still run in the service need their scores.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Where cores are short, reading and refusing requests comes first: it takes little, and others wait for it.
    os.nice(NICE)
    sink = _own_standard_output()
    configure_logs("mstar prm scorer")
    settings: PrmSettings = first_message(0)
    scorer = transformers_scorer(settings)
    # Imported here, as it brings the libraries of a web server, which the scorer's own imports can go on without.
    from mstar_web.serve import settle_interpreter

    settle_interpreter()
    asyncio.run(_serve(scorer, sink))
    # What is left of the interpreter, torch among it, has nothing to tidy up.
    sys.stderr.flush()
    os._exit(0)


def transformers_scorer(settings: PrmSettings) -> Scorer:
    """The scorer that computes a question's responses as one tree."""
    import torch

    from mstar_models.remote_code import allow_code
    from mstar_prm.hf_scorer import HfScorer

    allow_code(settings.trusted_code)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return HfScorer(
        settings.storage(),
        batch_tokens=settings.batch_tokens,
        waiting_tokens=settings.waiting_tokens,
        prefix_bytes=settings.prefix_megabytes * 2**20,
        deterministic=settings.deterministic,
    )


async def _serve(scorer: Scorer, sink: int) -> None:
    pipe = await frames(0, sink)
    running: dict[int, asyncio.Task[None]] = {}
    try:
        while True:
            message: MethodCall | GiveUp = await pipe.receive()
            if isinstance(message, GiveUp):
                if message.number in running:
                    running[message.number].cancel()
                continue
            task = asyncio.create_task(_answer(scorer, pipe, message))
            running[message.number] = task
            task.add_done_callback(lambda _, number=message.number: running.pop(number, None))  # type: ignore[misc]
    except EOFError:
        pass
    try:
        await asyncio.wait_for(scorer.close(), END_SECONDS)
    except TimeoutError:
        _log.warning("the running batch was cut off", seconds=END_SECONDS)


async def _answer(scorer: Scorer, pipe: Frames, call: MethodCall) -> None:
    result, failure = None, None
    try:
        result = await getattr(scorer, call.method)(*call.arguments)
    except MstarError as error:
        failure = error
    except Exception as error:
        _log.exception("call failed", method=call.method)
        failure = no_memory(error) if is_exhausted(error) else Internal(f"the scorer failed: {log_place()} says why")
        failure.logged = True
    # Where the service is gone, the end of standard input says so as well.
    with contextlib.suppress(ConnectionError):
        await pipe.send(MethodReply(call.number, result, failure, scorer.weights(), scorer.work))


def _own_standard_output() -> int:
    """The pipe of the answers. Whatever libraries print goes to standard error from here on."""
    sink = os.dup(1)
    os.dup2(2, 1)
    return sink


if __name__ == "__main__":
    main()
