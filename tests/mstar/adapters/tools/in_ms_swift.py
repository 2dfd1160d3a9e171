"""Scores of ms-swift's sampler for two responses and the reference, from the PRM at MSTAR_PRM_URL."""

import json

from swift.pipelines.sampling.utils import get_reward
from swift.rewards import prms

import mstar.adapters.ms_swift  # noqa: F401 (registers it, as --external_plugins does)

ROWS = [
    {"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": text}]}
    for text in ("aaaaa", "", "aaaaaaaa")
]


def main() -> None:
    reward, mask = get_reward(prms["mstar"](), ROWS, ground_truths=["x"] * 3, threshold=0.5)
    print(json.dumps({"rewards": reward.tolist(), "kept": mask.tolist()}))


main()
