"""Two runs of one seed leave the same files, though artefacts of the second were damaged on the way."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_embedded.ports import free_ports
from mstar_embedded.supervisor import Supervisor
from run_files import files_of
from small_run import TESTED

pytestmark = pytest.mark.system
SHORT = TESTED | {"evolution.iterations": 1, "exploration.start": 1}
SHARD, CHECKPOINT, OLD = "it01/select/0000", "reward/train", "reward/sample/0000"


def until(condition: Callable[[], bool], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace(path, bytes(data))


def replace(path: Path, data: bytes) -> None:
    """Another file under the name: writing into one that a service has mapped would change what it computes with."""
    other = path.with_name(".other")
    other.write_bytes(data)
    other.replace(path)


@pytest.mark.faults(
    "flipped byte in a shard and truncated checkpoint, in mid-run and after the end",
    "the run fails and names it; resume and repair end with the same files as an undisturbed run",
)
def test_a_run_whose_artefacts_were_damaged_ends_with_the_files_of_another(tmp_path: Path) -> None:
    ports = free_ports()
    with Supervisor(tmp_path, ports), Client(Endpoint(url=ports.coordinator_url)) as client:
        whole = client.create_run(RunCreate(recipe="demo", overrides=SHORT)).id
        until(lambda: client.run(whole).state is not RunState.RUNNING)
        assert client.run(whole).state is RunState.SUCCEEDED, client.run(whole).error

        hurt = client.create_run(RunCreate(recipe="demo", overrides=SHORT)).id
        folder = tmp_path / hurt
        until(lambda: (folder / "it01/train/manifest.json").exists())
        # What is left of the run reads both of them.
        flip(folder / SHARD / "rows.jsonl.gz")
        (weights,) = (folder / CHECKPOINT / "model").glob("*.safetensors")
        replace(weights, weights.read_bytes()[:-100])
        until(lambda: client.run(hurt).state is not RunState.RUNNING)
        assert client.run(hurt).state is RunState.FAILED and "mstar run resume" in str(client.run(hurt).error)

        answer = client.resume(hurt)
        assert [one.step for one in answer.damaged] == [CHECKPOINT, SHARD]
        until(lambda: client.run(hurt).state is not RunState.RUNNING)
        assert client.run(hurt).state is RunState.SUCCEEDED, client.run(hurt).error

        # After its end, and also in what nothing reads any more.
        flip(folder / OLD / "rows.jsonl.gz")
        assert [one.step for one in client.repair(hurt).damaged] == [OLD]
        until(lambda: client.run(hurt).state is RunState.SUCCEEDED)
        events = [one.type for one in client.events(hurt, limit=500).data]
    assert events.count("artefact.damaged") == 3 and "step.changed" not in events
    first, second = files_of(tmp_path / whole), files_of(folder)
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
