"""The PRM as a reward function of TRL's `GRPOTrainer` (also of its RLOO trainer, which calls them the same way).

    from mstar import Client, Endpoint
    from mstar.adapters.trl import PrmReward

    reward = PrmReward(Client(Endpoint.from_environment()))
    trainer = GRPOTrainer(model=..., reward_funcs=[reward], train_dataset=..., args=...)

The data set's columns `images` (lists) or `image` go along with their prompts. The PRM should have been trained on
prompts of the same form: `mstar serve RUN` loads one, its policy's card says how that run asked.
"""

from collections.abc import Sequence
from typing import Any

from mstar.adapters.questions import asked_of, scores, text_of
from mstar.client import Client
from mstar.reward import Aggregate

Turns = str | list[dict[str, Any]]


class PrmReward:
    """Rewards in [0, 1]: the score of each completion, and 0 for one without text."""

    def __init__(self, client: Client, aggregate: Aggregate = Aggregate.MIN) -> None:
        self._client = client
        self._aggregate = aggregate
        self.__name__ = "prm_reward"
        """Under which TRL logs it."""

    def __call__(self, prompts: Sequence[Turns], completions: Sequence[Turns], **columns: Any) -> list[float]:
        """As TRL calls it: each prompt comes once for each of its completions. Raises what `Client.score` raises."""
        # Columns come as long as prompts, one entry for each completion.
        beside = columns.get("images") or [[one] for one in columns.get("image") or ()] or [()] * len(prompts)
        pairs = [
            (asked_of(prompt, images or ()), _said(completion))
            for prompt, completion, images in zip(prompts, completions, beside, strict=True)
        ]
        found = scores(self._client, pairs, self._aggregate)
        # One that was refused beside others is as bad as one without text.
        return [0.0 if result is None or result.error is not None else result.score for result in found]


def _said(completion: Turns) -> str:
    if isinstance(completion, str):
        return completion
    # Tool calls and their results between the turns are not reasoning of the model's.
    return "\n\n".join(text_of(turn["content"]) for turn in completion if turn["role"] == "assistant")
