"""The code on the card of an exported PRM gives the service's scores with nothing but transformers."""

import asyncio
import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
from PIL import Image

from mstar.prm_schemes import DECLARATION, OWN, declaration
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.export.cards import scoring_code
from mstar_prm.hf_scorer import HfScorer
from policy_bench import picture

STEPS = ("A is 34, C is 27", "Sum: 34 + 27 = 61", "## Answer\n\n61")
"""Those of the code."""


@pytest.mark.parametrize("separator", ["\n\n", "\n"])
def test_the_code_on_the_card_scores_as_the_service(
    store: ArtefactStore, prm: ArtefactRef, tmp_path: Path, separator: str
) -> None:
    folder = store.path(prm.id) / "model"
    picture().save(folder / "question.png")
    (tmp_path / "score.py").write_text(scoring_code(OWN, separator))
    # As the trainer leaves it.
    (folder / DECLARATION).write_text(declaration(OWN.model_copy(update={"step_separator": separator})))
    quiet = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, tmp_path / "score.py"], cwd=folder, env=quiet, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr

    async def served() -> tuple[float, ...]:
        scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
        try:
            await scorer.load_folder(folder)
            assert scorer.weights().step_separator == separator
            image = Image.open(folder / "question.png").convert("RGB")
            asked = ("What is the total of A and C?", [image], [STEPS], None, "", separator)
            return (await scorer.score(*asked))[1][0]
        finally:
            await scorer.close()

    assert literal_eval(done.stdout) == pytest.approx(asyncio.run(served()), abs=1e-5)
