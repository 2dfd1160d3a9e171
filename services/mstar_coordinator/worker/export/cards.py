"""Cards: what each thing is, how it was made and measured, and under which licence it may be used."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from mstar.results import RunResults

UNKNOWN = "other"
"""The Hub's word for a licence that has no name of its own."""
PAPER = "Diving into Self-Evolving Training for Multimodal Reasoning (arXiv 2412.17451)"


def licence_of(model: Path) -> str:
    """Licence that the base model's own card names, else UNKNOWN: what is made from a model follows its licence."""
    card = model / "README.md"
    found = re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8"), re.MULTILINE) if card.is_file() else None
    return found.group(1) if found else UNKNOWN


def policy_card(results: RunResults, licence: str) -> str:
    """Card of the policy checkpoint."""
    lines = [
        _model_front(results, licence, "self-evolving-training"),
        f"# Policy of run {results.id}",
        f"Made from `{results.recipe.model.base}` by self-evolving training, recipe `{results.name}`, seed "
        f"{results.recipe.seed}. Method: {PAPER}.",
        "## Measured",
        results_table(results),
        "## How it sampled",
        *(
            f"- iteration {one.index}: T = {one.temperature:g}, {one.kept} of {one.responses} responses kept, "
            f"from `{one.weight_version}`"
            for one in results.iterations
        ),
        "It loads with plain transformers: `AutoModelForImageTextToText.from_pretrained(folder)`.",
    ]
    return "\n\n".join(lines) + "\n"


def prm_card(results: RunResults, licence: str) -> str:
    """Card of the process reward model."""
    lines = [
        _model_front(results, licence, "process-reward-model"),
        f"# Process reward model of run {results.id}",
        f"Trained from `{results.recipe.model.base}` on Monte-Carlo step labels. A step's score is the probability of "
        "the good label token at its end; a response's score is the least of its steps. It is a reranker, not a "
        f"verifier. Method: {PAPER}.",
        "## How it was made",
        *(f"- {name}: {value}" for name, value in results.prm.items() if not isinstance(value, list | tuple | dict)),
    ]
    return "\n\n".join(lines) + "\n"


def dataset_card(results: RunResults, licence: str, title: str, text: str, rows: int) -> str:
    """Card of one of the two data sets."""
    lines = [
        _front(licence, {"task_categories": ["visual-question-answering"], "tags": ["mstar"]}),
        f"# {title} of run {results.id}",
        text,
        f"{rows} rows from `{results.recipe.data.source}`. Every row names the weights that wrote it. Method: {PAPER}.",
    ]
    return "\n\n".join(lines) + "\n"


def results_table(results: RunResults) -> str:
    """The results as a Markdown table, shares in percent."""
    head = "| | T | greedy ID | greedy OOD | Pass@K | Reward-Pass@2 |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in table_rows(results))])


def table_rows(results: RunResults) -> Iterable[tuple[str, ...]]:
    """(name, T, greedy ID, greedy OOD, Pass@K, Reward-Pass@2) of base, warm-up and every iteration."""
    for name in ("base", "warmup"):
        if name in results.test:
            made = results.test[name]
            yield (name, "", *map(percent, (made.id, made.ood, made.pass_at_k, made.reward_pass_at_2)))
    for one in results.iterations:
        numbers = (one.greedy, one.ood, one.pass_at_k, one.reward_pass_at_2)
        yield (f"iteration {one.index}", f"{one.temperature:g}", *map(percent, numbers))


def percent(share: float | None) -> str:
    """A share as text, with one decimal."""
    return "" if share is None else f"{100 * share:.1f}"


def _model_front(results: RunResults, licence: str, tag: str) -> str:
    base = results.recipe.model.base
    about = {"base_model": base, "pipeline_tag": "image-text-to-text", "library_name": "transformers"}
    return _front(licence, {**about, "tags": ["mstar", tag]})


def _front(licence: str, about: Mapping[str, str | list[str]]) -> str:
    """YAML front matter, where an unknown licence says what it follows."""
    named = {"license_name": "unknown: follows the base model"} if licence == UNKNOWN else {}
    return f"---\n{yaml.safe_dump({'license': licence, **named, **about}, sort_keys=False)}---"
