"""A checkpoint that an earlier attempt left is adopted, if it is sound."""

from pathlib import Path

import pytest

from mstar.api.steps import Arrivals
from mstar.errors import InvalidDataset
from mstar.stages.train import TrainResult
from mstar_trainer.resident import ResidentTrainer
from mstar_trainer.state import STATE, TrainerState
from mstar_trainer.tasks import train_step
from trainer_bench import Bench

RESULT = TrainResult(
    examples=1,
    steps=1,
    global_step=1,
    first_loss=1.5,
    last_loss=1.5,
    losses=(1.5,),
    learning_rate=1e-4,
    tokens=9,
    seconds=0.0,
)


def fill(folder: Path) -> None:
    state = TrainerState(
        objective="sft", step="it01/train", parent="base", global_step=1, examples_seen=1, result=RESULT
    )
    (folder / STATE).write_text(state.model_dump_json())


def nothing_new() -> Arrivals:
    return Arrivals(inputs={}, coming=True)


def ignore(done: int, total: int) -> None:
    """Progress that nobody asks for."""


def test_a_finished_checkpoint_is_adopted_without_training(bench: Bench) -> None:
    left = bench.store.write("r-1/it01/train", fill, {})
    trainer = ResidentTrainer(bench.home)
    bench.put_rows("it01/select", [])
    claim = bench.claim("it01/train", "it01/select")
    assert train_step(claim, ignore, nothing_new, bench.store, trainer) == (left, RESULT)
    assert trainer.pids == []


def test_a_damaged_one_is_made_again(bench: Bench) -> None:
    """With no row to train on, the attempt says so instead of handing the damaged checkpoint in."""
    bench.store.write("r-1/it01/train", fill, {})
    (bench.store.path("r-1/it01/train") / STATE).write_text("{}")
    bench.put_rows("it01/select", [])
    claim = bench.claim("it01/train", "it01/select")
    with pytest.raises(InvalidDataset, match="nothing to train on"):
        train_step(claim, ignore, nothing_new, bench.store, ResidentTrainer(bench.home))
    assert bench.store.find("r-1/it01/train") is None
