"""Puts one shard of sampled responses into a run's index, with the scores and the selection where there are any."""

import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mstar.api.responses import FoundQuestion, FoundResponse
from mstar.left_out import reasons_left_out
from mstar.reward import RewardRule, reward
from mstar.selection_rules import SelectionRecipe
from mstar.steps import ArtefactRef
from mstar.types import CheckedResponse, RolloutRow, ScoreRow, SelectedRow, StepScores
from mstar_artefacts.store import SCORES, ArtefactStore
from mstar_coordinator.responses.tables import NO_SCORE_HIGH, NO_SCORE_LOW, question_key, response_key

COMPRESSION = 1
NOT_YET = "not selected yet"
NEVER = "an evaluation trains nothing"


@dataclass(frozen=True)
class Shard:
    """Questions that one step sampled, and what another chose of them, or how it scored them."""

    name: str
    """Of the step that sampled."""
    iteration: int
    first: int
    """Place of its first question in the iteration."""
    rollouts: ArtefactRef
    selection: ArtefactRef | None
    """None until it is done."""
    rule: SelectionRecipe | None
    """How it chose; None in an evaluation, where `selection` holds scores alone."""


def fill(connection: sqlite3.Connection, store: ArtefactStore, shard: Shard, rule: RewardRule) -> None:
    """Write the shard's rows, in one transaction. Raises NotFound, CorruptArtefact or sqlite3.Error."""
    scores, kept = _selected(store, shard)
    # The shard's rows and the note that it is in appear together: after a crash it is read again as a whole.
    connection.execute("BEGIN IMMEDIATE")
    try:
        new = connection.execute("SELECT 1 FROM shards WHERE name = ?", (shard.name,)).fetchone() is None
        for place, row in enumerate(store.rows(shard.rollouts, RolloutRow), shard.first):
            found = _found(row, place, shard, scores.get(row.question.id), kept.get(row.question.id, {}), rule)
            _write(connection, found)
            # A shard that comes again has a selection by now; its words and counts are in already, and the same.
            if new:
                _write_words(connection, found)
        selection = None if shard.selection is None else shard.selection.sha256
        connection.execute(
            "INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)",
            (shard.name, shard.iteration, shard.rollouts.sha256, selection),
        )
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself where the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _selected(store: ArtefactStore, shard: Shard) -> tuple[dict[str, ScoreRow], dict[str, dict[int, str]]]:
    """By question: its scores, and why each of its kept responses was kept."""
    selection = shard.selection
    if selection is None:
        return {}, {}
    if shard.rule is None:
        return {row.question_id: row for row in store.rows(selection, ScoreRow)}, {}
    kept: dict[str, dict[int, str]] = {}
    for row in store.rows(selection, SelectedRow):
        kept.setdefault(row.question.id, {})[row.index] = row.reason
    return {row.question_id: row for row in store.rows(selection, ScoreRow, SCORES)}, kept


def _found(
    row: RolloutRow, place: int, shard: Shard, scores: ScoreRow | None, kept: Mapping[int, str], rule: RewardRule
) -> FoundQuestion:
    by_index = {} if scores is None else {one.index: one for one in scores.responses}
    left_out = {} if shard.selection is None or shard.rule is None else reasons_left_out(row, shard.rule)
    unsaid = NEVER if shard.rule is None else NOT_YET
    responses = [
        _response(one, by_index.get(one.index), kept.get(one.index), left_out.get(one.index, unsaid), rule)
        for one in row.responses
    ]
    # A stable sort: equal scores stay in the order of their places.
    responses.sort(key=lambda one: NO_SCORE_LOW if one.reward is None else one.reward, reverse=True)
    return FoundQuestion(
        cursor="",
        iteration=shard.iteration,
        place=place,
        question=row.question,
        temperature=row.temperature,
        weight_version=row.weight_version,
        prm_version=scores.prm_version if scores else None,
        problem=row.problem,
        reference=row.reference or (row.question.answer.value if row.question.answer else ""),
        responses=tuple(responses),
    )


def _response(
    checked: CheckedResponse, scores: StepScores | None, kept: str | None, left_out: str, rule: RewardRule
) -> FoundResponse:
    verdict = checked.verdict
    return FoundResponse(
        index=checked.index,
        text=checked.response.text,
        correct=verdict.correct,
        extracted=verdict.extracted,
        reason=verdict.reason,
        finish_reason=checked.response.finish_reason,
        tokens=len(checked.response.token_ids),
        kept=kept is not None,
        why=left_out if kept is None else kept,
        steps=scores.steps if scores else (),
        scores=scores.scores if scores else (),
        reward=None if scores is None else reward(scores, verdict.extracted, rule),
    )


def _write(connection: sqlite3.Connection, found: FoundQuestion) -> None:
    key, all_ = question_key(found.iteration, found.place), found.responses
    scored = [one.reward for one in all_ if one.reward is not None]
    fooled = [one.reward for one in all_ if one.reward is not None and not one.correct]
    correct = sum(one.correct for one in all_)
    values = (
        *(key, found.iteration, found.question.id, found.question.group, found.temperature, len(all_), correct),
        *(sum(one.kept for one in all_), correct / max(1, len(all_)), max(scored, default=NO_SCORE_LOW)),
        *(min(scored, default=NO_SCORE_HIGH), max(fooled, default=NO_SCORE_LOW)),
    )
    connection.execute(f"INSERT OR REPLACE INTO questions VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
    connection.executemany(
        "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)",
        ((response_key(key, one.index), one.correct, one.kept, one.reward) for one in all_),
    )
    # What a page shows lies in one row: looking each response up would cost a search most of its time.
    packed = zlib.compress(found.model_dump_json(exclude_defaults=True).encode(), COMPRESSION)
    connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (key, packed))


def _write_words(connection: sqlite3.Connection, found: FoundQuestion) -> None:
    """What never changes once it is sampled: words can be added to the index and not taken out."""
    key, question = question_key(found.iteration, found.place), found.question
    connection.executemany(
        "INSERT INTO words (rowid, text) VALUES (?, ?)",
        ((response_key(key, one.index), one.text) for one in found.responses),
    )
    asked = f"{question.text} {question.id} {found.reference}"
    connection.execute("INSERT INTO asked (rowid, text) VALUES (?, ?)", (key, asked))
    connection.executemany("INSERT OR IGNORE INTO images VALUES (?)", ((one,) for one in _images(found)))
    connection.execute(
        "INSERT INTO facets VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE "
        "SET questions = questions + 1, responses = responses + excluded.responses",
        (found.iteration, question.group, found.temperature, len(found.responses)),
    )


def _images(found: FoundQuestion) -> Iterator[str]:
    yield from found.question.images
