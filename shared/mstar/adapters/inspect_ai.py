"""The PRM as a scorer of inspect-ai: the score of each sample's output, with its steps in the log.

    from inspect_ai import Task, eval
    from mstar import AsyncClient, Endpoint
    from mstar.adapters.inspect_ai import prm_score

    task = Task(dataset=..., solver=generate(), scorer=prm_score(AsyncClient(Endpoint.from_environment())))
    eval(task, model="openai-api/mstar/mstar-policy")

Targets are not looked at: beside a scorer that compares with them, this one shows where the reasoning goes wrong.
"""

from typing import Any

from inspect_ai.model import ContentImage, ContentText
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState

from mstar.adapters.questions import asked_of, score_request
from mstar.client import AsyncClient
from mstar.reward import Aggregate


@scorer(metrics=[mean(), stderr()])  # type: ignore[untyped-decorator]
def prm_score(client: AsyncClient, aggregate: Aggregate = Aggregate.MIN) -> Scorer:
    """A value in [0, 1] for each sample; 0 for an output without text. Raises what `AsyncClient.score` raises."""

    async def score(state: TaskState, target: Target) -> Score:
        text = state.output.completion
        if not text.strip():
            return Score(value=0.0, answer=text, explanation="the model wrote nothing")
        turns = [{"role": turn.role, "content": _parts(turn.content)} for turn in state.messages]
        # The output is the conversation's last turn already.
        asked = asked_of([turn for turn in turns if turn["role"] != "assistant"])
        reply = await client.score(score_request(asked, [text], aggregate))
        (result,) = reply.results
        if result.error is not None:
            # A score and no exception: one refused sample must not end an evaluation of thousands.
            return Score(value=0.0, answer=text, explanation=result.error.detail)
        steps = "\n".join(f"{step.score:.3f}  {step.text}" for step in result.steps)
        metadata = {"model_version": reply.model_version, "step_scores": [step.score for step in result.steps]}
        return Score(value=result.score, answer=text, explanation=steps, metadata=metadata)

    return score


def _parts(content: Any) -> list[dict[str, Any]]:
    """A turn's content as parts. Other kinds than text and images, such as reasoning, are left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {"type": "text", "text": part.text} if isinstance(part, ContentText) else {"type": "image", "image": part.image}
        for part in content
        if isinstance(part, ContentText | ContentImage)
    ]
