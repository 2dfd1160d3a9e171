"""The scorer on vLLM says what the scorer on transformers says, and refuses what that refuses."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from minivista import MODEL_FOLDER
from mstar.errors import InvalidInput, TooLarge, TooManyRequests, Unavailable, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.prm_schemes import DECLARATION, OWN_LABELS, declaration, own_scheme
from mstar_models.vllm_core import VllmOptions
from mstar_prm.hf_scorer import HfScorer
from mstar_prm.vllm_scorer import VllmScorer
from vllm_bench import ON_GPU, VLLM_MARKS

pytestmark = [*VLLM_MARKS, pytest.mark.slow]
OPTIONS = VllmOptions(max_sequences=16, memory_share=0.2, cpu=not ON_GPU, threads=1)
LINES = "\n"
IMAGE = Image.new("RGB", (64, 64), (10, 120, 200))
RESPONSES = (
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("A is 3", "Sum: 3 + 4 = 8", "## Answer\n\n8"),
    ("It looks like 7", "## Answer\n\n7"),
)
WAITING_TOKENS = 80
"""The responses have 74 together, counting what two begin with once."""


@dataclass(frozen=True)
class Served:
    """A scorer whose engine serves a folder, on a loop of its own: starting vLLM takes most of a minute."""

    runner: asyncio.Runner
    scorer: VllmScorer
    home: Path
    folder: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    folder = Path(shutil.copytree(MODEL_FOLDER, home / "prm"))
    (folder / DECLARATION).write_text(declaration(own_scheme(OWN_LABELS, LINES)))
    scorer = VllmScorer(home, OPTIONS, waiting_tokens=WAITING_TOKENS)
    with asyncio.Runner() as runner:
        try:
            with pytest.raises(Unavailable):
                runner.run(scorer.score("How many?", [IMAGE], RESPONSES, None))
            runner.run(scorer.load_folder(folder))
            yield Served(runner, scorer, home, folder)
        finally:
            runner.run(scorer.close())


async def reference(home: Path, folder: Path, separators: Sequence[str]) -> list[tuple[str, list[tuple[float, ...]]]]:
    """What the other scorer says with each separator."""
    scorer = HfScorer(home, batch_tokens=4096, waiting_tokens=10_000)
    await scorer.load_folder(folder)
    assert scorer.weights().step_separator == LINES
    try:
        return [await scorer.score("How many?", [IMAGE], RESPONSES, None, separator=one) for one in separators]
    finally:
        await scorer.close()


def test_scores_are_those_of_the_other_scorer_with_any_separator(served: Served) -> None:
    scorer, separators = served.scorer, (STEP_SEPARATOR, LINES, " | ")

    async def scene() -> None:
        version, scores = await scorer.score("How many?", [IMAGE], RESPONSES, None)
        expected = await reference(served.home, served.folder, separators)
        assert version == expected[0][0] == scorer.weights().weight_version
        assert scorer.work.forwards == 7, "what two responses begin with is asked once"
        assert scorer.weights().step_separator == LINES
        found = [scores]
        for one in separators[1:]:
            found.append((await scorer.score("How many?", [IMAGE], RESPONSES, None, separator=one))[1])
        for rows, (_, others) in zip(found, expected, strict=True):
            for row, other in zip(rows, others, strict=True):
                assert row == pytest.approx(other, abs=1e-3)
        # Enough apart that one separator's scores would not pass for another's.
        last = [rows[0][-1] for rows in found]
        assert min(abs(last[a] - last[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 2e-3

    served.runner.run(scene())


def test_what_cannot_be_scored_or_cannot_wait_is_refused(served: Served) -> None:
    scorer = served.scorer

    async def scene() -> None:
        with pytest.raises(WeightVersionMismatch):
            await scorer.score("How many?", [IMAGE], RESPONSES, "other@000000000000")
        with pytest.raises(InvalidInput, match="response 1 is too long"):
            await scorer.score("How many?", [IMAGE], [RESPONSES[0], ("word " * 5000,)], None)
        with pytest.raises(TooLarge, match=f"at most {WAITING_TOKENS} fit"):
            await scorer.score("How many?", [IMAGE], [*RESPONSES, ("Sum: 1 + 1 = 2", "## Answer\n\n2")], None)
        first, second = (asyncio.ensure_future(scorer.score("How many?", [IMAGE], RESPONSES, None)) for _ in range(2))
        with pytest.raises(TooManyRequests):
            await second
        assert len((await first)[1]) == len(RESPONSES)

    served.runner.run(scene())


def test_asleep_it_serves_nothing(served: Served) -> None:
    """The last one: the engine ends."""
    served.runner.run(served.scorer.sleep())
    assert not served.scorer.weights().ready
