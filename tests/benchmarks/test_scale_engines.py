"""The engines that answer at once speak the services' own bodies, and are right as often as they say."""

from benchmarks.scale_engines import CORRECT_SHARE, STEPS, TOKENS, Policy, Prm
from benchmarks.stand_ins import question_text

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest
from mstar.api.prm import Candidate, ScoreReply, ScoreRequest
from mstar.layout import scored_segments
from mstar.types import Answer, AnswerType, Response

IMAGE = ImageInput(sha256="0" * 64)
COUNT, N = 64, 16


def sampled() -> tuple[tuple[Response, ...], ...]:
    prompts = tuple(Prompt(question=question_text(n), images=(IMAGE,), n=N, seed=n) for n in range(COUNT))
    policy = Policy()
    policy.version = "r-1/it01/train@abc"
    reply = RolloutReply.model_validate_json(policy(RolloutRequest(prompts=prompts).model_dump(mode="json")))
    assert reply.weight_version == "r-1/it01/train@abc"
    return reply.samples


def test_responses_have_the_length_and_the_layout_of_real_ones() -> None:
    samples = sampled()
    assert [len(own) for own in samples] == [N] * COUNT
    for response in samples[0]:
        assert len(response.token_ids) == TOKENS
        assert len(scored_segments(response.text)) == STEPS + 1


def test_about_the_stated_share_is_right() -> None:
    gold = [Answer(type=AnswerType.INTEGER, value=str(n)) for n in range(COUNT)]
    right = sum(check(one.text, answer).correct for own, answer in zip(sampled(), gold, strict=True) for one in own)
    assert abs(right / (COUNT * N) - CORRECT_SHARE) < 0.06


def test_the_same_prompts_get_the_same_responses() -> None:
    assert sampled() == sampled()


def test_every_step_of_every_response_has_a_score() -> None:
    texts = [response.text for response in sampled()[0]]
    request = ScoreRequest(
        question="How many?", images=(IMAGE,), responses=tuple(Candidate(text=text) for text in texts)
    )
    reply = ScoreReply.model_validate_json(Prm()(request.model_dump(mode="json")))
    assert [tuple(step.text for step in one.steps) for one in reply.results] == [scored_segments(t) for t in texts]
