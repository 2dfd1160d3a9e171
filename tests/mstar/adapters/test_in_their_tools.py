"""Each adapter inside the real package that it is for; `make partners` installs those whose pins hold ours back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from openai import OpenAI

from mstar.adapters.openai import best_of_n
from mstar.api.prm import ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.client import Client, Endpoint
from partners import in_partner
from web_bench import serving

TOOLS = Path(__file__).parent / "tools"


@pytest.fixture
def asked() -> list[ScoreRequest]:
    return []


@pytest.fixture
def prm_url(asked: list[ScoreRequest]) -> Iterator[str]:
    """A PRM that scores by length: a tenth for each character."""
    app = FastAPI()

    @app.post("/v1/score")
    def score(request: ScoreRequest) -> ScoreReply:
        asked.append(request)
        texts = [one.text or "" for one in request.responses]
        results = [
            ScoredResponse(index=place, score=min(1, len(text) / 10), steps=(ScoredStep(text=text, score=0.5),))
            for place, text in enumerate(texts)
        ]
        return ScoreReply(model_version="p@1", results=tuple(results))

    with serving(app) as url:
        yield url


def test_best_of_n_with_the_openai_client(prm_url: str, asked: list[ScoreRequest]) -> None:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        texts = ["a", "", "aaa", "aa"][: body["n"]]
        choices = [
            {"index": place, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for place, text in enumerate(texts)
        ]
        return {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": choices}

    with serving(app) as url, Client(Endpoint(prm_url=prm_url)) as prm, OpenAI(base_url=f"{url}/v1", api_key="x") as ai:
        best = best_of_n(ai, prm, [{"role": "user", "content": "How many?"}], 4, model="m")
    assert [choice.message.content for choice in best.completion.choices] == ["aaa", "aa", "a", ""]
    assert [choice.index for choice in best.completion.choices] == [2, 3, 0, 1]
    assert best.scores == (0.3, 0.2, 0.1, 0.0) and best.score == 0.3
    assert len(asked) == 1 and asked[0].question == "How many?"


@pytest.mark.slow
def test_a_reward_in_trl(prm_url: str, asked: list[ScoreRequest]) -> None:
    logged = in_partner("trl", TOOLS / "in_trl.py", prm_url)
    assert 0 <= logged["rewards/prm_reward/mean"] <= 1
    # Its four completions are one question; what was generated empty is not sent.
    assert [request.question for request in asked] in ([], ["How many bars ?"])


@pytest.mark.slow
def test_a_scorer_in_inspect_ai(prm_url: str, asked: list[ScoreRequest]) -> None:
    first, second = in_partner("inspect_ai", TOOLS / "in_inspect_ai.py", prm_url)
    assert first["value"] == 0.9 and first["metadata"] == {"model_version": "p@1", "step_scores": [0.5]}
    assert first["explanation"] == "0.500  five dots" and second["value"] == 0
    assert len(asked) == 1 and asked[0].question == "<image>How many?" and len(asked[0].images) == 1


@pytest.mark.slow
def test_a_process_model_in_ms_swift(prm_url: str, asked: list[ScoreRequest]) -> None:
    found = in_partner("swift", TOOLS / "in_ms_swift.py", MSTAR_PRM_URL=prm_url)
    assert found == {"rewards": [0.5, 0.0, 0.8], "kept": [False, False, True]}
    assert len(asked) == 1 and len(asked[0].responses) == 2


@pytest.mark.slow
def test_a_reward_in_verl(prm_url: str, asked: list[ScoreRequest]) -> None:
    # Its PRM gives 1 to texts of this length.
    assert in_partner("verl", TOOLS / "in_verl.py", MSTAR_PRM_URL=prm_url) == [1, 0, 1, 1, 1, 0]
    assert [request.question for request in asked] == ["<image>How many?"] * 3
    assert all(len(request.images) == 1 for request in asked)
