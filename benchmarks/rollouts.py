"""Rollouts: our engine against transformers' `generate`, through HTTP against offline, and beside vLLM on a CPU."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx2
import torch
from transformers import GenerationConfig

from benchmarks.material import MAX_TOKENS, THREADS, home, images, questions, rollouts
from benchmarks.measure import Pairs, Row, best_of, by_rate, compare, cpu_of, sized
from minivista import MODEL_FOLDER
from mstar.api.policy import RolloutReply
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import PromptEncoder, collate
from mstar_models.loading import load_model, load_processor
from mstar_models.special_tokens import suppressed_ids
from mstar_policy.engine import Engine, Generation
from mstar_policy.hf_engine import HfEngine
from mstar_policy.rollouts import sampling_request

QUESTIONS, N = sized((128, 8), (4, 2))
BATCHES = sized((64, 128, 256, 512), (64,))


class Generate:
    """transformers' `generate` over batches of padded prompts."""

    def __init__(self) -> None:
        processor = load_processor(MODEL_FOLDER)
        self.model = load_model(MODEL_FOLDER)
        self.tokenizer = processor.tokenizer
        encoder = PromptEncoder(processor)
        self.prompts = [
            encoder.encode(question.text, [image])
            for question, image in zip(questions(QUESTIONS), images(QUESTIONS), strict=True)
        ]
        self.config = GenerationConfig(
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=MAX_TOKENS,
            suppress_tokens=suppressed_ids(self.tokenizer),
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            num_return_sequences=N,
        )

    @torch.inference_mode()
    def __call__(self, batch_rows: int) -> dict[str, float]:
        sampled = tokens = 0
        step = max(1, batch_rows // N)
        for start in range(0, len(self.prompts), step):
            part = self.prompts[start : start + step]
            inputs = collate([(prompt, []) for prompt in part], "left")
            made = self.model.generate(**inputs, generation_config=self.config)[:, inputs["input_ids"].shape[1] :]
            sampled += int((made != self.tokenizer.pad_token_id).sum())
            # Prompt and image are expanded to a row for each sample before the first pass.
            tokens += N * int(inputs["attention_mask"].sum()) + made.numel()
        return {"sampled": sampled, "tokens": tokens, "images": N * len(self.prompts)}


@contextmanager
def offline(engine: Engine) -> Iterator[asyncio.Runner]:
    """A loop with an engine that has its weights."""
    with asyncio.Runner() as runner:
        runner.run(engine.load_folder(MODEL_FOLDER))
        yield runner
        runner.run(engine.close())


@contextmanager
def served(root: Path) -> Iterator[tuple[httpx2.Client, int]]:
    """The policy service as a process of its own, with its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "MSTAR_POLICY_PORT": str(port),
        "MSTAR_POLICY_HOME": str(root),
        "MSTAR_POLICY_MODEL": str(MODEL_FOLDER),
        "MSTAR_POLICY_THREADS": str(THREADS),
        "MSTAR_POLICY_ENGINE": "transformers",
        "OMP_NUM_THREADS": str(THREADS),
    }
    with subprocess.Popen([sys.executable, "-m", "mstar_policy"], env=environment, stderr=subprocess.DEVNULL) as child:
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                while not _ready(client):
                    time.sleep(0.2)
                yield client, child.pid
        finally:
            child.terminate()


def _ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def run() -> list[Row]:
    torch.set_num_threads(THREADS)
    asked, pictures = rollouts(QUESTIONS, N), images(QUESTIONS)
    engine = HfEngine(ArtefactStore(Path("runs")), threads=THREADS)
    generate = Generate()
    best = best_of({size: lambda size=size: generate(size) for size in BATCHES})  # type: ignore[misc]
    with offline(engine) as runner, home(QUESTIONS) as root, served(root) as (client, pid):

        def direct() -> dict[str, float]:
            return counted(runner.run(engine.generate(sampling_request(asked, [[one] for one in pictures]))))

        def through_http() -> dict[str, float]:
            cpu = cpu_of(pid) + time.process_time()
            answer = client.post(
                "/v1/rollouts", content=asked.model_dump_json(), headers={"content-type": "application/json"}
            )
            reply = RolloutReply.model_validate_json(answer.raise_for_status().content)
            return counted(reply) | {"cpu": cpu_of(pid) + time.process_time() - cpu}

        http = compare(through_http, direct)
        ours = compare(direct, lambda: generate(best))
    return [
        _rates("rollouts through HTTP", http, "the same engine offline", 0.95),
        _rates("rollouts, our default on CPU", ours, f"transformers generate, {best} rows", 1.0),
        *_vllm(),
    ]


def _vllm() -> list[Row]:
    """Which engine the embedded default should be; nothing where vLLM is not installed."""
    if find_spec("vllm") is None:
        return []
    from mstar_models.vllm_core import VllmOptions
    from mstar_policy.vllm_engine import VllmEngine

    asked, pictures = rollouts(QUESTIONS, N), images(QUESTIONS)
    mine = HfEngine(ArtefactStore(Path("runs")), threads=THREADS)
    vllm = VllmEngine(ArtefactStore(Path("runs")), VllmOptions(cpu=True, threads=THREADS))
    with offline(mine) as own, offline(vllm) as other:
        core = os.getpid()

        def ours() -> dict[str, float]:
            return counted(own.run(mine.generate(sampling_request(asked, [[one] for one in pictures]))))

        def theirs() -> dict[str, float]:
            cpu = cpu_of(core)
            reply = other.run(vllm.generate(sampling_request(asked, [[one] for one in pictures])))
            return counted(reply) | {"cpu": cpu_of(core) - cpu}

        pairs = compare(ours, theirs)
    return [_rates("rollouts, our default on CPU", pairs, "vLLM on a CPU, one thread", 1.0)]


def counted(reply: RolloutReply | Generation) -> dict[str, float]:
    """Tokens that were sampled, tokens that were computed for it, and images."""
    usage = reply.usage
    tokens = usage.prompt_tokens + usage.completion_tokens
    return {"sampled": usage.completion_tokens, "tokens": tokens, "images": usage.images_encoded}


def _rates(name: str, pairs: Pairs, against: str, at_least: float) -> Row:
    per_cpu = {
        "sampled tokens per CPU-s": pairs.per("ours", "sampled", "cpu"),
        "sampled tokens per CPU-s, other": pairs.per("other", "sampled", "cpu"),
    }
    return by_rate(name, pairs, against, at_least, what="sampled", counted=per_cpu)
