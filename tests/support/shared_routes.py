"""What FastAPI works out of routers, once for all apps of a process: that is a third of the time of the API's tests.

It does so for every app anew, at its first requests. Routers that a service makes for each app are left alone, since
their routes hold parts of that app.
"""

import inspect
from typing import Any
from weakref import ref

from fastapi import FastAPI
from starlette.routing import BaseRoute

_first: dict[int, tuple["ref[Any]", "ref[FastAPI]"]] = {}
"""A router's id → the router, and the first app that it was found in."""
_known: dict[tuple[Any, ...], BaseRoute] = {}
"""How a router is included → the routes that later apps get. They keep the router, so that its id stays its own."""


def share_routes(app: FastAPI) -> None:
    """Give the app the routers of an earlier one, with what was worked out of them, where they are included alike."""
    for number, route in enumerate(app.router.routes):
        router = getattr(route, "original_router", None)
        if router is not None and _of_several(router, app):
            app.router.routes[number] = _known.setdefault((id(router), *_way(route)), route)


def _way(route: Any) -> tuple[Any, ...]:
    """How it is included. Keys in settings add a dependency, an object for each app, for the document."""
    context = route.include_context
    needed = [one.dependency for one in context.dependencies]
    return context.prefix, *(one if inspect.isfunction(one) else type(one) for one in needed)


def _of_several(router: Any, app: FastAPI) -> bool:
    """Whether the router has been found in another app."""
    known, first = _first.get(id(router), (None, None))
    if known is None or first is None or known() is not router:
        _first[id(router)] = ref(router), ref(app)
        return False
    return first() is not app
