"""`python -m mstar_trainer.align MODEL`: how the trainer sees a model's prompts, and responses that others sampled.

The responses come on standard input, as a JSON list of `ResponseView`. They are read on the way of a training batch,
without DeepSpeed around the model.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from mstar.alignment import PromptView, ResponseView, ServiceView
from mstar_models.aligning import positions_of, prompt_view, say
from mstar_models.attention import use_tree_attention
from mstar_models.loading import device_here, load_model
from mstar_models.probing import SHAPES, picture
from mstar_models.remote_code import allow_code
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import ResponseLoss
from mstar_trainer.probing import BUDGET, logprobs, sampled

WHO = "trainer"
_RESPONSES = TypeAdapter(tuple[ResponseView, ...])


def main() -> None:
    """Write the view."""
    folder, responses = Path(sys.argv[1]), _RESPONSES.validate_json(sys.stdin.read() or "[]")
    # As the trainer's processes read it (`rank_main`).
    allow_code(os.environ.get("MSTAR_TRAINER_TRUSTED_CODE", ""))
    with tempfile.TemporaryDirectory() as home:
        say(WHO, lambda: look(folder, Path(home), responses))


def look(folder: Path, home: Path, responses: Sequence[ResponseView]) -> ServiceView:
    """The view of a folder. Raises InvalidInput for one that cannot be trained."""
    model = load_model(folder).to(device_here())
    encoder = ExampleEncoder(folder, home, model)
    if encoder.layout.packs:
        use_tree_attention(model)
    return ServiceView(
        who=WHO,
        dtype=str(model.dtype).removeprefix("torch."),
        prompts=tuple(_prompt(folder, encoder, shape) for shape in SHAPES),
        responses=tuple(_response(model, encoder, one) for one in responses),
    )


def _prompt(folder: Path, encoder: ExampleEncoder, shape: str) -> PromptView:
    tree = encoder.tree(sampled(encoder, (0,), shape), [picture(shape)])
    ids = tree.prompt.input_ids
    return prompt_view(folder, shape, ids, positions_of(tree.packed.axes, tree.packed.positions, len(ids)))


def _response(model: Any, encoder: ExampleEncoder, response: ResponseView) -> ResponseView:
    tree = encoder.tree(sampled(encoder, response.ids, response.picture), [picture(response.picture)])
    (batch,) = micro_batches([tree], BUDGET, model.device)
    with torch.inference_mode():
        found = logprobs(encoder, ResponseLoss(model)(batch, read=True).float().cpu())  # [P, V]
    own = found.gather(1, torch.tensor(response.ids)[:, None])[:, 0]  # [P]
    return response.model_copy(update={"logprobs": tuple(own.tolist())})


if __name__ == "__main__":
    main()
