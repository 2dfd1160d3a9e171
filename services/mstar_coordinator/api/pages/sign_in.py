"""`/sign-in`: where a browser without a session is sent, and from where it returns to the page it asked for."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.routes.context import Coordinator

PAGE = "/sign-in"
FIRST_PAGE = "/runs"

router = APIRouter(include_in_schema=False)


@router.get(PAGE)
def sign_in_page(
    coordinator: Coordinator,
    next_page: Annotated[str, Query(alias="next", max_length=2000)] = FIRST_PAGE,
    ended: bool = False,
) -> Response:
    """The form; where no key is asked for, the page to go on to. `ended`: the browser had a session."""
    target = local_page(next_page)
    if not coordinator.settings.keys():
        return RedirectResponse(target, 303)
    settings = coordinator.settings
    provider = settings.oidc_label if settings.oidc_issuer else ""
    return page("sign_in.html.j2", next=target, provider=provider, ended=ended)


def local_page(target: str) -> str:
    """The page to go on to, which is never one of another host."""
    return target if _is_local(target) else FIRST_PAGE


def _is_local(target: str) -> bool:
    """Whether a browser that follows it stays with this service. Two slashes begin the name of another host."""
    # Browsers read a backslash as a slash, and drop tabs and line breaks (WHATWG URL), which are not printable.
    return target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
