"""Which folders' code a service may run, as its operator lists it: comma-separated `TYPE=FOLDER@sha256:DIGEST`.

Nothing else runs code from a folder, and no request can name one. What this leaves out: reading and importing the code
(`mstar_models.remote_code`).
"""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

_ENTRY = re.compile(r"(?P<type>[\w.-]+)=(?P<folder>/[^@,]*)@(?P<digest>sha256:[0-9a-f]{64})")


class TrustedCode(NamedTuple):
    """The code of one model type."""

    model_type: str
    folder: Path
    digest: str
    """`sha256:` and the digest of the folder's code files."""


def parse_trusted_code(text: str) -> dict[str, TrustedCode]:
    """The allowed code by model type. Raises ValueError, which says what an entry looks like."""
    found: dict[str, TrustedCode] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(
                f"{entry[:200]!r} is not TYPE=/FOLDER@sha256:DIGEST; `python -m mstar_models.remote_code FOLDER` "
                "prints the entry of a folder"
            )
        # By digest and not by path alone: whoever can write into the folder must not gain the right to run code.
        found[match["type"]] = TrustedCode(match["type"], Path(match["folder"]), match["digest"])
    return found


def _checked(text: str) -> str:
    parse_trusted_code(text)
    return text


TrustedCodeText = Annotated[str, AfterValidator(_checked)]
"""A setting that `parse_trusted_code` reads."""
