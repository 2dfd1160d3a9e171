"""Checks newly loaded weights by the trainer's probe, before anybody gets a sample of them.

A checkpoint carries what the trainer's own forward pass says at a few places (`mstar.probes`). The engine is asked the
same, through its caches: what the old weights left there gives other numbers, and then the load fails and nothing is
served. A base model has no probe; it is only asked for numbers that are some, and that depend on the picture.
"""

import asyncio
import math
from pathlib import Path

import structlog

from mstar.api.policy import WeightsState
from mstar.errors import InvalidInput, ProbeFailed
from mstar.probes import Probe, largest_difference, tolerance
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.chat import question_turns
from mstar_models.forward_check import NO_NUMBERS, NO_SIGHT
from mstar_models.probe_gate import ProbeGate
from mstar_models.probing import ASKED, QUESTION, blank, picture, read_probe
from mstar_policy.engine import Engine, EnginePrompt, Generation, SamplingRequest, TokenCallback, TokenView
from mstar_policy.text import Vocabulary

SHAPE = "wide"
"""The trainer's picture."""
TOKENS = 4
"""Of a base model's responses, which are compared."""

_log = structlog.get_logger(__name__)


class ProbedEngine:
    """An `Engine` around another one."""

    def __init__(self, engine: Engine, store: ArtefactStore) -> None:
        self._engine = engine
        self._store = store
        self._gate = ProbeGate()

    def weights(self) -> WeightsState:
        """See `Engine`. Weights that are being probed are not ready."""
        return self._gate.shown(self._engine.weights())

    def vocabulary(self) -> Vocabulary:
        """See `Engine`."""
        return self._engine.vocabulary()

    async def load(self, ref: ArtefactRef) -> None:
        """See `Engine`. Raises ProbeFailed for weights that do not answer as they should, and then none are loaded.

        Also raises InvalidInput for a reward model, which is not loaded, and for a base model that gives no numbers, or
        sees no picture.
        """
        probe = await asyncio.to_thread(read_probe, self._store, ref)
        if probe is not None and not probe.places:
            raise InvalidInput(f"{ref.id} is a reward model's checkpoint: load one of a policy here", field="artefact")
        # Closed before the load: between load and probe a request could be answered from wrong weights.
        async with self._gate.closed(ref.version):
            await self._engine.load(ref)
            try:
                await (self._check_base(ref) if probe is None else self._check(probe, ref))
            # Also when the caller hangs up during the probe: weights that nobody has tested must not serve.
            except BaseException:
                await self._engine.sleep()
                raise

    async def load_folder(self, folder: Path) -> None:
        """See `Engine`."""
        await self._engine.load_folder(folder)

    async def sleep(self) -> None:
        """See `Engine`."""
        await self._engine.sleep()

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        """See `Engine`. A request waits while the weights that it is for are probed."""
        await self._gate.passed(request.weight_version)
        return await self._engine.generate(request, on_tokens)

    async def see(self, prompt: EnginePrompt) -> TokenView:
        """See `Engine`."""
        return await self._engine.see(prompt)

    async def close(self) -> None:
        """See `Engine`."""
        await self._engine.close()

    async def _check(self, probe: Probe, ref: ArtefactRef) -> None:
        state = self._engine.weights()
        if probe.vocabulary != self._engine.vocabulary().digest:
            raise ProbeFailed(f"weights {ref.version} are served with another vocabulary than they were trained with")
        # One request: the places share the prompt, so it is computed once, as in a batch of rollouts.
        prompts = tuple(
            EnginePrompt(question_turns(QUESTION), (picture(SHAPE),), prefix_ids=place.before, temperature=0.0)
            for place in probe.places
        )
        asked = SamplingRequest(prompts, max_tokens=1, top_logprobs=ASKED, weight_version=ref.version)
        found = await self._engine.generate(asked)
        seen = [likely[0] for (likely,) in found.likely]
        worst = max(map(largest_difference, probe.places, seen))
        allowed = tolerance((probe.dtype, state.dtype))
        _log.info("weights probed", weight_version=ref.version, difference=worst, tolerance=allowed)
        # Not `worst > allowed`, which is false for NaN.
        if not worst <= allowed:
            raise ProbeFailed(
                f"weights {ref.version} give other log-probabilities here than in the trainer: they differ by "
                f"{worst:.3g} nats, where {probe.dtype} and {state.dtype or 'this engine'} may differ by {allowed}; "
                "load them again, and look for stale caches if that does not help"
            )

    async def _check_base(self, ref: ArtefactRef) -> None:
        """Raises InvalidInput."""
        shown = picture(SHAPE)
        prompts = tuple(
            EnginePrompt(question_turns(QUESTION), (one,), temperature=0.0) for one in (shown, blank(shown.size))
        )
        found = await self._engine.generate(
            SamplingRequest(prompts, max_tokens=TOKENS, top_logprobs=1, weight_version=ref.version)
        )
        seen, other = (likely[0] for likely in found.likely)
        name = self._engine.weights().model
        if not all(math.isfinite(logprob) for places in (seen, other) for place in places for _, logprob in place):
            raise InvalidInput(NO_NUMBERS.format(name), field="artefact")
        if seen == other:
            raise InvalidInput(NO_SIGHT.format(name), field="artefact")
