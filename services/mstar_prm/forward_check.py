"""`python -m mstar_prm.forward_check …`: the child of `mstar_models.forward_check` for a PRM that is used as it is."""

import asyncio
import math
import tempfile
from pathlib import Path

from mstar.errors import Internal, InvalidInput
from mstar_models.forward_check import FORWARD, NO_NUMBERS, ON_PAPER, main
from mstar_prm.scorer import Scorer


def check_prm(folder: Path, how: str) -> None:
    """Raises InvalidInput for a PRM that cannot be loaded, or whose scores are not numbers."""
    from mstar_models.checkpoint import check_finite
    from mstar_prm.schemes.folder import load_prm

    load_prm(folder, ON_PAPER)
    if how == FORWARD:
        check_finite(folder, f"model folder {folder.name}")
        asyncio.run(_score(folder))


async def _score(folder: Path) -> None:
    from mstar_prm.hf_scorer import HfScorer

    with tempfile.TemporaryDirectory() as home:
        scorer = HfScorer(Path(home), batch_tokens=4096, waiting_tokens=100_000)
        try:
            await scorer.load_folder(folder)
            await require_scores(scorer, folder.name, None)
        finally:
            await scorer.close()


async def require_scores(scorer: Scorer, name: str, version: str | None) -> None:
    """Raises InvalidInput unless a few steps about a picture get scores that are numbers in [0, 1]."""
    from mstar_models.probing import QUESTION, STEPS, picture

    try:
        _, (scores,) = await scorer.score(QUESTION, [picture("wide")], [STEPS], version)
    except Internal as error:
        # A scorer says so of a score that is not a number; what is wrong with a file or a device has a kind of its own.
        if type(error) is not Internal:
            raise
        raise InvalidInput(NO_NUMBERS.format(name), field="model") from error
    if not all(math.isfinite(one) and 0 <= one <= 1 for one in scores):
        raise InvalidInput(NO_NUMBERS.format(name), field="model")


if __name__ == "__main__":
    main(check_prm)
