"""LLaVA conversations (MathV360K) and chat messages (OpenAI, ms-swift): question, options and answer taken apart."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mstar.answers.options import options_in, options_on_a_line, parsed
from mstar.answers.records import GOLD_COLUMNS
from mstar.image_marks import MARK, as_published, has_mark
from mstar.layout import split_response
from mstar_data.files import Folder, image_given
from mstar_data.record import BadRecord, Record

_HINT = re.compile(
    r"^\s*(?:Hint:[^\n]*|First perform reasoning, then finally select the question from the choices[^\n]*"
    r"|Context: N/A\s*)\n",
    re.IGNORECASE,
)
"""What MathV360K, Geo170K and LLaVA-CoT put before the question."""
_QUESTION = re.compile(r"^\s*Question:\s*", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:\*\*)?\s*(?:is|:)\s*:?\s*(?:\*\*)?\s*(?P<answer>.+?)\s*$",
    re.IGNORECASE | re.DOTALL,
)
"""Also in bold: `**Final Answer:** 3`, `**Answer**: 3`, `The answer is **3**`."""
_TAGS = ("CONCLUSION", "conclusion", "answer", "ANSWER")
"""Where LLaVA-CoT and sets made after R1 have the answer."""
_USUAL = ("user", "assistant")
_TURNS = ("conversations", "messages")
_ASKED = (("query", "response"), ("prompt", "response"), ("prompt", "completion"), ("instruction", "output"))
_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
"""What conversations call the two (ShareGPT, Gemma)."""


def from_llava(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    """A record of `{image, conversations: [{from, value}, …]}`; its first two turns are question and answer."""
    asked, answered, later = _exchange(_with_answer(row, "conversations"), "conversations", where)
    said = str(_content(answered) or "")
    given = next((row[name] for name in ("image", "images", "image_urls") if row.get(name) is not None), None)
    images = [] if given is None else listed(given) or [given]
    question, choices = _asked(str(_content(asked) or ""), said, len(images))
    first = images[0] if images else None
    # MathV360K keeps the images of each of its sources in a folder of its own.
    # Base64 has slashes too, and no full stop.
    named = isinstance(first, str) and "/" in first and "." in first.rpartition("/")[2]
    group = str(first).split("/")[0] if named else None
    return Record(
        where=where,
        question=question,
        images=tuple(image_given(image, root, "data_images", "images") for image in images),
        gold={"answer": stated_answer(said), "choices": choices},
        id=None if row.get("id") is None else str(row["id"])[:200],
        response=_solution(said),
        responses=(said,) if said.strip() else (),
        group=group,
        split=_split(row),
        later_turns=later,
    )


def turns_of(row: Mapping[str, Any]) -> Sequence[Any] | None:
    """The turns of chat messages, of TRL's prompt with completion, or of verl's prompt with its reward; else None.

    The Cauldron has both turns of a question in one object of `texts`.
    """
    if row.get("messages") is not None:
        return _flat(listed(row["messages"]))
    if (texts := listed(row.get("texts"))) and all(isinstance(one, Mapping) and "user" in one for one in texts):
        return [{"role": role, "content": one.get(role)} for one in texts for role in _USUAL]
    prompt, completion, reward = row.get("prompt"), row.get("completion"), row.get("reward_model")
    if not isinstance(prompt, list):
        return _pair(row)
    if isinstance(completion, list):
        return [*prompt, *completion]
    truth = reward.get("ground_truth") if isinstance(reward, Mapping) else None
    return [*prompt, *([] if truth is None else [{"role": "assistant", "content": str(truth)}])]


def unnested(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with its turns in a column, for one that has them in an object of its own: `{"data": {"messages": …}}`."""
    inner = [name for name, value in row.items() if isinstance(value, Mapping) and set(_TURNS) & set(value)]
    if len(inner) != 1 or set(_TURNS) & set(row):
        return row
    return {**{name: value for name, value in row.items() if name != inner[0]}, **row[inner[0]]}


def _pair(row: Mapping[str, Any]) -> list[Any] | None:
    """The turns of ms-swift's `query` and `response` and of Alpaca's `instruction`, `input` and `output`; else None."""
    if any(row.get(name) is not None for name in GOLD_COLUMNS):
        return None
    for ask, said in _ASKED:
        if all(isinstance(row.get(name), str) and row[name].strip() for name in (ask, said)):
            more = row.get("input") if ask == "instruction" else None
            text = f"{row[ask]}\n{more}" if isinstance(more, str) and more.strip() else row[ask]
            before = _flat(listed(row.get("history")))
            return [*before, {"role": "user", "content": text}, {"role": "assistant", "content": row[said]}]
    return None


def _flat(turns: list[Any]) -> list[Any]:
    """Turns that lie in a list of their own, or in pairs of texts, as one list of objects."""
    if len(turns) == 1 and isinstance(turns[0], (list, tuple)) and all(isinstance(one, Mapping) for one in turns[0]):
        return list(turns[0])
    if turns and all(isinstance(one, (list, tuple)) and list(map(type, one)) == [str, str] for one in turns):
        return [{"role": role, "content": text} for one in turns for role, text in zip(_USUAL, one, strict=True)]
    return turns


def from_messages(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    """A record of `{messages: [{role, content}, …]}`, its images as parts, as `data:` URLs, or in a column."""
    asked, answered, later = _exchange(_with_answer(row, "messages"), "messages", where)
    text, images = _parts(_content(asked))
    images += listed(row.get("images"))
    if not images:
        images = [row[name] for name in ("images", "image") if row.get(name) not in (None, "", [])][:1]
    said, _ = _parts(_content(answered))
    question, choices = _asked(text, said, len(images))
    return Record(
        where=where,
        question=question,
        images=tuple(_image(image, root) for image in images),
        gold={"answer": stated_answer(said), "choices": choices},
        id=None if row.get("id") is None else str(row["id"])[:200],
        split=_split(row),
        response=_solution(said),
        responses=(said,) if said.strip() else (),
        later_turns=later,
    )


def listed(value: Any) -> list[Any]:
    """A list, also one that a table holds as JSON or as Python writes it; empty for anything else."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        value = parsed(value)
    return list(value) if isinstance(value, (list, tuple)) else []


def _with_answer(row: Mapping[str, Any], column: str) -> list[Any]:
    """The turns, with the answer that a set for reinforcement learning has in a column of its own (MM-Eureka)."""
    turns = _flat(listed(row.get(column)))
    answer = next((row[name] for name in GOLD_COLUMNS if isinstance(row.get(name), (str, int, float))), None)
    if answer is None or not all(isinstance(turn, Mapping) for turn in turns):
        return turns
    roles = [_ROLES.get(_role(turn), _role(turn)) for turn in turns if _role(turn) != "system"]
    return [*turns, {"role": "assistant", "content": str(answer)}] if roles == ["user"] else turns


def _asked(text: str, said: str, images: int) -> tuple[str, list[str]]:
    """Question and options of the first turn; without a heading, options are what the answer is one of."""
    question, options = taken_apart(text, images)
    return (question, options) if options else options_on_a_line(question, stated_answer(said))


def _exchange(turns: Sequence[Any], column: str, where: str) -> tuple[Mapping[str, Any], Mapping[str, Any], int]:
    """The first two turns after the system's, a question and its answer, and how many follow.

    Raises BadRecord for others.

    Turns that do not say whose they are follow each other in that order.
    """
    if not all(isinstance(turn, Mapping) for turn in turns):
        raise BadRecord(f"{where}: {column} must hold objects with a role and a text")
    said = [turn for turn in turns if _role(turn) != "system"]
    roles = [_ROLES.get(_role(turn), _role(turn)) or usual for turn, usual in zip(said, _USUAL, strict=False)]
    if roles != list(_USUAL):
        raise BadRecord(f"{where}: {column} must hold a user turn, then the assistant's answer")
    return said[0], said[1], len(said) - 2


def _role(turn: Mapping[str, Any]) -> str:
    return str(turn.get("from") or turn.get("role") or "").casefold()


def _content(turn: Mapping[str, Any]) -> Any:
    return next((turn[name] for name in ("value", "content", "text") if turn.get(name) is not None), None)


def taken_apart(text: str, images: int) -> tuple[str, list[str]]:
    """Question and options of a prompt: without hint and heading words, and with the marks of images that say more.

    Raises ValueError for a mark without an image: read on, nobody would see that the picture is gone.
    """
    if not images and has_mark(text):
        raise ValueError(f"the question has the mark {MARK}, and no picture is there: give its path in 'image'")
    if text.count(MARK) > max(images, 1):
        raise ValueError(f"the question has {text.count(MARK)} marks {MARK}, and {images} pictures are there: name all")
    text = _HINT.sub("", as_published(text, images))
    return options_in(_QUESTION.sub("", text))


def stated_answer(text: str) -> str:
    """What stands after the answer heading, in a tag, or after "The answer is"; else the whole turn."""
    headed = split_response(text).answer
    if headed:
        return headed
    # What is thought comes before what is said.
    text = _tagged(text.rpartition("</think>")[2].strip() or text)
    found = _ANSWER.search(text.strip())
    return (found["answer"].removesuffix(".").removesuffix("**") if found else text).strip().rstrip(".").strip()


def _tagged(text: str) -> str:
    """What the last tag of a kind holds; the text itself without one."""
    for tag in _TAGS:
        _, opened, behind = text.rpartition(f"<{tag}>")
        inside, closed, _ = behind.partition(f"</{tag}>")
        if opened and closed and inside.strip():
            return inside.strip()
    return text


def _split(row: Mapping[str, Any]) -> str | None:
    return row["split"] if isinstance(row.get("split"), str) and row["split"] else None


def _solution(text: str) -> str | None:
    """The turn, where it is a solution that can train: with an answer heading, or several paragraphs."""
    return text if split_response(text).answer or "\n\n" in text.strip() else None


def _parts(content: Any) -> tuple[str, list[Any]]:
    if isinstance(content, str):
        return content, []
    parts = content if isinstance(content, list) else []
    texts: list[str] = []
    urls: list[Any] = []
    for part in parts:
        if part.get("type") == "text":
            texts.append(str(part.get("text", "")))
        elif part.get("type") in ("image_url", "image"):
            url = part.get("image_url") or part.get("image")
            if url is None:
                texts.append(MARK)  # its picture stands in a column of the row
            else:
                urls.append(url.get("url") if isinstance(url, dict) else url)
    return "\n".join(texts), urls


def _image(given: Any, root: Folder) -> Callable[[], bytes]:
    return image_given(given, root)
