"""What the probe says of a checkpoint before any of its weights are loaded."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minivista import MODEL_FOLDER
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


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "processor_config.json",
            lambda said: said["image_processor"].update(image_std=[0, 0, 0]),
            "computes NaN or infinity",
        ),
        ("config.json", lambda said: said.update(image_token_id=9), "marks a picture by other tokens than the 9"),
    ],
)
def test_a_prm_that_gives_no_numbers_or_sees_no_picture_is_refused(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    def fill(folder: Path) -> None:
        shutil.copytree(MODEL_FOLDER, folder / "model")
        found = json.loads((folder / "model" / file).read_text())
        change(found)
        (folder / "model" / file).write_text(json.dumps(found))

    store = ArtefactStore(tmp_path)
    ref = store.write("r1/prm/base", fill, {})

    async def play() -> None:
        scorer = ProbedScorer(HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000), store)
        try:
            with pytest.raises(InvalidInput, match=said):
                await scorer.load(ref)
            assert not scorer.weights().ready
        finally:
            await scorer.close()

    asyncio.run(play())
