"""What an error of another library says, in one line that people can read."""

from pydantic import ValidationError

SAID = 600
"""Letters of a library's own words."""


def sentence_of(error: Exception) -> str:
    """The first thing that it says; with its kind where the text is only a name, as that of a KeyError is."""
    if isinstance(error, ValidationError):
        # Its text begins with how many things are wrong with which class.
        return error.errors(include_input=False, include_url=False)[0]["msg"][:SAID]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # transformers says which field is wrong in the first line, and what is wrong with it in the second.
    taken = 2 if lines and lines[0].endswith(":") else 1
    said = " ".join(lines[:taken])
    # Others are broken into lines of one width: what the first begins and does not end is left out.
    if len(lines) > taken and said[-1].isalnum() and ". " in said:
        said = said[: said.rindex(". ") + 1]
    # Some of its lines list every family that there is.
    said = said if len(said) <= SAID else f"{said[:SAID]} …"
    return said if " " in said else f"{type(error).__name__} {said}".strip()
