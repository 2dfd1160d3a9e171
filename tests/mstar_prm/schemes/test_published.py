"""PRMs of published kinds have the scores that plain transformers gives on the text of their own code.

Each reference is written as the model's authors compute it: the whole text of one response, one forward pass.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

import prm_folders
from mstar.errors import InvalidInput
from mstar.prm_schemes import KNOWN, Turns
from mstar_models.processors import assemble_processor
from mstar_prm.hf_scorer import HfScorer

QUESTION = "How many bars are there?"
RESPONSES = (
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("A is 3", "Sum: 3 + 4 = 8"),
    ("It looks like 7, so ки и + -",),
)
"""The last one spells the tags."""


def picture() -> Image.Image:
    made = Image.new("RGB", (70, 40), (40, 90, 200))
    made.paste((250, 250, 250), (5, 5, 20, 30))
    return made


def scores_of(folder: Path, question: str = QUESTION, system: str = "") -> list[tuple[float, ...]]:
    async def ask() -> list[tuple[float, ...]]:
        scorer = HfScorer(folder.parent, batch_tokens=8192, waiting_tokens=100_000)
        try:
            await scorer.load_folder(folder)
            return (await scorer.score(question, [picture()], RESPONSES, None, system))[1]
        finally:
            await scorer.close()

    return asyncio.run(ask())


def reference_qwen(folder: Path) -> list[list[float]]:
    """The model card's code: a chat whose answer has `<extra_0>` after each step; class 1 there."""
    tokenizer, trunk = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    head = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if name[:5] == "score"}
    found = []
    for steps in RESPONSES:
        messages = [
            {"role": "system", "content": "Please reason step by step, and put your final answer within \\boxed{}."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        hidden = trunk(input_ids=ids).last_hidden_state[0]
        inner = functional.relu(functional.linear(hidden, head["score.0.weight"], head["score.0.bias"]))
        logits = functional.linear(inner, head["score.2.weight"], head["score.2.bias"])
        places = ids[0] == tokenizer.convert_tokens_to_ids("<extra_0>")
        found.append(logits[places].softmax(-1)[:, 1].tolist())
    return found


def reference_trl(folder: Path) -> list[list[float]]:
    """TRL's tokens: prompt and steps apart, each step with the separator; the label at the separator."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    found = []
    for steps in RESPONSES:
        ids, places = tokenizer(f"{QUESTION}\n")["input_ids"], []
        for step in steps:
            ids = [*ids, *tokenizer(step + "\n")["input_ids"]]
            places.append(len(ids) - 1)
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        found.append(logits[places].softmax(-1)[:, 1].tolist())
    return found


def reference_shepherd(folder: Path) -> list[list[float]]:
    """The model card's code: `question step ки`, the logits of `+` and `-` where the token is the tag."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    labels = tokenizer("+ -", add_special_tokens=False)["input_ids"]
    tag = tokenizer("ки", add_special_tokens=False)["input_ids"][-1]
    assert tokenizer.convert_ids_to_tokens([*labels, tag]) == ["▁+", "▁-", "▁ки"]
    found = []
    for steps in RESPONSES:
        text = f"{QUESTION} " + "\n".join(f"{step} ки" for step in steps)
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        assert ids[0, 0] == tokenizer.bos_token_id
        places = (ids[0] == tag).nonzero()[:, 0].tolist()
        # The author's code takes every tag for an end; a step that spells one is not ours to end.
        ends = places[-1:] if len(places) != len(steps) else places
        found.append(model(input_ids=ids).logits[0][ends][:, labels].softmax(-1)[:, 0].tolist())
    return found


def reference_ursa(folder: Path) -> list[list[float]]:
    """The repository's code: everything in the user's turn, ` и` after each step, the sigmoid of the number there."""
    processor, trunk = assemble_processor(folder), AutoModel.from_pretrained(folder).eval()
    head = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if name[:5] == "score"}
    known = KNOWN["UrsaForTokenClassification"]
    tag = processor.tokenizer(" и", add_special_tokens=False)["input_ids"]
    found = []
    for steps in RESPONSES:
        task = "You are given a problem and a step-by-step solution. You need to check the correctness of each step.\n"
        said = f"{task}Question:{QUESTION}\n" + "\n".join(f"{step} и" for step in steps)
        system = {"role": "system", "content": [{"type": "text", "text": known.system}]}
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": said}]}
        text = processor.apply_chat_template([system, user], add_generation_prompt=True)
        values = processor(text=text, images=[picture()], return_tensors="pt")
        hidden = trunk(**values).last_hidden_state[0]
        numbers = functional.linear(hidden, head["score.weight"], head["score.bias"])[:, 0].sigmoid()
        ids = values["input_ids"][0].tolist()
        places = [end for end in range(len(ids)) if ids[end + 1 - len(tag) : end + 1] == tag]
        found.append(numbers[places[-len(steps) :]].tolist())
    return found


def reference_turns(folder: Path) -> list[list[float]]:
    """VisualPRM's code: a conversation for each step, in which all steps before were answered with `+`."""
    processor = assemble_processor(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    labels = processor.tokenizer.convert_tokens_to_ids(["+", "-"])
    found = []
    for steps in RESPONSES:
        own = []
        for end in range(1, len(steps) + 1):
            messages: list[dict[str, Any]] = [
                {"role": "system", "content": [{"type": "text", "text": Turns().system}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "### Question:\n"},
                        {"type": "image"},
                        {"type": "text", "text": f"\n{QUESTION}\n\n### Solution Process:\n{steps[0]}"},
                    ],
                },
            ]
            for step in steps[1:end]:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": "+"}]})
                messages.append({"role": "user", "content": [{"type": "text", "text": step}]})
            text = processor.apply_chat_template(messages, add_generation_prompt=True)
            values = processor(text=text, images=[picture()], return_tensors="pt")
            own.append(float(model(**values).logits[0, -1, labels].softmax(-1)[0]))
        found.append(own)
    return found


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], list[list[float]]]]] = {
    "qwen_math_prm": (prm_folders.qwen_math_prm, reference_qwen),
    "trl": (prm_folders.trl_prm, reference_trl),
    "math_shepherd": (prm_folders.math_shepherd, reference_shepherd),
    "ursa_rm": (prm_folders.ursa_rm, reference_ursa),
    "visual_prm": (prm_folders.visual_prm, reference_turns),
}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_plain_transformers(kind: str, tmp_path: Path) -> None:
    write, reference = KINDS[kind]
    folder = write(tmp_path / "prm")
    with torch.inference_mode():
        expected = reference(folder)
    assert [len(row) for row in expected] == [len(row) for row in RESPONSES]
    assert len({round(score, 4) for row in expected for score in row}) >= 5, "scores depend on the steps"
    for found, wanted in zip(scores_of(folder), expected, strict=True):
        assert found == pytest.approx(wanted, abs=2e-6)


def test_the_system_turn_of_a_run_stands_where_the_scheme_has_a_place_for_it(tmp_path: Path) -> None:
    folder = prm_folders.qwen_math_prm(tmp_path / "prm")
    prm_folders.declare(folder, scheme="step-token", system="Be brief.")
    fixed = scores_of(folder)
    assert scores_of(folder, system="Be long.") == fixed, "the PRM was trained with a text of its own"
    prm_folders.declare(folder, scheme="step-token", system="{system}")
    assert scores_of(folder, system="Be brief.") == fixed != scores_of(folder, system="Be long.")


def test_a_step_that_spells_special_tokens_ends_no_turn(tmp_path: Path) -> None:
    folder = prm_folders.qwen_math_prm(tmp_path / "prm")

    async def ask(steps: Sequence[str], question: str) -> list[tuple[float, ...]]:
        scorer = HfScorer(folder.parent, batch_tokens=8192, waiting_tokens=100_000)
        try:
            await scorer.load_folder(folder)
            return (await scorer.score(question, [picture()], [tuple(steps)], None))[1]
        finally:
            await scorer.close()

    (scores,) = asyncio.run(ask(["a<extra_0>b", "@steps@ <|im_end|>"], "@steps@ {steps} {image}<|im_start|>?"))
    assert len(scores) == 2


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        ({"scheme": "stars"}, "prm_scheme.json with a bad scheme"),
        ({"scheme": "label-tokens", "good": "good step"}, "label 'good step' of the PRM's scheme is not a token"),
        ({"scheme": "value-head"}, "has a head of shapes"),
        ({"scheme": "step-token", "user": "{image}"}, "mark {question} once"),
        (None, "does not say how a step is scored: config.json names Qwen2Other"),
    ],
)
def test_an_unknown_scheme_is_refused_in_one_sentence(tmp_path: Path, declared: Any, part: str) -> None:
    folder = prm_folders.qwen_math_prm(tmp_path / "prm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen2Other"]}))
    if declared is not None:
        prm_folders.declare(folder, **declared)
    with pytest.raises(InvalidInput) as refused:
        scores_of(folder)
    assert part in refused.value.detail and "\n" not in refused.value.detail
    assert refused.value.field == "model"
