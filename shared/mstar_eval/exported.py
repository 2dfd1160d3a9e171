"""What an export needs of a run: its data set, its prompt, where it came from, and scores for responses without any."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from mstar.errors import CorruptArtefact, InvalidInput
from mstar.http_json import Target
from mstar.leftovers import temporary_folder
from mstar.prompts import PromptForm, PromptRecipe, prompt_form
from mstar.results import RunResults
from mstar_data.exporting import Origin, provenance_of
from mstar_data.samples import ExportSample, sample_folder
from mstar_eval.services import ModelServices
from mstar_eval.session import Notice, target_of

_TITLES = {"cot": "Chains of thought", "prm": "Solutions with labelled steps"}
UNKNOWN_LICENCE = "other"


def described(
    source: str, which: str, home: Path, licence: str | None = None
) -> tuple[Path, PromptForm, Origin, Path | None]:
    """Folder of the samples, the prompt that they were asked with, where they came from, and the run's PRM.

    Raises InvalidDataset for what has no samples, and CorruptArtefact for results that cannot be read.
    """
    run = home / source
    # A run's name has no slash, so a path is never taken for a run that is called alike.
    if "/" in source or not (run / "results.json").is_file():
        folder = sample_folder(Path(source), which)
        known = provenance_of(folder)
        form = prompt_form(PromptRecipe(), "")
        origin = Origin(
            title=_TITLES[which],
            prompt=form.preset.value,
            source=str(known.get("source") or folder.name),
            licence=licence or str(known.get("licence") or UNKNOWN_LICENCE),
        )
        return folder, form, origin, None
    try:
        recipe = RunResults.model_validate_json((run / "results.json").read_bytes()).recipe
    except ValidationError:
        raise CorruptArtefact(f"{run}/results.json holds no results that this version can read") from None
    form = prompt_form(recipe.prompt, recipe.model.base)
    prm = run / "prm"
    origin = Origin(
        title=f"{_TITLES[which]} of run {run.resolve().name}",
        model=recipe.model.base,
        prompt=form.preset.value,
        source=recipe.data.source,
        licence=licence or _licence(run / "policy"),
        step_separator=form.step_separator,
    )
    return sample_folder(run, which), form, origin, prm if (prm / "config.json").is_file() else None


@contextmanager
def with_scores(
    samples: Iterator[ExportSample],
    prm: str | Path | None,
    separator: str | None = None,
    notice: Notice = lambda line: None,
) -> Iterator[Iterator[ExportSample]]:
    """The samples, with step scores for responses that have none. `prm`: a model folder or an address.

    `separator`: what separates their steps; None where no run says so: then what the PRM was trained with.
    The PRM is started when the first score is missing, which is a `notice`, and stopped at the end.
    """
    with ExitStack() as stack:
        yield samples if prm is None else _scored(samples, prm, separator, stack, notice)


def _scored(
    samples: Iterator[ExportSample], prm: str | Path, separator: str | None, stack: ExitStack, notice: Notice
) -> Iterator[ExportSample]:
    services: ModelServices | None = None
    for sample in samples:
        if sample.response is None or sample.step_scores or sample.steps:
            yield sample
            continue
        # The first missing score starts the PRM: an export that has all of them loads no model.
        services = services or stack.enter_context(_started(prm, stack, notice))
        version, scores = services.step_scores(sample.prompt, sample.images, sample.response, separator)
        provenance = {**sample.provenance, "prm_version": version, "reward": min(scores)}
        yield replace(sample, step_scores=scores, provenance=provenance)


def _started(prm: str | Path, stack: ExitStack, notice: Notice) -> ModelServices:
    if isinstance(prm, str) and prm.startswith(("http://", "https://")):
        return ModelServices(None, target_of(prm))
    folder = Path(prm)
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"--prm {prm}: neither an address nor a folder with a model", field="prm")
    from mstar_embedded.models import served_models

    notice("some responses have no step scores yet: starting the PRM (--prm none exports them without)")
    home = stack.enter_context(temporary_folder("mstar-export-"))
    supervisor, urls = stack.enter_context(served_models(home, {"prm": folder}))
    return ModelServices(None, Target(urls["prm"]), broken=lambda: supervisor.failure)


def _licence(model: Path) -> str:
    """What the model's own card says, since what it wrote follows its licence."""
    card = model / "README.md"
    lines = card.read_text(encoding="utf-8").split("\n") if card.is_file() else []
    found = next((line for line in lines[:40] if line.startswith("license:")), "")
    return found.partition(":")[2].strip() or UNKNOWN_LICENCE
