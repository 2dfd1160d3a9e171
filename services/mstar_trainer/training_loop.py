"""The training loop of one rank: does a train step, and keeps model and optimizer for the next one of the run.

The engine is reused only if it holds exactly the parent checkpoint and the optimizer is carried over. In every other
case it is rebuilt from the parent's files, on a CPU with a bit-identical result. What this leaves out: the process
around it (`rank_main`), and the choice and order of rows (`batches`).
"""

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch

from mstar.api.steps import Claim
from mstar.errors import InvalidInput
from mstar.prm_schemes import own_scheme
from mstar.seeds import derive
from mstar.stages.train import TRAIN, TrainParams, TrainResult
from mstar.steps import ArtefactRef
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.storage import Storage
from mstar_models.attention import use_tree_attention
from mstar_models.families import tower_by_image
from mstar_models.labels import label_token_ids
from mstar_trainer import checkpoints
from mstar_trainer.adapters import attach, load_adapters
from mstar_trainer.batches import Group, count_steps, count_visits, deal, plan
from mstar_trainer.deepspeed_engine import TrainingEngine
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.feed import Feed, More, artefact_of
from mstar_trainer.loading import load_for_training
from mstar_trainer.loss import MicroBatch, ResponseLoss, StepLoss
from mstar_trainer.parts import freeze, vision_tower
from mstar_trainer.probing import measure
from mstar_trainer.schedule import learning_rate
from mstar_trainer.state import TrainerState, goes_on_with_adapters, read_state
from mstar_trainer.vision import FrozenTower

Report = Callable[[int, int], None]


class EngineState(NamedTuple):
    """What the engine holds, to decide whether it can be reused."""

    version: str
    objective: str
    settings: TrainRecipe


class TrainingLoop:
    """Does train steps on one rank, one after the other."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.store = storage.artefacts()
        self._engine: TrainingEngine | None = None
        self._encoder: ExampleEncoder | None = None
        self._held: EngineState | None = None

    def train(self, claim: Claim, report: Report, more: More) -> tuple[ArtefactRef, TrainResult]:
        """Train as the claim says, write the checkpoint `claim.output_id`, and return it with the losses.

        `report` gets the optimizer steps done and their total; `more` waits for inputs that arrive after the claim.
        Raises InvalidInput when a loss or a weight is not finite, InvalidDataset when there is no row to
        train on, and whatever the artefact store and the image decoder raise.
        """
        began = time.monotonic()
        params = TRAIN.narrow(claim.step.params)
        parent = artefact_of(claim.inputs, params.parent, claim.step.name)
        folder = self.store.verify(parent)
        feed = Feed(self.store, claim, more)
        there = read_state(folder)
        before = there if params.carry_optimizer else None
        # The parent's `model/` has its adapters merged in; adapters that go on need the weights below them.
        base = there.base if there is not None and goes_on_with_adapters(there, params.settings) else None
        seed = derive(claim.recipe.seed, "train", claim.step.name)
        # New adapters begin at random, and on every rank alike.
        _seed_generators(seed)
        engine, encoder = self._ready(parent, folder, params, before, base)
        # From here on each rank draws for itself: equal dropout on all ranks would be less noise than is meant.
        _seed_generators(derive(seed, "rank", engine.rank))
        first_step = before.global_step if before else 0
        begin = schedule_place(before, params)

        def rate(number: int) -> float:
            return learning_rate(params.settings, begin + number, params.horizon)

        losses, tokens = train_pass(engine, encoder, feed, params.settings, seed, rate, report)
        result = _result(feed.rows, losses, tokens, first_step, rate(len(losses) - 1))
        state = TrainerState(
            objective=params.objective,
            step=claim.step.name,
            parent=parent.version,
            global_step=result.global_step,
            schedule_step=begin + result.steps,
            examples_seen=(before.examples_seen if before else 0) + count_visits(feed.rows, params.settings),
            settings=params.settings,
            base=(base or parent) if params.settings.lora else None,
            result=result,
        )
        vocabulary, separator = encoder.tokenizer.get_vocab(), claim.recipe.form.step_separator
        scheme = own_scheme(vocabulary, separator) if params.objective == "prm" else None
        # After the last update and before the manifest is written, which covers the probe as well.
        probe = measure(engine, encoder, params.objective)
        ref = checkpoints.save(self.store, claim.output_id, engine, folder, state, scheme, probe)
        # Last, so that an engine whose checkpoint was not written is never taken for it.
        self._held = EngineState(ref.version, params.objective, _of_the_engine(params.settings))
        return ref, result.model_copy(update={"seconds": round(time.monotonic() - began, 3)})

    def _ready(
        self,
        parent: ArtefactRef,
        folder: Path,
        params: TrainParams,
        before: TrainerState | None,
        base: ArtefactRef | None,
    ) -> tuple[TrainingEngine, ExampleEncoder]:
        """An engine with the parent's weights, and with its optimizer state if that is carried over.

        `base`: checkpoint below the parent's adapters, where they go on.
        """
        wanted = EngineState(parent.version, params.objective, _of_the_engine(params.settings))
        # From here on the engine matches no checkpoint, until the next one is written.
        held, self._held = self._held, None
        if self._engine is not None and self._encoder is not None and before is not None and held == wanted:
            return self._engine, self._encoder
        self._drop_engine()
        model = self._model(folder, params.settings, base)
        self._encoder = ExampleEncoder(folder / checkpoints.MODEL, self.storage, model)
        frozen = _frozen_tower(model, params.settings)
        objective: torch.nn.Module = ResponseLoss(model, frozen)
        if params.objective == "prm":
            objective = StepLoss(model, *label_token_ids(self._encoder.tokenizer), frozen)
        self._engine = TrainingEngine(objective, model, params.settings)
        # DeepSpeed has moved it to its device.
        if self._encoder.layout.packs:
            use_tree_attention(model)
        if before is not None:
            checkpoints.load_moments(self._engine, folder, before.global_step)
        return self._engine, self._encoder

    def _model(self, folder: Path, settings: TrainRecipe, base: ArtefactRef | None) -> Any:
        """The model with what trains of it having gradients, and with adapters if they do."""
        below = folder if base is None else self.store.verify(base)
        model = load_for_training(below / checkpoints.MODEL, settings)
        freeze(model, settings)
        if settings.lora:
            attach(model, settings)
        if base is not None:
            load_adapters(model, folder)
        return model

    def _drop_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            # The engine is part of reference cycles, and two models may not fit beside each other.
            gc.collect()


def train_pass(
    engine: TrainingEngine,
    encoder: ExampleEncoder,
    feed: Feed,
    settings: TrainRecipe,
    seed: int,
    rate: Callable[[int], float],
    report: Report,
) -> tuple[list[float], int]:
    """Run all optimizer steps; return the mean loss of each (nats a scored place) and the number of scored places.

    `rate` gives the learning rate of each, counted from 0. Raises InvalidInput when a loss is not finite.
    """
    losses: list[float] = []
    places = 0
    for number, groups in enumerate(plan(feed, settings, seed)):
        report(number, count_steps(feed.expected_rows(), settings))
        batches, total = _encode(engine, encoder, groups, settings)
        loss = engine.update(batches, rate(number))
        # The loss is summed over all ranks, so all of them raise here and none is left waiting for another.
        if not math.isfinite(loss):
            raise InvalidInput(
                f"the loss of optimizer step {number + 1} is {loss}: lower train.learning_rate",
                field="train.learning_rate",
            )
        losses.append(loss)
        places += total
    report(len(losses), len(losses))
    return losses, places


def _encode(
    engine: TrainingEngine, encoder: ExampleEncoder, groups: Sequence[Group], settings: TrainRecipe
) -> tuple[list[tuple[MicroBatch, float]], int]:
    """This rank's micro-batches with the factor of their loss, and the number of scored places over all ranks.

    Every rank must run the same number of micro-batches, because each takes part in collective operations; a rank with
    fewer repeats one with factor 0, which adds nothing to loss and gradient. Those without images come last, since
    ZeRO-3 gathers the weights of the vision tower on all ranks at once.
    """
    budget = settings.micro_tokens
    # Every rank plans and deals by the same seed and rows, so they agree without a message.
    mine = deal(groups, engine.ranks)[engine.rank]
    batches = micro_batches(encoder.trees(mine, budget), budget, engine.device)
    # Over all ranks, so that every scored place weighs the same, whichever rank has it.
    total = round(engine.total(sum(len(batch.targets) for batch in batches)))
    work: list[tuple[MicroBatch, float]] = []
    for pictured in (True, False):
        own = [batch for batch in batches if batch.pictured is pictured]
        work += [(batch, 1 / total) for batch in own]
        if idle := engine.most(len(own)) - len(own):
            alike = [group for group in groups if bool(group[0].images) is pictured]
            # A rank that got none of this kind computes one of another rank's.
            filler = own or micro_batches(encoder.trees(alike[-1:], budget), budget, engine.device)
            work += [(filler[0], 0.0)] * idle
    return work, total


def _frozen_tower(model: Any, settings: TrainRecipe) -> FrozenTower | None:
    """The vision tower, if it is frozen and its outputs can be cached.

    ZeRO-3 gathers weights when a module is called, so skipping the call of the tower would break its order.
    """
    if not settings.freeze_vision or settings.zero_stage == 3:
        return None
    return FrozenTower(model, vision_tower(model)) if tower_by_image(model.config) else None


def schedule_place(before: TrainerState | None, params: TrainParams) -> int:
    """Updates of the schedule that lie behind this train step; `before`: state whose optimizer is carried over."""
    if before is None or not params.carry_schedule:
        return 0
    return before.global_step if before.schedule_step is None else before.schedule_step


def _of_the_engine(settings: TrainRecipe) -> TrainRecipe:
    """The settings without those that the engine does not know, in which iterations may differ."""
    return settings.model_copy(update={"updates": None})


def _result(examples: int, losses: list[float], tokens: int, first_step: int, last_rate: float) -> TrainResult:
    return TrainResult(
        examples=examples,
        steps=len(losses),
        global_step=first_step + len(losses),
        first_loss=losses[0],
        last_loss=losses[-1],
        losses=tuple(losses),
        learning_rate=last_rate,
        tokens=tokens,
        seconds=0.0,
    )


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
