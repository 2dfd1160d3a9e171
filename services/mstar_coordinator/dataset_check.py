"""Checks every record of a data set that a run uses: its answer, its image, and whether it is a duplicate.

The same check runs when a run is asked for, as far as its time goes, and whole in the step `prepare`, which is the
first: nothing is sampled or trained on records that nobody looked at. Tests go first, so that a record which doubles
one is found on the side of training.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Self

from mstar.alike import gather, listed
from mstar.data_check import SHOWN, DataCheck, Drop
from mstar.errors import InvalidDataset
from mstar.judges.in_runs import official_sets
from mstar.pictures import MAX_FILE_BYTES, MAX_PIXELS_TOGETHER, picture_size
from mstar.recipes import DataRecipe, Recipe, split_field
from mstar_coordinator.dataset_rows import METADATA, BadRow, DatasetRow, rows_of
from mstar_coordinator.dataset_source import Opened
from mstar_coordinator.image_takers import Taker, takers_of
from mstar_data.bounds import Bounds, Opener, bounds_of
from mstar_data.duplicates import Duplicates, Duplication, question_key
from mstar_data.fingerprints import Fingerprints
from mstar_data.known_images import KnownImages
from mstar_data.looks import Fingerprint, Looks
from mstar_data.summary import Summary

LISTED = 10
"""Problems in a message; a run's record has twice as many."""


def open_looks(home: Path) -> Fingerprints:
    """Decodes in limited children; what is found out is remembered below the coordinator's folder."""
    return Fingerprints(known=KnownImages(home / ".mstar" / "known_images"))


def own_splits(recipe: Recipe) -> dict[str, int]:
    """The splits that come from the data set: all but published benchmarks."""
    elsewhere = official_sets(recipe)
    return {split: wanted for split, wanted in recipe.splits.items() if split not in elsewhere}


@dataclass(frozen=True)
class Sound:
    """A record that can be used, with the files of its pictures."""

    row: DatasetRow
    images: tuple[bytes, ...]


@dataclass
class DatasetCheck:
    """One pass over the splits of a run's data set."""

    folder: Path
    splits: Mapping[str, int]
    """Records that the run uses, by split, in the order in which they are looked at."""
    tests: frozenset[str]
    """Those that test."""
    rule: DataRecipe
    looks: Looks
    enough: Callable[[], bool] = lambda: False
    """Whether to stop before the end."""
    takers: Sequence[Taker] = ()
    """The run's models that do not take every number of images."""
    looked: int = 0
    """Records so far."""
    whole: bool = True
    """Nothing was stopped."""
    imported: Summary | None = None
    """What the import of the data set left out before, where it was imported."""
    bounds: Bounds | None = None
    """What its paths may lead to; None for its own folder alone."""
    _kept: Counter[str] = field(default_factory=Counter)
    _found: Counter[str] = field(default_factory=Counter)
    _overlap: Counter[str] = field(default_factory=Counter)
    _overlap_questions: Counter[str] = field(default_factory=Counter)
    _problems: list[str] = field(default_factory=list)
    _alike: dict[str, int] = field(default_factory=dict)
    _short: list[InvalidDataset] = field(default_factory=list)
    _duplicates: Duplicates = field(default_factory=Duplicates)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        looks: Looks,
        enough: Callable[[], bool] = lambda: False,
        opened: Opened | None = None,
    ) -> Self:
        """The check of what a recipe names. `opened`: its folder, where this is not the source itself."""
        splits, tests = own_splits(recipe), frozenset(recipe.tests)
        # Tests, validation, then what is trained on: of two equal records the later one is reported or dropped.
        order = dict.fromkeys([*(name for name in splits if name in tests), "validation", *splits])
        opened = opened or Opened(Path(recipe.data.source))
        wanted = {name: splits[name] for name in order}
        check = cls(opened.folder, wanted, tests, recipe.data, looks, enough, takers_of(recipe))
        check.imported, check.bounds = opened.summary, opened.bounds
        return check

    def add_test(self, name: str, question: str, look: Fingerprint) -> None:
        """Remember a question of a test that is not in the data set, so that overlap with it is found."""
        self._duplicates.add_evaluation(name, question_key(question), [look])

    def rows(self) -> Iterator[Sound]:
        """The records that the run uses, split by split, in the order of the files.

        Raises InvalidDataset at the end where records cannot be used, unless they may be skipped, and where a split has
        too few.
        """
        for split, wanted in self.splits.items():
            if wanted and self.whole:
                yield from self._split(split, wanted)
        self.require_sound()

    def require_sound(self) -> None:
        """Raises InvalidDataset for what was found so far: the first problems by file and line, with their number."""
        bad = self._found["bad"]
        if bad and not self.rule.skip_bad:
            lines = listed(self._problems[:LISTED], self._alike, bad)
            lines += [short.detail for short in self._short]
            raise InvalidDataset(
                "\n  ".join([f"{bad} records cannot be used:" if bad > 1 else "a record cannot be used:", *lines])
                + "\ncorrect the data, or leave them out with data.skip_bad=true (--skip-bad)",
                field="data.source",
            )
        if self._short:
            raise self._short[0]

    def result(self) -> DataCheck:
        """What was found so far."""
        before = self.imported or Summary()
        return DataCheck(
            records=dict(self._kept),
            skipped=self._found["bad"] + before.bad,
            problems=(*before.problems, *self._problems)[:SHOWN],
            repeated=self._found[Drop.REPEATED] + before.repeated,
            shared=self._found[Drop.SHARED],
            near=self._found[Drop.NEAR],
            overlap=dict(self._overlap),
            overlap_questions=dict(self._overlap_questions),
            dropped=self._found["dropped"],
        )

    def _split(self, split: str, wanted: int) -> Iterator[Sound]:
        skips = self.rule.skip_bad
        used = out = 0
        for row, files, looks in self._looked_at(split):
            if self.enough():
                self.whole = False
                return
            self.looked += 1
            problem = row.problem if isinstance(row, BadRow) else _problem(row, looks, self.takers)
            if problem is not None:
                self._refuse(problem)
                # Where nothing is skipped, a bad record takes the place of one that would be used.
                used += not skips
            elif isinstance(row, DatasetRow):
                if self._is_dropped(row, [look.result() for look in looks]):
                    out += 1
                    continue
                used += 1
                self._kept[split] += 1
                yield Sound(row, files)
            if used == wanted:
                return
        dropped = f" once {out} are left out by data.drop" if out else ""
        # Kept for the end, so that bad records of later splits are told together with it.
        self._short.append(
            InvalidDataset(
                f"{split}/{METADATA} has {used} questions{dropped} but the recipe wants {wanted}: "
                f"lower {split_field(split)}",
                field=split_field(split),
            )
        )

    def _looked_at(
        self, split: str
    ) -> Iterator[tuple[DatasetRow | BadRow, tuple[bytes, ...], list[Future[Fingerprint]]]]:
        """Each row with its pictures' files and what they look like."""
        looks: list[Future[Fingerprint]] = []
        for (row, files), look in self.looks.each(
            _with_images(self.folder, split, self.bounds or bounds_of(self.folder))
        ):
            looks.append(look)
            if len(looks) >= len(files):
                # A row without a picture was passed on once as well.
                yield row, files, looks[: len(files)]
                looks = []

    def _refuse(self, problem: str) -> None:
        self._found["bad"] += 1
        gather(problem, self._problems, self._alike, SHOWN)

    def _is_dropped(self, row: DatasetRow, looks: Sequence[Fingerprint]) -> bool:
        """Count what the record doubles, and say whether it is left out for that."""
        question = row.question
        asked = question_key(question.text)
        answer = None if question.answer is None else question.answer.value
        # Longer than the default, since this digest alone says that two records are equal.
        record = _digest([question.text, *(look.sha256 for look in looks), answer, row.steps], 16)
        seen = self._duplicates.see(record, record if row.steps else asked, _digest(answer), looks, question.split)
        if question.split in self.tests:
            self._duplicates.add_evaluation(question.split, asked, looks)
        kinds = self._kinds(seen, question.split)
        self._found.update(kinds)
        drops = not kinds.isdisjoint(self.rule.drop)
        self._found["dropped"] += drops
        return drops

    def _kinds(self, seen: Duplication, split: str) -> set[Drop]:
        """What a record doubles. Tests of one run may share pictures with each other."""
        found: set[Drop] = set()
        if seen.overlap is not None and split not in self.tests:
            found.add(Drop.OVERLAP)
            self._overlap[seen.overlap] += 1
            if seen.overlap_question:
                found.add(Drop.OVERLAP_QUESTION)
                self._overlap_questions[seen.overlap] += 1
        if seen.exact is not None:
            found.add(Drop.REPEATED if seen.exact == split else Drop.SHARED)
        elif seen.near is not None:
            found.add(Drop.NEAR)
        return found


def _with_images(
    folder: Path, split: str, bounds: Bounds
) -> Iterator[tuple[tuple[DatasetRow | BadRow, tuple[bytes, ...]], bytes | None]]:
    """Each row with its pictures' files, once for each to be looked at, and once where it has none or is bad."""
    for row in rows_of(folder, split, bounds):
        files: tuple[bytes, ...] = ()
        if isinstance(row, DatasetRow):
            try:
                files = _files(row, bounds.open)
            except ValueError as error:
                row = BadRow(f"{row.where}: {error}")
        for file in files or (None,):
            yield (row, files), file


def _files(row: DatasetRow, opened: Opener) -> tuple[bytes, ...]:
    """The pictures of a row. Raises ValueError, which names the one that cannot be used."""
    found, pixels = [], 0
    for image in row.images:
        try:
            found.append(_file(image, opened))
            # It says more of a file that is not a picture than the decoder does, and costs nothing.
            width, height = picture_size(BytesIO(found[-1]))
        except (OSError, ValueError) as error:
            reason = f"can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise ValueError(f"image {image.name[:80]} {reason}") from None
        pixels += width * height
    if pixels > MAX_PIXELS_TOGETHER:
        raise ValueError(
            f"its {len(found)} images have {pixels} pixels together, and at most {MAX_PIXELS_TOGETHER} are accepted"
        )
    return tuple(found)


def _file(path: Path, opened: Opener) -> bytes:
    """The file's bytes. Raises OSError, and ValueError for one that is larger than any picture may be."""
    with opened(path) as file:
        # One byte more than allowed, so that a file of any size costs no more memory than that.
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"has more than {MAX_FILE_BYTES} bytes, the most that is accepted")
    return data


def _problem(row: DatasetRow, looks: Sequence[Future[Fingerprint]], takers: Sequence[Taker]) -> str | None:
    for taker in takers:
        if (problem := taker.problem(len(row.images))) is not None:
            return f"{row.where}: {problem}"
    for image, look in zip(row.images, looks, strict=True):
        try:
            look.result()
        except ValueError as error:
            return f"{row.where}: image {image.name[:80]}: {error}"
    return None


def _digest(value: object, size: int = 8) -> bytes:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=size).digest()
