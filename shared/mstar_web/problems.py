"""Every failure as RFC 9457 problem+json, made in one place.

Expected failures are `MstarError`s and carry their own status. Anything else is a 500 whose trace goes to the log,
never to the caller. Of what a caller sent, an answer repeats a few characters at most.
"""

import json
import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from mstar.errors import Internal, InvalidInput, MstarError, Unauthenticated
from mstar.host_memory import is_exhausted, no_memory
from mstar.writing import refused
from mstar_web.logs import log_place

MAX_ECHO = 64
MAX_LISTED = 20
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_log = structlog.get_logger(__name__)


def install_handlers(app: FastAPI) -> None:
    """Make the app answer expected failures, invalid bodies and unknown routes as problems."""
    app.add_exception_handler(MstarError, _on_mstar_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)


def problem_response(error: Exception) -> Response:
    """Response to any exception."""
    error = problem_of(error)
    headers = {}
    if isinstance(error, Unauthenticated):
        # Only this scheme: for Basic a browser would ask for a password, and send it along with every request.
        headers["WWW-Authenticate"] = 'Bearer realm="M-STaR"'
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return _response(error.status, error.problem(), headers)


def problem_of(error: Exception) -> MstarError:
    """The error that a caller gets for an exception. An unexpected one is logged with its trace, and not quoted.

    A full disk, a missing permission and used-up memory are not faults of the program: they are named where they rise.
    """
    if is_exhausted(error):
        error = no_memory(error)
    elif isinstance(error, OSError):
        error = refused(error) or error
    if not isinstance(error, MstarError):
        _log.error("unexpected error", exc_info=error)
        # The id stands in the text too, since a command line shows no headers.
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        under = "" if request_id is None else f" under request id {request_id}"
        return Internal(f"unexpected error: {log_place()} has the details{under}")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not error.logged:
        _log.warning("request failed", code=error.code, detail=error.detail)
    return error


def _on_mstar_error(request: Request, error: Exception) -> Response:
    return problem_response(error)


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _invalid_response(error)


def _invalid_response(error: RequestValidationError) -> Response:
    # A body of a million wrong items must not become an answer of a million lines.
    found = [_one_invalid(item) for item in error.errors()[:MAX_LISTED]]
    first = found[0]
    problem = InvalidInput(f"{first['field']}: {first['message']}", field=first["field"]).problem()
    return _response(InvalidInput.status, problem | {"errors": found}, {})


def _one_invalid(item: dict[str, Any]) -> dict[str, str]:
    message = str(item["msg"]).removeprefix("Value error, ")
    where = [str(part) for part in item["loc"]]
    field = ".".join(where[1:] if where[0] == "body" and len(where) > 1 else where)[: 4 * MAX_ECHO]
    return {"field": field, "message": message[: 4 * MAX_ECHO]}


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # The framework turns what is raised while it reads a body into a 400; the cause knows better.
    if isinstance(error.__cause__, MstarError):
        return problem_response(error.__cause__)
    if isinstance(error.__cause__, RequestValidationError):
        return _invalid_response(error.__cause__)
    title = HTTPStatus(error.status_code).phrase
    code = title.lower().replace(" ", "-")
    asked = f"{request.method} {request.url.path[:MAX_ECHO]}"
    detail = error.detail if error.detail != title else f"{asked}: {title}"
    if detail == f"{asked}: {HTTPStatus.NOT_FOUND.phrase}":
        # A client that has the address of another service sees which one it is.
        detail = f"{request.app.title} has no route {asked}: /openapi.json lists those it has"
    body = {"type": f"urn:mstar:error:{code}", "title": title, "status": error.status_code, "detail": detail}
    body |= {"code": code, "error": {"message": detail, "type": code, "code": code}}
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return _response(error.status_code, body, headers)


def _methods(request: Request) -> list[str]:
    """All methods of the path. The framework names those of its first route only (RFC 9110, section 15.5.6)."""
    # By asking, since a router that was included does not list its routes.
    asked = ((method, {**request.scope, "method": method}) for method in METHODS)
    routes = request.app.routes
    found = [method for method, scope in asked if any(route.matches(scope)[0] is Match.FULL for route in routes)]
    return sorted({*found, "HEAD"}) if "GET" in found else found


def _response(status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    # ASCII escapes keep a lone surrogate that a caller sent from breaking the encoding of the answer.
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")
