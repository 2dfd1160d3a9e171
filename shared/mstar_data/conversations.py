"""LLaVA conversations (MathV360K) and chat messages (OpenAI, ms-swift): question, options and answer taken apart."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mstar.image_marks import as_published
from mstar.layout import split_response
from mstar_data.files import Folder, image_file, image_given
from mstar_data.record import BadRecord, Record

_HINT = re.compile(r"^\s*Hint:[^\n]*\n", re.IGNORECASE)
_QUESTION = re.compile(r"^\s*Question:\s*", re.IGNORECASE)
_CHOICES = re.compile(r"\n\s*(?:Choices|Options):?\s*\n?(?P<list>.*)$", re.IGNORECASE | re.DOTALL)
_CHOICE = re.compile(r"(?:^|\n|\s)\(?([A-Z])[).:]\s*(.*?)(?=(?:\n|\s)\(?[A-Z][).:]\s|\s*$)", re.DOTALL)
_ANSWER = re.compile(
    r"(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is|:)\s*:?\s*(?P<answer>.+?)\s*$", re.IGNORECASE | re.DOTALL
)


def from_llava(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    """A record of `{image, conversations: [{from, value}, …]}`; its first two turns are question and answer."""
    turns = row.get("conversations")
    if not isinstance(turns, Sequence) or len(turns) < 2:
        raise BadRecord(f"{where}: conversations must hold a question and an answer")
    said = str(turns[1].get("value", ""))
    given = row.get("image") if row.get("image") is not None else row.get("images")
    images = given if isinstance(given, list) else [] if given is None else [given]
    question, choices = taken_apart(str(turns[0].get("value", "")), len(images))
    first = images[0] if images else None
    group = str(first).split("/")[0] if isinstance(first, str) and "/" in first else None
    return Record(
        where=where,
        question=question,
        images=tuple(image_file(root, image, "data_images", "images") for image in images),
        gold={"answer": stated_answer(said), "choices": choices},
        id=None if row.get("id") is None else str(row["id"])[:200],
        response=_solution(said),
        group=group,
        split=_split(row),
    )


def turns_of(row: Mapping[str, Any]) -> Sequence[Any] | None:
    """The turns of chat messages, of TRL's prompt with completion, or of verl's prompt with its reward; else None."""
    if isinstance(row.get("messages"), Sequence):
        turns: Sequence[Any] = row["messages"]
        return turns
    prompt, completion, reward = row.get("prompt"), row.get("completion"), row.get("reward_model")
    if not isinstance(prompt, list):
        return None
    if isinstance(completion, list):
        return [*prompt, *completion]
    truth = reward.get("ground_truth") if isinstance(reward, Mapping) else None
    return [*prompt, *([] if truth is None else [{"role": "assistant", "content": str(truth)}])]


def from_messages(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    """A record of `{messages: [{role, content}, …]}`, its images as parts, in `images`, or as `data:` URLs."""
    messages = [turn for turn in row["messages"] if turn.get("role") != "system"]
    if len(messages) < 2 or messages[0].get("role") != "user" or messages[1].get("role") != "assistant":
        raise BadRecord(f"{where}: messages must hold a user turn and the assistant's answer")
    text, images = _parts(messages[0].get("content"))
    images += list(row.get("images") or ())
    question, choices = taken_apart(text, len(images))
    said, _ = _parts(messages[1].get("content"))
    return Record(
        where=where,
        question=question,
        images=tuple(_image(image, root) for image in images),
        gold={"answer": stated_answer(said), "choices": choices},
        id=None if row.get("id") is None else str(row["id"])[:200],
        split=_split(row),
        response=_solution(said),
    )


def taken_apart(text: str, images: int) -> tuple[str, list[str]]:
    """Question and options of a prompt: without hint and heading words, and with the marks of images that say more."""
    text = _HINT.sub("", as_published(text, images))
    text = _QUESTION.sub("", text)
    found = _CHOICES.search(text)
    if found is None:
        return text.strip(), []
    options = [option.strip() for _, option in _CHOICE.findall(found["list"])]
    return (text[: found.start()].strip(), options) if len(options) > 1 else (text.strip(), [])


def stated_answer(text: str) -> str:
    """What stands behind the answer heading, or "The answer is"; else the whole turn, as it is a reference."""
    headed = split_response(text).answer
    if headed:
        return headed
    found = _ANSWER.search(text.strip())
    return (found["answer"] if found else text).strip().rstrip(".").strip()


def _split(row: Mapping[str, Any]) -> str | None:
    return row["split"] if isinstance(row.get("split"), str) and row["split"] else None


def _solution(text: str) -> str | None:
    """The turn, where it is a solution that can train: with an answer heading, or several paragraphs."""
    return text if split_response(text).answer or "\n\n" in text.strip() else None


def _parts(content: Any) -> tuple[str, list[Any]]:
    if isinstance(content, str):
        return content, []
    parts = content if isinstance(content, list) else []
    text = "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    urls = [part.get("image_url") or part.get("image") for part in parts if part.get("type") in ("image_url", "image")]
    return text, [url.get("url") if isinstance(url, dict) else url for url in urls if url is not None]


def _image(given: Any, root: Folder) -> Callable[[], bytes]:
    if isinstance(given, Mapping):
        given = given.get("bytes") or given.get("path")
    return image_given(given, root)
