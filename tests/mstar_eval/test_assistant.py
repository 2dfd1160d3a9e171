"""A language model that finds answers where a rule finds none: what it is asked, its cache, and its failures."""

import json
from pathlib import Path

import httpx2
import pytest

from mstar.errors import CorruptArtefact, InvalidInput, Unavailable
from mstar.judges import BENCHMARKS, Item
from mstar_eval.assistant import Assistant, assistant_of, question_for
from mstar_eval.evaluation import judged
from mstar_eval.responses import ResponseFile, Responses, Settings

AI2D = BENCHMARKS["ai2d"]
ITEM = Item(id="1", question="Which eats it?", options=("frog", "hawk"), gold="B")
FREE = Item(id="2", question="How many?", gold="4", kind="integer", group="VQA")


class Server:
    """A chat server that replies with one text and counts."""

    def __init__(self, text: str, status: int = 200) -> None:
        self.text, self.status, self.asked = text, status, 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        assert request.url.path == "/v1/chat/completions"
        body = json.loads(request.content)
        assert body["model"] == "m" and body["temperature"] == 0
        return httpx2.Response(
            self.status, json={"choices": [{"message": {"role": "assistant", "content": self.text}}]}
        )


def helper(server: Server, path: Path) -> Assistant:
    return Assistant("http://judge/v1", "m", path / "judge.jsonl", httpx2.MockTransport(server))


def verdicts(tmp_path: Path, benchmark: str, item: Item, text: str, assistant: Assistant | None) -> tuple[bool, str]:
    settings = Settings(
        benchmark=benchmark, data_sha256="d", model="x", model_version="v", n=1, temperature=0, max_tokens=9, top_p=1,
        seed=0,
    )  # fmt: skip
    file = ResponseFile(tmp_path / f"{benchmark}.jsonl", settings)
    file.rows[item.id] = Responses(id=item.id, texts=(text,), cut=(False,))
    ((one, found),) = judged(BENCHMARKS[benchmark], [item], file, assistant)
    return one.correct[0], found[0].reason


def test_it_is_asked_only_where_the_rule_finds_nothing(tmp_path: Path) -> None:
    server = Server("(B)")
    with helper(server, tmp_path) as assistant:
        assert verdicts(tmp_path, "ai2d", ITEM, "## Answer\n\nA", assistant) == (False, "ai2d-choice")
        assert server.asked == 0
        assert verdicts(tmp_path, "ai2d", ITEM, "The bird in the sky.", assistant) == (
            True,
            "ai2d-choice, by the judge",
        )
    assert verdicts(tmp_path, "ai2d", ITEM, "The bird in the sky.", None) == (False, "ai2d-none")


def test_what_it_copies_is_judged_by_the_official_rule(tmp_path: Path) -> None:
    with helper(Server("4.0"), tmp_path) as assistant:
        assert verdicts(tmp_path, "mathvista", FREE, "I see four of them there.", assistant)[0]
    with helper(Server("Z"), tmp_path / "other") as assistant:
        right, reason = verdicts(tmp_path, "mathvista", FREE, "I see four of them there.", assistant)
        assert not right and reason.endswith("nor by the judge")


def test_the_transcript_is_the_cache(tmp_path: Path) -> None:
    server = Server("B")
    for _ in range(2):
        with helper(server, tmp_path) as assistant:
            assert assistant.answer(ITEM, "The bird.") == "B"
    assert server.asked == 1
    (line,) = (json.loads(text) for text in (tmp_path / "judge.jsonl").read_text().split("\n") if text)
    assert line["reply"] == "B" and line["prompt"] == question_for(ITEM, "The bird.") and line["model"] == "m"
    (tmp_path / "judge.jsonl").write_text("{}\n")
    with pytest.raises(CorruptArtefact, match="line 1"):
        helper(server, tmp_path)


def test_a_line_that_a_kill_cut_off_is_asked_again_and_the_others_are_kept(tmp_path: Path) -> None:
    server, path = Server("B"), tmp_path / "judge.jsonl"
    with helper(server, tmp_path) as assistant:
        assistant.answer(ITEM, "The bird.")
    path.write_bytes(path.read_bytes() + '{"key": "abc", "reply": "\u00e4'.encode()[:-1])
    with helper(server, tmp_path) as assistant:
        assert assistant.answer(ITEM, "The bird.") == assistant.answer(ITEM, "The cat.") == "B"
    assert server.asked == 2
    assert [json.loads(line)["reply"] for line in path.read_text().splitlines()] == ["B", "B"]


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(CorruptArtefact, match="line 1"):
        helper(Server("B"), tmp_path)


def test_a_judge_that_fails_is_no_wrong_answer(tmp_path: Path) -> None:
    with helper(Server("", 503), tmp_path) as assistant, pytest.raises(Unavailable):
        verdicts(tmp_path, "ai2d", ITEM, "The bird.", assistant)


def test_the_prompt_asks_for_a_copy_in_the_form_of_the_type() -> None:
    assert "(A) frog\n(B) hawk" in question_for(ITEM, "x") and "the letter of the option" in question_for(ITEM, "x")
    assert "the integer alone" in question_for(FREE, "x") and "Do not solve" in question_for(FREE, "x")


@pytest.mark.parametrize("given", ["m", "@http://x/v1", "m@ftp://x"])
def test_a_bad_judge_is_named(tmp_path: Path, given: str) -> None:
    with pytest.raises(InvalidInput, match="model@http://host/v1"), assistant_of(given, tmp_path / "j"):
        pass
