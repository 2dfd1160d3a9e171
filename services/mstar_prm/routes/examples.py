"""Bodies that the routes' documentation shows."""

from typing import Any

from mstar_prm.scoring import MODEL

OWN: dict[str, Any] = {
    "question": "What is the total of A and C?",
    "image": {"sha256": "4" * 64},
    "responses": [
        {"text": "A is 34, C is 27\n\nSum: 34 + 27 = 61\n\n## Answer\n\n61"},
        {"steps": ["It looks like 60", "## Answer\n\n60"]},
    ],
}
"""One question with two responses, as text and as steps."""

_QUERY = [
    {"type": "text", "text": "What is the total of A and C?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]
_DOCUMENTS = ["Sum: 34 + 27 = 61\n\n## Answer\n\n61", "It looks like 60\n\n## Answer\n\n60"]

RANK = {"model": MODEL, "query": _QUERY, "documents": _DOCUMENTS, "top_n": 1}
"""Cohere's and Jina's rerank body."""
CHAT = {
    "model": MODEL,
    "messages": [{"role": "user", "content": _QUERY}, {"role": "assistant", "content": _DOCUMENTS[0]}],
}
"""vLLM's pooling body."""
PAIRS = {"model": MODEL, "text_1": {"content": _QUERY}, "text_2": _DOCUMENTS}
"""vLLM's score body."""
