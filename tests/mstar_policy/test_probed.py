"""What the probe says of a checkpoint before any of its weights are loaded."""

import asyncio
from pathlib import Path

import pytest

from mstar.errors import InvalidInput
from mstar.probes import Probe
from mstar_artefacts.store import ArtefactStore
from mstar_models.probing import write_probe
from mstar_policy.probed import ProbedEngine
from policy_bench import FakeEngine


def test_a_reward_model_is_refused_and_the_old_weights_stay(tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path)
    probe = Probe(dtype="float32", vocabulary="v", scores=(0.5,))
    ref = store.write("r1/prm/train", lambda folder: write_probe(folder, probe), {})
    engine = FakeEngine(store)
    before = engine.weights()
    with pytest.raises(InvalidInput, match="r1/prm/train is a reward model's checkpoint"):
        asyncio.run(ProbedEngine(engine, store).load(ref))
    assert engine.weights() == before
