"""The material of probes and alignments: pictures of three shapes, a question, a response; and the probe's file.

The same for every model and every checkpoint, so that whatever a service remembers of one checkpoint is asked for again
with the next one. What this leaves out: the numbers (`mstar.probes`).
"""

import hashlib
import io
from pathlib import Path

from PIL import Image, ImageDraw
from pydantic import ValidationError

from mstar.errors import InvalidInput
from mstar.probes import Probe
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore

FOLDER = "probe"
"""In a checkpoint: a folder of its own, so that it can be verified alone."""
FILE = "probe.json"
QUESTION = "How many bars are there, and what is their sum?"
STEPS = ("Red is 3, blue is 4.", "Sum: 3 + 4 = 7", "## Answer\n\n7")
SHAPES = {"wide": (160, 64), "tall": (64, 144), "square": (96, 96)}
"""Name → width and height of a picture: families cut them into different numbers of tiles or patches."""
PLACES = 3
"""Places of a probe: before the response, and after its first tokens."""
NAMED = 3
"""Tokens that are stored of each place."""
ASKED = 20
"""Tokens that a service is asked for, so that those are among them: the most that engines give."""


def picture(shape: str) -> Image.Image:
    """Two bars on paper, of one of the `SHAPES`."""
    width, height = SHAPES[shape]
    made = Image.new("RGB", (width, height), (250, 250, 245))
    draw = ImageDraw.Draw(made)
    draw.rectangle((width // 8, height // 2, width // 3, height - 4), fill=(200, 40, 40))
    draw.rectangle((width // 2, height // 4, width - width // 6, height - 4), fill=(40, 60, 200))
    return made


def blank(size: tuple[int, int]) -> Image.Image:
    """A picture that shows something else: a model that sees answers it with other numbers."""
    return Image.new("RGB", size, (0, 0, 0))


def png(shape: str) -> bytes:
    """The same as a file."""
    out = io.BytesIO()
    picture(shape).save(out, "PNG")
    return out.getvalue()


def digest(shape: str) -> str:
    """Content hash of that file."""
    return hashlib.sha256(png(shape)).hexdigest()


def write_probe(checkpoint: Path, probe: Probe) -> None:
    """Put the probe into a checkpoint's folder."""
    (checkpoint / FOLDER).mkdir()
    (checkpoint / FOLDER / FILE).write_text(probe.model_dump_json(indent=2))


def read_probe(store: ArtefactStore, ref: ArtefactRef) -> Probe | None:
    """The probe of a checkpoint, verified; None for a base model or a checkpoint from before there were probes.

    Also None for an artefact that is not there: whoever loads it says so. Raises InvalidInput for the hash of another
    manifest, and for a probe that this version cannot read.
    """
    store.require_named(ref)
    # Verified alone: a probe of some bytes must not wait for the hash of a whole model.
    if store.find(ref.id) is None or all(entry.name != f"{FOLDER}/{FILE}" for entry in store.manifest(ref).files):
        return None
    try:
        return Probe.model_validate_json((store.verify(ref, FOLDER) / FILE).read_bytes())
    except ValidationError:
        detail = f"{ref.id} has a {FOLDER}/{FILE} that this version cannot read: load a checkpoint of this version"
        raise InvalidInput(detail, field="artefact") from None
