"""What the `align` commands of the three model services share: arguments, the count of image tokens, the output.

Each is started by `mstar doctor --align` as a process of its own, `python -m mstar_policy.align MODEL`, and writes one
line of JSON.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mstar.alignment import Positions, PromptView, ServiceView
from mstar.errors import MstarError
from mstar_models.error_text import sentence_of
from mstar_models.image_places import image_token, image_tokens, require_image_places


def prompt_view(folder: Path, picture: str, ids: Sequence[int], positions: Positions) -> PromptView:
    """The view of one prompt. Raises InvalidInput where no image is in it."""
    require_image_places(folder, ids)
    pieces = len(image_tokens(ids, image_token(folder)))
    return PromptView(picture=picture, ids=tuple(ids), image_tokens=pieces, positions=positions)


def positions_of(axes: Any, places: Sequence[int], length: int) -> Positions:
    """Positions of a prompt of `length` tokens: `axes` [3, P] where the model has them, else the places themselves."""
    return tuple(map(tuple, axes.tolist())) if axes is not None else (tuple(places[:length]),)


def say(who: str, look: Callable[[], ServiceView]) -> None:
    """Write what a service sees, or in a sentence why it does not."""
    try:
        view = look()
    except MstarError as error:
        view = ServiceView(who=who, error=error.detail)
    # Whatever a folder makes the libraries raise: the others' views are to be shown all the same.
    except Exception as error:
        view = ServiceView(who=who, error=f"it cannot use this model: {sentence_of(error)}"[:300])
    # Libraries write to standard output too: the view is the last line.
    sys.stdout.write("\n" + json.dumps(view.model_dump(mode="json")) + "\n")
