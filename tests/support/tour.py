"""The walk of docs/tour.md: where it goes, and how a stop becomes a small picture."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
QUALITY = 55


@dataclass(frozen=True)
class Asked:
    """A question of the run with its picture, and responses that the run sampled for it."""

    picture: Path
    question: str
    responses: tuple[str, ...]


def asked(url: str, folder: Path) -> Asked:
    """The question of the newest finished run whose wrong response was scored highest; its picture goes to `folder`."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        run = client.get("/v1/runs", params={"state": "succeeded"}).json()["data"][0]["id"]
        query = {"iteration": 1, "sort": "fooled", "limit": 1}
        while not (found := client.get(f"/v1/runs/{run}/responses", params=query).json())["data"]:
            time.sleep(0.2)
        shown = found["data"][0]
        (folder / "question.png").write_bytes(
            client.get(f"/runs/{run}/images/{shown['question']['images'][0]}").content
        )
    texts = tuple(dict.fromkeys(one["text"] for one in shown["responses"]))
    return Asked(folder / "question.png", shown["question"]["text"], texts[:2])


def walk(page: "Page", url: str, own: Asked) -> Iterator[str]:
    """Go from page to page as a person does, by links and buttons; yields the name of each stop once it is there.

    The server has a run that has succeeded. `own`: what is scored at the end.
    """
    page.goto(f"{url}/runs", wait_until="load")
    row = page.locator("tbody tr").filter(has_text="succeeded").first
    row.wait_for()
    yield "runs"
    row.locator("a").first.click()
    page.get_by_role("heading", name="Exploration").wait_for()
    yield "run"
    page.get_by_role("heading", name="Steps", exact=True).scroll_into_view_if_needed()
    yield "steps"
    page.get_by_role("link", name="iteration 1", exact=True).click()
    page.locator(".sample").first.wait_for()
    yield "responses"
    page.get_by_role("link", name="Score your own").click()
    page.get_by_label("Images").set_input_files(own.picture)
    page.get_by_label("Question").fill(own.question)
    for place, text in enumerate(own.responses, 1):
        page.get_by_label(f"Response {place}").fill(text)
    page.get_by_role("button", name="Score", exact=True).click()
    page.locator("#ranked > li").nth(1).wait_for()
    page.get_by_role("heading", name="Ranking").scroll_into_view_if_needed()
    yield "scoring"


def save(screenshot: bytes, name: str) -> None:
    """Keep a screenshot among the pictures of the documentation."""
    with Image.open(io.BytesIO(screenshot)) as image:
        image.convert("RGB").save(PICTURES / f"{name}.webp", quality=QUALITY, method=6)
