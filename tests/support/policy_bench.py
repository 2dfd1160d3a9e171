"""What tests of the policy share: a small model with random weights, pictures, requests, and a fake engine."""

import asyncio
import base64
import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from minivista.architecture import make_model, make_processor
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage, WeightsState
from mstar.errors import Unavailable, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.steps import ArtefactRef
from mstar.types import FinishReason, Response
from mstar_artefacts.digests import digest_of, hexadecimal
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import check_finite
from mstar_policy import engine as engines
from mstar_policy.engine import Delta, Engine, Generation, SamplingRequest, TokenCallback
from mstar_policy.rollouts import rollout_reply, sampling_request
from mstar_policy.text import StopSearch

WORDS = ["There", "are", "one", "two", "three", "bars", "each", "first", "second", "best", "so", "total", "row"]


def save_model(folder: Path, seed: int, *, brief: bool = False) -> None:
    """An Idefics3 of 1.3 million random weights, with its processor.

    Weights are larger than a fresh model's, so that its next token is far from uniform and depends on the picture.
    `brief`: one token in two is the last one, or a response would end at `max_tokens` only.
    """
    torch.manual_seed(seed)
    processor = make_processor()
    model = make_model(processor.tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(5 if weight.dim() > 1 else 1)
        if brief:
            model.get_output_embeddings().weight[processor.tokenizer.eos_token_id].mul_(50)
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


@cache
def picture(shade: int = 0) -> Image.Image:
    return Image.new("RGB", (64, 64), (shade % 256, 80, 160))


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(shade).save(buffer, "PNG")
    return buffer.getvalue()


def prompt(question: str = "How many bars are there?", **fields: object) -> Prompt:
    return Prompt.model_validate({"question": question, "images": [ImageInput(sha256="0" * 64)], **fields})


def request(*prompts: Prompt, max_tokens: int = 12, **fields: object) -> RolloutRequest:
    return RolloutRequest.model_validate({"prompts": prompts, "max_tokens": max_tokens, **fields})


def texts(reply: RolloutReply) -> list[list[str]]:
    return [[response.text for response in responses] for responses in reply.samples]


async def generate(
    engine: Engine, asked: RolloutRequest, images: Sequence[Image.Image], on_tokens: TokenCallback | None = None
) -> RolloutReply:
    """What the service does with a rollout request whose images are decoded."""
    return rollout_reply(
        asked, await engine.generate(sampling_request(asked, [[image] for image in images]), on_tokens)
    )


class FakeVocabulary:
    """A token a word."""

    ends: frozenset[int] = frozenset()
    digest = "words"

    def read(self, tokens: Sequence[int]) -> str:
        return "".join(f"{WORDS[token]} " for token in tokens)

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        return self.read([token]).encode()

    def step_ends(self, tokens: Sequence[int], separator: str = STEP_SEPARATOR) -> tuple[int, ...]:
        return (len(tokens),) if tokens else ()


class FakeEngine:
    """An engine that needs no model: words drawn by hash from prompt, seed and weight version."""

    def __init__(self, store: ArtefactStore) -> None:
        self._store = store
        self._version = ""
        self.generated = 0
        self.turn = asyncio.Lock()

    def weights(self) -> WeightsState:
        return WeightsState(weight_version=self._version, ready=bool(self._version), model="fake")

    def vocabulary(self) -> FakeVocabulary:
        if not self._version:
            raise Unavailable("no weights are loaded")
        return FakeVocabulary()

    async def load(self, ref: ArtefactRef) -> None:
        await asyncio.to_thread(self._store.verify, ref)
        async with self.turn:
            self._version = ref.version

    async def load_folder(self, folder: Path) -> None:
        await asyncio.to_thread(check_finite, folder, folder.name)
        self._version = f"{folder.name}@{hexadecimal(digest_of(folder / 'config.json'))[:12]}"

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        async with self.turn:
            version = self._version
            if not version:
                raise Unavailable("no weights are loaded")
            if request.weight_version not in (None, version):
                raise WeightVersionMismatch(f"{version} is loaded")
            await asyncio.sleep(0)
            self.generated += 1
            samples = tuple(
                tuple(_fake_response(item, index, version, request) for index in range(item.n))
                for item in request.prompts
            )
        if on_tokens is not None:
            for index, response in enumerate(samples[0]):
                await _fake_report(on_tokens, index, response, request)
        tokens = sum(len(response.token_ids) for responses in samples for response in responses)
        likely = tuple(tuple(_fake_likely(one, request) for one in own) for own in samples)
        return Generation(
            weight_version=version,
            samples=samples,
            token_logprobs=tuple(tuple((-0.5,) * len(one.token_ids) for one in own) for own in samples),
            likely=likely if request.top_logprobs else (),
            usage=Usage(prompt_tokens=1, completion_tokens=tokens),
            vocabulary=FakeVocabulary(),
        )

    async def sleep(self) -> None:
        async with self.turn:
            self._version = ""

    async def close(self) -> None:
        pass


async def _fake_report(on_tokens: TokenCallback, index: int, response: Response, request: SamplingRequest) -> None:
    likely = _fake_likely(response, request)
    for place, token in enumerate(response.token_ids, start=1):
        reason = response.finish_reason if place == len(response.token_ids) else None
        on_tokens(Delta(index, (token,), (-0.5,), reason, likely[place - 1 : place]))
        await asyncio.sleep(0)


def _fake_likely(response: Response, request: SamplingRequest) -> tuple[engines.Likely, ...]:
    count = request.top_logprobs
    return tuple(tuple((token, -0.5) for _ in range(count)) for token in response.token_ids) if count else ()


def _fake_response(item: engines.EnginePrompt, index: int, version: str, request: SamplingRequest) -> Response:
    seen = [hashlib.sha256(image.tobytes()).hexdigest() for image in item.images]
    source = (item.turns, item.prefix, item.prefix_ids, version, seen)
    draw = "greedy" if item.temperature == 0 else (item.temperature, item.seed, index)
    digest = hashlib.sha256(repr((source, draw)).encode()).digest()[: request.max_tokens]
    vocabulary, search = FakeVocabulary(), StopSearch(request.stop)
    ids: list[int] = []
    text = ""
    for byte in digest:
        ids.append(byte % len(WORDS))
        text += search.more(vocabulary.read(ids[-1:]))
        if search.found is not None:
            break
    reason = FinishReason.LENGTH if search.found is None else FinishReason.STOP
    return Response(text=text + search.rest(), token_ids=tuple(ids), logprob=-0.5 * len(ids), finish_reason=reason)


DATA = base64.b64encode(png()).decode()
"""A picture, as requests bring it."""


def chat(url: str = f"data:image/png;base64,{DATA}", **fields: Any) -> dict[str, Any]:
    """The body of a chat completion about a picture."""
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "How many bars are there?"}]
    return {"model": "mstar-policy", "messages": [{"role": "user", "content": parts}], **fields}
