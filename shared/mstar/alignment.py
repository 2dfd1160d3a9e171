"""Compares how policy, PRM and trainer see one model: the tokens of a prompt, its images, positions, log-probabilities.

Each service says what it sees (`ServiceView`), and here the views are laid side by side. What this leaves out: asking
the services (`mstar.cli.align`), and how they find out (their `align` modules).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mstar.probes import tolerance
from mstar.types import Frozen

Positions = tuple[tuple[int, ...], ...]
"""Positions of a prompt's tokens on one axis or on three (M-RoPE)."""


class PromptView(Frozen):
    """The prompt of one picture as a service sees it."""

    picture: str
    ids: tuple[int, ...]
    image_tokens: int
    """Tokens that stand for the picture."""
    positions: Positions = ()
    """Empty where the service does not know them: vLLM keeps them to itself."""


class ResponseView(Frozen):
    """One sampled response, as the one who sampled it or the one who trains on it sees it."""

    sampled_by: str
    picture: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each token, in nats at temperature 1."""


class ServiceView(Frozen):
    """What one service sees."""

    who: str
    dtype: str = ""
    prompts: tuple[PromptView, ...] = ()
    responses: tuple[ResponseView, ...] = ()
    error: str = ""
    """Why it sees nothing."""


class AlignmentRow(Frozen):
    """One thing that must be equal, with what each service says of it."""

    what: str
    cells: dict[str, str]
    equal: bool
    detail: str = ""
    """Where the views part, or how far apart they are."""


def compare(views: Sequence[ServiceView]) -> tuple[AlignmentRow, ...]:
    """A line for everything that must be equal, errors first."""
    failed = (AlignmentRow(what=view.who, cells={}, equal=False, detail=view.error) for view in views if view.error)
    return (*failed, *_prompts([view for view in views if not view.error]), *_responses(views))


def _prompts(views: Sequence[ServiceView]) -> Iterator[AlignmentRow]:
    pictures = dict.fromkeys(prompt.picture for view in views for prompt in view.prompts)
    for picture in pictures:
        seen = {view.who: prompt for view in views for prompt in view.prompts if prompt.picture == picture}
        yield _line(f"{picture}: tokens", {who: one.ids for who, one in seen.items()}, _sum_of_ids)
        counts = {who: (one.image_tokens,) for who, one in seen.items()}
        yield _line(f"{picture}: image tokens", counts, lambda count: str(count[0]))
        told = {who: one.positions for who, one in seen.items() if one.positions}
        flat = {who: tuple(place for axis in axes for place in axis) for who, axes in told.items()}
        yield _line(f"{picture}: positions", flat, _sum_of_ids)


def _line(what: str, values: Mapping[str, tuple[int, ...]], show: Callable[[tuple[int, ...]], str]) -> AlignmentRow:
    cells = {who: show(value) for who, value in values.items()}
    # No value at all, as where no service tells its positions, is not a difference.
    first = next(iter(values.values()), ())
    other = next((value for value in values.values() if value != first), None)
    if other is None:
        return AlignmentRow(what=what, cells=cells, equal=True)
    place = next((n for n, pair in enumerate(zip(first, other, strict=False)) if pair[0] != pair[1]), None)
    place = min(len(first), len(other)) if place is None else place
    said = " / ".join(str(list(value[max(0, place - 2) : place + 3])) for value in (first, other))
    return AlignmentRow(what=what, cells=cells, equal=False, detail=f"they differ from position {place} on: {said}")


def _responses(views: Sequence[ServiceView]) -> Iterator[AlignmentRow]:
    """What a sampler says of its own response beside what others say of it."""
    for view in views:
        for own in (one for one in view.responses if one.sampled_by == view.who):
            others = {
                other.who: (other.dtype, one)
                for other in views
                for one in other.responses
                if other is not view and one.sampled_by == own.sampled_by and one.ids == own.ids
            }
            if not others:
                detail = "no other service looked at it"
                yield AlignmentRow(
                    what=f"response of {view.who}", cells={view.who: _total(own)}, equal=False, detail=detail
                )
                continue
            # All views are of the very same ids, so a difference comes from the models and not from the tokenizers.
            worst = max(_apart(own, one) for _, one in others.values())
            allowed = tolerance((view.dtype, *(dtype for dtype, _ in others.values())))
            yield AlignmentRow(
                what=f"response of {view.who}",
                cells={view.who: _total(own)} | {who: _total(one) for who, (_, one) in others.items()},
                equal=worst <= allowed,
                detail=f"{len(own.ids)} log-probabilities, at most {worst:.2g} nats apart; {allowed:g} is allowed",
            )


def _apart(one: ResponseView, other: ResponseView) -> float:
    if len(one.logprobs) != len(other.logprobs):
        # A view that lacks a token is wrong by any amount, and must not pass because the tokens before it agree.
        return float("inf")
    return max((abs(a - b) for a, b in zip(one.logprobs, other.logprobs, strict=True)), default=0.0)


def _total(one: ResponseView) -> str:
    return f"{sum(one.logprobs):.4f}"


def _sum_of_ids(ids: Iterable[int]) -> str:
    listed = list(ids)
    return f"{len(listed)} ({hashlib.sha256(repr(listed).encode()).hexdigest()[:8]})"
