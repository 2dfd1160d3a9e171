"""Tokens that are more than their text: what begins a prompt, ends a turn, or stands for an image.

A tokenizer may add tokens without marking them special, such as a blank line or `<think>`: those are text, which may be
sampled and asked about. What this leaves out: the text of tokens (`spelling`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AddedToken, GenerationConfig

from mstar.errors import InvalidInput
from mstar_models.chat import Turn, build_messages
from mstar_models.remote_loading import read_config

GENERATION = "generation_config.json"
_SAID = "@said@"
"""Stands for what the assistant says while the chat template is rendered."""


def mark_placeholders(processor: Any) -> None:
    """Make the tokens special that the processor puts in place of images: some folders add them as ordinary ones.

    Text could otherwise spell an image that is not there, and a policy could sample one.
    """
    tokenizer = processor.tokenizer
    added = {str(token): token.special for token in tokenizer.added_tokens_decoder.values()}
    named = dict.fromkeys(str(value) for value in vars(processor).values() if isinstance(value, str | AddedToken))
    plain = [name for name in named if added.get(name) is False]
    if plain:
        # Without replacing: the tokens that are special already must stay so.
        tokenizer.add_special_tokens({"extra_special_tokens": plain}, replace_extra_special_tokens=False)


def special_tokens(tokenizer: Any) -> dict[str, int]:
    """Text → id of every special token."""
    found = {str(token): place for place, token in tokenizer.added_tokens_decoder.items() if token.special}
    return found | dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


def suppressed_ids(tokenizer: Any) -> list[int]:
    """Tokens that sampling must never emit: every special one but the end of the turn."""
    return sorted(set(special_tokens(tokenizer).values()) - {tokenizer.eos_token_id})


@lru_cache(maxsize=4)
def never_sampled(tokenizer: Any) -> frozenset[int]:
    """The same as a set, remembered."""
    return frozenset(suppressed_ids(tokenizer))


@dataclass(frozen=True)
class Edges:
    """What a tokenizer puts around every text by itself."""

    begin: str
    """Such as `<s>`; empty for most."""
    behind: int
    """Tokens that it puts after the text; 0 for nearly all."""

    def asked(self, text: str) -> bool:
        """Whether a prompt needs the tokenizer's own beginning: a chat template may have written it already."""
        return bool(self.begin) and not text.lstrip().startswith(self.begin)


def edges_of(tokenizer: Any) -> Edges:
    """Those of a tokenizer."""
    bare, whole = (tokenizer("a", add_special_tokens=more)["input_ids"] for more in (False, True))
    spare = len(whole) - len(bare)
    # Where the bare text stands in the whole one: what is before it and after it was put there.
    before = next((place for place in range(spare + 1) if whole[place : place + len(bare)] == bare), 0)
    return Edges("".join(tokenizer.convert_ids_to_tokens(whole[:before])), max(0, spare - before))


def turn_ends(folder: Path, processor: Any) -> frozenset[int]:
    """Every token that ends a response.

    Those of the folder's generation configuration, the tokenizer's own, and what the chat template writes after an
    answer: a model that was tuned to write one of them must not be kept from it. Raises InvalidInput.
    """
    configured = configured_ends(folder)
    if configured is None:
        said = GenerationConfig.from_model_config(read_config(folder)).eos_token_id
        configured = said if isinstance(said, list) else [said]
    found = {*configured, processor.tokenizer.eos_token_id, _end_of_template(processor)}
    return frozenset(token for token in found if token is not None)


def configured_ends(folder: Path) -> list[int] | None:
    """What the generation configuration calls the end of a text; None: there is no such file.

    Raises InvalidInput for a value that is not an id of a token, or a list of them.
    """
    if not (folder / GENERATION).is_file():
        return None
    said = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    found = said if isinstance(said, list) else [] if said is None else [said]
    # `type`: true is 1 to Python.
    if any(type(one) is not int or one < 0 for one in found):
        raise InvalidInput(
            f"eos_token_id in {GENERATION} of model folder {folder.name} is {str(said)[:64]}: give the id of a token, "
            "or a list of such",
            field="model",
        )
    return found


def end_of_turn(processor: Any) -> int:
    """The token that ends a response which came as text: what the chat template writes there, else the tokenizer's.

    Raises InvalidInput where neither names one, as with some models that were never tuned for conversations.
    """
    found = (_end_of_template(processor), processor.tokenizer.eos_token_id)
    end = next((token for token in found if token is not None), None)
    if end is None:
        raise InvalidInput(
            "nothing says which token ends a response: set eos_token in tokenizer_config.json, or let the chat "
            "template write a special token after what the assistant says",
            field="model",
        )
    return int(end)


def _end_of_template(processor: Any) -> int | None:
    """The first special token after an assistant's turn; None for a template that writes none."""
    turns = (Turn("user", ("?",)), Turn("assistant", (_SAID,)))
    try:
        text = str(processor.apply_chat_template(build_messages(turns)))
    except (TemplateError, TypeError, ValueError):
        # A template for one turn only, as base models have it.
        return None
    behind = text.rpartition(_SAID)[2] if _SAID in text else ""
    known = special_tokens(processor.tokenizer)
    return next((known[name] for name in _in_order(behind, known)), None)


def _in_order(text: str, names: Iterable[str]) -> list[str]:
    found: Collection[str] = {name for name in names if name and name in text}
    # The longest first where several begin at one place.
    return sorted(found, key=lambda name: (text.index(name), -len(name)))
