"""What the probe says of a checkpoint before any of its weights are loaded."""

import asyncio
from pathlib import Path

import pytest

from mstar.errors import InvalidInput
from mstar.probes import Probe, ProbePlace
from mstar_artefacts.store import ArtefactStore
from mstar_models.probing import write_probe
from mstar_prm.hf_scorer import HfScorer
from mstar_prm.probed import ProbedScorer


def test_a_policy_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    probe = Probe(dtype="float32", vocabulary="v", places=(ProbePlace(before=(), likely=((1, -0.5),)),))
    ref = store.write("r1/it01/train", lambda folder: write_probe(folder, probe), {})

    async def play() -> None:
        scorer = ProbedScorer(HfScorer(tmp_path, batch_tokens=256, waiting_tokens=1024), store)
        try:
            with pytest.raises(InvalidInput, match="r1/it01/train is a policy's checkpoint"):
                await scorer.load(ref)
        finally:
            await scorer.close()

    asyncio.run(play())
