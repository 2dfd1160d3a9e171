"""How many images a question each of a run's models accepts, so that records it cannot take are found beforehand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minivista.builtin import PREFIX
from mstar.errors import InvalidInput
from mstar.model_folder import read_json
from mstar.model_types import ANY_IMAGES, Images, images_taken
from mstar.recipes import Recipe


@dataclass(frozen=True)
class Taker:
    """A model by the field that names it."""

    field: str
    model_type: str
    images: Images

    def problem(self, count: int) -> str | None:
        """Why it cannot be asked about this many images; None: it can."""
        if self.images.least <= count <= self.images.most:
            return None
        shown = {0: "no image", 1: "one image"}.get(count, f"{count} images")
        return (
            f"shows {shown}, and {self.field} is a {self.model_type} model, which takes {self.images} a question: "
            "take another model, or other records"
        )


def takers_of(recipe: Recipe) -> tuple[Taker, ...]:
    """The models of an admitted recipe that do not take every number of images."""
    return tuple(_limited(recipe))


def _limited(recipe: Recipe) -> Iterator[Taker]:
    for field, base in (("model.base", recipe.model.base), ("prm.base", recipe.prm.base if recipe.prm else None)):
        if base is None or base.startswith(PREFIX):
            continue
        try:
            model_type = str(read_json(Path(base), "config.json").get("model_type", ""))
        except InvalidInput:
            # Admission read it before; what has become of it since is for the step that copies the folder to say.
            continue
        if (images := images_taken(model_type)) != ANY_IMAGES:
            yield Taker(field, model_type, images)
