"""OpenAI's own client, over a real socket, against both engines."""

import base64
import time
from collections.abc import Callable, Iterator

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_policy.app import build_app
from mstar_policy.config import PolicySettings
from mstar_policy.engine import Engine
from mstar_policy.hf_engine import HfEngine
from policy_bench import png
from vllm_bench import VLLM_MARKS, StartedVllm
from web_bench import serving

MESSAGE: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(png()).decode()}},
        {"type": "text", "text": "How many bars are there?"},
    ],
}
PATIENCE_SECONDS = 300.0


@pytest.fixture(params=["transformers", pytest.param("vllm", marks=VLLM_MARKS)])
def client(request: pytest.FixtureRequest, store: ArtefactStore, warm: ArtefactRef) -> Iterator[OpenAI]:
    make: Callable[[], Engine] = lambda: HfEngine(store, threads=1)  # noqa: E731
    if request.param == "vllm":
        vllm: StartedVllm = request.getfixturevalue("started")
        make = lambda: vllm.engine(store)  # noqa: E731
    settings = PolicySettings(home=store.root, model=store.path(warm.id) / "model")
    with serving(build_app(settings, make())) as url, OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not client.models.list().data:
            assert time.monotonic() < deadline, "no model was loaded"
            time.sleep(0.1)
        yield client


def test_a_stock_client_samples_streams_and_reads_log_probabilities(client: OpenAI) -> None:
    whole = client.chat.completions.create(
        model="mstar-policy", messages=[MESSAGE], n=2, seed=3, max_tokens=6, logprobs=True
    )
    assert whole.usage is not None and whole.usage.completion_tokens <= 12
    assert [choice.index for choice in whole.choices] == [0, 1]
    for choice in whole.choices:
        assert choice.logprobs is not None and choice.logprobs.content is not None
        assert "".join(entry.token for entry in choice.logprobs.content).startswith(choice.message.content or "?")
    for logprobs in (False, True):
        with client.chat.completions.create(
            model="mstar-policy", messages=[MESSAGE], n=2, seed=3, max_tokens=6, stream=True, logprobs=logprobs,
            stream_options={"include_usage": True},
        ) as stream:  # fmt: skip
            spelled, told = {0: "", 1: ""}, 0
            for chunk in stream:
                for piece in chunk.choices:
                    spelled[piece.index] += piece.delta.content or ""
                    told += len(piece.logprobs.content or ()) if piece.logprobs else 0
        assert chunk.usage == whole.usage
        assert told == (whole.usage.completion_tokens if logprobs else 0)
        assert spelled == {choice.index: choice.message.content for choice in whole.choices}
