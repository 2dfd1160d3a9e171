"""Part of `helm test`: score one question with two responses through the PRM's API, with the score key.

A PRM that was given no weights yet, or has no GPU now, must say that and when to come back: out of its turn that is
right. Nobody at the address, another refusal, or a 503 that says no time is a failure.
"""

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request

PATIENCE = 60


def main() -> None:
    address = os.environ["PRM_URL"] + "/v1/score"
    request = urllib.request.Request(
        address,
        data=os.environ["REQUEST"].encode(),
        headers={"Authorization": "Bearer " + os.environ["SCORE_KEY"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            check(json.load(answer))
    except urllib.error.HTTPError as error:
        explain(error.code, error.headers["Retry-After"], error.read().decode(errors="replace"))
    except OSError as error:
        reason = getattr(error, "reason", error)
        sys.exit(f"nobody answers at {address}: {reason}; see whether the pods behind it run, and what they log")


def check(reply: dict) -> None:
    scores = [[step["score"] for step in response["steps"]] for response in reply["results"]]
    if [len(one) for one in scores] != [3, 2] or not all(0 <= score <= 1 for one in scores for score in one):
        sys.exit(f"not one score a step: {scores}")
    print(f"{reply['model_version']}: {scores}")


def explain(status: int, retry_after: str | None, said: str) -> None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(said)["detail"]
    if status != 503 or not retry_after:
        sys.exit(f"{status}: {said}")
    print(f"{said}; run this again while a run scores")


main()
