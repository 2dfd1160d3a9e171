"""What a few questions say about a model, against a policy that answers over HTTP without a network."""

import io
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from mstar.answers import AnswerPlace
from mstar.errors import InvalidDataset
from mstar.http_json import Target
from mstar.recipes import parse_recipe
from mstar_eval.services import ModelServices
from mstar_eval.trying import Trial, picked, questions_of, tried


def own_set(folder: Path, count: int = 8) -> Path:
    """Questions of two splits, each with a picture of its own."""
    for split in ("train", "validation"):
        (folder / split).mkdir(parents=True)
        lines = []
        for place in range(count):
            out = io.BytesIO()
            Image.new("RGB", (32, 32), (place * 30, len(split), 7)).save(out, "PNG")
            (folder / split / f"{place}.png").write_bytes(out.getvalue())
            row = {
                "file_name": f"{place}.png",
                "question": f"Which is {place}?",
                "answer": "blue",
                "choices": ["red", "blue"],
            }
            lines.append(json.dumps(row))
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
    return folder


class Policy:
    """Says the same to every prompt, and refuses what holds `long`."""

    def __init__(self, text: str, long: str = "no such question") -> None:
        self.text, self.long = text, long
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self.asked += body["prompts"]
        refused = [place for place, one in enumerate(body["prompts"]) if self.long in one["question"]]
        samples = [
            [] if place in refused else [{"text": self.text}] * one.get("n", 1)
            for place, one in enumerate(body["prompts"])
        ]
        problems = [{"index": place, "detail": "too long"} for place in refused]
        return httpx2.Response(200, json={"weight_version": "v1", "samples": samples, "refused": problems})


def trial(tmp_path: Path, policy: Policy, *, with_reference: bool = False, **settings: Any) -> Trial:
    recipe = parse_recipe({"name": "try", "model": {"base": "/models/own"}}, settings)
    picks = picked(questions_of(own_set(tmp_path / "set")), 5, 0)
    with ModelServices(Target("http://policy"), transport=httpx2.MockTransport(policy)) as services:
        return tried(picks, services, recipe, recipe.form, 2, with_reference=with_reference)


def test_a_model_that_boxes_its_answer_is_found_out_before_a_run(tmp_path: Path) -> None:
    policy = Policy("The bar is blue.\n\nSo \\boxed{B}")
    made = trial(tmp_path, policy)
    assert {one.verdict.reason for asked in made.tried for one in asked.responses} == {"no-answer-heading"}
    assert made.advice == "10 of 10 have the answer elsewhere: set prompt.preset boxed"
    assert (made.right_in[AnswerPlace.HEADING], made.right_in[AnswerPlace.BOXED]) == (0, 10)
    assert all("(A) red\n(B) blue" in prompt["question"] for prompt in policy.asked)
    again = trial(tmp_path / "again", policy, **{"prompt.preset": "boxed"})
    assert (again.advice, again.outcomes.correct, again.outcomes.solved) == ("", 10, 5)


def test_a_separator_that_the_model_does_not_write_is_found_out_before_a_run(tmp_path: Path) -> None:
    policy = Policy("The bar is blue.\n\nBlue is B.\n\n## Answer\n\nB")
    assert trial(tmp_path / "blank", policy).steps == ""
    made = trial(tmp_path / "lines", policy, **{"prompt.step_separator": "<step>"})
    assert made.advice == "" and made.steps.startswith("10 of 10 responses are one step")
    assert "'\\n\\n' as the separator" in made.steps


def test_questions_are_of_training_and_drawn_by_seed(tmp_path: Path) -> None:
    folder = own_set(tmp_path / "set")
    first, second = (picked(questions_of(folder), 5, seed) for seed in (0, 1))
    assert {pick.question.split for pick in first} == {"train"}
    assert first == picked(questions_of(folder), 5, 0) != second
    assert len(picked(questions_of(folder), 50, 0)) == 8


def test_the_reference_answer_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    policy = Policy("## Answer\n\nB")
    made = trial(tmp_path, policy, with_reference=True)
    assert all("Reference answer: B" in one.prompt for one in made.tried)
    assert made.outcomes.correct == 10


def test_a_question_that_is_too_long_is_shown_as_such(tmp_path: Path) -> None:
    made = trial(tmp_path, Policy("## Answer\n\nB", long="Which is"))
    assert {one.problem for one in made.tried} == {"too long"}
    assert (made.outcomes.skipped, made.outcomes.responses, made.advice) == (5, 0, "")


def test_a_source_of_no_use_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="does not exist: name a file, a folder"):
        picked(questions_of(tmp_path / "nowhere"), 5, 0)
    (tmp_path / "rows.jsonl").write_text('{"question": "Which?"}\n')
    with pytest.raises(InvalidDataset, match=r"no question with an answer: .*rows\.jsonl"):
        picked(questions_of(tmp_path / "rows.jsonl"), 5, 0)
