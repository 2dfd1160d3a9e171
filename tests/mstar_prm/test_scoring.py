"""Requests for scores and rankings, over a scorer that reads its scores from the text."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from mstar.api.prm import ScoreReply
from mstar_artefacts.images import ImageStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from policy_bench import png
from reading_scorer import DATA, ReadingScorer, body
from web_bench import ask, post_and_leave, talk

JSON = {"content-type": "application/json"}


URL = f"data:image/png;base64,{DATA}"


def test_a_request_says_what_separates_steps(app: FastAPI) -> None:
    responses = [{"text": "See 0.9\nSum 0.4\n\n## Answer\n\n0.7"}, {"steps": ["See 0.8"]}]
    asked = body(responses=responses, step_separator="\n")
    reply = ScoreReply.model_validate_json(ask(app, "POST", "/v1/score", json=asked).content)
    assert [step.text for step in reply.results[0].steps] == ["See 0.9", "Sum 0.4", "## Answer\n\n0.7"]
    refused = ask(app, "POST", "/v1/score", json=body(step_separator="aa"))
    assert refused.status_code == 422 and "ends as it begins" in refused.text


def test_a_request_that_says_nothing_of_steps_is_cut_as_the_prm_was_trained(
    app: FastAPI, scorer: ReadingScorer
) -> None:
    text = "See 0.9\nSum 0.4\n\n## Answer\n\n0.7"
    own, cohere = body(responses=[{"text": text}]), {"query": "How many?", "documents": [text]}
    pieces = []
    for separator, asked in (("\n\n", own), ("\n", own), ("\n", own | {"step_separator": "\n\n"})):
        scorer.separator = separator
        reply = ScoreReply.model_validate_json(ask(app, "POST", "/v1/score", json=asked).content)
        pieces.append(len(reply.results[0].steps))
    assert (pieces, scorer.read_behind_steps) == ([2, 3, 2], ["\n\n", "\n", "\n\n"])
    assert ask(app, "POST", "/v1/rerank", json=cohere).json()["results"][0]["relevance_score"] == 0.4
    assert scorer.read_behind_steps[-1] == "\n"


def test_a_response_has_the_score_of_its_least_step(app: FastAPI) -> None:
    reply = ScoreReply.model_validate_json(ask(app, "POST", "/v1/score", json=body()).content)
    assert (reply.model_version, reply.aggregation) == ("m@111111111111", "min")
    assert [(one.index, one.score) for one in reply.results] == [(0, 0.4), (1, 0.8)]
    assert [(step.text, step.score) for step in reply.results[0].steps] == [
        ("See 0.9", 0.9),
        ("Sum 0.4", 0.4),
        ("## Answer\n\n0.7", 0.7),
    ]


@pytest.mark.parametrize(("vocabulary", "scores"), [("mine", [0.2, 0.1]), ("another", [0.8, 0.6])])
def test_sampled_tokens_count_where_the_vocabulary_is_the_same(
    app: FastAPI, vocabulary: str, scores: list[float]
) -> None:
    tokens = {"ids": [5, 6, 7, 1], "ends": [2, 3], "vocabulary": vocabulary}
    response = {"steps": ["See 0.8", "## Answer\n\n0.6"], "tokens": tokens}
    reply = ScoreReply.model_validate_json(ask(app, "POST", "/v1/score", json=body(responses=[response])).content)
    assert [(step.text, step.score) for step in reply.results[0].steps] == list(
        zip(response["steps"], scores, strict=True)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ends": [2]}, "one end for each"),
        ({"ends": [3, 2]}, "must rise"),
        ({"ends": [0, 2]}, "must rise"),
        ({"ends": [2, 9]}, "must rise"),
        ({"ids": [5, -1, 7, 1]}, "negative"),
    ],
)
def test_tokens_that_do_not_fit_spoil_their_own_response_only(app: FastAPI, change: dict[str, Any], said: str) -> None:
    tokens = {"ids": [5, 6, 7, 1], "ends": [2, 3], "vocabulary": "mine", **change}
    bad = {"steps": ["See 0.8", "## Answer\n\n0.6"], "tokens": tokens}
    asked = body(responses=[bad, {"text": "See 0.9"}])
    reply = ScoreReply.model_validate_json(ask(app, "POST", "/v1/score", json=asked).content)
    refused, scored = reply.results
    assert refused.error is not None and said in refused.error.detail
    assert scored.score == 0.9


@pytest.mark.parametrize(
    ("asked", "scores"),
    [
        ({"answer_block": True}, [0.4, 0.6]),
        ({"aggregate": "mean"}, [0.65, 0.8]),
        ({"aggregate": "last", "answer_block": True}, [0.7, 0.6]),
        ({"aggregate": "product"}, [0.36, 0.8]),
        ({"aggregate": "length_min"}, [0.64, 0.8]),
    ],
)
def test_a_caller_chooses_how_steps_become_a_score(app: FastAPI, asked: dict[str, Any], scores: list[float]) -> None:
    answer = ask(app, "POST", "/v1/score", json=body(**asked)).json()
    assert [one["score"] for one in answer["results"]] == pytest.approx(scores)
    assert answer["aggregation"] == asked.get("aggregate", "min")
    assert ask(app, "POST", "/v1/score", json=body(aggregate="median")).json()["field"] == "aggregate"


def test_reranking_puts_the_best_first_and_keeps_the_order_of_equals(app: FastAPI) -> None:
    responses = [{"steps": [score]} for score in ("0.2", "0.9", "0.5", "0.9")]
    answer = ask(app, "POST", "/v1/rerank", json=body(responses=responses)).json()
    assert [one["index"] for one in answer["results"]] == [1, 3, 2, 0]
    best = ask(app, "POST", "/v1/rerank", json=body(responses=responses, top_n=1)).json()
    assert [one["index"] for one in best["results"]] == [1]


def test_work_beyond_the_deadline_is_given_up(tmp_path: Path, scorer: ReadingScorer) -> None:
    app = build_app(PrmSettings(home=tmp_path, deadline_seconds=0.05), scorer)

    async def conversation(client: httpx2.AsyncClient) -> httpx2.Response:
        async with scorer.turn:
            return await client.post("/v1/score", json=body())

    late = talk(app, conversation)
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert "not scored within 0.05 s" in late.json()["detail"]
    assert scorer.scored == 0


def test_the_pairs_of_one_request_share_one_deadline(tmp_path: Path, scorer: ReadingScorer) -> None:
    app = build_app(PrmSettings(home=tmp_path, deadline_seconds=0.5), scorer)
    query = {"content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": URL}}]}
    pairs = {"queries": [query] * 256, "documents": ["a 0.5"] * 256}

    async def conversation(client: httpx2.AsyncClient) -> tuple[httpx2.Response, float]:
        async with scorer.turn:
            began = time.monotonic()
            return await client.post("/score", json=pairs), time.monotonic() - began

    late, seconds = talk(app, conversation)
    assert (late.status_code, scorer.scored) == (503, 0)
    # One after the other, each with a deadline of its own, they would take 128 s.
    assert seconds < 30


def test_the_pairs_of_one_request_are_all_scored_and_others_get_their_turn(app: FastAPI) -> None:
    query = {"content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": URL}}]}
    pairs = {"queries": [query] * 256, "documents": [f"a 0.{place:03}" for place in range(256)]}

    async def conversation(client: httpx2.AsyncClient) -> tuple[httpx2.Response, httpx2.Response]:
        many = asyncio.ensure_future(client.post("/score", json=pairs))
        alone = await client.post("/v1/score", json=body())
        return await many, alone

    many, alone = talk(app, conversation)
    assert (many.status_code, alone.status_code) == (200, 200)
    assert [one["score"] for one in many.json()["data"]] == [float(f"0.{place:03}") for place in range(256)]
    assert many.json()["usage"] == {"prompt_tokens": 2560, "total_tokens": 2560, "completion_tokens": 0}


def test_images_may_be_named_by_hash(app: FastAPI, tmp_path: Path) -> None:
    digest = ImageStore(tmp_path / ".mstar" / "images").put(png())
    assert ask(app, "POST", "/v1/score", json=body(images=[{"sha256": digest}])).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"question": ""}, 422, "invalid-input", "question"),
        ({"question": "\ud800"}, 422, "invalid-input", "body"),
        ({"responses": []}, 422, "invalid-input", "responses"),
        ({"responses": [{"text": "a 1"}] * 257}, 422, "invalid-input", "responses"),
        ({"responses": [{"text": "a 1", "steps": ["a 1"]}]}, 422, "invalid-input", "responses.0"),
        ({"responses": [{"text": " \n\n "}]}, 422, "invalid-input", "responses.0"),
        ({"responses": [{"steps": ["a 1", " "]}]}, 422, "invalid-input", "responses.0"),
        ({"responses": [{"text": "a 1\n\n" * 513}]}, 422, "invalid-input", "responses.0"),
        ({"responses": [{"text": "a 1" * 80_000}] * 10}, 422, "invalid-input", "body"),
        ({"responses": [{"steps": ["a" * 65_537]}]}, 422, "invalid-input", "responses.0.steps.0"),
        ({"model_version": "x" * 3_000_000}, 422, "invalid-input", "model_version"),
        ({"images": [{"data": "AAA"}]}, 422, "invalid-image", "images.0.data"),
        ({"images": [{"data": "AB=="}]}, 422, "invalid-image", "images.0.data"),
        ({"surprise": 1}, 422, "invalid-input", "surprise"),
        ({"model_version": "other@000000000000"}, 409, "weight-version-mismatch", "model_version"),
        ({"images": [{"sha256": "0" * 64}]}, 404, "not-found", "images.0.sha256"),
        ({"images": [{"data": "%%%"}]}, 422, "invalid-image", "images.0.data"),
        ({"images": [{"data": "AAAA"}]}, 415, "unsupported-image", "images.0"),
        ({"images": [{"url": "http://a/b.png"}]}, 422, "invalid-input", None),
    ],
)
@pytest.mark.parametrize("path", ["/v1/score", "/v1/rerank"])
def test_bad_requests_are_problems(
    app: FastAPI, path: str, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    response = ask(app, "POST", path, content=json.dumps(body() | change), headers=JSON)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    if field is not None:
        assert response.json()["field"] == field


def test_bad_responses_of_a_request_spoil_themselves_only(app: FastAPI) -> None:
    good = {"text": "a 0.5"}
    long = {"text": "a 1\n\n" * 513}
    bad = [5, {}, {"text": ""}, {"text": 4}, {"steps": []}, {"text": "a", "other": 1}, long, [], None]
    answer = ask(app, "POST", "/v1/score", json=body(responses=[good, *bad, good]))
    assert answer.status_code == 200
    first, *refused, last = answer.json()["results"]
    assert first["score"] == last["score"] == 0.5
    for place, one in enumerate(refused, 1):
        assert one["steps"] == []
        assert one["error"]["field"].startswith(f"responses.{place}")
    best = ask(app, "POST", "/v1/rerank", json=body(responses=[{"text": ""}, {"text": "a 0.2"}])).json()["results"]
    assert [one["index"] for one in best] == [1, 0]


def test_white_space_around_a_given_step_changes_nothing(app: FastAPI, scorer: ReadingScorer) -> None:
    for step in ("a 0.5", "a 0.5\n", "\n\n a 0.5 \r\n"):
        answer = ask(app, "POST", "/v1/score", json=body(responses=[{"steps": [step]}])).json()
        assert answer["results"][0]["steps"] == [{"text": "a 0.5", "score": 0.5}]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\x00\xff", b"[" * 50_000])
def test_garbage_is_a_problem(app: FastAPI, content: bytes) -> None:
    response = ask(app, "POST", "/v1/score", content=content, headers=JSON)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code in (400, 422)


def test_a_full_scorer_tells_when_to_come_again(app: FastAPI, scorer: ReadingScorer) -> None:
    scorer.full = True
    refused = ask(app, "POST", "/v1/score", json=body())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")


def test_a_caller_who_leaves_is_not_worked_for(app: FastAPI, scorer: ReadingScorer) -> None:
    async def leaves() -> None:
        async with app.router.lifespan_context(app), scorer.turn:
            await post_and_leave(app, "/v1/score", json.dumps(body()).encode())

    asyncio.run(leaves())
    assert scorer.scored == 0
