"""Handles a claimed train step: adopts its checkpoint if one is there already, else has it trained."""

from collections.abc import Callable

from mstar import tracing
from mstar.api.steps import Claim
from mstar.stages.train import TRAIN, TrainResult
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_trainer.arrivals import Arrive
from mstar_trainer.resident import ResidentTrainer
from mstar_trainer.state import read_state


def train_step(
    claim: Claim,
    progress: Callable[[int, int], None],
    arrivals: Arrive,
    store: ArtefactStore,
    trainer: ResidentTrainer,
) -> tuple[ArtefactRef, TrainResult]:
    """Do a train step and return its checkpoint with the losses.

    An attempt that wrote the checkpoint but died before its commit is not repeated: its checkpoint is verified and
    adopted, and its result has `seconds` 0. `progress` gets optimizer steps done and to do, `arrivals` tells which
    inputs have come since the claim; both may raise to give up. Raises CorruptArtefact,
    InvalidDataset when no row was kept, and Unavailable when a training process died.
    """
    params = TRAIN.narrow(claim.step.params)
    # The id follows from the step, so what is there was made of the same inputs and seed.
    ready = store.adopt(claim.output_id)
    if ready is not None:
        state = read_state(store.verify(ready))
        assert state is not None, f"{ready.id} is not a checkpoint"
        return ready, state.result
    with tracing.inner("optimise", values={"mstar.ranks": params.settings.ranks}) as span:
        done = trainer.train(claim, params.settings.ranks, progress, arrivals)
        for name in ("examples", "steps", "tokens", "global_step"):
            span.note(f"mstar.{name}", getattr(done.result, name))
    return done.artefact, done.result
