"""`/v1/batches`: begin, list, show and cancel batches of scoring requests, in the shape of OpenAI's Batch API."""

from typing import Annotated

from fastapi import APIRouter, Query

from mstar.api.batches import Batch, BatchCreate, BatchProblem, BatchProblems, BatchState, RequestCounts
from mstar.api.runs import Page
from mstar_coordinator.api.routes.context import Caller, Context, Coordinator, Limit, paged
from mstar_coordinator.api.routes.once import Key, answer_once, idempotency
from mstar_coordinator.store.batches import BatchRecord
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=JsonRoute)


@router.post("")
def create_batch(coordinator: Coordinator, caller: Caller, request: BatchCreate, key: Key = None) -> Batch:
    """Check every line of a file and take it on. Its requests are sent one at a time, after those of people."""
    bound = idempotency(key, "batches", request.model_dump_json(), caller)
    return answer_once(
        coordinator,
        bound,
        Batch,
        lambda: coordinator.batches.create(request, caller, bound),
        lambda batch_id: _show(coordinator, batch_id),
    )


@router.get("")
def list_batches(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")] = None,
) -> Page[Batch]:
    """Batches of the caller's project, newest first."""
    with coordinator.store.reading() as tx:
        found = tx.batches.page(caller.view, after, limit + 1)
    return paged([_view(coordinator, one) for one in found], limit, [one.id for one in found])


@router.get("/{batch_id}")
def get_batch(coordinator: Coordinator, batch_id: str) -> Batch:
    """One batch, with how far it is."""
    return _show(coordinator, batch_id)


@router.post("/{batch_id}/cancel")
def cancel_batch(coordinator: Coordinator, batch_id: str) -> Batch:
    """End a batch after the request in hand. What was answered by then becomes its files."""
    coordinator.batches.cancel(batch_id)
    return _show(coordinator, batch_id)


def _show(coordinator: Context, batch_id: str) -> Batch:
    with coordinator.store.reading() as tx:
        return _view(coordinator, tx.batches.get(batch_id))


def _view(context: Context, batch: BatchRecord) -> Batch:
    ended = None if batch.ended_at is None else int(batch.ended_at)
    failed = None
    if batch.error is not None:
        failed = BatchProblems(data=(BatchProblem(code="invalid-input", message=batch.error),))
    return Batch(
        id=batch.id,
        endpoint=batch.endpoint,
        input_file_id=batch.input_file_id,
        completion_window=batch.completion_window,
        status=batch.state,
        errors=failed,
        problem=context.batch_problem(batch),
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=int(batch.created_at),
        # Its lines are checked before it is made, so it begins at once.
        in_progress_at=int(batch.created_at),
        expires_at=int(batch.expires_at),
        cancelling_at=None if batch.cancelling_at is None else int(batch.cancelling_at),
        completed_at=ended if batch.state is BatchState.COMPLETED else None,
        cancelled_at=ended if batch.state is BatchState.CANCELLED else None,
        expired_at=ended if batch.state is BatchState.EXPIRED else None,
        failed_at=ended if batch.state is BatchState.FAILED else None,
        request_counts=RequestCounts(total=batch.total, completed=batch.completed, failed=batch.failed),
        metadata=batch.metadata,
    )
