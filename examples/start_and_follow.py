"""Start a run and follow it to its end.

mstar up                                           # in another terminal
python examples/start_and_follow.py demo evolution.iterations=2
"""

import argparse
import json
import sys
import time
from typing import Any

from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.errors import MstarError

ENDED = ("succeeded", "failed", "cancelled")


def setting(text: str) -> tuple[str, Any]:
    """A recipe field and its value. Raises ValueError for a text of another form than FIELD=JSON."""
    name, value = text.split("=", 1)
    return name, json.loads(value)


def main(recipe: str, overrides: dict[str, Any]) -> None:
    """Print each stage as it begins, and the accuracy at the end."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("settings", nargs="*", type=setting, metavar="FIELD=JSON", help="what to change in the recipe")
    given = parser.parse_args()
    try:
        main(given.recipe, dict(given.settings))
    except (MstarError, OSError, ValueError) as error:
        sys.exit(str(error))
