"""An evaluation that a test does by hand: its shards leave responses, and its last step tables, as a real one's."""

from pathlib import Path
from typing import Any

import httpx2

from coordinator_bench import MemoryPublisher, commit_of
from mstar.api.steps import Claim
from mstar.judges import BENCHMARKS
from mstar.judges.tables import Judged, lines
from mstar.stages.generate import GenerateParams
from mstar.stages.measure import MeasuredTable, MeasureParams, MeasureResult
from mstar.types import CheckedResponse, Question, Response, RolloutRow, Verdict
from mstar_artefacts.store import ROWS, ArtefactStore
from mstar_coordinator.config import CoordinatorSettings
from mstar_data.benchmarks import items_of
from pages_bench import EVIL, step_by_hand
from small_png import small_png

PUBLISHED = Path(__file__).parents[1] / "cases" / "benchmarks" / "published"
ASKED: dict[str, Any] = {"model": "builtin:minivista", "sets": ["mathvista", "ai2d"], "data": "published"}


def copy_published(home: Path) -> None:
    """Put the files where evaluations may read: what links lead to lies outside of the folder that is allowed."""
    for file in (path for path in PUBLISHED.rglob("*") if path.is_file()):
        target = home / "published" / file.relative_to(PUBLISHED)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())


def begun(client: httpx2.Client, home: Path, **asked: Any) -> str:
    """Ask for an evaluation of the model that ships; its id."""
    if not (home / "published").exists():
        copy_published(home)
    answer = client.post("/v1/evaluations", json=ASKED | asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def evaluated(client: httpx2.Client, publisher: MemoryPublisher, home: Path, made: str, until: str = "") -> str:
    """Do the steps of an evaluation to its end, or until that one is done. Two items could not be asked."""
    store = ArtefactStore(home / "runs")
    settings = CoordinatorSettings(broker_url="redis://unused", home=home / "runs", data_root=home)
    image = settings.storage().images().put(small_png(2))

    def commit(claim: Claim) -> dict[str, Any]:
        params, handed_in = claim.step.params, commit_of(claim)
        if isinstance(params, GenerateParams):
            n = params.draws[0].n or 1
            rows = [_row(params.split, params.start + place, n, image) for place in range(params.count)]
            left = store.write_tables(claim.output_id, {ROWS: rows}, {})
            handed_in = handed_in.model_copy(update={"artefact": left})
        elif isinstance(params, MeasureParams):
            assert claim.recipe.measure is not None
            tables = {name: _table(name, claim.recipe.measure.n) for name in params.rows}
            handed_in = handed_in.model_copy(update={"result": MeasureResult(benchmarks=tables)})
        return handed_in.model_dump(mode="json")

    for _ in range(2000):
        done = step_by_hand(client, publisher, commit)
        ended = client.get(f"/v1/evaluations/{made}").json()["state"] == "succeeded"
        if ended or (until and done == until):
            return made
    raise AssertionError(f"evaluation {made} did not end")


def _right(place: int, index: int) -> bool:
    return (place + index) % 3 == 0


def _row(name: str, place: int, n: int, image: str) -> RolloutRow:
    question = Question(
        id=f"{name}/{place}", text=f"{EVIL} How many are left in {place}?", images=(image,), group="FQA", split=name
    )
    responses = tuple(
        CheckedResponse(
            index=index,
            response=Response(text=f"There are {place}.\n\n## Answer\n\n{place}"),
            verdict=Verdict(correct=_right(place, index), extracted=str(place), reason="same-text"),
        )
        for index in range(n)
    )
    return RolloutRow(question=question, temperature=0.0, weight_version="v", responses=responses)


def _table(name: str, n: int) -> MeasuredTable:
    items = [one.item for one in items_of(BENCHMARKS[name], PUBLISHED)]
    judged = [
        Judged(item, tuple(_right(place, index) for index in range(n)), best=0 if n > 1 else None)
        for place, item in enumerate(items)
    ]
    return MeasuredTable(lines=lines(BENCHMARKS[name], judged), items=len(items), cut=3, refused=2, refusal=EVIL)
