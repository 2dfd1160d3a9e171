"""Part of `helm test`: score one question with two responses through the PRM's API, with the score key.

A PRM that was given no weights yet, or has no GPU now, must say that and when to come back: out of its turn that is
right.
"""

import json
import os
import sys
import urllib.error
import urllib.request

request = urllib.request.Request(
    os.environ["PRM_URL"] + "/v1/score",
    data=os.environ["REQUEST"].encode(),
    headers={"Authorization": "Bearer " + os.environ["SCORE_KEY"], "Content-Type": "application/json"},
)
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        reply = json.load(answer)
except urllib.error.HTTPError as error:
    said = error.read().decode()
    if error.code != 503 or not error.headers["Retry-After"]:
        sys.exit(f"{error.code}: {said}")
    print(f"{json.loads(said)['detail']}; run this again while a run scores")
else:
    scores = [[step["score"] for step in response["steps"]] for response in reply["results"]]
    if [len(one) for one in scores] != [3, 2] or not all(0 <= score <= 1 for one in scores for score in one):
        sys.exit(f"not one score a step: {scores}")
    print(f"{reply['model_version']}: {scores}")
