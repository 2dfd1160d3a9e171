"""Which part of a response a benchmark's rule is given: the text after the answer heading, else the whole response.

Official rules were written for short answers, or for a model that extracts one. A chain of thought names several
options before it decides, so a rule that reads all of it finds no letter, or the wrong one.
"""

from mstar.answers.marks import bare, first_answer
from mstar.answers.sentences import answer_in_sentence
from mstar.layout import split_response

MAX_CHARACTERS = 16_384
"""Of a response without a heading, only the end is read beyond this."""


def stated(response: str) -> str | None:
    """The answer after the heading, in "The answer is …" or in one box; None where the response has none of them."""
    said = split_response(response).answer
    if said is None:
        said = answer_in_sentence(response)
    return None if said is None else bare(first_answer(said))


def answer_or_whole(response: str) -> str:
    """The stated answer, or the response as it is."""
    said = split_response(response).answer
    # The end, where a response decides. Without the cut a rule would search megabytes of a response that ran on.
    return (response[-MAX_CHARACTERS:] if said is None else said).strip()
