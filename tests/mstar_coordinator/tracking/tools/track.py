"""Sends two iterations of a run to the tracker argv[1], as two processes would, and prints what it has kept.

argv[2]: the coordinator's home.
"""

import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mstar.trackers import Tracker
from mstar_coordinator.tracking.scalars import COLUMNS, Scalar
from mstar_coordinator.tracking.sinks import open_sink

HOME = Path(sys.argv[2])
RUN = "run-20260101-000000-abcdef"


def sent() -> None:
    for step in (1, 2):
        sink = open_sink(Tracker(sys.argv[1]), HOME, RUN, "bars", {"seed": 3})
        sink.log(
            [
                Scalar(name="eval/accuracy_id", axis="iteration", step=step, value=step / 4),
                Scalar(name="train/loss", axis="update", step=10 * step, value=1 / step),
            ]
        )
        sink.table("samples", step, COLUMNS, [("How many | bars?", "two\nlines", "yes", "equal", "0.50")])
        sink.close(failed=False)
        if sys.argv[1] in ("wandb", "tensorboard"):
            # They call a folder or a file after the second in which a process begins.
            time.sleep(1.1)


def kept_by_mlflow() -> Any:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(HOME / ".mstar/tracking/mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("mstar").experiment_id])
    history = {
        name: [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, name)]
        for name in ("eval/accuracy_id", "train/loss")
    }
    files = sorted(one.path for one in client.list_artifacts(run.info.run_id, "samples"))
    return {"points": history, "name": run.info.run_name, "state": run.info.status, "tables": files}


def kept_by_tensorboard() -> Any:
    from tensorboardX.proto.event_pb2 import Event

    points: dict[str, list[list[float]]] = {}
    tables = []
    for path in sorted((HOME / RUN / "tensorboard").glob("*tfevents*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    points.setdefault(value.tag, []).append([event.step, value.simple_value])
                else:
                    tables.append(value.tensor.string_val[0].decode())
    return {"points": points, "tables": tables}


def records(data: bytes) -> Iterator[bytes]:
    """Records of LevelDB's log format after a header of 7 bytes: pieces in blocks of 32 KiB."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        if 2**15 - place % 2**15 < 7:
            place += 2**15 - place % 2**15
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def kept_by_wandb() -> Any:
    from wandb.proto.wandb_internal_pb2 import Record

    points: dict[str, list[list[float]]] = {}
    ids = set()
    for path in sorted((HOME / ".mstar/tracking/wandb").rglob("*.wandb")):
        for data in records(path.read_bytes()):
            record = Record.FromString(data)
            if record.HasField("run"):
                ids.add(record.run.run_id)
            row = {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in record.history.item}
            for name, axis in (("eval/accuracy_id", "iteration"), ("train/loss", "update")):
                if name in row:
                    points.setdefault(name, []).append([row[axis], row[name]])
    return {"points": points, "ids": sorted(ids)}


def kept_by_trackio() -> Any:
    import sqlite3

    points: dict[str, list[list[float]]] = {}
    for path in (HOME / ".mstar/tracking/trackio").rglob("*.db"):
        with sqlite3.connect(path) as connection:
            for step, metrics in connection.execute("select step, metrics from metrics order by id"):
                for name, value in json.loads(metrics).items():
                    if isinstance(value, int | float):
                        points.setdefault(name, []).append([step, value])
    return {"points": points}


sent()
print(json.dumps(globals()[f"kept_by_{sys.argv[1]}"]()), flush=True)
# Threads of the trackers may have nothing to say any more, and take their time for it.
os._exit(0)
