"""Handlers follow from the declared stages: each but the trainer's has one, which takes that stage's parameters."""

from typing import Any, get_type_hints

import pytest

from mstar.stages import STAGES
from mstar.stages.train import TRAIN
from mstar.steps import Stage
from mstar_coordinator.worker.context import ClaimedStep
from mstar_coordinator.worker.registry import handlers, work_of
from work_bench import Bench

OWN = [stage for stage in STAGES.values() if stage is not TRAIN]


@pytest.mark.parametrize("stage", OWN, ids=lambda stage: stage.kind)
def test_the_work_of_a_stage_takes_its_parameters(stage: Stage[Any, Any]) -> None:
    assert ClaimedStep[stage.params] in get_type_hints(work_of(stage)).values()


def test_every_stage_but_training_has_a_handler(bench: Bench) -> None:
    assert set(handlers(bench.context)) == {stage.kind for stage in OWN}
