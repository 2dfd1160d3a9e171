"""A mapping file: how to read a data set whose columns no reader knows.

    columns: {question: prompt, answer: gold, image: picture.bytes, choices: opts, group: meta.task}
    decimal: ","
    types:
      - {when: {column: kind, equals: mc}, type: choice}
      - {type: float, precision: 2}
    first_index: 1
    splits: {column: fold, values: {tr: train, te: test_id, ch: charts}}
    filters:
      - {column: lang, in: [en]}
      - {column: gold, present: true}
    licence: cc-by-4.0

Every key is optional. What is left out is read as without a mapping.
"""

import json
from collections.abc import Mapping as Columns
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mstar.answers.records import ChoiceForm
from mstar.documents import parse_yaml
from mstar.errors import InvalidInput
from mstar.split_shares import require_shares, split_name
from mstar.types import AnswerType, Frozen
from mstar_data.bounds import Opener, open_plainly

Target = Literal[
    "question", "answer", "answers", "alternatives", "image", "images", "choices", "id", "group", "split", "hint",
    "unit", "precision", "answer_type", "steps", "completions", "labels",
]  # fmt: skip
Split = Annotated[str, AfterValidator(split_name)]
Scalar = str | int | float | bool | None
LONGEST = 4 * 1024 * 1024
"""Bytes of a mapping file."""


class Condition(Frozen):
    """A test of a column; all that is given must hold."""

    column: str = Field(min_length=1)
    """Name; a dot leads into an object: `meta.task`."""
    equals: Scalar = None
    in_: tuple[Scalar, ...] | None = Field(default=None, alias="in")
    not_in: tuple[Scalar, ...] | None = None
    matches: str | None = None
    """Regular expression that is found somewhere in the value, as RE2 reads it: without lookaround and `\\1`."""
    present: bool | None = None
    max_characters: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        tests = self.model_fields_set - {"column"}
        if not tests:
            raise ValueError("give a test: equals, in, not_in, matches, present or max_characters")
        if self.matches is not None:
            _found(self.matches, "")
        return self

    def holds(self, row: Columns[str, Any]) -> bool:
        """Whether a row passes."""
        value = column_of(row, self.column)
        text = "" if value is None else str(value)
        return (
            # By value or by text: YAML reads 1 as a number, and a table has it as text.
            ("equals" not in self.model_fields_set or value == self.equals or text == str(self.equals))
            and (self.in_ is None or value in self.in_ or text in map(str, self.in_))
            and (self.not_in is None or not (value in self.not_in or text in map(str, self.not_in)))
            and (self.matches is None or _found(self.matches, text[:10_000]))
            and (self.present is None or (value not in (None, "", [])) is self.present)
            and (self.max_characters is None or len(text) <= self.max_characters)
        )


def _found(pattern: str, text: str) -> bool:
    """Whether RE2 finds a pattern in a text. Raises ValueError for one that it cannot read.

    Python's own `re` takes time without bound for a pattern such as `(a+)+$`, and stops every thread meanwhile.
    """
    from pyarrow import compute, scalar

    try:
        # Half of a surrogate pair, which JSON can spell, has no bytes.
        return bool(compute.match_substring_regex(scalar(text.encode(errors="replace").decode()), pattern).as_py())
    except ValueError as error:
        raise ValueError(f"matches is not a supported regular expression: {error}") from None


class TypeRule(Frozen):
    """The answer's type, for all rows or those that a condition picks; the first rule that fits counts."""

    type: AnswerType
    when: Condition | None = None
    precision: int | None = Field(default=None, ge=0, le=12)
    unit: str | None = None


class Splits(Frozen):
    """Which split a record belongs to: by a column, by seeded shares, or by a list of held-out ids."""

    column: str | None = None
    values: dict[str, Split] = {}
    """The column's value → split; a row with another value is bad, so that none is lost."""
    shares: dict[Split, float] = {}
    seed: int = Field(default=0, ge=0)
    held_out: str | None = None
    """File with an id a line, beside the mapping."""
    split: Split = "test_id"
    """Where held-out ids go; all others go to train, or by `shares`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.column is None) != (not self.values):
            raise ValueError("column and values belong together")
        if self.column is not None and (self.shares or self.held_out):
            raise ValueError("choose either a column, or shares and held_out")
        require_shares(self.shares)
        if self.column is None and not self.shares and self.held_out is None:
            raise ValueError("give column with values, shares, or held_out")
        return self


class Mapping(Frozen):
    """What a mapping file says."""

    columns: dict[Target, str] = {}
    """What a column is here → its name in the source."""
    types: tuple[TypeRule, ...] = ()
    first_index: int = Field(default=0, ge=0, le=1)
    """What the first option is called where answers are numbers."""
    answers: ChoiceForm | None = None
    """What stands for the right option of a choice: its letter, its index or its text. Default: any that is clear."""
    decimal: Literal[".", ","] | None = None
    """What answers that are numbers have before their decimals. Default: a point, or what a table with `;` shows."""
    splits: Splits | None = None
    filters: tuple[Condition, ...] = ()
    """A row that fails one is left out, and counted."""
    licence: str | None = None
    """Goes into the imported set's card."""

    def keeps(self, row: Columns[str, Any]) -> bool:
        """Whether a row passes all filters."""
        return all(one.holds(row) for one in self.filters)

    def renamed(self, row: Columns[str, Any]) -> Columns[str, Any]:
        """The row with the columns that readers know. Raises ValueError naming a column that is not there."""
        if not self.columns and not self.types:
            return row
        found = dict(row)
        for target, source in self.columns.items():
            if target != source:
                # All are taken away before any is set, so that two columns may swap their names.
                found.pop(source, None)
        for target, source in self.columns.items():
            value = column_of(row, source)
            if value is None and target in ("question", "answer"):
                raise ValueError(f"the mapping's column {source!r} for {target} is not there")
            found[target] = value
        rule = next((one for one in self.types if one.when is None or one.when.holds(row)), None)
        if rule is not None:
            given = {"answer_type": rule.type.value, "precision": rule.precision, "unit": rule.unit}
            found |= {name: value for name, value in given.items() if value is not None}
        return found


def column_of(row: Columns[str, Any], name: str) -> Any:
    """A value by its column's name; a dot leads into an object, also into one that is written as JSON."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if isinstance(value, str) and value[:1] == "{":
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        if not isinstance(value, Columns) or part not in value:
            return None
        value = value[part]
    return value


def read_mapping(path: Path, opened: Opener = open_plainly) -> Mapping:
    """Raises InvalidInput naming the key and what it may hold."""
    try:
        with opened(path) as file:
            values = parse_yaml(file.read(LONGEST).decode("utf-8-sig"))
        if not isinstance(values, dict):
            raise InvalidInput(f"{path.name} must hold keys such as columns, types, splits, filters", field="mapping")
        return Mapping.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "mapping"
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{path.name}: {where}: {message}", field="mapping") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", field="mapping") from None
