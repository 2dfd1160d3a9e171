"""`/v1/runs/{id}/responses`: search the responses of a run, and export what was found."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from mstar.api.responses import FoundPage, FoundQuestion, Indexed, ResponseQuery
from mstar.errors import Conflict, InvalidInput, MstarError, Unavailable
from mstar.recipes import Recipe
from mstar_coordinator.api.routes.context import Context, Coordinator
from mstar_coordinator.responses.exporting import found, json_lines, trl_zip
from mstar_coordinator.responses.searching import search
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1/runs/{run_id}/responses", tags=["responses"], route_class=JsonRoute)
Wanted = Annotated[ResponseQuery, Query()]


class ExportFormat(StrEnum):
    """What a selection of responses is written as."""

    JSONL = "jsonl"
    """A line for each response, with all that is known of it."""
    TRL = "trl"
    """A zip with prompts, completions and images, as TRL's SFT trainer reads them through `datasets`."""


class ExportQuery(ResponseQuery):
    """A filter, and how what it finds is written."""

    format: ExportFormat = ExportFormat.JSONL
    """How the selection is written."""


@router.get("")
def search_responses(coordinator: Coordinator, run_id: str, query: Wanted) -> FoundPage:
    """Questions whose responses meet a filter, each with all of its responses, verdicts, scores and choices."""
    with coordinator.responses.reading(run_id, query.iteration) as (connection, indexed):
        return page_of(search(connection, query), query, indexed)


@router.get("/export", response_class=StreamingResponse)
def export_responses(
    coordinator: Coordinator, run_id: str, query: Annotated[ExportQuery, Query()]
) -> StreamingResponse:
    """Every response that the filter means, as a file. 503 while the index lacks a shard, 409 if one is damaged.

    An evaluation has no `trl`: what a benchmark asks is not training data.
    """
    if query.format is ExportFormat.TRL and _recipe(coordinator, run_id).measure is not None:
        detail = f"{run_id} is an evaluation, whose questions train nothing: take format=jsonl"
        raise InvalidInput(detail, field="format")
    with ExitStack() as opened:
        connection, indexed = opened.enter_context(coordinator.responses.reading(run_id, query.iteration))
        if indexed.indexed < indexed.shards:
            raise _incomplete(run_id, indexed)
        # What is wrong with the query is said before the answer begins.
        search(connection, query.model_copy(update={"limit": 1}))
        # From here the answer closes it.
        stack = opened.pop_all()
    rows = _exported(coordinator, run_id, query, connection, stack)
    kind, ending = ("application/zip", "zip") if query.format is ExportFormat.TRL else ("application/jsonl", "jsonl")
    named = {"Content-Disposition": f'attachment; filename="{run_id}-responses.{ending}"'}
    return StreamingResponse(rows, media_type=kind, headers=named)


def _incomplete(run_id: str, indexed: Indexed) -> MstarError:
    """Part of a selection would pass for the whole."""
    if indexed.problem is not None:
        fix = f"have it made again with `mstar run repair {run_id}`, or choose an iteration that is whole"
        return Conflict(f"a shard cannot be read ({indexed.problem}): {fix}")
    done = f"{indexed.indexed} of {indexed.shards} shards are in the index"
    return Unavailable(f"{done}: export when all are", retry_after=5.0)


def page_of(questions: list[FoundQuestion], query: ResponseQuery, indexed: Indexed) -> FoundPage:
    """A page of at most `limit` questions; one more says that there is a next page."""
    shown = tuple(questions[: query.limit])
    return FoundPage(
        data=shown,
        has_more=len(questions) > query.limit,
        first_id=shown[0].cursor if shown else None,
        last_id=shown[-1].cursor if shown else None,
        index=indexed,
    )


def _exported(
    context: Context, run_id: str, query: ExportQuery, connection: sqlite3.Connection, stack: ExitStack
) -> Iterator[bytes]:
    with stack:
        rows = found(connection, query)
        if query.format is ExportFormat.JSONL:
            yield from json_lines(rows)
            return
        yield from trl_zip(rows, _recipe(context, run_id).form, context.settings.storage().images().get)


def _recipe(context: Context, run_id: str) -> Recipe:
    """Raises NotFound."""
    with context.store.reading() as tx:
        return tx.runs.get(run_id).recipe
