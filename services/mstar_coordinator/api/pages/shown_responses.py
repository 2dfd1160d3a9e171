"""Prepares a found question for its template: steps tinted by score, search words marked. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from mstar.api.responses import FoundQuestion, FoundResponse
from mstar.recipes import Recipe
from mstar_coordinator.export.report import TintedStep, tinted


@dataclass(frozen=True)
class ShownStep:
    """A step with its tint; the text is escaped, with searched words marked."""

    text: Markup
    score: float | None
    colour: str
    least: bool


@dataclass(frozen=True)
class ShownResponse:
    """A response and its steps."""

    response: FoundResponse
    steps: tuple[ShownStep, ...]


@dataclass(frozen=True)
class ShownQuestion:
    """A question with the responses that were looked for, and the others."""

    found: FoundQuestion
    text: Markup
    meant: tuple[ShownResponse, ...]
    others: tuple[ShownResponse, ...]


def shown_question(found: FoundQuestion, recipe: Recipe, text: str | None) -> ShownQuestion:
    """`recipe`: of the run that sampled it. `text`: the words that were searched, to be marked."""
    words = _pattern(text)
    shown = [_response(one, recipe, words) for one in found.responses]
    return ShownQuestion(
        found=found,
        text=_marked(found.question.text, words),
        meant=tuple(one for one in shown if one.response.found),
        others=tuple(one for one in shown if not one.response.found),
    )


def _response(found: FoundResponse, recipe: Recipe, words: re.Pattern[str] | None) -> ShownResponse:
    rule, separator = recipe.reward_rule, recipe.form.step_separator
    steps: Sequence[TintedStep] = tinted(found.text, found.steps, found.scores, found.extracted, rule, separator)
    made = tuple(ShownStep(_marked(one.text, words), one.score, one.colour, one.least) for one in steps)
    return ShownResponse(found, made)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    found = re.findall(r"([^\W_]+)(\*?)", text or "")
    if not found:
        return None
    any_of = "|".join(re.escape(word) + (r"\w*" if star else "") for word, star in found)
    # A word ends where a letter or digit does not follow, as the index cuts texts; `\b` would not end one at `_`.
    return re.compile(rf"(?<![^\W_])({any_of})(?![^\W_])", re.IGNORECASE)


def _marked(text: str, words: re.Pattern[str] | None) -> Markup:
    if words is None:
        return escape(text)
    # Every second piece is a match, since the pattern has one group.
    pieces = words.split(text)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )
