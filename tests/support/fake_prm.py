"""A PRM service without a model: it checks requests as the real one does, and a step's score is in its text.

`0.9 is sure` scores 0.9, any other step 0.5. A response with the word `broken` is refused beside the others.
"""

import re

from fastapi import FastAPI

from mstar.api.images import read_base64
from mstar.api.prm import ItemError, ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.errors import InvalidImage
from mstar.layout import scored_segments
from mstar_web.app import base_app
from web_bench import BenchSettings

VERSION = "fake@000000000000"


def fake_prm() -> FastAPI:
    """The service."""
    app = base_app("fake PRM", "1", BenchSettings(), lambda: None)
    app.add_api_route("/v1/score", _score, methods=["POST"])
    return app


async def _score(request: ScoreRequest) -> ScoreReply:
    for place, image in enumerate(request.images):
        if not read_base64(image.data or "").startswith(b"\x89PNG"):
            raise InvalidImage(f"images.{place} is not a picture", field=f"images.{place}")
    made = []
    for index, one in enumerate(request.responses):
        if "broken" in (one.text or ""):
            error = ItemError(detail="the response is broken", field="text")
            made.append(ScoredResponse(index=index, score=0.0, steps=(), error=error))
            continue
        pieces = one.steps or tuple(scored_segments(one.text or ""))
        steps = tuple(ScoredStep(text=piece, score=_value(piece)) for piece in pieces)
        made.append(ScoredResponse(index=index, score=min(step.score for step in steps), steps=steps))
    return ScoreReply(model_version=VERSION, aggregation=request.aggregate.value, results=tuple(made))


def _value(step: str) -> float:
    found = re.match(r"(0\.\d+)", step)
    return float(found.group(1)) if found else 0.5
