"""`/v1/runs/{id}/iterations`: what the iterations measured, and starting the next one by hand."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from mstar.api.runs import IterationStart, Page, Run
from mstar.results import IterationResult
from mstar_coordinator.api.routes.context import After, Caller, Coordinator, Limit, paged
from mstar_coordinator.api.routes.once import Key, answer_once, idempotency
from mstar_coordinator.api.routes.runs import show
from mstar_web.bodies import JsonRoute

ONE_MORE = IterationStart()
router = APIRouter(prefix="/v1/runs/{run_id}/iterations", tags=["iterations"], route_class=JsonRoute)


@router.get("")
def list_iterations(
    coordinator: Coordinator, run_id: str, limit: Limit = 100, after: After = 0
) -> Page[IterationResult]:
    """Iterations whose responses are selected, in order; their evaluation follows later."""
    with coordinator.store.reading() as tx:
        results = coordinator.folders.results(tx, tx.runs.get(run_id))
    found = [one for one in results.iterations if one.index > after]
    return paged(found, limit, [str(one.index) for one in found])


@router.post("", status_code=202)
def start_iterations(
    coordinator: Coordinator,
    caller: Caller,
    response: Response,
    run_id: str,
    request: Annotated[IterationStart, Body(examples=[{"count": 1}])] = ONE_MORE,
    key: Key = None,
) -> Run:
    """Plan more iterations after those there are, whether the run is going on or has succeeded."""
    bound = idempotency(key, f"runs/{run_id}/iterations", request.model_dump_json(), caller)

    def begin() -> str:
        coordinator.lifecycle.extend(run_id, request.count, bound)
        return run_id

    response.headers["Location"] = f"/v1/runs/{run_id}"
    return answer_once(coordinator, bound, Run, begin, lambda _: show(coordinator, run_id))
