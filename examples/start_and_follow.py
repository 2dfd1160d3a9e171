"""Start a run and follow it to its end.

mstar up                                           # in another terminal
python examples/start_and_follow.py demo evolution.iterations=2
"""

import json
import sys
import time

from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint

ENDED = ("succeeded", "failed", "cancelled")


def main(recipe: str, *settings: str) -> None:
    """Print each stage as it begins, and the accuracy at the end."""
    overrides = {name: json.loads(value) for name, value in (one.split("=", 1) for one in settings)}
    with Client(Endpoint.from_environment()) as client:
        run = client.create_run(RunCreate(recipe=recipe, overrides=overrides))
        print(f"run {run.id}")
        stage = ""
        while run.state not in ENDED:
            run = client.run(run.id)
            if run.progress.stage != stage:
                stage = run.progress.stage
                print(f"{run.progress.steps_done}/{run.progress.steps_total} steps done, now {stage}", flush=True)
            time.sleep(0.5)
        if run.state != "succeeded":
            sys.exit(f"the run {run.state}: {run.error}")
        for name, measured in client.results(run.id).test.items():
            print(f"{name}: {100 * measured.id:.1f} % greedy accuracy on test-ID")


if __name__ == "__main__":
    main(*sys.argv[1:])
