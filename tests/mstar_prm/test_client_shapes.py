"""Rerank, score and pooling bodies of other servers, over a real small PRM."""

import base64
import io
from typing import Any

import cohere
import httpx
import httpx2
import pytest
from fastapi import FastAPI

from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from policy_bench import picture, png
from web_bench import ask, serving, talk

DATA = base64.b64encode(png()).decode()
URL = f"data:image/png;base64,{DATA}"
TEXT = {"type": "text", "text": "How many bars are there?"}
# With a mark for prompt caches, which changes nothing.
QUERY = [TEXT, {"type": "image_url", "image_url": {"url": URL}, "cache_control": {"type": "ephemeral"}}]
DOCUMENTS = ["See three\n\n## Answer\n\n3", "See two\n\nSo two\n\n## Answer\n\n2", "## Answer\n\n9"]


@pytest.fixture
def app(store: ArtefactStore) -> FastAPI:
    return build_app(PrmSettings(home=store.root), HfScorer(store.root, batch_tokens=4096, waiting_tokens=100_000))


def sent(app: FastAPI, prm: ArtefactRef, *requests: tuple[str, dict[str, Any]]) -> list[Any]:
    async def conversation(client: Any) -> list[Any]:
        await client.put("/v1/weights", json={"artefact": prm.id, "manifest_sha256": prm.sha256})
        return [await client.post(path, json=body) for path, body in requests]

    return talk(app, conversation)


def conversation(answer: str) -> dict[str, Any]:
    """VLLM's pooling body."""
    return {"messages": [{"role": "user", "content": QUERY}, {"role": "assistant", "content": answer}]}


def test_other_shapes_have_the_scores_of_our_own(app: FastAPI, prm: ArtefactRef) -> None:
    own = {"question": TEXT["text"], "images": [{"data": DATA}], "responses": [{"text": text} for text in DOCUMENTS]}
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
        ("/v1/rerank", rank | {"query": TEXT["text"], "images": [{"data": DATA}]}),
        *(("/pooling", conversation(text)) for text in DOCUMENTS),
    )
    assert [answer.status_code for answer in answers] == [200] * 13, [answer.text for answer in answers]
    first, *ranks, top, one, pairs, items, pooled, beside, chat0, chat1, chat2 = [answer.json() for answer in answers]
    ranks.append(beside)
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
    chats = [one["data"][0] for one in (chat0, chat1, chat2)]
    for item, chat, result in zip(pooled["data"], chats, first["results"], strict=True):
        good = [step["score"] for step in result["steps"]]
        for rows in (item["data"], chat["data"]):
            assert [row[1] for row in rows] == pytest.approx(good, abs=1e-5)
            assert [sum(row) for row in rows] == pytest.approx([1.0] * len(good))
    # A query with all documents counts its prompt with each of them, as if each were sent alone.
    counted = [one["usage"]["prompt_tokens"] for one in (chat0, chat1, chat2)]
    assert {one["usage"]["total_tokens"] for one in (*ranks, top, one, pairs, items, pooled)} == {sum(counted)}
    assert min(counted) > 10


def jpeg() -> str:
    buffer = io.BytesIO()
    picture(0).save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def with_url(url: str) -> list[dict[str, Any]]:
    return [TEXT, {"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"images": [{"data": DATA}]}, "query", "not both"),
        ({"query": with_url("http://a/b.png")}, "query", "never fetched"),
        ({"query": with_url(f"data:image/png;base64,{jpeg()}")}, "query", "declared type image/png"),
        ({"query": with_url(f"data:image/gif;base64,{DATA}")}, "query", "data:image/png"),
        ({"query": [*QUERY, *[QUERY[1]] * 8]}, "query", "9 images were sent; at most 8"),
        ({"query": "How many?", "images": [{"data": DATA}] * 9}, "images", "at most 8"),
        ({"documents": ["a", " "]}, "documents.1", "1 to 262,144"),
        ({"documents": ["a", QUERY]}, "documents.1", "must be text"),
        ({"documents": []}, "documents", ""),
        ({"top_n": -1}, "top_n", ""),
        ({"surprise": 1}, "surprise", ""),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc", ""),
        (
            {"documents": ["a", "é" * 6], "max_tokens_per_doc": 12},
            "max_tokens_per_doc",
            "documents.1 may have up to 13",
        ),
        ({"priority": 1000}, "priority", ""),
        ({"query": [TEXT | {"cache_control": {"type": "kept"}}]}, "query.content.0.cache_control.type", ""),
    ],
)
def test_bad_rerank_bodies_name_the_field(app: FastAPI, change: dict[str, Any], field: str, part: str) -> None:
    answer = ask(app, "POST", "/v1/rerank", json={"query": QUERY, "documents": ["a"], **change})
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert part in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"messages": None, "input": "a prompt"}, None, "input is a prompt without an image"),
        ({"messages": [{"role": "user", "content": QUERY}]}, "messages", ""),
        ({"messages": conversation("a")["messages"][::-1]}, None, "must be user and assistant"),
        ({"task": "embed"}, "task", "token_classify"),
        ({"encoding_format": "base64"}, "encoding_format", "float"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens", ""),
    ],
)
def test_bad_pooling_bodies_say_what_to_send(
    app: FastAPI, change: dict[str, Any], field: str | None, part: str
) -> None:
    body = {key: value for key, value in (conversation("a") | change).items() if value is not None}
    answer = ask(app, "POST", "/pooling", json=body)
    assert answer.status_code == 422
    assert part in answer.json()["detail"]
    assert field is None or answer.json()["field"] == field


def test_cohere_s_own_client_reranks(app: FastAPI, store: ArtefactStore, prm: ArtefactRef) -> None:
    with serving(app) as url, httpx.Client() as http:
        update = {"artefact": prm.id, "manifest_sha256": prm.sha256}
        httpx2.put(f"{url}/v1/weights", json=update, timeout=60).raise_for_status()
        client = cohere.ClientV2(api_key="none", base_url=url, httpx_client=http)
        image = {"additional_body_parameters": {"images": [{"data": DATA}]}}
        answer = client.rerank(
            model="mstar-prm",
            query="How many bars are there?",
            documents=DOCUMENTS,
            top_n=2,
            max_tokens_per_doc=4096,
            priority=3,
            request_options=image,  # type: ignore[arg-type]
        )
        assert len(answer.results) == 2
        best, second = answer.results
        assert 0 <= second.relevance_score <= best.relevance_score <= 1
        with pytest.raises(cohere.errors.UnprocessableEntityError, match="a document must have"):
            client.rerank(model="mstar-prm", query="How many?", documents=[{"text": " "}])  # type: ignore[list-item]


def test_a_model_that_is_not_served_is_not_found(app: FastAPI, prm: ArtefactRef) -> None:
    (answer,) = sent(app, prm, ("/v2/rerank", {"model": "other", "query": QUERY, "documents": ["a"]}))
    assert (answer.status_code, answer.json()["field"]) == (404, "model")
