"""Traces: ids that every process derives alike, names that stand for many requests, and nothing where none are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept_spans import kept_spans
from mstar import tracing
from mstar.tracing import JoinedThreads, attempt_place, path_template


@given(st.text(), st.integers(1, 10_000))
def test_the_attempts_of_a_step_share_a_trace_and_nothing_else(step_id: str, attempt: int) -> None:
    place = attempt_place(step_id, attempt)
    assert place == attempt_place(step_id, attempt)
    assert place.trace_id == attempt_place(step_id).trace_id != attempt_place(f"{step_id}.").trace_id
    assert (place == attempt_place(step_id)) == (attempt == 1)
    assert 0 < place.trace_id < 2**128 and 0 < place.span_id < 2**64


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/rollouts", "/v1/rollouts"),
        ("/v1/runs/latest/steps", "/v1/runs/latest/steps"),
        ("/internal/v1/steps/20261126-101500-ab12-000003/claim", "/internal/v1/steps/{id}/claim"),
        ("/v1/runs/20261126-101500-ab12?after=3", "/v1/runs/{id}"),
        ("/v1/datasets/My Cats/x", "/v1/datasets/{id}/x"),
    ],
)
def test_a_path_is_named_without_its_ids(path: str, named: str) -> None:
    assert path_template(path) == named


def test_without_a_tracer_nothing_happens() -> None:
    assert not tracing.is_on() and tracing.here() is None and tracing.headers() == {}
    with tracing.joined(attempt_place("s")), tracing.span("a") as span, tracing.inner("b"):
        span.note("rows", 3)
        span.rename("c")
        span.fail("x")
        tracing.past("d", values={}, under=attempt_place("s"), began=0.0, ended=1.0)
        assert tracing.here() is None


def test_a_span_inside_another_is_its_child_also_in_a_thread() -> None:
    with kept_spans() as kept, tracing.span("outer"), JoinedThreads(2) as pool:
        list(pool.map(lambda name: _inside(name), ("a", "b", "c")))
    outer = kept.named("outer")[0]
    children = [one for one in kept.spans() if one.name != "outer"]
    assert sorted(one.name for one in children) == ["a", "b", "c"]
    assert {(one.trace, one.parent) for one in children} == {(outer.trace, outer.id)}


def test_an_inner_span_begins_no_trace() -> None:
    with kept_spans() as kept, tracing.inner("alone"):
        assert tracing.here() is None
    assert kept.spans() == []


def _inside(name: str) -> None:
    with tracing.inner(name):
        pass
