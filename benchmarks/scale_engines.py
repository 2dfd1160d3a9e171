"""Engines that answer at once, behind HTTP: `python -m benchmarks.scale_engines policy|prm`, ports from their settings.

They speak the routes that workers use, with responses of a realistic length made beforehand and joined as bytes, so
that nearly all the CPU time of a run is the pipeline's. What is drawn follows from the request's seed alone.
"""

import json
import os
import random
import sys
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from mstar.layout import scored_segments

POOL = 1024
"""Different chains of thought."""
STEPS, STEP_WORDS, TOKENS, VOCABULARY = 4, 35, 200, 150_000
"""About 900 characters and 200 tokens a response."""
CORRECT_SHARE = 0.42
"""Near the paper's greedy accuracy on validation."""
Answer = Callable[[dict[str, Any]], bytes]


class Policy:
    """`POST /v1/rollouts`: right or wrong by the prompt's seed; a question says its own answer."""

    def __init__(self) -> None:
        rng = random.Random(0)
        words = [f"word{number}" for number in range(400)]
        self._beginnings = [self._beginning(rng, words) for _ in range(POOL)]
        self._ends = [self._end(rng) for _ in range(POOL)]
        self.version = ""

    def __call__(self, request: dict[str, Any]) -> bytes:
        samples = b",".join(self._samples(prompt) for prompt in request["prompts"])
        return b'{"weight_version":%b,"samples":[%b]}' % (json.dumps(self.version).encode(), samples)

    def _samples(self, prompt: dict[str, Any]) -> bytes:
        gold = int(prompt["question"].removeprefix("How many is ").removesuffix("?"))
        rng = random.Random(prompt["seed"])
        places = rng.choices(range(POOL), k=prompt["n"])
        right = [rng.random() < CORRECT_SHARE for _ in places]
        return b"[%b]" % b",".join(
            b"%b%d%b" % (self._beginnings[place], gold + (not good), self._ends[place])
            for place, good in zip(places, right, strict=True)
        )

    @staticmethod
    def _beginning(rng: random.Random, words: list[str]) -> bytes:
        """JSON of a response up to the bare answer."""
        steps = (" ".join(rng.choices(words, k=STEP_WORDS)) for _ in range(STEPS))
        text = "".join(f"{step}\n\n" for step in steps)
        return b'{"text":%b' % json.dumps(f"{text}## Answer\n\n").encode()[:-1]

    @staticmethod
    def _end(rng: random.Random) -> bytes:
        """JSON of a response from the bare answer on."""
        tokens = json.dumps(rng.choices(range(VOCABULARY), k=TOKENS), separators=(",", ":"))
        return f'","token_ids":{tokens},"logprob":{-100 * rng.random()}}}'.encode()


class Prm:
    """`POST /v1/score`: scores that follow from the text of each step."""

    def __init__(self) -> None:
        self.version = ""

    def __call__(self, request: dict[str, Any]) -> bytes:
        results = [self._scored(place, one["text"]) for place, one in enumerate(request["responses"])]
        return json.dumps({"model_version": self.version, "results": results}).encode()

    @staticmethod
    def _scored(place: int, text: str) -> dict[str, Any]:
        parts = scored_segments(text)
        scores = [zlib.crc32(part.encode()) % 1000 / 1000 for part in parts]
        steps = [{"text": part, "score": score} for part, score in zip(parts, scores, strict=True)]
        return {"index": place, "score": min(scores), "steps": steps}


def app(engine: Policy | Prm) -> Callable[..., Awaitable[None]]:
    """An ASGI application that looks at the path and nothing else."""

    def answer(path: str, body: bytes) -> bytes:
        if path == "/livez":
            return b"{}"
        request = json.loads(body)
        if path != "/v1/weights":
            return engine(request)
        engine.version = f"{request['artefact']}@{request['manifest_sha256'][:12]}"
        return json.dumps({"weight_version": engine.version, "ready": True, "model": "scale"}).encode()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer(scope["path"], body)})

    return serve


if __name__ == "__main__":
    kind = sys.argv[1]
    port = int(os.environ[f"MSTAR_{kind.upper()}_PORT"])
    uvicorn.run(app(Policy() if kind == "policy" else Prm()), port=port, lifespan="off", log_level="warning")
