"""Score every step of the responses in a file and keep the best one of each question.

    python examples/score_file.py answers.jsonl

A line has `images` (paths from the file's folder), `question` and `responses`, a list of texts. `mstar score` does the
same and keeps everything; this shows the calls behind it.
"""

import argparse
import base64
import json
import sys
from pathlib import Path

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.client import Client, Endpoint
from mstar.errors import MstarError


def main(name: str) -> None:
    """Print one JSON line a question: the best response, its score, and the scores of its steps and of its answer.

    The score is the least of the steps; the answer, which comes last, is left out of it.
    """
    file = Path(name)
    with Client(Endpoint.from_environment()) as client, file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            images = [(file.parent / name).read_bytes() for name in row["images"]]
            request = ScoreRequest(
                question=row["question"],
                images=tuple(ImageInput(data=base64.b64encode(image).decode()) for image in images),
                responses=tuple(Candidate(text=text) for text in row["responses"]),
            )
            best = max(client.score(request).results, key=lambda result: result.score)
            steps = [round(step.score, 3) for step in best.steps]
            print(json.dumps({"best": row["responses"][best.index], "score": best.score, "steps": steps}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="JSON lines")
    given = parser.parse_args()
    try:
        main(given.file)
    except (MstarError, OSError, ValueError) as error:
        sys.exit(str(error))
    except (KeyError, TypeError):
        sys.exit("every line needs `images`, `question` and `responses`")
