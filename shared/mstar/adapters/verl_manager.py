"""verl's naive reward manager, which also tells the reward function what was asked, pictures included."""

from typing import Any

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from mstar.adapters.verl import PROMPT


class PromptedRewardManager(NaiveRewardManager):  # type: ignore[misc]
    """Puts the turns of a prompt into `extra_info`."""

    async def run_single(self, data: Any) -> dict[str, Any]:
        """As verl calls it, for one response."""
        beside = data.non_tensor_batch
        # A row's own object is shared by all responses to it, and may be sent on: it stays as it is.
        told = {**(beside["extra_info"][-1] or {}), PROMPT: list(beside["raw_prompt"][-1])}
        beside["extra_info"][-1] = told
        return dict(await super().run_single(data))
