"""What a run would be refused for, before there is a server: for `mstar plan`.

`python -m mstar_coordinator.plan_check` reads `{"recipe": …, "folders": {"model.base": "/…", "prm.base": "/…"}}` from
standard input and writes a line of JSON: `{"problem": …}`, null where nothing is wrong. Only models that lie on this
machine are looked at. What this leaves out: data sets, disk and keys, which are those of the machine that will run it.
"""

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from minivista.builtin import PREFIX
from mstar.environment import read_settings
from mstar.errors import MstarError
from mstar.recipes import Recipe
from mstar_coordinator.config import ModelRules
from mstar_coordinator.scheduler.admission import (
    Trainers,
    admit_model,
    admit_prm,
    check_benchmark,
    check_size,
    is_builtin,
)
from mstar_coordinator.scheduler.data_places import DataPlaces
from mstar_coordinator.scheduler.folder_looks import FolderLooks
from mstar_coordinator.scheduler.model_trial import trial_of

SHIPPED = f"{PREFIX}minivista"


def main() -> None:
    """Look at the plan on standard input."""
    asked = json.load(sys.stdin)
    folders = {field: Path(folder) for field, folder in asked["folders"].items()}
    problem = None
    try:
        check_plan(Recipe.model_validate(asked["recipe"]), folders, read_settings(ModelRules))
    except MstarError as error:
        problem = error.problem()
    sys.stdout.write("\n" + json.dumps({"problem": problem}) + "\n")


def check_plan(recipe: Recipe, folders: Mapping[str, Path], rules: ModelRules) -> None:
    """Raises what admission raises of the recipe's size, its shipped data, and the models that lie in `folders`."""
    check_size(recipe, recipe.evolution.iterations)
    if is_builtin(recipe.data.source, "data.source"):
        check_benchmark(recipe)
    # A model of another machine becomes one that ships, at which nobody looks.
    model = recipe.model.model_copy(update={"base": str(folders.get("model.base", SHIPPED))})
    bounds = {} if "model.base" in folders else {"min_pixels": None, "max_pixels": None}
    prm = recipe.prm
    if prm is not None and prm.base is not None:
        prm = prm.model_copy(update={"base": str(folders.get("prm.base", SHIPPED))})
    recipe = recipe.model_copy(update={"model": model.model_copy(update=bounds), "prm": prm})
    # Any folder: below which one runs may read is for the server to say.
    everywhere = DataPlaces(Path("/"))
    looks = FolderLooks(time.monotonic, math.inf)
    separator = None
    if "model.base" in folders:
        base = admit_model(recipe, everywhere, rules.allowed_types, looks, Trainers(), remote=False)
        separator = base.form.step_separator
    admit_prm(recipe, everywhere, rules.allowed_types, separator, looks)
    trial_of(rules).check(recipe)


if __name__ == "__main__":
    main()
