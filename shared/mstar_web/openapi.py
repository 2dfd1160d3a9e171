"""The OpenAPI document: every error of every route as problem+json, and a body for changes that need none."""

import copy
import json
import re
from collections.abc import Callable
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

DOCUMENT_PATH = "/openapi.json"
SCHEMA = "Problem"
PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "An error as in RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "`urn:mstar:error:` and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and how to mend it, for a person."},
        "code": {"type": "string", "description": "The kind of error, for a program."},
        "field": {"type": "string", "description": "Dotted path of the field that is wrong."},
        "retry_after": {"type": "number", "description": "Seconds after which another try makes sense."},
        "errors": {
            "type": "array",
            "description": "Further fields that are wrong.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "error": {"type": "object", "description": "The same in the shape that OpenAI's clients read."},
    },
}
EVERY_ROUTE = {
    "401": "No key, or not a key of this service.",
    "403": "The key of a role that may not do this, or a web page of another origin.",
    "421": "A host name that this service does not answer to.",
    "500": "An error inside the service.",
    "503": "Not ready or overloaded: see Retry-After.",
}
EVERY_CHANGE = {
    "404": "What the path or the body names does not exist.",
    "408": "The body did not arrive in time.",
    "409": "The state of what is named does not allow this.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON, or an image has a format that is not supported.",
    "422": "A field is wrong.",
    "429": "Too much is under way: see Retry-After.",
}
NAMED = {"404": EVERY_CHANGE["404"], "409": EVERY_CHANGE["409"]}
NO_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object", "maxProperties": 0}}}}
QUERIED = {"422": EVERY_CHANGE["422"]}
HEALTH = frozenset({"/livez", "/readyz", "/metrics"})


def operation_ids() -> Callable[[APIRoute], str]:
    """How an app names its operations: after the function, so that generated clients have readable names.

    A function that stands at several paths is named after the path as well, except at its first.
    """
    first: dict[str, str] = {}

    def operation_id(route: APIRoute) -> str:
        if first.setdefault(route.name, route.path_format) == route.path_format:
            return route.name
        return f"{route.name}_at_{re.sub('[^a-z0-9]+', '_', route.path_format.lower()).strip('_')}"

    return operation_id


def serve_document(app: FastAPI) -> None:
    """Add the document to an app that was made without FastAPI's own route, which would make it on the event loop."""

    @app.get(DOCUMENT_PATH, include_in_schema=False)
    def document() -> JSONResponse:
        """In a thread: the first time it takes more than a second of the processor."""
        return JSONResponse(app.openapi())


def document_problems(app: FastAPI) -> None:
    """Make the app's document say what any of its routes may answer besides what it declares."""
    made, making = app.openapi, Lock()

    def openapi() -> dict[str, Any]:
        with making:
            return complete()

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    _complete(path, method, operation)
                    if "requestBody" in operation:
                        operation["requestBody"], found = _definitions(operation["requestBody"], schemas)
                        schemas.update(found)
            schemas[SCHEMA] = PROBLEM
            for schema in schemas.values():
                _leave_out_nested_defaults(schema)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation.setdefault("responses", {})
    possible = dict(EVERY_ROUTE)
    if method != "get":
        possible |= EVERY_CHANGE
        # Also where a body may be empty: the header that declares it as JSON must be there.
        operation["requestBody"] = {**operation.get("requestBody", NO_BODY), "required": True}
    if operation.get("parameters"):
        possible |= QUERIED
    if "{" in path:
        possible |= NAMED
    if path in HEALTH:
        possible = {status: text for status, text in possible.items() if status in ("421", "503")}
    for status, description in sorted(possible.items()):
        declared = responses.get(status, {})
        responses[status] = {
            **declared,
            "description": declared.get("description", description) if status != "422" else description,
            "content": {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{SCHEMA}"}}},
        }
    for status, declared in responses.items():
        if status.startswith(("4", "5")) and status not in possible:
            declared["content"] = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{SCHEMA}"}}}


def _definitions(body: dict[str, Any], known: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body written by hand, and the schemas that it brings along for the document's components.

    One that has the name of another kind of thing there is called `…Body`.
    """
    body = copy.deepcopy(body)
    found: dict[str, Any] = {}
    for content in body["content"].values():
        found |= content["schema"].pop("$defs", {})
    for name in [name for name in found if _is_another(known.get(name), found[name])]:
        # Generated clients call a class after the title.
        found[f"{name}Body"] = {**found.pop(name), "title": f"{name}Body"}
        old, new = (f'"#/components/schemas/{one}"' for one in (name, f"{name}Body"))
        body, found = json.loads(json.dumps([body, found]).replace(old, new))
    return body, found


def _is_another(known: dict[str, Any] | None, found: dict[str, Any]) -> bool:
    """Whether two schemas of one name are of different kinds; details differ with who wrote them down."""
    return known is not None and known.get("type") != found.get("type")


def _leave_out_nested_defaults(schema: dict[str, Any]) -> None:
    """Take away defaults that are objects: client generators drop a field that has one and may be null as well.

    Nothing is lost, since the object's own schema has the default of each of its fields.
    """
    for field in schema.get("properties", {}).values():
        if isinstance(field.get("default"), dict):
            del field["default"]
