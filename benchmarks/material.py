"""The work that rows share: questions of the benchmark that ships, responses sampled once, a home folder."""

import asyncio
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image

from minivista import MODEL_FOLDER
from minivista.loader import load_split
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.steps import ArtefactRef
from mstar.types import Question, Response
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import FINITE
from mstar_policy.hf_engine import HfEngine
from mstar_policy.rollouts import sampling_request

THREADS = 1
MAX_TOKENS = 48


@cache
def questions(count: int) -> tuple[Question, ...]:
    return tuple(question for question, _ in load_split("train", count))


@cache
def images(count: int) -> tuple[Image.Image, ...]:
    return tuple(Image.open(io.BytesIO(data)).convert("RGB") for _, data in load_split("train", count))


def rollouts(count: int, n: int) -> RolloutRequest:
    """N samples at T = 1 for each question."""
    prompts = tuple(
        Prompt(
            question=question.text, images=tuple(ImageInput(sha256=image) for image in question.images), n=n, seed=place
        )
        for place, question in enumerate(questions(count))
    )
    return RolloutRequest(prompts=prompts, max_tokens=MAX_TOKENS)


@cache
def responses(count: int, n: int) -> tuple[tuple[Response, ...], ...]:
    """What the base model answers, sampled once."""

    async def sample() -> tuple[tuple[Response, ...], ...]:
        engine = HfEngine(ArtefactStore(Path("runs")), threads=THREADS)
        await engine.load_folder(MODEL_FOLDER)
        reply = await engine.generate(sampling_request(rollouts(count, n), [[image] for image in images(count)]))
        await engine.close()
        return reply.samples

    return asyncio.run(sample())


@contextmanager
def home(count: int) -> Iterator[Path]:
    """A home with the questions' images, and the base model as the artefact `r-0/prepare`."""
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as folder:
        store = ImageStore(Path(folder) / ".mstar" / "images")
        for _, data in load_split("train", count):
            store.put(data)
        yield Path(folder)


def base_checkpoint(root: Path, name: str = "r-0/prepare", model: Path = MODEL_FOLDER) -> ArtefactRef:
    """A model folder as a committed checkpoint artefact, as the trainer writes one."""

    def fill(folder: Path) -> None:
        shutil.copytree(model, folder / "model")

    return ArtefactStore(root).write(name, fill, {FINITE: True})
