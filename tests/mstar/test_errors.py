"""The error tree: one problem body out, the same error back."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar import errors
from mstar.errors import Internal, InvalidRecipe, MstarError, NotFound, TooManyRequests, from_problem

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)


def kinds(root: type[MstarError]) -> list[type[MstarError]]:
    return [root, *(found for child in root.__subclasses__() for found in kinds(child))]


@pytest.mark.parametrize("kind", kinds(MstarError), ids=lambda kind: kind.__name__)
def test_an_error_survives_http_and_pickle(kind: type[MstarError]) -> None:
    error = kind("lower n", field="n", retry_after=2.0)
    for back in (from_problem(error.problem(), kind.status), pickle.loads(pickle.dumps(error))):
        assert type(back).code == kind.code
        assert (back.detail, back.field, back.retry_after) == ("lower n", "n", 2.0)


def test_problem_body_shows_its_text_to_openai_clients() -> None:
    body = InvalidRecipe("name: missing", field="name").problem()
    assert body["type"] == "urn:mstar:error:invalid-recipe"
    assert (body["status"], body["field"]) == (422, "name")
    assert body["error"]["message"] == body["detail"] == "name: missing"
    assert "retry_after" not in body


def test_unknown_codes_become_the_nearest_class() -> None:
    assert isinstance(from_problem({"code": "unheard-of"}, 404), NotFound)
    assert isinstance(from_problem({}, 429), TooManyRequests)
    assert type(from_problem({"title": "Teapot"}, 418)) is Internal
    assert str(from_problem({}, 404)) == "HTTP 404"


def test_codes_are_unique_but_for_internal() -> None:
    codes = [kind.code for kind in kinds(errors.MstarError) if kind is not Internal]
    assert len(codes) == len(set(codes))


@given(st.dictionaries(st.sampled_from(["code", "detail", "title", "field", "retry_after", "status"]), json_values))
def test_any_problem_can_be_read(problem: dict[str, Any]) -> None:
    error = from_problem(problem, 503)
    assert error.field is None or isinstance(error.field, str)
    assert error.retry_after is None or error.retry_after >= 0


def test_an_internal_error_of_a_service_is_one_to_its_caller() -> None:
    assert type(from_problem(Internal("it broke").problem(), 500)) is Internal
    assert type(from_problem({}, 500)) is Internal
