"""`python -m mstar_prm.align MODEL`: how the PRM sees a model's prompts."""

import sys
from pathlib import Path

from mstar.alignment import ServiceView
from mstar.environment import read_settings
from mstar_models.aligning import positions_of, prompt_view, say
from mstar_models.layout import SequenceLayout
from mstar_models.probing import QUESTION, SHAPES, picture
from mstar_models.remote_code import allow_code
from mstar_prm.config import PrmSettings
from mstar_prm.schemes.folder import load_prm

WHO = "PRM"


def main() -> None:
    """Write the view."""
    folder = Path(sys.argv[1])
    allow_code(read_settings(PrmSettings).trusted_code)
    say(WHO, lambda: look(folder))


def look(folder: Path) -> ServiceView:
    """The view of a folder, by the scheme that it declares or that a PRM trained on it has.

    Raises InvalidInput for one that is not a PRM's base.
    """
    model, scheme = load_prm(folder, base=True)
    layout = SequenceLayout(model)
    prompts = []
    for shape in SHAPES:
        prompt = scheme.prompt(QUESTION, [picture(shape)])
        packed = layout.start(prompt)
        positions = positions_of(packed.axes, packed.positions, len(prompt.input_ids))
        prompts.append(prompt_view(folder, shape, prompt.input_ids, positions))
    return ServiceView(who=WHO, dtype=str(model.dtype).removeprefix("torch."), prompts=tuple(prompts))


if __name__ == "__main__":
    main()
