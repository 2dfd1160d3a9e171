"""Conversations of other tools as questions, and many responses as few requests."""

import base64
import io
import json
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from mstar.adapters.questions import MARK, asked_of, image_input, scores
from mstar.client import Client, Endpoint
from mstar.errors import InvalidImage, InvalidInput

PICTURE = Image.new("RGB", (2, 2), "red")
BUFFER = io.BytesIO()
PICTURE.save(BUFFER, format="PNG")
PNG = BUFFER.getvalue()
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Prm(httpx2.BaseTransport):
    """Scores a response by its length; refuses one that says so."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.read())
        self.asked.append(body)
        results = [
            {"index": place, "score": min(1.0, len(one["text"]) / 10), "steps": []}
            | ({"error": {"detail": "too long", "field": "responses"}} if one["text"] == "refuse" else {})
            for place, one in enumerate(body["responses"])
        ]
        return httpx2.Response(200, json={"model_version": "p@1", "results": results})


@pytest.mark.parametrize("form", ["bytes", "url", "pil", "mapping", "path"])
def test_an_image_comes_in_any_form_but_an_address(form: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(PNG)
    given = {"bytes": PNG, "url": URL, "pil": PICTURE, "mapping": {"bytes": PNG, "path": None}, "path": str(path)}[form]
    data = image_input(given).data
    assert data is not None and Image.open(io.BytesIO(base64.b64decode(data))).size == (2, 2)


@pytest.mark.parametrize("address", ["http://a/x.png", "https://a/x.png", "file:///etc/passwd"])
def test_an_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="never as addresses"):
        image_input(address)
    with pytest.raises(InvalidImage):
        image_input("data:image/png;base64,AAAA")


def test_images_stand_where_the_conversation_has_them() -> None:
    parts = [{"type": "text", "text": "In "}, {"type": "image_url", "image_url": {"url": URL}}]
    asked = asked_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}])
    assert asked.question == f"In {MARK}" and asked.system == "Be brief." and len(asked.images) == 1
    # As TRL has them: a mark in the conversation, the image in a column beside it.
    beside = asked_of([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}], [PICTURE])
    assert beside.question == f"{MARK}?" and len(beside.images) == 1
    assert asked_of("words").images == ()


def test_a_conversation_of_several_turns_is_refused() -> None:
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    with pytest.raises(InvalidInput, match="single question"):
        asked_of(turns)


def test_equal_questions_are_asked_once_and_blank_responses_never() -> None:
    prm = Prm()
    one, other = asked_of("one"), asked_of("other")
    with Client(Endpoint(), prm) as client:
        found = scores(client, [(one, "aaa"), (other, "bbbbb"), (one, " "), (asked_of("one"), "a"), (one, "refuse")])
    assert [None if result is None else result.score for result in found] == [0.3, 0.5, None, 0.1, 0.6]
    assert [(body["question"], len(body["responses"])) for body in prm.asked] == [("one", 3), ("other", 1)]  # type: ignore[arg-type]
    assert found[4] is not None and found[4].error is not None


def test_many_responses_are_sent_in_parts() -> None:
    prm = Prm()
    with Client(Endpoint(), prm) as client:
        found = scores(client, [(asked_of("one"), f"{number:0{number % 9 + 1}d}") for number in range(150)])
    assert len(prm.asked) == 3 and len(found) == 150 and None not in found
