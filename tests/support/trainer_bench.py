"""What a coordinator would hand to a trainer, made by hand: a home with base model, images and rows, and claims."""

import io
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from PIL import Image
from pydantic import BaseModel
from safetensors.torch import load_file
from torch import Tensor

from mstar.api.steps import Arrivals, Claim, StepInput
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.stages.train import TrainParams, TrainResult
from mstar.steps import ArtefactRef, DoneResult
from mstar.train_recipe import TrainRecipe
from mstar.types import Answer, AnswerType, Question, SelectedRow, StepLabelRow
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_trainer.protocol import Done
from mstar_trainer.resident import ResidentTrainer

MODEL = Path(__file__).parents[2] / "shared" / "minivista" / "model"
GENTLE = TrainRecipe(learning_rate=3e-4, batch_size=8, micro_tokens=400)

RESULT = TrainResult(
    examples=1,
    steps=1,
    global_step=1,
    first_loss=1.0,
    last_loss=1.0,
    losses=(1.0,),
    learning_rate=1e-3,
    tokens=1,
    seconds=0.0,
)


class Bench:
    """One home folder. Artefacts are put into `inputs` by step name, and every claim brings all of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = ArtefactStore(home)
        self.images = ImageStore(home / ".mstar" / "images")
        self.inputs: dict[str, ArtefactRef] = {}
        self.inputs["prepare"] = self.store.write("r-1/prepare", copied(MODEL), {})

    def image(self, number: int) -> str:
        out = io.BytesIO()
        Image.new("RGB", (64, 64), (number * 37 % 256, number * 91 % 256, 128)).save(out, "PNG")
        return self.images.put(out.getvalue())

    def question(self, number: int) -> Question:
        answer = Answer(type=AnswerType.INTEGER, value=str(number))
        return Question(id=f"q-{number}", text=f"How many is {number}?", images=(self.image(number),), answer=answer)

    def selected(self, count: int, seed: int = 0) -> list[SelectedRow]:
        """Responses of different lengths that all begin alike."""
        draw = random.Random(seed)
        return [
            SelectedRow(
                question=self.question(n),
                response="\n\n".join(["The total is " + "1" * draw.randint(1, 9)] * 2) + f"\n\n## Answer\n\n{n}",
                iteration=1,
                index=0,
                temperature=1.0,
                weight_version="w",
                reason="test",
            )
            for n in range(count)
        ]

    def of_one_question(self, count: int) -> list[SelectedRow]:
        """Different responses to the same question, which open alike."""
        (row,) = self.selected(1)
        step = row.response.split("\n\n")[0]
        texts = [f"{step}\n\nSo it is {'2' * place}\n\n## Answer\n\n{place}" for place in range(1, count + 1)]
        return [row.model_copy(update={"response": text, "index": place}) for place, text in enumerate(texts)]

    def labelled(self, count: int) -> list[StepLabelRow]:
        """Steps that say good are good: a rule that a PRM can learn from the text alone."""
        rows = []
        for n in range(count):
            good = n % 2 == 0
            rows.append(
                StepLabelRow(
                    id=f"q-{n}/0",
                    prompt="How many?",
                    completions=("The count", "total 1 + 1" if good else "how = 9 . 9"),
                    labels=(0.5, 0.9 if good else 0.1),
                    images=(self.image(n % 3),),
                    answer=Answer(type=AnswerType.INTEGER, value="2"),
                    mc_successes=(1, 1),
                    mc_rollouts=(2, 2),
                    weight_version="w",
                )
            )
        return rows

    def put_rows(self, name: str, rows: Sequence[BaseModel]) -> None:
        self.inputs[name] = self.store.write_rows(f"r-1/{name}", rows, {})

    def claim(
        self,
        name: str,
        data: str | tuple[str, ...],
        parent: str = "prepare",
        *,
        settings: TrainRecipe = GENTLE,
        carry: bool = True,
        objective: Literal["sft", "prm"] = "sft",
        horizon: int | None = None,
    ) -> Claim:
        shards = (data,) if isinstance(data, str) else data
        params = TrainParams(
            objective=objective,
            iteration=1,
            data=shards,
            parent=parent,
            carry_optimizer=carry,
            horizon=horizon,
            settings=settings,
        )
        return Claim(
            step_id=f"s-{name}",
            run_id="r-1",
            epoch=1,
            lease_seconds=20,
            step=StepSpec(name=name, params=params, needs=(parent, shards[0]), streams=shards[1:]),
            recipe=Recipe(name="test", seed=7),
            inputs={key: StepInput(artefact=ref, result=DoneResult()) for key, ref in self.inputs.items()},
        )


def copied(model: Path) -> Callable[[Path], None]:
    """Fills an artefact with a copy of a model's folder."""

    def fill(target: Path) -> None:
        shutil.copytree(model, target / "model")

    return fill


def never() -> NoReturn:
    """What asks for further inputs where there are none to come."""
    raise AssertionError("every input came with the claim")


class Lab:
    """A bench with processes that stay up for the whole module, since starting them takes seconds."""

    def __init__(self, home: Path) -> None:
        self.bench = Bench(home)
        self.trainer = ResidentTrainer(home, threads=1)
        self.bench.put_rows("it01/select", self.bench.selected(20, seed=1))
        self.bench.put_rows("it02/select", self.bench.selected(20, seed=2))
        # Two updates each, where it is not learned from but gone on with.
        self.bench.put_rows("few01/select", self.bench.selected(9, seed=1))
        self.bench.put_rows("few02/select", self.bench.selected(9, seed=2))
        self.bench.put_rows("none/select", [])
        self.bench.put_rows("prm/collect", self.bench.labelled(16))

    def train(
        self,
        name: str,
        data: str | tuple[str, ...],
        parent: str = "prepare",
        progress: Callable[[int, int], None] = lambda done, total: None,
        **options: Any,
    ) -> Done:
        """Train a step and keep its checkpoint as an input for later ones."""
        ranks = options.get("settings", GENTLE).ranks
        done = self.trainer.train(self.bench.claim(name, data, parent, **options), ranks, progress, never)
        self.bench.inputs[name] = done.artefact
        return done

    def stream(self, name: str, shards: tuple[str, ...], order: Sequence[int], ranks: int = 1) -> Done:
        """Train on shards of which only the first is there at once and the others come in this order, one a look."""
        settings = GENTLE.model_copy(update={"ranks": ranks})
        claim = self.bench.claim(name, shards, settings=settings)
        known = {key: given for key, given in claim.inputs.items() if key not in shards[1:]}
        coming = iter(order)

        def arrivals() -> Arrivals:
            if (number := next(coming, None)) is not None:
                known[shards[number]] = claim.inputs[shards[number]]
            return Arrivals(inputs=dict(known), coming=True)

        waiting = claim.model_copy(update={"inputs": dict(known)})
        return self.trainer.train(waiting, ranks, lambda done, total: None, arrivals)

    def folder(self, name: str) -> Path:
        return self.bench.store.path(self.bench.inputs[name].id)


def weights(folder: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint's model."""
    found: dict[str, Tensor] = load_file(folder / "model" / "model.safetensors")
    return found
