"""Best of n: the policy answers n times through OpenAI's client, and the PRM chooses.

    python examples/best_of_n.py picture.png "How many bars are taller than 20?" 8

Needs `pip install openai`. MSTAR_POLICY_URL says where the policy is; 127.0.0.1:8401 is the default.
"""

import argparse
import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.client import Client, Endpoint
from mstar.errors import MstarError


def main(picture: str, question: str, n: int = 8) -> None:
    """Print the chosen response with its score."""
    data = base64.b64encode(Path(picture).read_bytes()).decode()
    url = os.environ.get("MSTAR_POLICY_URL", "http://127.0.0.1:8401")
    with OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("MSTAR_SCORE_KEY", "none")) as policy:
        model = policy.models.list().data[0].id
        answer = policy.chat.completions.create(
            model=model,
            n=n,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                        {"type": "text", "text": question},
                    ],
                }
            ],
        )
    texts = [choice.message.content or "" for choice in answer.choices]
    candidates = tuple(Candidate(text=text) for text in texts if text.strip())
    with Client(Endpoint.from_environment()) as client:
        scored = client.score(ScoreRequest(question=question, images=(ImageInput(data=data),), responses=candidates))
    best = max(scored.results, key=lambda result: result.score)
    print(f"{candidates[best.index].text}\n\n(score {best.score:.3f}, best of {len(candidates)})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", help="image file")
    parser.add_argument("question")
    parser.add_argument("n", type=int, nargs="?", default=8, help="how many responses to choose from")
    given = parser.parse_args()
    try:
        main(given.picture, given.question, given.n)
    except (MstarError, OSError, ValueError) as error:
        sys.exit(str(error))
