"""`docs/models.md` from the registry of families: `python tests/support/models_page.py` writes it."""

from pathlib import Path

from family_folders import Family
from model_families import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models

A run takes any vision-language model of the families below, from a local folder with `config.json`, `*.safetensors`,
tokenizer, image processor and chat template, as a download from a hub has them. Code in the folder is never run.

`tests/system/test_model_families.py` saves a small random checkpoint of every family as such a folder and drives it
through the services. *Policy* and *chat*: greedy tokens and log-probabilities equal those of `generate`. *PRM*: step
scores equal those of one forward pass for each response. *Trainer*: the first SFT and PRM losses equal the plain ones,
and the checkpoint loads again. All of it runs on the CPU with the transformers engine, without torchvision.

| family | `model_type` | policy | chat | PRM | trainer |
|---|---|---|---|---|---|
"""
TAIL = """
A model that cannot be used is refused when it is loaded, in one sentence that says what to do:

| family | service | reason |
|---|---|---|
{reasons}

## What is installed

Nothing needs torchvision. Where it is installed it resizes images, else Pillow does: prompts are equal, and so are
pixels up to the rounding of resampling. It must be the build that belongs to torch. The test of the families runs
without it.
SmolVLM's processor wants `num2words`, which comes with the model services.

Images are all that is sampled from, so no video processor is loaded, also where a family has one.

## Add a model family

1. Add a row to `FAMILIES` in `tests/support/model_families.py`: a function that gives its `config.json` with small
   sizes, its `preprocessor_config.json`, its special tokens, and what its chat template writes for an image.
2. Run `pytest tests/system/test_model_families.py -k <name>`. Most families need nothing else.
3. What transformers lacks for the family goes into one file, `shared/mstar_models/families/<name>.py`. For a processor
   that asks for torchvision, name its class in `WITHOUT_TORCHVISION` of `shared/mstar_models/processors.py`
   (see `families/pixtral.py`).
4. If its attention is not plain causal, say in `shared/mstar_models/suitability.py` why it is refused, and put the same
   words into `not_sampled` or `not_packed` of its row.
5. Write this page again: `python tests/support/models_page.py`.
"""


def render() -> str:
    """The page."""
    rows = "\n".join(_row(family) for family in FAMILIES)
    return HEAD + rows + "\n" + TAIL.format(reasons="\n".join(line for one in FAMILIES for line in _reasons(one)))


def _row(family: Family) -> str:
    sampled, packed = (_mark(reason) for reason in (family.not_sampled, family.not_packed))
    return f"| {family.title} | `{family.model_type}` | {sampled} | {sampled} | {packed} | {packed} |"


def _mark(reason: str) -> str:
    return "refused" if reason else "yes"


def _reasons(family: Family) -> list[str]:
    services = {"policy and chat": family.not_sampled, "PRM and trainer": family.not_packed}
    return [f"| {family.title} | {service} | {reason} |" for service, reason in services.items() if reason]


if __name__ == "__main__":
    PAGE.write_text(render())
