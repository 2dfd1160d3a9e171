"""Checks newly loaded weights by the trainer's probe, before anybody gets a score of them.

As `mstar_policy.probed` does for the policy: the trainer's own scores of a few steps lie with the checkpoint.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from mstar.api.policy import WeightsState
from mstar.errors import InvalidInput, ProbeFailed
from mstar.layout import STEP_SEPARATOR
from mstar.probes import Probe, tolerance
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.probe_gate import ProbeGate
from mstar_models.probing import QUESTION, STEPS, picture, read_probe
from mstar_prm.forward_check import require_scores
from mstar_prm.scorer import Scorer, Segments

if TYPE_CHECKING:
    from PIL.Image import Image

SHAPE = "wide"
"""The trainer's picture."""
STEEPEST = 0.25
"""By how much a score changes at most with a nat of the label's logit: the sigmoid's slope at 0."""

_log = structlog.get_logger(__name__)


class ProbedScorer:
    """A `Scorer` around another one."""

    def __init__(self, scorer: Scorer, store: ArtefactStore) -> None:
        self._scorer = scorer
        self._store = store
        self.work = scorer.work
        self._gate = ProbeGate()

    def weights(self) -> WeightsState:
        return self._gate.shown(self._scorer.weights())

    async def load(self, ref: ArtefactRef) -> None:
        """Also raises ProbeFailed for weights that do not score as they should, and then none are loaded.

        Also raises InvalidInput for a policy, which is not loaded, and for a PRM without a probe whose scores are no
        numbers.
        """
        probe = await asyncio.to_thread(read_probe, self._store, ref)
        if probe is not None and not probe.scores:
            raise InvalidInput(f"{ref.id} is a policy's checkpoint: load one of a reward model here", field="artefact")
        # Closed before the load: between load and probe a request could be answered from wrong weights.
        async with self._gate.closed(ref.version):
            await self._scorer.load(ref)
            try:
                await (self._check_base(ref) if probe is None else self._check(probe, ref))
            # Also when the caller hangs up during the probe: weights that nobody has tested must not serve.
            except BaseException:
                await self._scorer.sleep()
                raise

    async def load_folder(self, folder: Path) -> None:
        await self._scorer.load_folder(folder)

    async def sleep(self) -> None:
        await self._scorer.sleep()

    async def score(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        await self._gate.passed(version)
        return await self._scorer.score(question, images, responses, version, system, separator)

    async def count_tokens(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        return await self._scorer.count_tokens(question, images, responses, system, separator)

    async def close(self) -> None:
        await self._scorer.close()

    async def _check_base(self, ref: ArtefactRef) -> None:
        await require_scores(self._scorer, self._scorer.weights().model, ref.version)

    async def _check(self, probe: Probe, ref: ArtefactRef) -> None:
        _, (scores,) = await self._scorer.score(QUESTION, [picture(SHAPE)], [STEPS], ref.version)
        worst = max(abs(one - other) for one, other in zip(probe.scores, scores, strict=True))
        allowed = STEEPEST * tolerance((probe.dtype, self._scorer.weights().dtype))
        _log.info("weights probed", weight_version=ref.version, difference=worst, tolerance=allowed)
        # Not `worst > allowed`, which is false for NaN.
        if not worst <= allowed:
            raise ProbeFailed(
                f"weights {ref.version} give other scores here than in the trainer: they differ by {worst:.3g}, and "
                f"{allowed:.3g} is allowed for their types; load them again, and look for stale caches if that does "
                "not help"
            )
