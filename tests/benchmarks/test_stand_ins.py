"""The devices that only wait stand behind the real services: both answer the bodies that workers send."""

from pathlib import Path

import httpx2
from benchmarks.stand_ins import WaitingEngine, WaitingScorer, question_text

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest
from mstar.api.prm import Candidate, ScoreReply, ScoreRequest
from mstar.layout import scored_segments
from mstar.types import Answer, AnswerType
from mstar_artefacts.images import ImageStore
from mstar_policy.app import build_app as policy_app
from mstar_policy.config import PolicySettings
from mstar_prm.app import build_app as prm_app
from mstar_prm.config import PrmSettings
from small_png import small_png
from web_bench import talk

N = 16


def busy(home: Path, name: str) -> int:
    """Pieces of work that the device wrote down."""
    return len((home / f"busy-{name}").read_text().splitlines())


def test_the_policy_s_stand_in_is_right_in_some_samples_and_says_how_long_it_was_busy(tmp_path: Path) -> None:
    image = ImageInput(sha256=ImageStore(tmp_path / ".mstar" / "images").put(small_png(1)))
    engine = WaitingEngine(tmp_path, "policy", 0.0)
    asked = RolloutRequest(prompts=(Prompt(question=question_text(12), images=(image,), n=N, seed=3),))

    async def conversation(client: httpx2.AsyncClient) -> httpx2.Response:
        await engine.load_folder(Path("weights"))
        return await client.post("/v1/rollouts", content=asked.model_dump_json())

    answer = talk(policy_app(PolicySettings(home=tmp_path), engine), conversation)
    reply = RolloutReply.model_validate_json(answer.raise_for_status().content)
    assert reply.weight_version == "weights" and busy(tmp_path, "policy") == 1
    (samples,) = reply.samples
    gold = Answer(type=AnswerType.INTEGER, value="12")
    assert 0 < sum(check(one.text, gold).correct for one in samples) < len(samples) == N


def test_the_prm_s_stand_in_scores_every_step_of_every_response(tmp_path: Path) -> None:
    image = ImageInput(sha256=ImageStore(tmp_path / ".mstar" / "images").put(small_png(1)))
    scorer = WaitingScorer(tmp_path, "prm", 0.0)
    texts = ("first 1\n\nthen more\n\n## Answer\n\n12", "first 2\n\n## Answer\n\n13")
    asked = ScoreRequest(
        question=question_text(12), images=(image,), responses=tuple(Candidate(text=text) for text in texts)
    )

    async def conversation(client: httpx2.AsyncClient) -> httpx2.Response:
        await scorer.load_folder(Path("weights"))
        return await client.post("/v1/score", content=asked.model_dump_json())

    answer = talk(prm_app(PrmSettings(home=tmp_path), scorer), conversation)
    reply = ScoreReply.model_validate_json(answer.raise_for_status().content)
    assert reply.model_version == "weights" and busy(tmp_path, "prm") == 1
    assert [tuple(step.text for step in one.steps) for one in reply.results] == [scored_segments(one) for one in texts]
