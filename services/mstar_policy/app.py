"""Builds the policy service's app: `create_app` from settings, `build_app` from parts that are there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Literal

from fastapi import FastAPI

from mstar.environment import read_settings
from mstar.types import MAX_IMAGES
from mstar_models.images import ImageGate
from mstar_policy.config import EngineChoice, PolicySettings
from mstar_policy.engine import Engine
from mstar_policy.probed import ProbedEngine
from mstar_policy.rollouts import Rollouts
from mstar_policy.routes import policy_router
from mstar_policy.routes.not_offered import not_offered_router
from mstar_web.app import base_app
from mstar_web.auth import allow
from mstar_web.bodies import BodyBound
from mstar_web.keyring import remote_keyring
from mstar_web.loads import Loads
from mstar_web.metrics import new_registry
from mstar_web.weights import WEIGHTS_RULES, weights_router

API_VERSION = "1"
RULES = (*WEIGHTS_RULES, allow("/v1/", "internal"))
BOUNDS = {
    "/v1/rollouts": BodyBound(bytes=64 * 2**20, values=2_000_000, names=400_000),
    "/v1/chat": BodyBound(bytes=64 * 2**20, values=200_000),
}


def create_app() -> FastAPI:
    """The app configured by environment variables. Raises what `make_engine` raises."""
    settings = read_settings(PolicySettings)
    return build_app(settings, make_engine(settings))


def make_engine(settings: PolicySettings) -> Engine:
    """The engine that the settings choose. Raises SystemExit when it is not installed in a version that works."""
    import torch

    gpu = torch.cuda.is_available()
    if choose_engine(settings.engine, gpu=gpu, vllm_installed=find_spec("vllm") is not None) == "vllm":
        return vllm_engine(settings, cpu=not gpu)
    return transformers_engine(settings)


def choose_engine(asked: EngineChoice, *, gpu: bool, vllm_installed: bool) -> Literal["transformers", "vllm"]:
    """The engine that the settings name; with `auto`, vLLM on a GPU, where its batching and kernels pay off.

    On a CPU the transformers engine samples twice as fast (benchmarks/results.md) and starts at once. That was measured
    on the small model; no model is known yet when the engine is chosen, and vLLM can always be asked for.
    """
    if asked != "auto":
        return asked
    return "vllm" if gpu and vllm_installed else "transformers"


def vllm_engine(settings: PolicySettings, *, cpu: bool) -> Engine:
    """The vLLM engine. Raises SystemExit when the installed version does not work."""
    from mstar_models.vllm_core import VllmOptions
    from mstar_policy.vllm_engine import VllmEngine

    options = VllmOptions(
        max_sequences=min(settings.batch_rows, 256) if cpu else settings.batch_rows,
        memory_share=settings.gpu_memory_share,
        tensor_parallel=settings.tensor_parallel,
        images=MAX_IMAGES,
        sleeps_in_place=settings.sleep_in_place and not cpu,
        cpu=cpu,
        cache_gigabytes=max(1, (settings.cache_megabytes or 1024) // 1024),
        threads=settings.threads,
    )
    return VllmEngine(settings.storage().artefacts(), options)


def transformers_engine(settings: PolicySettings) -> Engine:
    """The engine that needs only torch and transformers."""
    from mstar_models.remote_code import allow_code
    from mstar_policy.hf_engine import HfEngine

    allow_code(settings.trusted_code)
    return HfEngine(
        settings.storage().artefacts(),
        batch_rows=settings.batch_rows,
        cache_bytes=None if settings.cache_megabytes is None else settings.cache_megabytes * 2**20,
        threads=settings.threads,
        gpu_share=settings.gpu_memory_share,
    )


def build_app(settings: PolicySettings, engine: Engine) -> FastAPI:
    """The app over any engine. It is alive at once, and ready when weights are loaded."""
    gate = ImageGate()
    engine = ProbedEngine(engine, settings.storage().artefacts())
    loads = Loads(engine)
    registry = new_registry()
    rollouts = Rollouts(engine, gate, settings.storage().images(), settings.waiting_rows)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with loads.first(settings.model):
                yield
        finally:
            await engine.close()
            gate.close()

    keyring = remote_keyring(settings.coordinator_url, settings.internal_key)
    app = base_app(
        "mstar-policy",
        API_VERSION,
        settings,
        loads.not_ready,
        lifespan,
        registry,
        RULES,
        bounds=BOUNDS,
        keyring=keyring,
    )
    app.include_router(policy_router(rollouts, registry))
    app.include_router(weights_router(loads))
    app.include_router(not_offered_router())
    return app
