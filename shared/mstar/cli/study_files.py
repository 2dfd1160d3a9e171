"""Study files and the result files of finished runs, as commands read and write them."""

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from mstar.cli.recipe_files import SHIPPED
from mstar.errors import InvalidInput
from mstar.recipe_folder import is_file_name
from mstar.recipes import Recipe
from mstar.step_keys import ships
from mstar.study.plan import Study, parse_study_yaml
from mstar.study.record import StudyRun, parse_record
from mstar.study.same_recipe import other_field
from mstar.study.summary import PropertyResult
from mstar.writing import not_written

STUDIES = Path(__file__).parents[3] / "studies"
"""In a checkout; an installed package has none."""


class _Gates(BaseModel):
    """A file with properties, whatever else it holds."""

    properties: tuple[PropertyResult, ...] = Field(max_length=256)


def read_study(study: str) -> Study:
    """A study file, or a study of this checkout by name, with its base recipe in full. Raises InvalidInput."""
    path = Path(study) if is_file_name(study) else STUDIES / f"{study}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in STUDIES.glob("*.yaml"))) or "none"
        raise InvalidInput(f"study file {path} does not exist; by name there are: {known}", field="study")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"study file {path} cannot be read: {error}", field="study") from error
    found = parse_study_yaml(text)
    made = found.model_copy(update={"base": _base(found.base, path.parent)})
    # Every arm is parsed before the first run: a misspelt field in the last arm must not be found after hours.
    for arm in made.arms:
        planned(made, arm, made.seeds[0])
    return made


def planned(study: Study, arm: str, seed: int) -> Recipe:
    """The recipe of one run. Raises InvalidRecipe."""
    assert isinstance(study.base, dict), "read_study makes the base whole"
    return study.recipe(study.base, arm, seed)


def read_results(folder: Path, study: Study) -> dict[tuple[str, int], StudyRun]:
    """Runs of a study whose result files lie in a folder or below, by arm and seed.

    A file of another study counts where this one would do the same run again: equal arm, seed and recipe, on a base and
    a data set that ship. Raises InvalidInput for a file that is not a result, for one of this study with another recipe
    than it has now, and for two different results of one run.
    """
    found: dict[tuple[str, int], StudyRun] = {}
    lent: dict[tuple[str, int], StudyRun] = {}
    for path in sorted(folder.rglob("*--*.json")):
        own = path.name.startswith(f"{study.name}--")
        # By its name first: a folder may hold many large files of other studies.
        if not own and path.stem.partition("--")[2] not in {f"{arm}--seed{seed}" for arm, seed in study.runs()}:
            continue
        run = parse_record(path.read_bytes(), str(path))
        if run.arm not in study.arms or run.seed not in study.seeds:
            continue
        plan = planned(study, run.arm, run.seed)
        field = other_field(run.recipe, plan)
        if run.study != study.name:
            # The first of several, since equal recipes ask for equal numbers.
            if field is None and ships(plan):
                lent.setdefault((run.arm, run.seed), run)
            continue
        if field is not None:
            raise InvalidInput(
                f"{path} was made with another recipe than the study has now, which differs in {field}: move the file "
                "away, or undo the change",
                field="results",
            )
        before = found.get((run.arm, run.seed))
        # Copies of one result are common where folders are merged; only different ones are doubtful.
        if before is not None and before != run:
            raise InvalidInput(f"{path} is a second result of {run.arm} with seed {run.seed}", field="results")
        found[run.arm, run.seed] = run
    return lent | found


def read_properties(path: Path) -> tuple[PropertyResult, ...]:
    """The `properties` of a JSON file, which another program has measured. Raises InvalidInput."""
    try:
        return _Gates.model_validate_json(path.read_bytes()).properties
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="gates") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{path}: {where}: {first['msg']}", field="gates") from None


def write_result(folder: Path, run: StudyRun) -> Path:
    """Write the result file of a run in one rename. Raises StorageFull or NotWritable."""
    path = folder / f"{run.name}.json"
    write_text(path, run.model_dump_json() + "\n")
    return path


def write_text(path: Path, text: str) -> None:
    """Replace a file in one rename. Raises StorageFull or NotWritable."""
    # Beside the target, since a rename is atomic within one file system only.
    staging = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.write_text(text, encoding="utf-8")
        os.replace(staging, path)
    except OSError as error:
        with suppress(OSError):
            staging.unlink(missing_ok=True)
        raise not_written(error, path) from error


def numbers(text: str | None, field: str) -> list[int]:
    """`3,4` as numbers. Raises InvalidInput."""
    try:
        return [int(one) for one in names(text)]
    except ValueError:
        raise InvalidInput(f"{field} {text}: write comma-separated numbers, such as 3,4", field=field) from None


def names(text: str | None) -> list[str]:
    """`a,b` as names."""
    return [one.strip() for one in (text or "").split(",") if one.strip()]


def in_order(study: Study, found: Iterable[StudyRun]) -> list[StudyRun]:
    """Runs in the order of the study."""
    places = {one: place for place, one in enumerate(study.runs())}
    return sorted(found, key=lambda run: places[run.arm, run.seed])


def _base(base: str | dict[str, Any], folder: Path) -> dict[str, Any]:
    if isinstance(base, dict):
        return SHIPPED.given(base)
    return SHIPPED.file(folder / base) if is_file_name(base) else SHIPPED.named(base)
