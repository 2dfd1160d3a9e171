"""A language model that finds the answer where a benchmark's rule finds none. Off by default.

Official MathVista extracts every answer so, and VLMEvalKit maps options so; their numbers depend on the model. Any
server with OpenAI's chat completions will do. What it was asked and what it said is kept in a file, which is the
cache: the same question is never paid for twice, and the verdicts can be checked by hand.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from pydantic import BaseModel, Field

from mstar.answers.options import LETTERS
from mstar.errors import CorruptArtefact, InvalidInput
from mstar.http_json import Sender, Target
from mstar.judges import Item

KEY = "MSTAR_JUDGE_KEY"
"""Variable with the bearer key."""
SECONDS = 120.0
MAX_CHARACTERS = 24_000
"""Of a response that is shown; of a longer one its end."""
_FORMS = {
    "choice": "the letter of the option that it chooses, or Z if it chooses none",
    "integer": "the integer alone, without a unit",
    "float": "the decimal number alone, without a unit",
    "list": "the list in Python's notation",
    "text": "the answer's text",
}


class _Message(BaseModel):
    role: str = "user"
    content: str


class _Asked(BaseModel):
    model: str
    messages: tuple[_Message, ...]
    temperature: float = 0.0
    # It copies an answer out of a response, and answers are short.
    max_tokens: int = 64


class _Choice(BaseModel):
    message: _Message


class _Said(BaseModel):
    choices: tuple[_Choice, ...] = Field(min_length=1)


class Assistant:
    """Finds the final answer of a response. Thread-safe; a context manager."""

    def __init__(self, url: str, model: str, transcript: Path, transport: httpx2.BaseTransport | None = None) -> None:
        """`url`: up to and including `/v1`. Raises CorruptArtefact for a transcript that cannot be read."""
        self.name = f"{model} at {Target(url).shown}"
        self._target = Target(url, os.environ.get(KEY) or None, "--judge", KEY)
        self._model, self._path = model, transcript
        self._sender = Sender(httpx2.Timeout(SECONDS, connect=5), transport)
        self._lock = threading.Lock()
        self._known = _read(transcript)

    def __enter__(self) -> "Assistant":
        return self

    def __exit__(self, *_: object) -> None:
        self._sender.close()

    def answer(self, item: Item, response: str) -> str:
        """The final answer as it stands in the response; empty or `Z` where there is none.

        Raises what `Sender.send` raises: a judge that fails must not turn into wrong answers.
        """
        prompt = question_for(item, response)
        key = hashlib.sha256(f"{self._model}\0{prompt}".encode()).hexdigest()
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        asked = _Asked(model=self._model, messages=(_Message(content=prompt),))
        # Without the lock: two threads may ask the same at once, which costs one request and changes nothing.
        said = self._sender.send(self._target, "POST", "/chat/completions", _Said, body=asked)
        found = said.choices[0].message.content.strip()
        with self._lock:
            self._known[key] = found
            self._path.parent.mkdir(parents=True, exist_ok=True)
            line = {"key": key, "model": self._model, "item": item.id, "prompt": prompt, "reply": found}
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return found


@contextmanager
def assistant_of(given: str | None, transcript: Path) -> Iterator[Assistant | None]:
    """The judge that `--judge MODEL@URL` names, or None. Raises InvalidInput."""
    if given is None:
        yield None
        return
    model, at, url = given.partition("@")
    if not model or not at or not url.startswith(("http://", "https://")):
        raise InvalidInput(f"--judge {given[:80]}: write model@http://host/v1", field="judge")
    with Assistant(url, model, transcript) as assistant:
        yield assistant


def question_for(item: Item, response: str) -> str:
    """What the model is asked: it copies an answer out of a response, and solves nothing."""
    options = "".join(f"\n({letter}) {text}" for letter, text in zip(LETTERS, item.options, strict=False))
    return (
        "Below are a question and somebody's response to it. Copy the final answer out of the response. Do not solve "
        f"the question, and do not correct the response. Reply with {_FORMS[item.kind]}, and nothing else. If the "
        f"response gives no final answer, reply with Z.\n\nQuestion: {item.question}{options}\n\nResponse:\n"
        f"{response[-MAX_CHARACTERS:]}\n\nFinal answer:"
    )


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        # Half a line is what a kill leaves: the next reply must not be appended to it.
        os.truncate(path, len(whole))
    known = {}
    for number, line in enumerate(whole.split(b"\n"), 1):
        if line:
            try:
                row = json.loads(line)
                known[str(row["key"])] = str(row["reply"])
            except (ValueError, KeyError, TypeError):
                raise CorruptArtefact(f"{path} line {number} is not a judge's reply: remove the line") from None
    return known
