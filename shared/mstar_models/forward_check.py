"""Loads a model folder and runs it: whole weights, numbers that are some, an image that is seen, and no look ahead.

`python -m mstar_models.forward_check FOLDER HOW MEMORY_BYTES CPU_SECONDS TRUSTED_CODE` is the limited child in which
that is done before a run is started. What this leaves out: whether the model is a good one.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mstar.errors import InvalidInput, MstarError, Unavailable
from mstar.limited import limit

if TYPE_CHECKING:
    from torch import Tensor

    from mstar_models.encoding import PromptEncoder

READY = "ready"
FORWARD = "forward"
SHAPES = "shapes"
"""Compares the headers of the weight files with what the configuration asks for, and reads no weight."""
SHOWN = "wide"

ON_PAPER = {"device_map": "meta"}
"""Options of a load that takes names and shapes, and no weight."""
NO_NUMBERS = (
    "model folder {} computes NaN or infinity: its weights are damaged, or its image processor divides by an image_std "
    "of 0; take an earlier checkpoint, or correct preprocessor_config.json"
)
NO_SIGHT = (
    "model folder {} says the same whatever the picture shows: its weights are empty, or processor and chat template "
    "leave the image out"
)

LOOKS_AHEAD = (
    "model folder {}: in models of type {} the words after a token change what comes at it, so what is trained would "
    "not be what was sampled; take a model that writes from left to right"
)
AHEAD_SHARE = 0.01
"""Of the range of all logits: what later tokens may change. Rounding changes far less, a look ahead far more."""
RESPONSES = (" Red is 3, blue is 4.", " What the other one is like")

OTHER_LOGITS = (
    "model folder {}: models of type {} change what their output head gives, and PRM and trainer do not know how: take "
    "another family, or see shape_logits in docs/add-a-family.md"
)

MISFIT = (
    "has weights, config.json and preprocessor_config.json that do not fit together (take all files from one download)"
)
Check = Callable[[Path, str], None]


def main(check: Check | None = None) -> None:
    """Write a line once all is imported, and then `{"problem": …}`, null for none.

    `check`: takes a folder, and one of FORWARD and SHAPES; raises MstarError.
    """
    folder, how, memory, seconds, trusted = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
    # Before torch is imported, so that whatever the folder makes it do is bounded.
    limit(int(memory), int(seconds))
    said: dict[str, str | None] = {"problem": None}
    # Libraries write to standard output as they please; the answer is all that may stand there.
    with os.fdopen(os.dup(1), "w") as out, redirect_stdout(sys.stderr):
        _allow(trusted)
        print(READY, file=out, flush=True)
        try:
            (check or check_model)(folder, how)
        except Unavailable:
            # What it lacks is what its own limits leave it: the coordinator says so of a child without an answer.
            sys.exit(1)
        except MstarError as error:
            said["problem"] = error.detail
        json.dump(said, out)


def _allow(trusted: str) -> None:
    """Import what is heavy, and let the code run that the operator allows."""
    import mstar_models.loading  # noqa: F401
    from mstar_models.remote_code import allow_code

    allow_code(trusted)


def check_model(folder: Path, how: str) -> None:
    """Raises InvalidInput for a model that cannot be loaded, whose files do not fit together, or that does not see."""
    from mstar_models.checkpoint import check_finite
    from mstar_models.image_places import require_image_places
    from mstar_models.loading import load_model, load_processor, translated
    from mstar_models.special_tokens import end_of_turn
    from mstar_models.suitability import require_decoder, require_fit, require_room

    processor = load_processor(folder)
    # First, since it allocates nothing, whatever sizes the configuration asks for.
    model = load_model(folder, options=ON_PAPER)
    require_decoder(model.config)
    with translated(folder):
        prompt = _prompt(folder, processor)
        require_image_places(folder, prompt)
        require_fit(folder, model, processor, {*prompt, end_of_turn(processor)})
        require_room(folder, model, len(prompt))
    if how == FORWARD:
        check_finite(folder, f"model folder {folder.name}")
        require_sight(folder, load_model(folder), processor)


def _prompt(folder: Path, processor: Any) -> list[int]:
    """Token ids of a short question about a picture. Raises InvalidInput."""
    from mstar_models.encoding import PromptEncoder
    from mstar_models.probing import QUESTION, picture

    try:
        return PromptEncoder(processor).encode(QUESTION, [picture(SHOWN)]).input_ids
    except InvalidInput as error:
        detail = (
            f"model folder {folder.name}: {error.detail}; correct preprocessor_config.json or processor_config.json"
        )
        raise InvalidInput(detail, field="model") from error


def require_sight(folder: Path, model: Any, processor: Any) -> None:
    """Raises InvalidInput for a model that gives no numbers or not its output head's, is blind, or looks ahead.

    Blind: the numbers are equal for two pictures. Looks ahead: what follows a token changes its numbers.
    """
    from mstar_models.encoding import PromptEncoder
    from mstar_models.loading import translated
    from mstar_models.probing import blank, picture

    encoder = PromptEncoder(processor)
    shown = picture(SHOWN)
    said, otherwise = _responses(processor.tokenizer)
    headed = _Headed(model)
    with translated(folder, MISFIT), headed:
        seen, unseen, other = (
            _logits(model, encoder, image, response)
            for image, response in ((shown, said), (blank(shown.size), said), (blank(shown.size), otherwise))
        )
    if not all(bool(one.isfinite().all()) for one in (seen, unseen, other)):
        raise InvalidInput(NO_NUMBERS.format(folder.name), field="model")
    if bool((seen == unseen).all()):
        raise InvalidInput(NO_SIGHT.format(folder.name), field="model")
    # At the prompt's last token, with the same picture: only the response behind it differs.
    moved = (unseen[0] - other[0]).abs().max()
    if bool(moved > AHEAD_SHARE * (other[0].max() - other[0].min())):
        raise InvalidInput(LOOKS_AHEAD.format(folder.name, model.config.model_type), field="model")
    if headed.last is not None and not bool((headed.last == other[1]).all()):
        raise InvalidInput(OTHER_LOGITS.format(folder.name, model.config.model_type), field="model")


def _responses(tokenizer: Any) -> list[list[int]]:
    """Token ids of two responses of one length: the same shapes are rounded in the same way."""
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in RESPONSES]
    length = min(map(len, ids))
    return [one[:length] for one in ids]


class _Headed:
    """While it is entered, keeps what the model's output head gives, as logits [V] of the last token."""

    def __init__(self, model: Any) -> None:
        self.last: Tensor | None = None
        self._model = model

    def __enter__(self) -> None:
        from mstar_models.trunk import output_head

        self._hook = output_head(self._model).register_forward_hook(self._note)

    def __exit__(self, *raised: object) -> None:
        self._hook.remove()

    def _note(self, head: Any, given: Any, values: "Tensor") -> None:
        from mstar_models.trunk import shaped

        self.last = shaped(self._model.config, values)[0, -1].float()


def _logits(model: Any, encoder: "PromptEncoder", shown: Any, response: list[int]) -> "Tensor":
    """[2, V]: at the last token of a question about the picture, and at the last one of the response behind it."""
    import torch

    from mstar_models.encoding import collate
    from mstar_models.packing import prompt_axes
    from mstar_models.probing import QUESTION
    from mstar_models.token_inputs import token_inputs

    prompt = encoder.encode(QUESTION, [shown])
    asked, width = len(prompt.input_ids), len(prompt.input_ids) + len(response)
    inputs = collate([(prompt, response)], "right") | token_inputs(model, [(prompt, width)], width, "right")
    if (axes := prompt_axes(model, prompt)) is not None:
        # [3, 1, T]: the text behind an image goes on by one on every axis.
        behind = axes[:, -1:] + torch.arange(1, len(response) + 1)
        inputs["position_ids"] = torch.cat([axes, behind], dim=1)[:, None]
    moved = {key: value.to(model.dtype) if value.is_floating_point() else value for key, value in inputs.items()}
    with torch.inference_mode():
        found: torch.Tensor = model(**moved).logits[0, [asked - 1, width - 1]].float()
    return found


if __name__ == "__main__":
    main()
