"""The PRM application: `create_app` reads settings and makes the scorer, `build_app` puts given parts together."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mstar.environment import read_settings
from mstar.types import MAX_IMAGES
from mstar_models.images import ImageGate
from mstar_prm.config import PrmSettings
from mstar_prm.metrics import WorkMetrics
from mstar_prm.probed import ProbedScorer
from mstar_prm.routes import prm_router
from mstar_prm.scorer import Scorer
from mstar_prm.scoring import Scoring
from mstar_prm.separate_scorer import SeparateScorer
from mstar_web.app import base_app
from mstar_web.auth import allow
from mstar_web.bodies import BodyBound
from mstar_web.keyring import remote_keyring
from mstar_web.loads import Loads
from mstar_web.metrics import new_registry
from mstar_web.weights import WEIGHTS_RULES, weights_router

API_VERSION = "1"
BOUNDS = {
    path: BodyBound(bytes=32 * 2**20)
    for path in ("/v1/score", "/v1/rerank", "/v2/rerank", "/score", "/rerank", "/pooling")
}
RULES = (*WEIGHTS_RULES, allow("/", "score", "internal"))


def create_app(settings: PrmSettings | None = None) -> FastAPI:
    """The app as settings say, by default those of the environment."""
    settings = settings or read_settings(PrmSettings)
    if settings.engine == "vllm":
        return build_app(settings, vllm_scorer(settings))
    scorer = SeparateScorer(settings, _stop)
    return build_app(settings, scorer, scorer.start)


def _stop() -> None:
    """Ask this process to stop in good order; whoever watches it starts it again, with a scorer that works."""
    signal.raise_signal(signal.SIGTERM)


def vllm_scorer(settings: PrmSettings) -> Scorer:
    """The scorer for models that need several GPUs, whose engine has a process of its own.

    Raises SystemExit where vLLM is not installed.
    """
    import torch

    from mstar_models.vllm_core import VllmOptions
    from mstar_prm.vllm_scorer import VllmScorer

    options = VllmOptions(
        memory_share=settings.gpu_memory_share,
        tensor_parallel=settings.tensor_parallel,
        images=MAX_IMAGES,
        cpu=not torch.cuda.is_available(),
        threads=settings.threads,
    )
    return VllmScorer(settings.storage(), options, waiting_tokens=settings.waiting_tokens)


def build_app(settings: PrmSettings, scorer: Scorer, start: Callable[[], None] = lambda: None) -> FastAPI:
    """The app over a scorer, which it closes at its end. It is alive at once, and ready when weights are loaded.

    `start` is called when the app starts.
    """
    gate = ImageGate()
    scorer = ProbedScorer(scorer, settings.storage().artefacts())
    loads = Loads(scorer)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        start()
        try:
            async with loads.first(settings.model):
                yield
        finally:
            await scorer.close()
            gate.close()

    scoring = Scoring(scorer, gate, settings.storage().images(), settings.deadline_seconds)
    # A registry of its own: the global one would count twice where tests build several apps.
    registry = new_registry()
    registry.register(WorkMetrics(scorer.work))
    keyring = remote_keyring(settings.coordinator_url, settings.internal_key)
    app = base_app(
        "mstar prm",
        API_VERSION,
        settings,
        loads.not_ready,
        lifespan,
        registry,
        RULES,
        bounds=BOUNDS,
        keyring=keyring,
        room=scoring.require_room,
    )
    app.include_router(prm_router(scoring))
    app.include_router(weights_router(loads))
    return app
