"""How long the pages and searches of a run with 720,000 responses take, and what their index costs.

`python -m benchmarks.responses [RESPONSES] [--home FOLDER] [--minutes N]` writes responses.json and responses.md beside
this file. The run is written straight into a store, with a few different shards of rows over and over; the coordinator
that serves it is a process of its own, asked over HTTP by one reader, and then by four at once.

With a folder the run and its index stay there, and `--minutes` ends a session while the index is being made: the same
command continues it.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.measure import cpu_of
from mstar.recipes import Recipe
from mstar.stages.generate import GenerateResult
from mstar.steps import ArtefactRef, DoneResult
from mstar.types import (
    Answer,
    AnswerType,
    CheckedResponse,
    Question,
    Response,
    RolloutRow,
    ScoreRow,
    SelectedRow,
    StepScores,
    Verdict,
)
from mstar_artefacts.store import ROWS, SCORES, ArtefactStore
from mstar_coordinator.api.app import create_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store, open_store
from mstar_embedded.ports import free_ports

SAMPLES = 16
SHARD = 32
DIFFERENT = 8
"""Shards with texts of their own; the run repeats them."""
ASKED = 20
"""Pages of each kind."""
GROUPS = ("FQA", "GPS", "MWP", "TQA", "VQA")
STEMS = ("angle", "axis", "bar", "circle", "count", "first", "graph", "height", "sum", "total")
WORDS = (*(f"{stem}{end}" for stem in STEMS for end in ("", "s", "ed", "ing", "ly", "er", "est", "ful")), *["the"] * 20)
RARE = "zebra"
"""Stands in one of 2,000 responses; `the` in every one."""
RESULTS = Path(__file__).with_name("responses.json")


def kinds(draw: random.Random) -> dict[str, Callable[[], str]]:
    """Kind of page → its query string."""
    return {
        "any iteration, first page": lambda: "",
        "one iteration, a page in the middle": lambda: f"iteration=1&after={(key := middle(draw))}:{key}",
        "wrong, yet scored high": lambda: (
            f"iteration=1&verdict=wrong&min_score={draw.uniform(0.2, 0.6):.2f}&sort=fooled"
        ),
        "correct, left out, by group": lambda: f"verdict=correct&kept=false&group={draw.choice(GROUPS)}&sort=best",
        "score range": lambda: f"min_score={draw.uniform(0, 0.1):.3f}&max_score=0.2&verdict=correct&sort=lowest",
        "hardest first": lambda: "sort=hardest&iteration=1",
        "a rare word": lambda: f"text={RARE}&verdict=correct",
        "two common words": lambda: f"text=the+{draw.choice(STEMS)}&kept=true",
        "a word's beginning": lambda: f"text={draw.choice(STEMS)[:3]}*&sort=best",
        "a combination that nothing meets": lambda: "verdict=correct&min_score=0.999&max_score=0.9999&kept=false",
        "one question over iterations": lambda: f"question=train/{draw.randrange(SHARD * DIFFERENT):06d}",
    }


def middle(draw: random.Random) -> int:
    """Key of a question of the first iteration."""
    return (1 << 32) + draw.randrange(1000)


def rows_of(draw: random.Random, shard: int) -> tuple[list[RolloutRow], list[ScoreRow], list[SelectedRow]]:
    """A shard of the size that the recipe `paper` has: 16 responses of 200 tokens and about 900 characters."""
    rows, scores, kept = [], [], []
    for place in range(SHARD):
        asked = Question(
            id=f"train/{shard * SHARD + place:06d}",
            text=" ".join(draw.choices(WORDS, k=20)),
            images=("0" * 64,),
            answer=Answer(type=AnswerType.INTEGER, value="4"),
            group=draw.choice(GROUPS),
        )
        responses = tuple(_response(draw, index) for index in range(SAMPLES))
        made = tuple(
            StepScores(index=one.index, steps=("a", "b", "c", "d", "e"), scores=tuple(draw.random() for _ in range(5)))
            for one in responses
            if one.verdict.correct
        )
        rows.append(RolloutRow(question=asked, temperature=1.0, weight_version="v", responses=responses))
        scores.append(ScoreRow(question_id=asked.id, prm_version="p", responses=made))
        kept += [
            SelectedRow(
                question=asked,
                response="",
                iteration=1,
                index=one.index,
                temperature=1.0,
                weight_version="v",
                reason="top",
            )
            for one in made[:2]
        ]
    return rows, scores, kept


def _response(draw: random.Random, index: int) -> CheckedResponse:
    rare = f"\n\n{RARE}" if draw.random() < 1 / 2000 else ""
    text = "\n\n".join(" ".join(draw.choices(WORDS, k=25)) for _ in range(5)) + f"{rare}\n\n## Answer\n\n4"
    said = Response(text=text, token_ids=tuple(range(200)), step_ends=(40, 80, 120, 160, 190, 200))
    verdict = Verdict(correct=draw.random() < 0.42, extracted="4", reason="integer-equal")
    return CheckedResponse(index=index, response=said, verdict=verdict)


def write_run(home: Path, responses: int) -> str:
    """A run whose first iteration is sampled and selected."""
    draw = random.Random(1)
    artefacts, store = ArtefactStore(home), open_store(f"sqlite:///{home / '.mstar' / 'mstar.sqlite'}")
    shards = []
    for shard in range(DIFFERENT):
        rows, scores, kept = rows_of(draw, shard)
        sampled = artefacts.write_rows(f"made/rows/{shard}", rows, {})
        shards.append((sampled, artefacts.write_tables(f"made/kept/{shard}", {ROWS: kept, SCORES: scores}, {})))
    plan = {"iterations": 1, "questions": responses // SAMPLES, "n": SAMPLES}
    recipe = Recipe.model_validate(
        {
            "name": "pages",
            "data": {"train": 800 + responses // SAMPLES},
            "evolution": plan,
            "generation": {"shard_questions": 32},
        }
    )
    lifecycle = RunLifecycle(
        store, RunFolders(home, store), time.monotonic, 60, threading.Event(), artefacts.discard, streaming=False
    )
    run_id = lifecycle.create(recipe)
    _finish(store, run_id, shards)
    store.close()
    return run_id


def _finish(store: Store, run_id: str, shards: Sequence[tuple[ArtefactRef, ArtefactRef]]) -> None:
    sampled = GenerateResult(
        questions=SHARD, responses=SHARD * SAMPLES, correct=200, tokens=100_000, weight_version="v", seconds=1.0
    )
    with store.writing() as tx:
        for number, step in enumerate(tx.steps.of_stage(run_id, "it01/generate")):
            tx.steps.finish(step.id, tx.now(), shards[number % DIFFERENT][0], sampled)
        for number, step in enumerate(tx.steps.of_stage(run_id, "it01/select")):
            tx.steps.finish(step.id, tx.now(), shards[number % DIFFERENT][1], DoneResult())


def serve(home: Path, port: int) -> None:
    """The coordinator, without a broker: nothing is to be done."""
    import uvicorn

    settings = CoordinatorSettings(broker_url="redis://127.0.0.1:1", home=home, port=port)
    uvicorn.run(create_app(settings), host="127.0.0.1", port=port, log_level="error", access_log=False)


def times(url: str, run_id: str, readers: int) -> dict[str, list[float]]:
    """Kind of page → milliseconds of each that was asked for, by this many readers at once."""
    found: dict[str, list[float]] = {name: [] for name in kinds(random.Random(0))}

    def read(reader: int) -> None:
        draw = random.Random(reader)
        with httpx2.Client(base_url=url, timeout=60) as client:
            pages = [(name, make()) for _ in range(ASKED // readers) for name, make in kinds(draw).items()]
            draw.shuffle(pages)
            for name, query in pages:
                began = time.perf_counter()
                client.get(f"/runs/{run_id}/responses?{query}").raise_for_status()
                found[name].append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def measure(responses: int, home: Path, minutes: float | None) -> dict[str, Any] | None:
    """Write the run unless the folder has it, have it indexed, and ask for pages; None where the time was over."""
    port, noted = free_ports().coordinator, home / "benchmark.json"
    spent = json.loads(noted.read_text()) if noted.exists() else {"seconds": 0.0, "cpu": 0.0}
    if "run" not in spent:
        noted.write_text(json.dumps(spent | {"run": write_run(home, responses)}))
        spent = json.loads(noted.read_text())
    run_id = str(spent["run"])
    server = get_context("spawn").Process(target=serve, args=(home, port))
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        began = _until_up(url)
        until = None if minutes is None else began + 60 * minutes
        indexed = _index(url, run_id, until)
        assert server.pid is not None
        spent["seconds"] += time.monotonic() - began
        spent["cpu"] += cpu_of(server.pid)
        noted.write_text(json.dumps(spent))
        if indexed is None:
            return None
        size = sum(one.stat().st_size for one in (home / ".mstar" / "responses").iterdir())
        used = cpu_of(server.pid)
        one, four = times(url, run_id, 1), times(url, run_id, 4)
        pages = sum(map(len, (*one.values(), *four.values())))
        page_cpu = 1000 * (cpu_of(server.pid) - used) / pages
        memory = psutil.Process(server.pid).memory_info().rss
    finally:
        server.terminate()
        server.join()
    cost = {"seconds": spent["seconds"], "cpu": spent["cpu"]}
    summary = {name: {"one": percentiles(one[name]), "four": percentiles(four[name])} for name in one}
    everything = {
        who: percentiles([each for values in found.values() for each in values])
        for who, found in (("one", one), ("four", four))
    }
    return {
        "responses": responses,
        "shards": indexed,
        "index": {**cost, "bytes": size},
        "memory": memory,
        "page_cpu": page_cpu,
        "pages": {**summary, "all": everything},
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and greatest."""
    ordered = sorted(values)
    return {
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "max": ordered[-1],
    }


def _until_up(url: str) -> float:
    while True:
        try:
            httpx2.get(f"{url}/livez", timeout=5)
            return time.monotonic()
        except httpx2.TransportError:
            time.sleep(0.1)


def _index(url: str, run_id: str, until: float | None) -> int | None:
    """Shards once all are in the index; None where the time was over before."""
    while until is None or time.monotonic() < until:
        index = httpx2.get(f"{url}/v1/runs/{run_id}/responses?limit=1", timeout=60).json()["index"]
        print(f"{index['indexed']} of {index['shards']} shards", flush=True)
        if index["shards"] and index["indexed"] == index["shards"]:
            return int(index["shards"])
        time.sleep(5)
    return None


def report(found: dict[str, Any]) -> str:
    """The page beside the numbers."""
    index = found["index"]
    cost = f"{index['cpu']:.0f} CPU-seconds, {1000 * index['cpu'] / found['responses']:.2f} ms a response"
    where = f"on {found['cores']} cores shared with other work (load {found['load']:.1f} at the end)"
    size = f"{index['bytes'] / 1e6:,.0f} MB"
    lines = [
        "# Pages of responses\n",
        f"`python -m benchmarks.responses` {where}, Python {found['python']}. {found['responses']:,} responses of one "
        "iteration, 16 a question, 900 characters each; ten questions with all 160 responses on a page, as HTML, over "
        "HTTP.\n",
        f"The index of {found['shards']:,} shards took {index['seconds']:.0f} s ({cost}) and {size}. It is made once, "
        "when somebody first looks at the run, and pages show what is there meanwhile. The coordinator held "
        f"{found['memory'] / 1e6:.0f} MB at the end. A page takes {found['page_cpu']:.0f} ms of its CPU time.\n",
        "Milliseconds:\n",
        "| pages | one reader: p50 | p95 | max | four at once: p50 | p95 | max |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measured in found["pages"].items():
        cells = [f"{measured[who][which]:.0f}" for who in ("one", "four") for which in ("p50", "p95", "max")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Measure and write the results."""
    reader = argparse.ArgumentParser(prog="benchmarks.responses")
    reader.add_argument("responses", type=int, nargs="?", default=720_000)
    reader.add_argument("--home", type=Path)
    reader.add_argument("--minutes", type=float)
    given = reader.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mstar-pages-")))
        home.mkdir(parents=True, exist_ok=True)
        found = measure(given.responses, home, given.minutes)
    if found is None:
        print("the index is not whole yet: the same command continues it")
        return
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(report(found))


if __name__ == "__main__":
    main(sys.argv[1:])
