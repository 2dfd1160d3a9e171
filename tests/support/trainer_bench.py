"""What a coordinator would hand to a trainer, made by hand: a home with base model, images and rows, and claims."""

import io
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import BaseModel

from mstar.api.steps import Claim, StepInput
from mstar.recipes import Recipe, TrainRecipe
from mstar.stages import StepSpec
from mstar.stages.train import TrainParams
from mstar.steps import ArtefactRef, DoneResult
from mstar.types import Answer, AnswerType, Question, SelectedRow, StepLabelRow
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore

MODEL = Path(__file__).parents[2] / "shared" / "minivista" / "model"
GENTLE = TrainRecipe(learning_rate=3e-4, batch_size=8, micro_tokens=400)


class Bench:
    """One home folder. Artefacts are put into `inputs` by step name, and every claim brings all of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = ArtefactStore(home)
        self.images = ImageStore(home / ".mstar" / "images")
        self.inputs: dict[str, ArtefactRef] = {}
        self.inputs["prepare"] = self.store.write(
            "r-1/prepare", lambda folder: shutil.copytree(MODEL, folder / "model") and None, {}
        )

    def image(self, number: int) -> str:
        out = io.BytesIO()
        Image.new("RGB", (64, 64), (number * 37 % 256, number * 91 % 256, 128)).save(out, "PNG")
        return self.images.put(out.getvalue())

    def question(self, number: int) -> Question:
        answer = Answer(type=AnswerType.INTEGER, value=str(number))
        return Question(id=f"q-{number}", text=f"How many is {number}?", image=self.image(number), answer=answer)

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
                    image=self.image(n % 3),
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
    ) -> Claim:
        shards = (data,) if isinstance(data, str) else data
        params = TrainParams(
            objective=objective, iteration=1, data=shards, parent=parent, carry_optimizer=carry, settings=settings
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
