"""Rerank, score and pooling bodies of other servers, over a real small PRM."""

import base64
import io
from typing import Any

import pytest
from fastapi import FastAPI

from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from policy_bench import picture, png
from web_bench import ask, talk

DATA = base64.b64encode(png()).decode()
URL = f"data:image/png;base64,{DATA}"
TEXT = {"type": "text", "text": "How many bars are there?"}
QUERY = [TEXT, {"type": "image_url", "image_url": {"url": URL}}]
DOCUMENTS = ["See three\n\n## Answer\n\n3", "See two\n\nSo two\n\n## Answer\n\n2", "## Answer\n\n9"]


@pytest.fixture
def app(store: ArtefactStore) -> FastAPI:
    return build_app(PrmSettings(home=store.root), HfScorer(store.root, batch_tokens=4096, waiting_tokens=100_000))


def sent(app: FastAPI, prm: ArtefactRef, *requests: tuple[str, dict[str, Any]]) -> list[Any]:
    async def conversation(client: Any) -> list[Any]:
        await client.put("/v1/weights", json={"artefact": prm.id, "manifest_sha256": prm.sha256})
        return [await client.post(path, json=body) for path, body in requests]

    return talk(app, conversation)


def test_other_shapes_have_the_scores_of_our_own(app: FastAPI, prm: ArtefactRef) -> None:
    own = {"question": TEXT["text"], "image": {"data": DATA}, "responses": [{"text": text} for text in DOCUMENTS]}
    rank = {"model": "mstar-prm", "query": QUERY, "documents": [DOCUMENTS[0], {"text": DOCUMENTS[1]}, DOCUMENTS[2]]}
    query = {"content": QUERY}
    answers = sent(
        app,
        prm,
        ("/v1/score", own),
        *((path, rank) for path in ("/v1/rerank", "/v2/rerank", "/rerank")),
        ("/v1/rerank", rank | {"top_n": 1, "return_documents": True}),
        ("/score", {"text_1": query, "text_2": DOCUMENTS}),
        ("/v1/score", {"queries": [query] * 3, "documents": DOCUMENTS}),
        ("/v1/score", {"queries": query, "items": DOCUMENTS}),
        ("/pooling", {"queries": query, "documents": DOCUMENTS}),
    )
    assert [answer.status_code for answer in answers] == [200] * 9, [answer.text for answer in answers]
    first, *ranks, top, one, pairs, items, pooled = [answer.json() for answer in answers]
    scores = [result["score"] for result in first["results"]]
    order = sorted(range(3), key=lambda place: -scores[place])
    for ranked in ranks:
        assert [result["index"] for result in ranked["results"]] == order
        assert [result["relevance_score"] for result in ranked["results"]] == pytest.approx(
            [scores[place] for place in order], abs=1e-5
        )
    assert [result["document"]["text"] for result in top["results"]] == [DOCUMENTS[order[0]]]
    for scored in (one, pairs, items):
        assert [item["score"] for item in scored["data"]] == pytest.approx(scores, abs=1e-5)
    for item, result in zip(pooled["data"], first["results"], strict=True):
        assert item["data"] == pytest.approx([step["score"] for step in result["steps"]], abs=1e-5)


def jpeg() -> str:
    buffer = io.BytesIO()
    picture(0).save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def with_url(url: str) -> list[dict[str, Any]]:
    return [TEXT, {"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"query": "How many?"}, "query", "an image is needed"),
        ({"query": with_url("http://a/b.png")}, "query", "never fetched"),
        ({"query": with_url(f"data:image/png;base64,{jpeg()}")}, "query", "declared type image/png"),
        ({"query": with_url(f"data:image/gif;base64,{DATA}")}, "query", "data:image/png"),
        ({"query": [*QUERY, QUERY[1]]}, "query", "2 were sent"),
        ({"documents": ["a", " "]}, "documents.1", "1 to 262,144"),
        ({"documents": ["a", QUERY]}, "documents.1", "must be text"),
        ({"documents": []}, "documents", ""),
        ({"top_n": -1}, "top_n", ""),
        ({"surprise": 1}, "surprise", ""),
    ],
)
def test_bad_rerank_bodies_name_the_field(app: FastAPI, change: dict[str, Any], field: str, part: str) -> None:
    answer = ask(app, "POST", "/v1/rerank", json={"query": QUERY, "documents": ["a"], **change})
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert part in answer.json()["detail"]


def test_a_model_that_is_not_served_is_not_found(app: FastAPI, prm: ArtefactRef) -> None:
    (answer,) = sent(app, prm, ("/v2/rerank", {"model": "other", "query": QUERY, "documents": ["a"]}))
    assert (answer.status_code, answer.json()["field"]) == (404, "model")
