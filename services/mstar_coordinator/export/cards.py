"""Cards: what each thing is, how it was made and measured, and under which licence it may be used."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from mstar.layout import ANSWER_HEADING, STEP_SEPARATOR, gaps
from mstar.model_files import source_name
from mstar.prm_schemes import LabelTokens
from mstar.prompts import prompt_text
from mstar.results import RunResults
from mstar.types import Answer, AnswerType, Question

UNKNOWN = "other"
"""The Hub's word for a licence that has no name of its own."""
PAPER = "Diving into Self-Evolving Training for Multimodal Reasoning (arXiv 2412.17451)"


def licence_of(model: Path) -> str:
    """Licence that the base model's own card names, else UNKNOWN: what is made from a model follows its licence."""
    card = model / "README.md"
    # Somebody else's file, read when all else is done: whatever its encoding, it must not fail the run's last step.
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = re.search(r"^license:[ \t]*[\"']?([\w.-]+)", text, re.MULTILINE | re.ASCII)
    return found.group(1) if found else UNKNOWN


def policy_card(results: RunResults, licence: str) -> str:
    """Card of the policy checkpoint."""
    lines = [
        _model_front(results.recipe.model.base, licence, "self-evolving-training"),
        f"# Policy of run {results.id}",
        f"Made from `{source_name(results.recipe.model.base)}` by self-evolving training, recipe "
        f"`{results.name}`, seed {results.recipe.seed}. Method: {PAPER}.",
        "## Measured",
        results_table(results),
        "## How it sampled",
        *(
            f"- iteration {one.index}: T = {one.temperature:g}, {one.kept} of {one.responses} responses kept, "
            f"from `{one.weight_version}`"
            for one in results.iterations
        ),
        "## How it is asked",
        *_asked(results),
        "It loads with plain transformers: `AutoModelForImageTextToText.from_pretrained(folder)`.",
    ]
    return "\n\n".join(lines) + "\n"


def prm_card(results: RunResults, licence: str, scheme: LabelTokens) -> str:
    """Card of the process reward model that the run has trained, with the code that scores by it."""
    recipe = results.recipe
    base = (recipe.prm and recipe.prm.base) or recipe.model.base
    lines = [
        _model_front(base, licence, "process-reward-model"),
        f"# Process reward model of run {results.id}",
        f"Trained from `{source_name(base)}` on Monte-Carlo step labels. It is a reranker, not a verifier. Method: "
        f"{PAPER}.",
        "## How it scores",
        f"The labels are the tokens `{scheme.good}` and `{scheme.bad}`. {steps_apart(recipe.form.step_separator)}, and "
        f"the answer block (`{ANSWER_HEADING}`, a blank line, the answer) is the last one. A step's score is the "
        f"probability of `{scheme.good}` against `{scheme.bad}` as the next token after the step and its separator. "
        f"The question is written as the run wrote it. The run took `{recipe.reward_rule.aggregate}` over the steps of "
        "a response, "
        f"{'with' if recipe.reward_rule.answer_block else 'without'} the answer block. With plain transformers:",
        f"```python\n{scoring_code(scheme, recipe.form.step_separator)}```",
        *_asked(results),
        "## How it was made",
        *(f"- {name}: {value}" for name, value in results.prm.items() if not isinstance(value, list | tuple | dict)),
    ]
    return "\n\n".join(lines) + "\n"


def _asked(results: RunResults) -> tuple[str, ...]:
    """The prompt's preset and the answer's place, with the user turn of an example."""
    form = results.recipe.form
    gold = Answer(type=AnswerType.CHOICE, value="B", choices=("red", "blue"))
    text = prompt_text(Question(id="example", text="Which bar is taller?", answer=gold), form)
    shown = "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
    system = f" A system turn says: {form.system}" if form.system else ""
    return (
        f"Prompt preset `{form.preset.value}`; the answer is read from `{form.answer.value}`.{system} The image, then:",
        shown,
    )


def published_prm_card(results: RunResults, licence: str) -> str:
    """Card of a process reward model that others have made, and that the run used as it is."""
    assert results.recipe.prm is not None and results.recipe.prm.base is not None
    base = results.recipe.prm.base
    lines = [
        _model_front(base, licence, "process-reward-model"),
        f"# Process reward model that run {results.id} used",
        f"A copy of `{source_name(base)}`, unchanged: the run trained none. How it scores steps is declared in its own "
        f"folder; `mstar-prm` serves it with `MSTAR_PRM_MODEL` set to this folder.",
    ]
    return "\n\n".join(lines) + "\n"


def steps_apart(separator: str) -> str:
    """What separates steps, in words."""
    if separator == STEP_SEPARATOR:
        return "A step is a paragraph"
    return f"Steps are separated by `{json.dumps(separator, ensure_ascii=False)}`"


def scoring_code(scheme: LabelTokens, separator: str = STEP_SEPARATOR) -> str:
    """Python that scores the steps of one response with plain transformers, in the folder of the PRM."""
    # Not `format`, since the code has braces of its own.
    steps = ("A is 34, C is 27", "Sum: 34 + 27 = 61", f"{ANSWER_HEADING}\n\n61")
    behind = [json.dumps(gap, ensure_ascii=False) for gap in (*gaps(steps, separator), "")]
    filled = {"GOOD": scheme.good, "BAD": scheme.bad, "BEHIND": f"[{', '.join(behind)}]"}
    return re.sub("GOOD|BAD|BEHIND", lambda name: filled[name[0]], _SCORING)


_SCORING = """\
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

question = "What is the total of A and C?"
image = Image.open("question.png").convert("RGB")
steps = ["A is 34, C is 27", "Sum: 34 + 27 = 61", "## Answer\\n\\n61"]
behind = BEHIND

processor = AutoProcessor.from_pretrained(".")
model = AutoModelForImageTextToText.from_pretrained(".").eval()
labels = processor.tokenizer.convert_tokens_to_ids(["GOOD", "BAD"])
content = [{"type": "image"}, {"type": "text", "text": question}]
prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
scores = []
for end in range(1, len(steps) + 1):
    response = "".join(step + gap for step, gap in zip(steps[:end], behind))
    inputs = processor(text=prompt + response, images=[image], return_tensors="pt")
    with torch.inference_mode():
        good, _ = model(**inputs).logits[0, -1, labels].float().softmax(-1).tolist()
    scores.append(good)
print(scores)
"""


def dataset_card(results: RunResults, licence: str, title: str, text: str, rows: int) -> str:
    """Card of one of the two data sets."""
    lines = [
        _front(licence, {"task_categories": ["visual-question-answering"], "tags": ["mstar"]}),
        f"# {title} of run {results.id}",
        text,
        "## How it was asked",
        *_asked(results),
        f"{rows} rows from `{source_name(results.recipe.data.source)}`. Every row names the weights that "
        f"wrote it. Method: {PAPER}.",
    ]
    return "\n\n".join(lines) + "\n"


def results_table(results: RunResults) -> str:
    """The results as a Markdown table, shares in percent."""
    titles = table_titles(results)
    head = f"| | {' | '.join(titles)} |\n|{'---|' * (len(titles) + 1)}"
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in table_rows(results))])


def table_titles(results: RunResults) -> tuple[str, ...]:
    """Titles of the columns after the name, those of the recipe's further tests included."""
    return (
        "T",
        "greedy ID",
        "greedy OOD",
        *results.recipe.evaluation.sets,
        f"Pass@{results.recipe.evaluation.k}",
        "Reward-Pass@2",
    )


def table_rows(results: RunResults) -> Iterable[tuple[str, ...]]:
    """Name and a cell for each of `table_titles`, of base, warm-up and every iteration."""
    sets = tuple(results.recipe.evaluation.sets)
    for name in ("base", "warmup"):
        if name in results.test:
            made = results.test[name]
            tests = (made.id, made.ood, *map(made.sets.get, sets))
            yield (name, "", *map(percent, (*tests, made.pass_at_k, made.reward_pass_at_2)))
    for one in results.iterations:
        numbers = (one.greedy, one.ood, *map(one.sets.get, sets), one.pass_at_k, one.reward_pass_at_2)
        yield (f"iteration {one.index}", f"{one.temperature:g}", *map(percent, numbers))


def percent(share: float | None) -> str:
    """A share as text, with one decimal."""
    return "" if share is None else f"{100 * share:.1f}"


def _model_front(base: str, licence: str, tag: str) -> str:
    about = {"base_model": source_name(base), "pipeline_tag": "image-text-to-text", "library_name": "transformers"}
    return _front(licence, {**about, "tags": ["mstar", tag]})


def _front(licence: str, about: Mapping[str, str | list[str]]) -> str:
    """YAML front matter, where an unknown licence says what it follows."""
    # The Hub wants a name beside a licence that it does not know.
    named = {"license_name": "unknown: follows the base model"} if licence == UNKNOWN else {}
    return f"---\n{yaml.safe_dump({'license': licence, **named, **about}, sort_keys=False)}---"
