"""What a model of any family says by its own means, one sequence at a time, and the rows that it is compared on.

On any device: the test of the families runs it on the CPU, and `benchmarks/gpu.py` on CUDA.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from family_folders import Family
from mstar.types import Answer, AnswerType, Question, SelectedRow, StepLabelRow
from mstar_models.chat import build_messages, question_turns
from mstar_models.encoding import encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.special_tokens import suppressed_ids
from trainer_bench import Bench, copied

MAX_TOKENS = 8
QUESTION = "How many bars are there?"
SIZES = ((70, 40), (40, 90))
"""Pictures of two shapes: families cut them into different numbers of tiles or patches."""
SHOWN = ((0,), (1, 0, 1), (), (0, 1), (1,))
"""Pictures of each question, by their places."""
STEPS = (("3 + 4 = 7", "So the sum is 7"), ("3 + 4 = 7", "So it is 14", "## Answer\n\n14"), ("It is 2",))

Shown = Image.Image | Sequence[Image.Image]
"""One picture of a question, or several, or none."""


@dataclass(frozen=True)
class Plain:
    """The model by its own means."""

    model: Any
    processor: Any

    def inputs(self, shown: Shown, tokens: Sequence[int] = ()) -> dict[str, torch.Tensor]:
        """What the processor gives for the question, and tokens of a response after it: all of shape [1, T]."""
        pictures = [shown] if isinstance(shown, Image.Image) else list(shown)
        turns = question_turns(QUESTION, images=len(pictures))
        text = self.processor.apply_chat_template(build_messages(turns), add_generation_prompt=True)
        values = dict(self.processor(text=text, **({"images": pictures} if pictures else {}), return_tensors="pt"))
        values.pop("labels", None)
        behind = torch.tensor([list(tokens)], dtype=torch.long)
        values["input_ids"] = torch.cat([values["input_ids"], behind], dim=1)
        values["attention_mask"] = torch.ones_like(values["input_ids"])
        for types in ("mm_token_type_ids", "moe_mm_token_type_ids", "token_type_ids"):
            if types in values:
                # PaliGemma's are 0 in the prompt and 1 after it; the others' are 1 where an image is.
                of_text = int(self.model.config.model_type == "paligemma")
                values[types] = torch.cat([values[types], torch.full_like(behind, of_text)], dim=1)
        if "cross_attention_mask" in values:
            seen = values["cross_attention_mask"]  # [1, P, images, tiles]
            values["cross_attention_mask"] = torch.cat([seen, *[seen[:, -1:]] * len(tokens)], dim=1)
        kinds = {key: self.model.dtype if value.is_floating_point() else value.dtype for key, value in values.items()}
        return {key: value.to(self.model.device, kinds[key]) for key, value in values.items()}

    def greedy(self, picture: Shown) -> tuple[list[int], float]:
        """Tokens of the likeliest response, and the sum of their log-probabilities."""
        inputs = self.inputs(picture)
        stop = self.processor.tokenizer.eos_token_id
        made = self.model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
            eos_token_id=stop,
            suppress_tokens=suppressed_ids(self.processor.tokenizer),
            return_dict_in_generate=True,
            output_scores=True,
        )
        tokens = made.sequences[0, inputs["input_ids"].shape[1] :]
        logprobs = torch.cat(made.scores).float().log_softmax(dim=1).gather(1, tokens[:, None])
        return tokens.tolist(), float(logprobs.sum())

    def logits(self, picture: Shown, tokens: Sequence[int]) -> torch.Tensor:
        """[R + 1, V] in float32 on the CPU: of the last token of the prompt and of each one after it."""
        inputs = self.inputs(picture, tokens)
        with torch.inference_mode():
            found: torch.Tensor = self.model(**inputs).logits[0, -len(tokens) - 1 :]
        return found.float().cpu()


def picture(place: int) -> Image.Image:
    made = Image.new("RGB", SIZES[place], (40 + 120 * place, 90, 200 - 150 * place))
    made.paste((250, 250, 250), (5, 5, 20, 30))
    return made


def pictures(places: Sequence[int]) -> list[Image.Image]:
    return [picture(place) for place in places]


def encoded(place: int) -> bytes:
    out = io.BytesIO()
    picture(place).save(out, "PNG")
    return out.getvalue()


def data(place: int) -> str:
    return base64.b64encode(encoded(place)).decode()


def step_scores(reference: Plain, image: Shown, steps: Sequence[str]) -> torch.Tensor:
    """[S]: probability of the good label at the end of each step, from one pass over the whole response."""
    tokens, ends = encode_segments(reference.processor.tokenizer, steps)
    labels = list(label_token_ids(reference.processor.tokenizer))
    return reference.logits(image, tokens)[ends][:, labels].softmax(dim=1)[:, 0]


def commit(bench: Bench, family: str, folder: Path) -> str:
    """The folder as what a run begins with; returns the name of the step."""
    name = f"{family}/prepare"
    bench.inputs[name] = bench.store.write(f"r-1/{name}", copied(folder), {})
    return name


def shown_to(family: Family) -> tuple[tuple[int, ...], ...]:
    """Pictures of the questions that the family is asked: of each number that it takes."""
    least, most = family.shown.least, family.shown.most
    return tuple(places for places in SHOWN if least <= len(places) <= most)


def selected(bench: Bench, shown: Sequence[int]) -> SelectedRow:
    answer = Answer(type=AnswerType.INTEGER, value="14")
    question = Question(id=_name(shown), text=QUESTION, images=_stored(bench, shown), answer=answer)
    response = "\n\n".join(STEPS[1])
    return SelectedRow(
        question=question, response=response, iteration=1, index=0, temperature=1.0, weight_version="w", reason="test"
    )


def labelled(bench: Bench, shown: Sequence[int]) -> StepLabelRow:
    return StepLabelRow(
        id=f"{_name(shown)}/0",
        prompt=QUESTION,
        completions=STEPS[0],
        labels=(0.75, 0.25),
        images=_stored(bench, shown),
        answer=Answer(type=AnswerType.INTEGER, value="14"),
        mc_successes=(3, 1),
        mc_rollouts=(4, 4),
        weight_version="w",
    )


def _name(shown: Sequence[int]) -> str:
    return "q-" + "-".join(map(str, shown))


def _stored(bench: Bench, shown: Sequence[int]) -> tuple[str, ...]:
    return tuple(bench.images.put(encoded(place)) for place in shown)


def sft_loss(reference: Plain, shown: Sequence[Sequence[int]]) -> float:
    """Mean over the tokens of all rows."""
    tokens, _ = encode_segments(reference.processor.tokenizer, STEPS[1])
    targets = torch.tensor([*tokens, reference.processor.tokenizer.eos_token_id])
    sums = [
        functional.cross_entropy(reference.logits(pictures(own), tokens), targets, reduction="sum") for own in shown
    ]
    return float(sum(sums) / (len(shown) * len(targets)))


def prm_loss(reference: Plain, shown: Sequence[Sequence[int]]) -> float:
    """Mean over the steps of all rows."""
    labels = torch.tensor([0.75, 0.25])
    scores = [step_scores(reference, pictures(own), STEPS[0]) for own in shown]
    return float(torch.stack([functional.binary_cross_entropy(score, labels) for score in scores]).mean())
