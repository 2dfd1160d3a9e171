"""A step is scored as it stands in a response, whatever white space a caller sends with it."""

import base64

import httpx2

from mstar.api.prm import ScoreReply
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.app import build_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from policy_bench import png
from web_bench import talk

WAYS = (["See 3.", "$$ 3\n\n+ 4 $$", "So 7."], ["See 3.\n", "\n$$ 3\r\n\r\n+ 4 $$  ", "\tSo 7.\n\n"])


def test_white_space_around_a_step_changes_no_score(store: ArtefactStore, prm: ArtefactRef) -> None:
    settings = PrmSettings(home=store.root)
    scorer = HfScorer(settings.storage(), batch_tokens=1024, waiting_tokens=10_000)

    async def score(client: httpx2.AsyncClient) -> ScoreReply:
        await scorer.load(prm)
        responses = [*({"steps": steps} for steps in WAYS), {"text": "\n\n".join(WAYS[1])}]
        body = {"question": "How many?", "images": [{"data": base64.b64encode(png()).decode()}], "responses": responses}
        return ScoreReply.model_validate_json((await client.post("/v1/score", json=body)).content)

    first, second, text = (result.steps for result in talk(build_app(settings, scorer), score).results)
    assert [step.text for step in first] == WAYS[0]
    assert first == second == text
