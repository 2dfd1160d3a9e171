"""Choices: which options a response names, by letter, by letter with text, or by text.

A response that weighs options (`A or B`, `not B`, `B, or maybe C`) names none. Where several options are right
together, all of them and no other must be named.
"""

import re
from collections.abc import Sequence

from mstar.answers.conclusions import concluded_letter, telling_words
from mstar.answers.intervals import unknown_first
from mstar.answers.marks import bare, first_answer, out_of_dollars, plain, spaced_once
from mstar.answers.numbers import Number, read_number, short_scale
from mstar.answers.phrases import same_text
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.scripts import signs
from mstar.answers.texts import canonical, means
from mstar.answers.units import factor, is_percent, is_variable, same_unit, without_unit
from mstar.errors import InvalidDataset
from mstar.types import Answer

SEPARATOR = ", "
"""Between the letters of a reference answer that has several."""
_NAMED = re.compile(
    r"(?:(?:option|choice|letter|point|figure|graph|diagram|picture|antwort|réponse|respuesta|opción|risposta|उत्तर|विकल्प)\s+"
    r"|(?:选项|選項|選択肢)\s*)?"
    r"(?:[(\[](?P<bracketed>[A-Za-z])[)\]]|(?P<bare>[A-Z])(?=[.):,;=\\\s\u2014\u2192-]|$))"
    r"[.):,;\\]*\s*(?:(?:-|=)(?:\s+|(?=[a-z]))|[\u2014\u2192]|[=-]>)?\s*(?P<text>.*)",
    re.DOTALL | re.IGNORECASE,
)
_ARTICLE = re.compile(r"\A(?:the|a|an)\s+(?=\S)")
_YES_NO = re.compile(r"(yes|no)[,.!]\s+(\S.*)")
_UNIT_APART = re.compile(r"(?<=\d)\s+(?!(?:or|and|to|of)\b)(?=[a-z]{2})")
_VARIABLE = re.compile(r"[a-z]\s*=\s*")
_NEED_NOT_BE_SAID = frozenset("$€£¥₹°%")
_AS_WRITTEN = DEFAULT_RULE.model_copy(update={"assignments": False, "foreign_numbers": False})
_WORD = re.compile(r"(?:option|choice|letter)\s+", re.IGNORECASE)
_MARKED = re.compile(r"(?:\*\*([^*]+)\*\*|\\text(?:bf)?\{([^{}]+)\})")
"""A part of the answer that is set in bold."""
_LETTER_LAST = re.compile(
    r"(?P<text>.*[^\s,-])\s*(?:[(\[](?:(?:option|choice)\s+)?(?P<letter>[A-Z])[)\]]"
    r"|(?:,|\s-)\s*(?:which\s+is\s+)?(?:option|choice)\s+[(\[]?(?P<named>[A-Z])[)\]]?)",
    re.DOTALL | re.IGNORECASE,
)
_COUNTED = re.compile(r"[(\[]?(?P<place>[1-9]\d?)[.):\]]{1,2}\s+(?P<text>\S.*)", re.DOTALL)
_BETWEEN = re.compile(r"\s*\b(and|or)\b\s*")
_LABEL = re.compile(
    r"(?:the\s+)?(?!(?:option|choice|answer|not|nor|neither|either|except|before|after|above|below|near|beside|than)\b)[a-z]{3,12}\s+(?P<label>[a-z]|[ivx]{1,4})",
    re.IGNORECASE,
)
"""What a figure calls a part of it: `letter E`, `quadrant II`."""
_IT = re.compile(r"(?:(?:it|they|this|that)\s+)?(?:will\s+)?")
_NUMBER_ALONE = re.compile(r"(?:(?:option|choice|answer)\s+)?[(\[]?(\d{1,2})[)\].:]{0,2}", re.IGNORECASE)
_NAMED_VALUE = re.compile(
    r"(?:the\s+)?(?:m?\s*(?:∠|\\angle\b)\s*\w{1,3}|[a-z]{1,3}|[a-z]\(\w{1,9}\)|angle|area|perimeter|length|volume|value)"
    r"\s*(?:=|≈|\\approx\b)\s*",
    re.IGNORECASE,
)
_WORKED_OUT = re.compile(r"\A(?:\\[a-z]+|[\d\s.,:+*/×÷·^(){}√π°%$!=-])+(?:=|≈|\\approx)\s*(?=[^=]+$)")
"""Arithmetic in front of its result: `\\sqrt{52} = 2\\sqrt{13}`."""
_CHOSEN = re.compile(
    r"(?:(?:i|we)(?:['\u2019]d\s+|\s+(?:would\s+|will\s+)?))?(?:choose|pick|select|go\s+(?:with|for))\s+|(?:故|应|應|所以|本题)?(?:选择?|選擇?)(?!项|項)\s*[::]?\s*",
    re.IGNORECASE,
)
_IS_RIGHT = re.compile(
    r"\s+(?:is|would be|must be)\s+(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice|one))?[.!]?$",
    re.IGNORECASE,
)
_REASON = re.compile(r"(?:[,;.]?\s+(?:because|since)|,\s+as)\s+(?P<reason>.*)$", re.IGNORECASE | re.DOTALL)
_WEIGHS = re.compile(
    r"\b(?:or|but|wait|actually|instead|however|maybe|unless|neither|nor|not\s+sure|answer|option|choice)\b",
    re.IGNORECASE,
)
_SET_OFF = re.compile(r"(?:option\s+)?[(\[]?[A-Z][)\]]?\s*[.):,;\u2014-]|[(\[][A-Z][)\]]", re.IGNORECASE)
"""A letter that the next words do not go on from, as in `D shows the cell`."""
_EACH_OTHER = re.compile(r"(?<=\w)\s+(?:each\s+other|one\s+another)$")
_EXPLAINED = re.compile(r"\s*(?:[\u2014:;,.(\n]|\s-\s)\s*")
"""Between an option's text and the reason for it."""
_TAKES_BACK = re.compile(
    r"^(?:no|not)\b|\b(?:wrong|incorrect|false|unlikely|either|is\s+not|isn['\u2019]t|not\s+(?:the|it|this|correct|right))\b|[(\[][A-Z][)\]]",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:\n\s*(?:[-*•]\s+)?|,\s*and\s+|,\s*|;\s*|\band\s+|&\s*|(?<=\))\s*(?=\())\s*", re.IGNORECASE)
_NOT_ANOTHER = re.compile(r"([^\s,].*?),?\s+(?:and\s+)?not\s+(.+)", re.DOTALL | re.IGNORECASE)
_SEVERAL = re.compile(r"(?:both\s+)?(?:(?:options|choices|answers)\s+)?", re.IGNORECASE)


def compare_choice(said: str, answer: Answer, numbers: Sequence[str] = ()) -> str:
    """`equal`, `different` or `unreadable`. Options with the same text are one option.

    `numbers`: what the record itself calls its options, where these are numbers; then `3` and `(3)` name one as well.
    Case counts where it alone tells two options apart. A bare letter that is also the text of another option says
    neither. Raises InvalidDataset for a reference answer that is not an option's letter.
    """
    letters = [chr(ord("A") + place) for place in range(len(answer.choices))]
    golds = [part.strip("() .").upper() for part in answer.value.split(SEPARATOR.strip())]
    if not all(len(gold) == 1 and (not letters or gold in letters) for gold in golds):
        raise InvalidDataset(f"answer.value {answer.value!r} is not the letter of an option", field="answer.value")
    options = dict(zip(letters, map(plain, answer.choices), strict=True))
    same = dict(zip(letters, _told_apart(answer.choices), strict=True))
    said = _decision(bare(first_answer(said)))
    asked = {same.get(gold, gold) for gold in golds}
    if len(golds) > 1:
        told = _all_named(said, options, same)
    else:
        told = _told(said, options, same) | _numbered(said, numbers, letters, same)
        told = told or _contrasted(said, options, same) or _measured(said, answer.choices, same)
        told = told or _concluded(said, options, same)
        told = told if len(told) == 1 else set()
    if not told:
        return "unreadable"
    return "equal" if told == asked else "different"


def _contrasted(said: str, options: dict[str, str], same: dict[str, str]) -> set[str]:
    """The option of `(C) Earth, not Mars`, where what it is not is another option."""
    found = _NOT_ANOTHER.fullmatch(said)
    first, other = (_told(part, options, same) for part in found.groups()) if found else (set(), set())
    return first if len(first) == len(other) == 1 and first != other else set()


def _concluded(said: str, options: dict[str, str], same: dict[str, str]) -> set[str]:
    letter = concluded_letter(said, options)
    return set() if letter is None else {same[letter]}


def _measured(said: str, choices: Sequence[str], same: dict[str, str]) -> set[str]:
    """The one option of the same quantity, `2 amperes` for 2 A.

    Folded, an option says `2 a`, which is not an ampere.
    """
    one = read_number(said, DEFAULT_RULE)
    if one is None or not one.unit:
        return set()
    options = zip(same, map(_as_quantity, choices), strict=True)
    return {same[letter] for letter, option in options if option and option.unit and _same_value(one, option)}


def _as_quantity(choice: str) -> Number | None:
    return read_number(choice, _AS_WRITTEN)


def _numbered(said: str, numbers: Sequence[str], letters: Sequence[str], same: dict[str, str]) -> set[str]:
    """The option that goes by a number which is the whole answer."""
    found = _NUMBER_ALONE.fullmatch(said)
    place = numbers.index(found[1]) if found and found[1] in numbers else None
    return set() if place is None or place >= len(letters) else {same[letters[place]]}


def _told_apart(choices: Sequence[str]) -> list[str]:
    """What makes each option the one that it is: its folded text, or where case alone tells two apart, as written."""
    folded, written = [plain(one) for one in choices], [spaced_once(one) for one in choices]
    # `Ff` beside `ff` in genetics, `mW` beside `MW`.
    return written if len(set(written)) > len(set(folded)) else folded


def _told(said: str, options: dict[str, str], same: dict[str, str]) -> set[str]:
    """The options that a text names, each by what tells it apart."""
    named = {same.get(letter, letter) for letter in _named(said, options)}
    written, lettered = spaced_once(said), _NAMED.fullmatch(said)
    text = spaced_once(lettered["text"]) if lettered else ""
    if text in set(same.values()) - named:
        return set()  # a letter with the text of another option
    return {written} if len(named) > 1 and written in named else named


def _decision(said: str) -> str:
    """Without `I choose`, `is correct` and a reason after it, unless that weighs another option."""
    said = _MARKED.sub(lambda match: match[1] or match[2], said)
    if said[:1] + said[-1:] == "{}" or re.fullmatch(r"<[A-Za-z]>", said):
        said = said[1:-1]
    chosen = _CHOSEN.match(said)
    said = bare(said[chosen.end() :]) if chosen else said
    said = _IS_RIGHT.sub("", said)
    reason = _REASON.search(said)
    if reason is not None and not _WEIGHS.search(reason["reason"]):
        said = said[: reason.start()]
    return bare(said)


def _all_named(said: str, options: dict[str, str], same: dict[str, str]) -> set[str]:
    """All options that a list names; empty where a part of it names none, or more than one."""
    said = said[1:-1] if said[:1] + said[-1:] in ("[]", "{}") else said
    said = said[_SEVERAL.match(said).end() :]  # type: ignore[union-attr] # it matches the empty text as well
    joined = said.replace(" ", "")
    # `ABD` and `A B D`: letters of options, each once, without anything between them.
    if joined.isalpha() and joined.isupper() and set(joined) <= set(options) and len(set(joined)) == len(joined):
        parts = list(joined)
    else:
        parts = [part for part in _JOINED.split(said) if part]
    found: set[str] = set()
    for part in parts:
        named = _told(part, options, same)
        if len(named) != 1:
            return set()
        found |= named
    return found


def _named(said: str, options: dict[str, str]) -> set[str]:
    label = _LABEL.fullmatch(said)
    # Where options are labels of the figure, `letter E` is the option E, and not the fifth one.
    if label is not None and options and all(_LABEL.fullmatch(f"part {option}") for option in options.values()):
        return set(_by_text(label["label"], options))
    return {*_by_letter(said, options), *_by_text(said, options), *_by_both(said, options)}


def _by_both(said: str, options: dict[str, str]) -> tuple[str, ...]:
    """`cat (B)` and `2. cat`: a text with its own letter after it, or its own place in front, counted from 1."""
    letters = list(options)
    if last := _LETTER_LAST.fullmatch(said):
        letter, text = (last["letter"] or last["named"]).upper(), last["text"]
    elif (counted := _COUNTED.fullmatch(said)) and int(counted["place"]) <= len(letters):
        letter, text = letters[int(counted["place"]) - 1], counted["text"]
    else:
        return ()
    return (letter,) if _by_text(text, options) == (letter,) else ()


def _by_letter(said: str, options: dict[str, str]) -> tuple[str, ...]:
    match = _NAMED.fullmatch(said)
    if match is None:
        return ()
    written = match["bracketed"] or match["bare"]
    marked = _WORD.match(said) or said in (written, f"{written}:") or said.startswith((f"{written})", f"{written}."))
    if match["bracketed"] is None and written.islower() and not marked:
        return ()  # `a cat` is not a letter
    letter = written.upper()
    if options and letter not in options:
        return ()
    text = plain(match["text"])
    inside = plain(text[1:-1]) if text[:1] + text[-1:] == "()" else text
    own = options.get(letter)
    if text == "" or own in (text, inside) or (own is not None and _by_text(match["text"], options) == (letter,)):
        return (letter,)
    explained = own is not None and _SET_OFF.match(said) and _is_explained(match["text"], letter, options)
    return (letter,) if explained else ()


def _is_explained(text: str, letter: str, options: dict[str, str]) -> bool:
    """Whether the option's own text comes first, or nothing of it, and then a reason that names no other option."""
    own = options[letter]
    head = next((cut for cut in _EXPLAINED.finditer(text) if same_option(plain(text[: cut.start()]), own)), None)
    reason = text[head.end() :] if head else text
    if len(reason.split()) < (3 if head else 4) or _WEIGHS.search(reason) or _TAKES_BACK.search(reason):
        return False
    names_own = head is not None or f" {own} " in f" {plain(text)} "
    others = set().union(*map(telling_words, options.values())) - (telling_words(own) if names_own else set())
    return others.isdisjoint(telling_words(reason))


def _by_text(said: str, options: dict[str, str]) -> tuple[str, ...]:
    text = _EACH_OTHER.sub("", plain(out_of_dollars(said)))
    for written in (text, text.rstrip("!"), _IT.sub("", text, count=1)):
        exact = tuple(
            letter for letter, option in options.items() if option and written in (option, _IT.sub("", option, count=1))
        )
        if exact:
            return exact
    if led := _YES_NO.fullmatch(text):
        text = led[1] if not _WEIGHS.search(led[2]) and not re.search(r"\b(?:yes|no|not sure)\b", led[2]) else text
    text = text.removeprefix("both ")
    # Where an option names its value itself, the name may be all that tells it from another.
    if not any("=" in option for option in options.values()):
        text = _WORKED_OUT.sub("", _NAMED_VALUE.sub("", text, count=1) if _NAMED_VALUE.match(text) else text)
    alike = tuple(letter for letter, option in options.items() if option and same_option(text, option))
    if not alike and (value := without_unit(text)) != text:
        alike = tuple(
            letter
            for letter, option in options.items()
            if option[-1:] not in ("°", "%") and option == without_unit(option) and same_option(value, option)
        )
    return alike if len(alike) == 1 else ()


def same_option(said: str, option: str) -> bool:
    """Whether folded texts say one thing: but for an article and signs for LaTeX commands, or as one number."""
    one, other = (_ARTICLE.sub("", canonical(_UNIT_APART.sub("", signs(text))), count=1) for text in (said, option))
    if one == other or _tight(one) == _tight(other) or unknown_first(one) == unknown_first(other):
        return True
    if _same_parts(one, other):
        return True
    if means(one, other) or means(other, one) or same_text(said, option):
        return True
    # `5` answers the option `x = 5`, but `y = 5` must not.
    if "=" not in said:
        option = _VARIABLE.sub("", signs(option))
    first, second = read_number(said, _AS_WRITTEN), read_number(option, _AS_WRITTEN)
    return first is not None and second is not None and _same_value(first, second)


def _tight(text: str) -> str:
    """A formula without the space around its signs: `16-4π` of `16 - 4π`. Texts stay as they are."""
    return text if re.search(r"[^\W\d_π]{3}", text) else re.sub(r"(?<=\S)\s*([-+=])\s*(?=\S)", r"\1", text)


def _same_parts(said: str, option: str) -> bool:
    """`3 and 1` for `1 and 3`; solutions also with the other word between them, `x = 3 and x = 2`."""
    told, asked = _BETWEEN.split(said), _BETWEEN.split(option)
    same_words = told[1::2] == asked[1::2] or "=" in option
    return len(asked) > 1 and same_words and sorted(told[::2]) == sorted(asked[::2])


def _same_value(first: Number, second: Number) -> bool:
    """One quantity; the unit of an option need not be said where it can be no other, nor one be left out."""
    if is_percent(first.unit) != is_percent(second.unit) and not (first.unit and second.unit):
        share, other = (first, second) if first.unit else (second, first)
        return other.value in (share.value / 100, *([share.value] if second.unit else []))
    if first.unit and second.unit and not same_unit(first.unit, second.unit):
        times = factor(first.unit, second.unit)
        return times is not None and first.value * times == second.value
    if first.value != second.value:
        return False
    if first.unit and second.unit:
        return True
    # A price without its sign is still that price; `15` beside options in cm and m may be either.
    if first.unit == second.unit or first.unit + second.unit in _NEED_NOT_BE_SAID:
        return True
    return not second.unit and not is_variable(first.unit) and short_scale(first.unit) is None
