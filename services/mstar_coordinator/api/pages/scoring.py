"""`/scoring`: a form for an image, a question and responses. Its script sends them to `/v1/score` like any client.

So there is one door: the role of who is signed in decides, limits of the key count, and the PRM reads images as bytes.
"""

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from mstar.api.keys import Role
from mstar.reward import Aggregate
from mstar.types import MAX_IMAGES
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.routes.context import Caller, Coordinator

PAGE = "/scoring"
"""Not `/score`, which is a route of the PRM."""
AGGREGATES = {
    Aggregate.MIN: "the lowest step (as the paper)",
    Aggregate.MEAN: "the mean of the steps",
    Aggregate.PRODUCT: "the product of the steps",
    Aggregate.LAST: "the last step",
    Aggregate.LENGTH_MIN: "the lowest step, corrected for the number of steps",
}

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get(PAGE)
def scoring_page(coordinator: Coordinator, caller: Caller) -> HTMLResponse:
    """The form, and why it can't be sent where that is known before."""
    return page(
        "scoring.html.j2",
        there=coordinator.settings.prm_url is not None,
        may=Role.SCORE in caller.roles,
        aggregates={aggregate.value: label for aggregate, label in AGGREGATES.items()},
        most_images=MAX_IMAGES,
    )
