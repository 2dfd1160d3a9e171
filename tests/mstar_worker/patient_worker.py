"""A worker process for tests: its steps wait until a file named after them appears in a folder.

SIGUSR2 makes its main thread hang, while the others go on.
"""

import signal
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from mstar.api.steps import Claim
from mstar.steps import DoneResult, Queue
from mstar_worker.client import StepClient
from mstar_worker.lease import ReportProgress
from mstar_worker.serve import work

broker_url, coordinator_url, folder, deaf_seconds = (*sys.argv[1:], "60")[:4]


def wait_for_file(claim: Claim, progress: ReportProgress) -> tuple[None, DoneResult]:
    while not (Path(folder) / claim.step.name).exists():
        progress(0, 1)
        time.sleep(0.02)
    return None, DoneResult()


signal.signal(signal.SIGUSR2, lambda *_: time.sleep(600))
handlers = {"prepare": wait_for_file}
work(SecretStr(broker_url), (Queue.CONTROL,), handlers, StepClient(coordinator_url), deaf_seconds=float(deaf_seconds))
