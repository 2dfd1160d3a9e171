"""Apps of tests share what FastAPI works out of a router, and still answer for themselves."""

from collections.abc import Callable

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request

from web_bench import ask

router = APIRouter(prefix="/v1")


@router.get("/name")
def name(request: Request) -> str:
    return str(request.app.state.name)


def refuse() -> None:
    raise LookupError


def named(text: str, *dependencies: Callable[[], None]) -> FastAPI:
    app = FastAPI(dependencies=[Depends(one) for one in dependencies])
    app.include_router(router)
    app.state.name = text
    return app


def test_each_app_answers_for_itself() -> None:
    apps = [named("first"), named("second"), named("third")]
    for _ in range(2):
        assert [ask(app, "GET", "/v1/name").json() for app in apps] == ["first", "second", "third"]
    assert apps[2].router.routes[-1] is apps[1].router.routes[-1] is not apps[0].router.routes[-1]


def test_a_router_that_is_included_otherwise_is_another() -> None:
    for text in ("first", "second"):
        assert ask(named(text), "GET", "/v1/name").json() == text
    assert ask(named("third", lambda: None), "GET", "/v1/name").status_code == 200
    with pytest.raises(LookupError):
        ask(named("fourth", refuse), "GET", "/v1/name")
