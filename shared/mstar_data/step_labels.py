"""Solutions whose steps somebody has labelled: TRL's stepwise supervision, VisualPRM, PRM800K, Math-Shepherd."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mstar.answers.options import CHOICE_COLUMNS
from mstar.answers.records import GOLD_COLUMNS
from mstar.image_marks import as_published
from mstar_data.record import BadRecord, ReadImage, Record

MAX_STEPS = 512
_TEXTS = ("step", "text", "content", "value")
_SCORES = ("score", "label", "rating", "mc_score", "value")
_PROMPTS = ("question", "prompt", "query", "problem")
_SOLUTION = re.compile(
    r"\s*(?:<image>\s*)?(?:### Question:\s*)?(?P<question>.+?)\s*### Solution Process:\s*(?P<step>.+)", re.DOTALL
)
_MARK = "ки"
"""Math-Shepherd's, one token of its model."""
_FIRST_STEP = re.compile(r"(?<!\S)Step 1:")
_KEPT = (*GOLD_COLUMNS, *CHOICE_COLUMNS, "answer_type", "precision", "unit", "alternatives")


def unfolded(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row with columns `question` and `steps`, for one that nests them in a published shape; any other as it is.

    PRM800K has the steps of a solution below `label`, VisualPRM's training files a turn `+` or `-` after each step,
    VisualPRM400K `steps_with_score`, VisualProcessBench both below `response`, and Math-Shepherd two texts.
    Raises BadRecord where the question cannot be told from the first step.
    """
    scored, response = row.get("steps_with_score"), row.get("response")
    if isinstance(scored, (list, tuple)) and "steps" not in row:
        return {**row, "steps": scored}
    if isinstance(response, Mapping) and isinstance(response.get("process_correctness"), (list, tuple)):
        kept = {name: value for name, value in row.items() if name != "response"}
        return kept | {"completions": response.get("steps"), "labels": response["process_correctness"]}
    if all(isinstance(row.get(name), str) for name in ("input", "label")) and _MARK in row["input"]:
        return _shepherd(row, where)
    asked, label = row.get("question"), row.get("label")
    if isinstance(asked, Mapping) and isinstance(label, Mapping) and isinstance(label.get("steps"), (list, tuple)):
        chosen = list(_gone_on_with(label["steps"]))
        kept = {name: value for name, value in row.items() if name != "label"}
        return kept | {"question": asked.get("problem"), "answer": asked.get("ground_truth_answer"), "steps": chosen}
    turns = row.get("conversations")
    if not isinstance(turns, (list, tuple)) or not all(isinstance(turn, Mapping) for turn in turns):
        return row
    said = [str(turn.get("value") or "") for turn in turns if turn.get("from") != "system"]
    if len(said) < 2 or not set(said[1::2]) <= {"+", "-"}:
        return row
    begun = _SOLUTION.fullmatch(said[0])
    if begun is None:
        raise BadRecord(f"{where}: turns are + and -, and the first has no '### Solution Process:' before its step")
    steps = [begun["step"], *said[2::2]]
    kept = {name: value for name, value in row.items() if name != "conversations"}
    labels = [mark == "+" for mark in said[1::2]]
    return {**kept, "question": begun["question"].strip(), "completions": steps, "labels": labels}


def _gone_on_with(steps: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """Of each step the completion that the labellers went on with, or wrote themselves.

    Where they did neither the solution ends, with the first completion that has a rating.
    """
    for step in steps:
        if not isinstance(step, Mapping):
            return
        listed, place, own = step.get("completions"), step.get("chosen_completion"), step.get("human_completion")
        rated = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, (list, tuple)) else []
        if isinstance(place, int) and 0 <= place < len(rated):
            yield rated[place]
        elif isinstance(own, Mapping) and own.get("text"):
            # What they wrote is right, unless they said otherwise.
            rating = next((own[name] for name in ("corrected_rating", "rating") if own.get(name) is not None), 1)
            yield {"text": own["text"], "rating": rating}
        else:
            yield from [one for one in rated if one.get("rating") is not None][:1]
            return


def _shepherd(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Math-Shepherd's: `input` has a mark after each step, in the place of which `label` has + or -."""
    *parts, rest = row["input"].split(_MARK)
    labels, place = [], 0
    for part in parts:
        place += len(part)
        labels.append(row["label"][place : place + 1])
        place += 1
    begun = _FIRST_STEP.search(parts[0])
    if not begun or rest.strip() or not set(labels) <= {"+", "-"}:
        raise BadRecord(f"{where}: label must be the text of input with + or - after each step, and begin with Step 1:")
    steps = [parts[0][begun.start() :], *parts[1:]]
    return {
        "question": parts[0][: begun.start()].strip(),
        "completions": [step.strip() for step in steps],
        "labels": [label == "+" for label in labels],
        "group": row.get("task"),
    }


def is_step_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has labelled steps."""
    if isinstance(row.get("completions"), (list, tuple)) and isinstance(row.get("labels"), (list, tuple)):
        return True
    steps = row.get("steps")
    return isinstance(steps, (list, tuple)) and bool(steps) and isinstance(steps[0], Mapping)


def from_steps(row: Mapping[str, Any], where: str, images: tuple[ReadImage, ...]) -> Record:
    """A record with steps and labels. Labels: booleans, 0 and 1, -1 and 1, or shares in [0, 1]. Raises BadRecord."""
    question = next((row[name] for name in _PROMPTS if isinstance(row.get(name), str) and row[name].strip()), None)
    if question is None:
        raise BadRecord(f"{where}: prompt is missing: name its column {_PROMPTS[1]!r}")
    if isinstance(row.get("completions"), (list, tuple)):
        soft = row.get("soft_labels")
        steps, labels = list(row["completions"]), list(row["labels"] if soft is None else soft)
    else:
        steps = [_first(step, _TEXTS, where) for step in row["steps"]]
        labels = [_first(step, _SCORES, where) for step in row["steps"]]
    if len(steps) != len(labels) or not 0 < len(steps) <= MAX_STEPS:
        raise BadRecord(f"{where}: {len(steps)} steps and {len(labels)} labels: give a label for each step")
    if not all(isinstance(step, str) and step.strip() for step in steps):
        raise BadRecord(f"{where}: steps must be texts that are not empty")
    return Record(
        where=where,
        question=as_published(question, len(images)),
        images=images,
        # Here `label` is a step's, elsewhere the answer's.
        gold={name: row[name] for name in _KEPT if row.get(name) is not None and name != "label"},
        id=None if row.get("id") is None else str(row["id"])[:200],
        group=None if row.get("group") is None else str(row["group"])[:200],
        split="steps",
        steps=tuple(steps),
        labels=_scaled(labels, where),
    )


def _scaled(labels: list[Any], where: str) -> tuple[float, ...]:
    """Shares in [0, 1]; where a label is -1, bad and neutral steps become 0."""
    try:
        numbers = [float(label) for label in labels]
    except (TypeError, ValueError):
        raise BadRecord(f"{where}: labels must be numbers or booleans") from None
    # PRM800K's ratings (arXiv 2305.20050): -1 bad, 0 neutral, 1 good. Without a -1, 0 and 1 are shares already.
    if -1.0 in numbers and set(numbers) <= {-1.0, 0.0, 1.0}:
        numbers = [max(0.0, number) for number in numbers]
    if not all(math.isfinite(number) and 0 <= number <= 1 for number in numbers):
        raise BadRecord(f"{where}: labels must lie in [0, 1], or be -1, 0 and 1")
    return tuple(numbers)


def _first(step: Any, names: tuple[str, ...], where: str) -> Any:
    if not isinstance(step, Mapping):
        raise BadRecord(f"{where}: each step must be an object with {names[0]} and {_SCORES[0]}")
    found = next((step[name] for name in names if step.get(name) is not None), None)
    if found is None:
        raise BadRecord(f"{where}: a step has no {names[0]}")
    return found
