"""A user's model is run once in a limited child before its run is queued; where that cannot be, the run says so."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

import minivista
from coordinator_bench import SMALL, HandClock
from mstar.errors import InvalidInput
from mstar.recipes import PrmRecipe, Recipe
from mstar_coordinator.scheduler.model_trial import ModelTrial

SECONDS = 300.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(copytree(minivista.MODEL_FOLDER, tmp_path / "model"))


def on(folder: Path) -> Recipe:
    return SMALL.model_copy(update={"model": SMALL.model.model_copy(update={"base": str(folder)})})


def nothing_may_start(module: str) -> bool:
    raise AssertionError(f"{module} is not needed")


def test_what_ships_is_not_tried() -> None:
    assert ModelTrial(10**9, SECONDS, installed=nothing_may_start).check(SMALL) == ""


def test_without_torch_the_run_says_who_looks(folder: Path) -> None:
    said = ModelTrial(10**9, SECONDS, installed=lambda module: module != "torch").check(on(folder))
    assert said == "the base model is run once by the service that loads it first, since torch is not installed here"


def test_a_prm_of_one_s_own_is_tried_as_what_it_is_used_for(folder: Path) -> None:
    asked: list[str] = []

    def absent(module: str) -> bool:
        asked.append(module)
        return module == "torch"

    for train in (SMALL.prm.train, None) if SMALL.prm else ():
        recipe = SMALL.model_copy(update={"prm": PrmRecipe(base=str(folder), train=train)})
        assert ModelTrial(10**9, SECONDS, installed=absent).check(recipe).startswith("the PRM is run once")
    assert [one for one in asked if one != "torch"] == ["mstar_models.forward_check", "mstar_prm.forward_check"]


@pytest.mark.slow
def test_a_damaged_model_is_refused(folder: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    name = min(tensors)
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidInput) as refused:
        ModelTrial(10**9, SECONDS).check(on(folder))
    assert refused.value.field == "model.base"
    assert refused.value.detail.startswith(f"model.base: weight {name} in model.safetensors of model folder model ")


@dataclass
class Starts:
    """Answers as the child would, and counts."""

    status: int = 0
    said: str = 'ready\n{"problem": null}'
    commands: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        self.commands.append(command)
        return self.status, self.said


def test_a_folder_is_tried_again_only_when_it_has_changed(folder: Path) -> None:
    starts = Starts()
    trial = ModelTrial(10**9, SECONDS, start=starts)
    assert {trial.check(on(folder)) for _ in range(3)} == {"the base model was loaded and run once"}
    assert [command[4] for command in starts.commands] == ["forward"]
    os.utime(folder / "config.json", (1, 1))
    trial.check(on(folder))
    assert len(starts.commands) == 2


def test_a_large_model_is_compared_by_shapes(folder: Path) -> None:
    starts = Starts()
    said = ModelTrial(10**4, SECONDS, start=starts).check(on(folder))
    assert said.startswith("the base model has all tensors in the right shapes; it is larger than 1e-05 GB, so the ")
    assert [command[4] for command in starts.commands] == ["shapes"]


@pytest.mark.parametrize(
    ("status", "said", "detail"),
    [
        (0, 'ready\n{"problem": "it is bad"}', "model.base: it is bad"),
        (-24, "ready\n", "model.base: the process that loads the model ended with status -24 under a limit of 4 GB"),
        (1, "ready\n{", "model.base: the process that loads the model ended with status 1 under a limit of 4 GB"),
    ],
)
def test_a_child_that_ends_without_an_answer_refuses_the_model(
    folder: Path, status: int, said: str, detail: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ModelTrial(10**9, SECONDS, start=Starts(status, said)).check(on(folder))
    assert refused.value.detail.startswith(detail) and refused.value.field == "model.base"


def test_a_child_that_cannot_load_torch_leaves_it_to_the_services(folder: Path) -> None:
    starts = Starts(1, "")
    trial = ModelTrial(10**9, SECONDS, start=starts)
    for _ in range(2):
        assert trial.check(on(folder)) == (
            "the base model is run once by the service that loads it first, since torch cannot be loaded here"
        )
    assert len(starts.commands) == 2, "nothing was found out that could be remembered"


def test_a_child_that_takes_too_long_leaves_it_to_the_services(folder: Path) -> None:
    # A clock that stands: on a busy machine the time would be over before the child begins.
    said = ModelTrial(10**9, 0.01, clock=lambda: 0.0).check(on(folder))
    assert said == "the base model was not loaded within 0.01 s; the service that loads it first runs it once"


def test_recipes_that_name_one_model_have_it_tried_once_however_it_ends(folder: Path) -> None:
    starts = Starts(1, "")
    ModelTrial(10**9, SECONDS, start=starts).check(on(folder), on(folder).model_copy(update={"name": "other"}))
    assert len(starts.commands) == 1


def test_the_models_of_a_request_share_its_time(folder: Path, tmp_path: Path) -> None:
    clock = HandClock()
    given: list[float] = []

    def slow(command: Sequence[str], seconds: float) -> tuple[int, str]:
        given.append(seconds)
        clock.pass_(40)
        return 0, 'ready\n{"problem": null}'

    others = [Path(copytree(folder, tmp_path / name)) for name in ("second", "third")]
    said = ModelTrial(10**9, 60, start=slow, clock=clock).check(*map(on, (folder, *others)))
    assert given == [60, 20]
    assert said.endswith("the base model is run once by the service that loads it first, since 60 s are over")
