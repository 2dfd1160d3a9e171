r"""The answer check and the PRM as a reward function of verl.

    python -m verl.trainer.main_ppo ... \
        reward.custom_reward_function.path=pkg://mstar.adapters.verl

It counts right answers. With `+reward.custom_reward_function.reward_kwargs.reward=prm` it is the PRM's score instead,
with `both` that score for right answers and 0 for others. verl tells a reward function neither prompt nor pictures, so
these two need the reward manager that does:

        reward.reward_manager.source=importlib \
        reward.reward_manager.name=PromptedRewardManager \
        reward.reward_manager.module.path=pkg://mstar.adapters.verl_manager

The PRM's address and key come from the environment, as `Endpoint.from_environment` reads them.
"""

import functools
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from mstar.adapters.judged import is_right
from mstar.adapters.questions import asked_of, scores
from mstar.answers import AnswerPlace
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput
from mstar.reward import Aggregate

PROMPT = "raw_prompt"
"""What the reward manager adds to `extra_info`: the turns that were asked, with their pictures."""
_GOLD = ("question", "answer_type", "choices", "precision", "unit", "alternatives")


class Reward(StrEnum):
    """What a response is rewarded for."""

    ANSWER = "answer"
    PRM = "prm"
    BOTH = "both"


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    reward: str = Reward.ANSWER,
    place: str = AnswerPlace.HEADING,
    aggregate: str = Aggregate.MIN,
    **_: Any,
) -> dict[str, float]:
    """As verl calls it, with the fields of `reward_kwargs`. `place`: where the prompt asks for the answer.

    `acc`, which verl logs, says whether the answer is right. Raises InvalidDataset for a reference answer that cannot
    be read, InvalidInput where the PRM is asked without a prompt, and what `Client.score` raises.
    """
    extra = extra_info or {}
    gold = {name: extra[name] for name in _GOLD if extra.get(name) is not None}
    right = float(is_right(solution_str, {**gold, "answer": ground_truth}, AnswerPlace(place)))
    wanted = Reward(reward)
    if wanted is Reward.ANSWER:
        return {"score": right, "acc": right}
    # Where the answer is wrong, nobody needs to be asked how good its steps are.
    asks = wanted is Reward.PRM or right > 0
    score = _score(extra, solution_str, Aggregate(aggregate)) if asks else 0.0
    return {"score": score, "acc": right}


def _score(extra: Mapping[str, Any], text: str, aggregate: Aggregate) -> float:
    if extra.get(PROMPT) is None:
        raise InvalidInput(
            "the PRM needs the prompt, which verl tells reward managers only: set reward.reward_manager to "
            "PromptedRewardManager of pkg://mstar.adapters.verl_manager",
            field="reward",
        )
    (result,) = scores(_client(), [(asked_of(list(extra[PROMPT])), text)], aggregate)
    return 0.0 if result is None or result.error is not None else result.score


@functools.cache
def _client() -> Client:
    return Client(Endpoint.from_environment())
