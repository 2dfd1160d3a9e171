"""Runs that many follow, and lists of many runs, cost the database little."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from coordinator_bench import SMALL, Bench
from mstar.errors import NotFound
from mstar.evolution import RunState
from mstar_coordinator.api.glances import Glances
from mstar_coordinator.api.views import run_view, run_views
from mstar_coordinator.store.recipe_texts import RecipeTexts


@contextmanager
def statements(bench: Bench) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(bench.store._engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(bench.store._engine, "before_cursor_execute", note)


def test_all_who_follow_a_run_share_one_look_and_see_what_is_new(bench: Bench) -> None:
    run_id, step_id = bench.started()
    glances = Glances(bench.store)

    async def follow() -> None:
        with statements(bench) as asked:
            seen = await asyncio.gather(*(glances.of(run_id) for _ in range(50)))
        assert len(asked) == 2 and {(one.state, one.last) for one in seen} == {(RunState.RUNNING, 1)}
        bench.do(step_id)
        async with asyncio.timeout(20):
            while (await glances.of(run_id)).last < 2:
                await asyncio.sleep(0.05)
        with pytest.raises(NotFound):
            await glances.of("r-none")

    asyncio.run(follow())


def test_a_page_of_runs_is_asked_for_at_once(bench: Bench) -> None:
    ids = [bench.started()[0] for _ in range(8)]
    for run_id in ids[:6]:
        bench.lifecycle.claim(bench.step_id(run_id, "prepare"), "w")
    with bench.store.reading() as tx:
        runs = tx.runs.several([*ids, "r-none"])
        assert [run.id for run in runs] == ids
        with statements(bench) as few:
            run_views(tx, runs[:3])
        with statements(bench) as many:
            views = run_views(tx, runs[:6])
        # How far the stage in hand is remains a question for each.
        assert len(many) - len(few) == 3
        assert views == [run_view(tx, run) for run in runs[:6]]
    assert {view.progress.running for view in views} == {("prepare",)}


def test_a_recipe_is_read_once_and_large_ones_are_not_kept() -> None:
    text = SMALL.model_dump_json()
    texts = RecipeTexts(characters=2 * len(text))
    first = texts.of(text)
    assert first == SMALL and texts.of(text) is first
    other = SMALL.model_copy(update={"name": "other"}).model_dump_json()
    larger = SMALL.model_copy(update={"name": "third"}).model_dump_json()
    for one in (other, larger):
        texts.of(one)
    assert texts.of(text) is not first, "what was used longest ago made room"
    small = RecipeTexts(characters=10)
    assert small.of(text) == SMALL and small.of(text) is not small.of(text)
