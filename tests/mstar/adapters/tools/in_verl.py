"""Rewards of verl's own reward managers for two responses to a question with a picture; PRM at MSTAR_PRM_URL."""

import asyncio
import json
import sys

import numpy
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

SAID = {1: "## Answer\n\n5", 2: "## Answer\n\n4"}
"""Token → text."""


class Words:
    """A tokenizer of whole responses."""

    def decode(self, tokens: torch.Tensor, **_: object) -> str:
        """The text of the first token."""
        return SAID[int(tokens[0])]


def rewarded(reward: str, token: int) -> dict[str, object]:
    """What a trainer gets for a response."""
    function = {"path": "pkg://mstar.adapters.verl", "name": "compute_score", "reward_kwargs": {"reward": reward}}
    manager = {
        "source": "importlib",
        "name": "PromptedRewardManager",
        "module": {"path": "pkg://mstar.adapters.verl_manager"},
    }
    config = OmegaConf.create({"reward": {"custom_reward_function": function, "reward_manager": manager}})
    parts = [{"type": "image", "image": Image.new("RGB", (8, 8))}, {"type": "text", "text": "How many?"}]
    turns = numpy.array([[{"role": "user", "content": parts}]])
    beside = {
        "data_source": numpy.array(["mstar"]),
        "reward_model": numpy.array([{"ground_truth": "5"}]),
        "extra_info": numpy.array([{"question": "How many?", "answer_type": "integer"}]),
        "raw_prompt": turns,
    }
    tokens = {"responses": torch.tensor([[token]]), "attention_mask": torch.ones(1, 2, dtype=torch.int64)}
    data = DataProto(batch=TensorDict(tokens, batch_size=1), non_tensor_batch=beside)

    async def asked() -> dict[str, object]:
        return await load_reward_manager(config, Words()).run_single(data)  # type: ignore[no-any-return]

    return asyncio.run(asked())


def main() -> None:
    found = [rewarded(reward, token)["reward_score"] for reward in ("answer", "prm", "both") for token in SAID]
    print(json.dumps(found))
    sys.stdout.flush()


main()
