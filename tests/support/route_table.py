"""Every route × method × role of a service against 401, 403 and 404, from the app itself."""

import re
from collections.abc import Mapping, Sequence

import httpx2
from fastapi import FastAPI
from starlette.routing import Route

from web_bench import talk

OPEN = {"/livez", "/readyz"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
Rules = Sequence[tuple[str, str, set[str]]]
"""Path, method and roles; the first that fits."""


def check_table(app: FastAPI, keys: Mapping[str, str], rules: Rules) -> int:
    """Asserts what each route answers to nobody, to a wrong key and to each role's key; how many routes there are."""
    paths = {route.path: ["GET"] for route in app.routes if isinstance(route, Route)}
    paths |= {path: [method.upper() for method in methods] for path, methods in app.openapi()["paths"].items()}
    found = sorted((method, path) for path, methods in paths.items() for method in methods if path not in OPEN)

    async def conversation(client: httpx2.AsyncClient) -> None:
        async def status(method: str, path: str, key: str = "") -> int:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            content = None if method in ("GET", "HEAD") else "{}"
            return (await client.request(method, path, headers=headers, content=content)).status_code

        for method, path in found:
            assert [await status(method, path), await status(method, path, "wrong")] == [401, 401], (method, path)
            for role, key in keys.items():
                got = await status(method, path, key)
                # What a path names may be missing, and a route may not.
                well = got not in ((401, 403, 500) if "{" in path else (401, 403, 404, 500))
                assert well if role in _allowed(rules, method, path) else got == 403, (method, path, role, got)
        for path in sorted({path for _, path in found} | {"/nothing", "/v1/nothing", "//v1/score", "/livez/"}):
            for method in METHODS:
                assert await status(method, path) == 401, (method, path)
        for role, key in keys.items():
            wanted = 404 if role in _allowed(rules, "GET", "/v1/nothing") else 403
            assert await status("GET", "/v1/nothing", key) == wanted, role

    talk(app, conversation)
    return len(found)


def _allowed(rules: Rules, method: str, path: str) -> set[str]:
    return next(
        roles for pattern, methods, roles in rules if re.fullmatch(pattern, path) and re.fullmatch(methods, method)
    )
