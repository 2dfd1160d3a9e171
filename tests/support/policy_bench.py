"""What tests of the policy share: a small model with random weights, pictures, requests, and a fake engine."""

import asyncio
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from minivista.architecture import make_model, make_processor
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage, WeightsState
from mstar.errors import Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar.types import FinishReason, Response
from mstar_artefacts.store import ArtefactStore, hash_file
from mstar_models.checkpoint import check_finite
from mstar_policy.engine import Delta, Heard

WORDS = ["There", "are", "one", "two", "three", "bars", "each", "first", "second", "best", "so", "total", "row"]


def save_model(folder: Path, seed: int) -> None:
    """An Idefics3 of 1.3 million random weights, with its processor.

    Weights are larger than a fresh model's, so that its next token is far from uniform and depends on the picture.
    """
    torch.manual_seed(seed)
    processor = make_processor()
    model = make_model(processor.tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(5 if weight.dim() > 1 else 1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def checkpoint(store: ArtefactStore, name: str, seed: int) -> ArtefactRef:
    """A committed checkpoint artefact of such a model."""
    return store.write(name, lambda folder: save_model(folder / "model", seed), {})


def corrupt(store: ArtefactStore, ref: ArtefactRef) -> None:
    """Change one byte of its weights."""
    path = store.path(ref.id) / "model" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def picture(shade: int = 0) -> Image.Image:
    return Image.new("RGB", (64, 64), (shade % 256, 80, 160))


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(shade).save(buffer, "PNG")
    return buffer.getvalue()


def prompt(question: str = "How many bars are there?", **fields: object) -> Prompt:
    return Prompt.model_validate({"question": question, "image": ImageInput(sha256="0" * 64), **fields})


def request(*prompts: Prompt, max_tokens: int = 12, **fields: object) -> RolloutRequest:
    return RolloutRequest.model_validate({"prompts": prompts, "max_tokens": max_tokens, **fields})


def texts(reply: RolloutReply) -> list[list[str]]:
    return [[response.text for response in responses] for responses in reply.samples]


class FakeEngine:
    """An engine that needs no model: words drawn by hash from prompt, seed and weight version."""

    def __init__(self, store: ArtefactStore) -> None:
        self._store = store
        self._version = ""
        self.generated = 0
        self.turn = asyncio.Lock()

    def weights(self) -> WeightsState:
        return WeightsState(weight_version=self._version, ready=bool(self._version), model="fake")

    async def load(self, ref: ArtefactRef) -> None:
        await asyncio.to_thread(self._store.verify, ref)
        async with self.turn:
            self._version = ref.version

    async def load_folder(self, folder: Path) -> None:
        await asyncio.to_thread(check_finite, folder, folder.name)
        self._version = f"{folder.name}@{hash_file(folder / 'config.json')[:12]}"

    async def generate(
        self, request: RolloutRequest, images: Sequence[Image.Image], heard: Heard | None = None
    ) -> RolloutReply:
        async with self.turn:
            version = self._version
            if not version:
                raise Unavailable("no weights are loaded")
            if request.weight_version not in (None, version):
                raise WeightVersionMismatch(f"{version} is loaded")
            await asyncio.sleep(0)
            self.generated += 1
            samples = tuple(
                tuple(_fake_response(item, image, index, version, request.max_tokens) for index in range(item.n))
                for item, image in zip(request.prompts, images, strict=True)
            )
        if heard is not None:
            for index, response in enumerate(samples[0]):
                await _fake_telling(heard, index, response)
        tokens = sum(len(response.token_ids) for responses in samples for response in responses)
        logprobs = tuple(tuple((-0.5,) * len(one.token_ids) for one in own) for own in samples)
        return RolloutReply(
            weight_version=version,
            samples=samples,
            token_logprobs=logprobs if request.logprobs else None,
            usage=Usage(prompt_tokens=1, completion_tokens=tokens),
        )

    async def sleep(self) -> None:
        async with self.turn:
            self._version = ""

    def read(self, tokens: Sequence[int]) -> str:
        return "".join(f"{WORDS[token]} " for token in tokens)

    async def close(self) -> None:
        pass


async def _fake_telling(heard: Heard, index: int, response: Response) -> None:
    for place, token in enumerate(response.token_ids, start=1):
        heard(Delta(index, (token,), (-0.5,), response.finish_reason if place == len(response.token_ids) else None))
        await asyncio.sleep(0)


def _fake_response(item: Prompt, image: Image.Image, index: int, version: str, max_tokens: int) -> Response:
    source = (item.question, item.reference_answer, item.prefix, version, hashlib.sha256(image.tobytes()).hexdigest())
    draw = "greedy" if item.temperature == 0 else (item.temperature, item.seed, index)
    ids = tuple(byte % len(WORDS) for byte in hashlib.sha256(repr((source, draw)).encode()).digest()[:max_tokens])
    text = "".join(f"{WORDS[token]} " for token in ids)
    return Response(text=text, token_ids=ids, logprob=-0.5 * len(ids), finish_reason=FinishReason.LENGTH)
