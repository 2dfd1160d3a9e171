"""Refusing requests before their bodies are read, while the queue of rows is full."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from starlette.responses import Response

from mstar_policy.rollouts import Rollouts
from mstar_web.bodies import JsonRoute


def admitting(rollouts: Rollouts) -> type[JsonRoute]:
    """Routes that refuse a request before reading its body while nothing more can be admitted."""

    class AdmittingRoute(JsonRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admitted(request: Request) -> Response:
                if request.method == "POST":
                    rollouts.check_room()
                return await handle(request)

            return admitted

    return AdmittingRoute
