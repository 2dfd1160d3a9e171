"""Counts what became of sampled responses, additive over shards, and decides whether a run should stop because of it.

A model that never answers where the answer is looked for earns nothing, however long the run. So the counts are kept
from the first shard on, with what the responses look like. The rule that stops a run is ours; the paper has none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mstar.answers import AnswerPlace, find_answer
from mstar.answers.find import MISSING
from mstar.answers.sentences import answer_in_sentence
from mstar.layout import STEP_SEPARATOR, scored_segments, split_response
from mstar.types import CheckedResponse, FinishReason, Frozen, RolloutRow

SHAPES_KEPT = 6
"""Shapes that a shard reports; of all shards together the three most frequent are shown."""
SHAPES_SHOWN = 3
SKIPPED_SHOWN = 5
JUDGED_QUESTIONS = 256
"""Questions after which a small share of kept ones says something; a whole stage is judged whatever its size."""
JUDGED_RESPONSES = 64
"""Responses after which it says enough that none has an answer."""
RARELY = 100
"""A separator that fewer than one of this many responses hold is one that the model does not write."""
WRONG = "a wrong answer in its place"
"""Shape of all responses whose answer was read and is wrong."""
_EXAMPLE = 120
_UNREAD = ("empty-answer", "answer-too-long")
_NAMES = {
    AnswerPlace.HEADING: "answer heading",
    AnswerPlace.BOXED: "\\boxed{} with one answer",
    AnswerPlace.ANSWER_TAG: "<answer> tag",
    AnswerPlace.LAST_LINE: "last line",
    AnswerPlace.LETTER: "option's letter on the last line",
}


class Shape(Frozen):
    """Responses that look alike."""

    shape: str
    """In words, such as `one paragraph, answer in a box`."""
    count: int
    example: str
    """The end of the first of them."""


class Outcomes(Frozen):
    """Counts of a shard or of a stage."""

    questions: int = 0
    skipped: int = 0
    """Questions that were not sampled, since their prompt is too long."""
    skipped_ids: tuple[str, ...] = ()
    """The first of them."""
    solved: int = 0
    """Questions with a right response that was not cut off."""
    responses: int = 0
    correct: int = 0
    """Right, cut off or not."""
    cut_off: int = 0
    """Not right, and ended by max_tokens."""
    no_answer: int = 0
    """Ended, with no answer in its place."""
    unreadable: int = 0
    """An answer in its place that the check cannot read."""
    wrong: int = 0
    parted: int = 0
    """Of two steps or more, the answer not counted."""
    single: int = 0
    """Of one step."""
    single_at_blank_lines: int = 0
    """Of one step, and of more with blank lines between them."""
    single_at_lines: int = 0
    """Of one step, and of more with line feeds between them."""
    readable_in: dict[AnswerPlace, int] = {}
    """For each place how many of those without an answer in its place, or cut off, have one there."""
    shapes: tuple[Shape, ...] = ()
    """The most frequent shapes of responses that are not right, the most frequent first."""


def outcomes_of(rows: Iterable[RolloutRow]) -> Outcomes:
    """The counts of checked responses."""
    counts: Counter[str] = Counter()
    places: Counter[AnswerPlace] = Counter()
    shapes: dict[str, list[str]] = {}
    skipped: list[str] = []
    for row in rows:
        counts["questions"] += 1
        if row.problem:
            counts["skipped"] += 1
            skipped.append(row.question.id)
        counts["solved"] += any(_can_be_kept(one) for one in row.responses)
        for one in row.responses:
            fate = _fate(one)
            counts["responses"] += 1
            counts[fate] += 1
            counts.update(_parting(one.response.text, row.step_separator))
            if fate in ("no_answer", "cut_off"):
                places.update(place for place in AnswerPlace if find_answer(one.response.text, place))
            if fate != "correct":
                # Most responses of a run that works are right or wrong, and looking closer at each would cost as much
                # as checking it.
                shape = WRONG if fate == "wrong" else shape_of(one, row.step_separator)
                shapes.setdefault(shape, []).append(one.response.text)
    kept = (Shape(shape=name, count=len(texts), example=_end(texts[0])) for name, texts in shapes.items())
    return Outcomes(
        **counts,
        skipped_ids=tuple(skipped[:SKIPPED_SHOWN]),
        readable_in=dict(places),
        shapes=_most_frequent(kept)[:SHAPES_KEPT],
    )


def together(parts: Sequence[Outcomes]) -> Outcomes:
    """The sum over shards; rare shapes may be missing from it."""
    # Every count there is, so that a new field adds up without a line here.
    numbers = [name for name, field in Outcomes.model_fields.items() if field.annotation is int]
    shapes: dict[str, Shape] = {}
    for shape in (shape for part in parts for shape in part.shapes):
        known = shapes.get(shape.shape)
        shapes[shape.shape] = shape if known is None else known.model_copy(update={"count": known.count + shape.count})
    places = sum((Counter(part.readable_in) for part in parts), Counter[AnswerPlace]())
    return Outcomes(
        **{name: sum(getattr(part, name) for part in parts) for name in numbers},
        skipped_ids=tuple(one for part in parts for one in part.skipped_ids)[:SKIPPED_SHOWN],
        readable_in=dict(places),
        shapes=_most_frequent(shapes.values())[:SHAPES_KEPT],
    )


def too_few(seen: Outcomes, asked: int, least: float) -> bool:
    """Whether a stage should stop: too few of its questions have a response that can be kept.

    `asked`: questions of the whole stage; `least`: the least share, 0 for never. Judged when the stage is whole or
    JUDGED_QUESTIONS are done, and already after JUDGED_RESPONSES where no response at all is right or wrong.
    """
    if least <= 0 or seen.solved >= least * seen.questions:
        return False
    # A response that is wrong has stated an answer, so the layout is known and only skill is lacking.
    unread = seen.responses >= JUDGED_RESPONSES and not seen.correct and not seen.wrong
    return unread or seen.questions >= min(asked, JUDGED_QUESTIONS)


def explained(seen: Outcomes, place: AnswerPlace, max_tokens: int) -> str:
    """The counts in a few sentences, with what could be changed."""
    parts = [
        f"{seen.solved} of {seen.questions} questions have a response that can be kept",
        counted(seen, place, max_tokens),
    ]
    if seen.shapes:
        shown = (f'{one.count} x {one.shape} ("{one.example}")' for one in seen.shapes[:SHAPES_SHOWN])
        parts.append("most frequent: " + "; ".join(shown))
    return ". ".join([*parts, advice(seen, place)]).strip(". ") + "."


def counted(seen: Outcomes, place: AnswerPlace, max_tokens: int) -> str:
    """The counts in one sentence, without a full stop."""
    said = (
        f"of {seen.responses} responses {seen.correct} are right, {seen.no_answer} have no {_NAMES[place]}, "
        f"{seen.cut_off} were cut off at max_tokens = {max_tokens}, {seen.wrong} are wrong, "
        f"{seen.unreadable} have an answer that cannot be read"
    )
    if seen.skipped:
        said += (
            f"; {seen.skipped} questions were skipped, since their prompt is too long ({', '.join(seen.skipped_ids)})"
        )
    return said


def advice(seen: Outcomes, place: AnswerPlace) -> str:
    """What would help most, or nothing: another place for the answer, more tokens, another prompt."""
    if not seen.responses:
        return ""
    # A last line that is not blank is there in nearly every response, so it is not evidence of a layout.
    others = (AnswerPlace.HEADING, AnswerPlace.BOXED, AnswerPlace.ANSWER_TAG, AnswerPlace.LETTER)
    best = max(others, key=lambda one: seen.readable_in.get(one, 0))
    here, there = seen.readable_in.get(place, 0), seen.readable_in.get(best, 0)
    # A quarter at least: advice from a handful of responses would send people from one setting to the next.
    if best is not place and there > max(here, seen.responses // 4):
        return f"{there} of {seen.responses} have the answer elsewhere: set prompt.{_setting(best)}"
    if seen.cut_off * 2 > seen.responses:
        return "Most were cut off: raise generation.max_tokens"
    if seen.no_answer * 2 > seen.responses:
        return f"{seen.no_answer} of {seen.responses} do not follow the layout: change prompt.instruction"
    return ""


def unparted(seen: Outcomes, separator: str, least: int = 1) -> str:
    """What to say where the model does not write the separator of steps; empty where it does.

    `least`: responses of one step that must be there to say it. Step scores are then scores of whole responses, and
    Monte-Carlo labels are the shares of right answers.
    """
    whole = seen.single + seen.parted
    if seen.single < max(1, least) or seen.parted * RARELY >= whole:
        return ""
    said = f"{seen.single} of {whole} responses are one step: the model does not write "
    said += f"prompt.step_separator ({separator!r}) between its steps, so labels and scores are of whole responses."
    for other, there in ((STEP_SEPARATOR, seen.single_at_blank_lines), ("\n", seen.single_at_lines)):
        if other != separator and there * 2 > seen.single:
            return f"{said} {there} of them have more steps with {other!r} as the separator"
    return f"{said} Ask for it in prompt.instruction, or name another one"


def _parting(text: str, separator: str) -> Iterator[str]:
    """The counts that a response adds to, of those about its steps."""
    steps = len(split_response(text, separator).steps)
    if steps > 1:
        yield "parted"
    elif steps:
        yield "single"
        yield from (
            name
            for name, other in (("single_at_blank_lines", STEP_SEPARATOR), ("single_at_lines", "\n"))
            if len(split_response(text, other).steps) > 1
        )


def shape_of(checked: CheckedResponse, separator: str = STEP_SEPARATOR) -> str:
    """What a response looks like: its length, where it states an answer, whether it was cut off."""
    text = checked.response.text
    segments = scored_segments(text, separator)
    if not segments:
        return "empty"
    piece = "paragraph" if separator == STEP_SEPARATOR else "step"
    length = f"one {piece}" if len(segments) == 1 else f"{'2 to 4' if len(segments) < 5 else '5 or more'} {piece}s"
    ended = checked.response.finish_reason is FinishReason.STOP
    return ", ".join([length, _stated(text), *([] if ended else ["cut off"])])


def _stated(text: str) -> str:
    for place, words in (
        (AnswerPlace.HEADING, "answer after a heading"),
        (AnswerPlace.BOXED, "answer in a box"),
        (AnswerPlace.ANSWER_TAG, "answer in a tag"),
    ):
        if find_answer(text, place):
            return words
    if answer_in_sentence(text):
        return "answer in a sentence"
    if find_answer(text, AnswerPlace.LETTER):
        return "a letter on the last line"
    last = find_answer(text, AnswerPlace.LAST_LINE) or ""
    return "a word on the last line" if len(last.split()) <= 2 else "no stated answer"


def _fate(checked: CheckedResponse) -> str:
    verdict = checked.verdict
    if verdict.correct:
        return "correct"
    if checked.response.finish_reason is FinishReason.LENGTH:
        return "cut_off"
    # By the reason and not by `extracted`: an empty answer in its place is another fate.
    if verdict.reason in MISSING.values():
        return "no_answer"
    return "unreadable" if verdict.reason in _UNREAD or verdict.reason.endswith("-unreadable") else "wrong"


def _can_be_kept(checked: CheckedResponse) -> bool:
    return checked.verdict.correct and checked.response.finish_reason is FinishReason.STOP


def _most_frequent(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    return tuple(sorted(shapes, key=lambda one: (-one.count, one.shape)))


def _setting(place: AnswerPlace) -> str:
    return "preset boxed" if place is AnswerPlace.BOXED else f"answer {place.value}"


def _end(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXAMPLE else f"… {line[-_EXAMPLE:]}"
