"""Options of a training in real DeepSpeed processes: the same updates with less memory, and exact resumption."""

import math
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mstar.train_recipe import TrainRecipe
from mstar_trainer.state import read_state
from trainer_bench import GENTLE, Lab, weights

pytestmark = pytest.mark.training
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("options") / "home")
    yield lab
    lab.trainer.close()


def gentle(**options: Any) -> TrainRecipe:
    return TrainRecipe.model_validate(GENTLE.model_dump() | options)


def losses(lab: Lab, **options: Any) -> tuple[float, ...]:
    done = lab.train("same/train", "it01/select", settings=gentle(**options))
    shutil.rmtree(lab.folder("same/train"))
    return done.result.losses


@pytest.fixture(scope="module")
def plain(lab: Lab) -> tuple[float, ...]:
    return losses(lab)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_checkpointing": True},
        {"offload_optimizer": True},
        pytest.param({"ranks": 2, "offload_optimizer": True}, marks=SLOW),
    ],
    ids=str,
)
def test_what_saves_memory_changes_no_update(lab: Lab, plain: tuple[float, ...], options: dict[str, Any]) -> None:
    assert losses(lab, **options) == pytest.approx(plain, rel=1e-4)


def test_bf16_rounds_the_weights_and_keeps_fp32_masters(lab: Lab, plain: tuple[float, ...]) -> None:
    done = lab.train("bf16/train", "it01/select", settings=gentle(dtype="bf16"))
    assert done.result.losses == pytest.approx(plain, rel=0.25)
    folder = lab.folder("bf16/train")
    rounded = weights(folder)
    moments = load_file(folder / "optimizer" / "00000.safetensors")
    masters = {name.removeprefix("master/"): t for name, t in moments.items() if name.startswith("master/")}
    assert masters and all(torch.equal(rounded[name], master.bfloat16()) for name, master in masters.items())
    assert any(not torch.equal(master, master.bfloat16().float()) for master in masters.values())


@pytest.mark.parametrize("options", [{"optimizer": "sgd"}, {"dtype": "bf16"}], ids=str)
def test_a_carried_optimizer_is_exact_with_every_option(lab: Lab, options: dict[str, Any]) -> None:
    resumes_exactly(lab, gentle(**options))


def resumes_exactly(lab: Lab, settings: TrainRecipe) -> None:
    for name in ("exact1", "exact2", "other"):
        shutil.rmtree(lab.bench.store.path(f"r-1/{name}/train"), ignore_errors=True)
    lab.train("exact1/train", "few01/select", settings=settings)
    resident = lab.train("exact2/train", "few02/select", "exact1/train", settings=settings)
    shutil.rmtree(lab.folder("exact2/train"))
    lab.train("other/train", "few01/select", settings=settings)
    rebuilt = lab.train("exact2/train", "few02/select", "exact1/train", settings=settings)
    assert rebuilt.result.losses == resident.result.losses
    assert rebuilt.artefact == resident.artefact, "equal to the last bit"


def test_a_budget_of_updates_ends_the_training(lab: Lab) -> None:
    settings = gentle(updates=5, schedule="cosine", learning_rate=1e-3)
    done = lab.train("budget/train", "it01/select", settings=settings, horizon=5)
    state = read_state(lab.folder("budget/train"))
    assert (done.result.steps, done.result.examples) == (5, 20)
    assert done.result.learning_rate < 1.2e-4
    assert state is not None and (state.examples_seen, state.schedule_step) == (40, 5)
    shorter = gentle(updates=2, schedule="cosine", learning_rate=1e-3)
    on = lab.train("budget2/train", "it02/select", "budget/train", settings=shorter, horizon=10)
    assert (on.result.steps, on.result.global_step) == (2, 7)
    assert on.result.learning_rate == pytest.approx(1e-3 * (1 + math.cos(math.pi * 0.6)) / 2)


def test_a_resident_engine_stays_when_only_the_budget_changes(lab: Lab) -> None:
    shutil.rmtree(lab.bench.store.path("r-1/other/train"), ignore_errors=True)
    first = gentle(updates=2)
    lab.train("stays/train", "few01/select", settings=first)
    resident = lab.train("stays2/train", "few02/select", "stays/train", settings=GENTLE)
    shutil.rmtree(lab.folder("stays2/train"))
    lab.train("other/train", "few01/select")
    rebuilt = lab.train("stays2/train", "few02/select", "stays/train", settings=GENTLE)
    assert rebuilt.artefact == resident.artefact


def test_partitioned_and_offloaded_weights_train_and_resume_alike(lab: Lab, plain: tuple[float, ...]) -> None:
    options = {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True, "gradient_checkpointing": True}
    assert losses(lab, **options) == pytest.approx(plain, rel=1e-4)
    resumes_exactly(lab, gentle(**options))
