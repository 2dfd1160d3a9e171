"""`python -m mstar_policy.align MODEL ENGINE`: how the policy sees a model's prompts, and a response of its own."""

import asyncio
import sys
import tempfile
from pathlib import Path

from mstar.alignment import ResponseView, ServiceView
from mstar.environment import read_settings
from mstar_models.aligning import prompt_view, say
from mstar_models.chat import question_turns
from mstar_models.probing import QUESTION, SHAPES, picture
from mstar_policy.app import transformers_engine, vllm_engine
from mstar_policy.config import PolicySettings
from mstar_policy.engine import Engine, EnginePrompt, SamplingRequest

MAX_TOKENS = 16
SHAPE = "wide"


def main() -> None:
    """Write the view of one engine."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings(PolicySettings).model_copy(update={"home": Path(home)})
        say(who(name), lambda: asyncio.run(look(folder, name, settings)))


def who(engine: str) -> str:
    """What the view of an engine is called."""
    return f"policy ({engine})"


async def look(folder: Path, name: str, settings: PolicySettings) -> ServiceView:
    """The view of one engine. Raises what loading and sampling raise."""
    import torch

    cpu = not torch.cuda.is_available()
    engine = vllm_engine(settings, cpu=cpu) if name == "vllm" else transformers_engine(settings)
    try:
        await engine.load_folder(folder)
        prompts = []
        for shape in SHAPES:
            seen = await engine.see(EnginePrompt(question_turns(QUESTION), (picture(shape),)))
            prompts.append(prompt_view(folder, shape, seen.ids, seen.positions))
        response = await _sampled(engine, who(name))
        return ServiceView(who=who(name), dtype=engine.weights().dtype, prompts=tuple(prompts), responses=(response,))
    finally:
        await engine.close()


async def _sampled(engine: Engine, sampled_by: str) -> ResponseView:
    prompt = EnginePrompt(question_turns(QUESTION), (picture(SHAPE),), temperature=1.0, seed=7)
    found = await engine.generate(SamplingRequest((prompt,), max_tokens=MAX_TOKENS))
    return ResponseView(
        sampled_by=sampled_by,
        picture=SHAPE,
        ids=found.samples[0][0].token_ids,
        logprobs=found.token_logprobs[0][0],
    )


if __name__ == "__main__":
    main()
