"""A run whose data has a fault that its first step finds goes on once that is mended, with real processes."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llava_set import write_llava
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import stack
from mstar_embedded.supervisor import Supervisor
from small_run import SMALL

OWN = {split: SMALL[f"data.{split}"] for split in ("train", "validation", "test_id", "test_ood")}
NEEDED = ("broker", "coordinator", "worker-score")
"""Processes that prepare a run's data; nothing is sampled here."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Of a coordinator that leaves nearly all of a data set's check to the step `prepare`."""
    home, ports = tmp_path / "runs", free_ports()
    own = {"MSTAR_COORDINATOR_DATA_CHECK_SECONDS": "0.001", "MSTAR_COORDINATOR_DATA_ROOT": str(tmp_path)}
    with tempfile.TemporaryDirectory(prefix="mstar-") as folder:
        broker = Path(folder) / "b.sock"
        planned = [one for one in stack(home, ports, broker, broker.exists) if one.name in NEEDED]
        specs = [replace(one, env={**one.env, **own}) if one.name == "coordinator" else one for one in planned]
        with Supervisor(home, ports, specs=specs), Client(Endpoint(url=ports.coordinator_url)) as found:
            yield found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.system
@pytest.mark.faults(
    "an image file of the data set that holds none, found by the run's first step",
    "the run fails and names the record; once the file is mended, resume prepares every record",
)
def test_a_run_goes_on_once_its_data_is_mended(client: Client, tmp_path: Path) -> None:
    write_llava(tmp_path / "set", OWN)
    image = tmp_path / "set" / "images" / "train-3.png"
    sound = image.read_bytes()
    image.write_bytes(b"GIF89a" + sound)
    run = client.create_run(RunCreate(recipe="demo", overrides=SMALL | {"data.source": "set"})).id
    until(lambda: client.run(run).state is not RunState.RUNNING)
    assert client.run(run).state is RunState.FAILED
    assert "records.json record 4: the image is not a PNG, JPEG or WebP" in str(client.run(run).error)
    prepared = tmp_path / "runs" / run / "prepare" / "manifest.json"
    assert not prepared.exists()

    image.write_bytes(sound)
    assert client.resume(run).state is RunState.RUNNING
    until(prepared.exists)
    (imported,) = (path for path in (tmp_path / "runs" / ".mstar" / "imports").iterdir() if path.is_dir())
    assert json.loads((imported / "import.json").read_text())["records"] == OWN
