"""The same recipe chooses the same rows, however many processes do the work.

Tried with one process of each kind, with two of each and a trainer of two ranks, and with one of each, two ranks again,
taking turns on a GPU and sleeping between them. The coordinator's API stays one process: only it opens the database.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import minivista
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar.results import IterationResult
from mstar.types import SelectedRow
from mstar_artefacts.store import ArtefactStore
from mstar_embedded.ports import HOST, Ports, free_ports
from mstar_embedded.processes import ProcessSpec, stack
from mstar_embedded.supervisor import Supervisor
from small_run import SMALL
from warm_starts import COLD_PYTHON

RECIPE: dict[str, Any] = {name: value for name, value in SMALL.items() if not name.startswith("warmup.")} | {
    # Without warm-up and with few tests, which other tests look at; four shards an iteration, so that workers share.
    "data.train": 40,
    "data.validation": 4,
    "data.test_id": 4,
    "data.test_ood": 0,
    "generation.shard_questions": 5,
    "warmup": None,
    # Every response is scored, so that a shard has questions for both replicas.
    "prm.savings": False,
    "prm.questions": 6,
    "evolution.n": 6,
    "exploration.mode": "fixed",
    "exploration.questions": 4,
    "evaluation.n": 1,
    "evaluation.k": 1,
}
SHARDS = 4
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Ended:
    """What a run left, and what each process wrote."""

    chosen: dict[int, list[SelectedRow]]
    """By iteration, in the order in which they train."""
    iterations: tuple[IterationResult, ...]
    logs: dict[str, str]
    trained: dict[str, torch.Tensor]
    """Weights after the first iteration's training."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    # Interpreters of its own, with hashes of strings that differ: no choice may depend on the order of a set.
    return _run(tmp_path_factory.mktemp("one"), 1, python=COLD_PYTHON)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two of each service, and a trainer of two ranks."""
    return _run(tmp_path_factory.mktemp("two"), 2, ranks=2)


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """One of each service and a trainer of two ranks, which take turns on a GPU."""
    return _run(tmp_path_factory.mktemp("turns"), 1, ranks=2, asleep=True)


@pytest.mark.system
def test_all_arrangements_choose_the_same(one: Ended, two: Ended, turns: Ended) -> None:
    """Iteration 1, whose policy and PRM are the same in all runs to the last bit."""
    chosen, *others = ([_telling(row) for row in ended.chosen[1]] for ended in (one, two, turns))
    assert others == [chosen, chosen]
    assert len(chosen) >= 5


@pytest.mark.system
def test_two_of_each_go_on_as_one_of_each_does(two: Ended, turns: Ended) -> None:
    """Iteration 2, after two ranks have trained: the same weights, and the same rows chosen from what they sample."""
    assert all(torch.equal(turns.trained[name], two.trained[name]) for name in two.trained)
    chosen, again = ([_telling(row) for row in ended.chosen[2]] for ended in (turns, two))
    assert chosen == again
    assert len(chosen) >= 5


@pytest.mark.system
def test_two_ranks_train_what_one_does_but_for_the_order_of_a_sum(one: Ended, two: Ended) -> None:
    """Two ranks train to almost the same weights as one.

    Each adds up the gradients of half a batch, so the last bits differ, and with them a few tokens that iteration
    2 samples: its rows need not be the same.
    """
    moved, apart = _apart(one.trained, load_file(minivista.MODEL_FOLDER / WEIGHTS)), _apart(one.trained, two.trained)
    assert apart < moved / 100
    sampled, again = ([(it.index, it.questions, it.responses) for it in ended.iterations] for ended in (one, two))
    assert sampled == again == [(1, 20, 120), (2, 20, 120)]


@pytest.mark.system
@pytest.mark.parametrize("name", ["policy", "prm", "worker-rollout", "worker-score"])
def test_the_second_of_each_had_a_part(two: Ended, name: str) -> None:
    word = "step committed" if name.startswith("worker") else "POST"
    assert all(word in two.logs[own] for own in (name, f"{name}-2"))


@pytest.mark.system
@pytest.mark.parametrize("name", ["policy", "prm"])
def test_services_that_take_turns_sleep_and_wake(turns: Ended, name: str) -> None:
    """What sleep and new processes take away comes back to the last bit: see the iterations above."""
    changes = re.findall(r'"awake": (true|false), "event": "power"', turns.logs[name])
    assert changes.count("false") >= 2 and changes.count("true") >= 2, changes


def _telling(row: SelectedRow) -> tuple[str, int, float, str, tuple[float, ...]]:
    """What a row says, without the run's id; scores to the decimals that another batch leaves alone."""
    scores = tuple(round(score, 4) for score in row.step_scores)
    return row.question.id, row.index, row.temperature, row.response, scores


def _run(home: Path, each: int, *, ranks: int = 1, asleep: bool = False, python: str | None = None) -> Ended:
    """A run with so many of each service and its worker, under `python`.

    `asleep`: services and trainer take turns in place.
    """
    ports, second = free_ports(), free_ports()
    with tempfile.TemporaryDirectory(prefix="mstar-") as folder:
        broker = Path(folder) / "b.sock"
        specs = [one for spec in stack(home, ports, broker, broker.exists) for one in _several(spec, each, second)]
        specs = [_taking_turns(spec, ports) if asleep else spec for spec in specs]
        if python is not None:
            specs = [specs[0], *(replace(spec, command=(python, *spec.command[1:])) for spec in specs[1:])]
        overrides = RECIPE | {"evolution.train.ranks": ranks}
        with Supervisor(home, ports, specs=specs) as supervisor, Client(Endpoint(url=ports.coordinator_url)) as client:
            run_id = client.create_run(RunCreate(recipe="demo", overrides=overrides)).id
            while client.run(run_id).state is RunState.RUNNING and supervisor.failure is None:
                time.sleep(0.2)
            ended, results = client.run(run_id), client.results(run_id)
        assert ended.state is RunState.SUCCEEDED, ended.error or supervisor.failure
        logs = {spec.name: (supervisor.logs / f"{spec.name}.log").read_text() for spec in specs}
    chosen = {number: _chosen(home, run_id, number) for number in (1, 2)}
    return Ended(chosen, results.iterations, logs, load_file(home / run_id / "it01" / "train" / "model" / WEIGHTS))


def _several(spec: ProcessSpec, each: int, second: Ports) -> Sequence[ProcessSpec]:
    """Policy, PRM and their workers this many times; every worker knows all replicas."""
    if each == 1 or spec.name in ("broker", "coordinator", "trainer"):
        return [spec]
    if spec.name in ("policy", "prm"):
        port = getattr(second, spec.name)
        own = {f"MSTAR_{spec.name.upper()}_PORT": str(port)}
        twin = replace(spec, name=f"{spec.name}-2", env={**spec.env, **own}, live_url=f"http://{HOST}:{port}/livez")
        return [spec, twin]
    urls = {
        "MSTAR_WORKER_POLICY_URL": f"{spec.env['MSTAR_WORKER_POLICY_URL']},{second.policy_url}",
        "MSTAR_WORKER_PRM_URL": f"{spec.env['MSTAR_WORKER_PRM_URL']},{second.prm_url}",
    }
    shared = replace(spec, env={**spec.env, **urls})
    return [shared, replace(shared, name=f"{spec.name}-2")]


def _taking_turns(spec: ProcessSpec, ports: Ports) -> ProcessSpec:
    """As the chart sets processes up on GPUs that they share in place."""
    coordinator = {"GPU_SHARING": "colocated", "POLICY_URL": ports.policy_url, "PRM_URL": ports.prm_url}
    given = {"coordinator": coordinator, "trainer": {"RESIDENT": "false"}}.get(spec.name, {})
    own = {f"MSTAR_{spec.name.upper()}_{key}": value for key, value in given.items()}
    return replace(spec, env={**spec.env, **own})


def _apart(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference of any weight."""
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


def _chosen(home: Path, run_id: str, iteration: int) -> list[SelectedRow]:
    store = ArtefactStore(home)
    rows: list[SelectedRow] = []
    for shard in range(SHARDS):
        ref = store.find(f"{run_id}/it{iteration:02d}/select/{shard:04d}")
        assert ref is not None
        rows.extend(store.rows(ref, SelectedRow))
    return rows
