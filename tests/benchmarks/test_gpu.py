"""The runner of GPU rows keeps what is done and goes on after failures; a real row runs on the CPU at a tiny shape."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gpu import DONE, Row, measure_all, missing, read, report, rows

REAL = Row("cross-entropy", "gpu_training", "cross_entropy")


def measured(wanted: list[Row], logs: Path, budget: float = 60.0) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = []
    measure_all(wanted, found.append, logs, budget)
    return {one["row"]: one for one in found}


@pytest.mark.slow
def test_one_failure_or_hang_does_not_stop_the_others(tmp_path: Path) -> None:
    alone, hanging = Row("alone", "measure", "missing"), Row("hanging", "gpu_training", "cross_entropy", seconds=0.01)
    found = measured([alone, hanging, REAL, Row("beside", "measure", "missing", alone=False)], tmp_path)
    outcomes = {name: record["outcome"] for name, record in found.items()}
    assert outcomes == {"alone": "failed", "hanging": "timed out", "cross-entropy": DONE, "beside": "failed"}
    assert "AttributeError" in found["alone"]["error"]
    for kind in ("plain", "in pieces"):
        result = found["cross-entropy"]["result"][f"128 places {kind}"]
        assert result["loss off by"] < 1e-4 and result["gradient of hidden states off by"] < 0.01
    assert "| cross-entropy | measured |" in report(found)


@pytest.mark.slow
def test_every_row_names_a_function_that_is_there() -> None:
    offered = rows()
    assert len({row.name for row in offered}) == len(offered)
    for row in offered:
        assert callable(getattr(import_module(f"benchmarks.{row.module}"), row.function))


def test_a_second_call_measures_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    offered = [REAL, Row("device", "gpu_device", "describe"), Row("train/2b", "gpu_training", "training")]
    assert missing(offered, read(out), ()) == offered
    # The last line was cut off.
    out.write_text(
        '{"row": "device", "outcome": "failed"}\n{"row": "cross-entropy", "outcome": "measured"}\n{"row": "tr'
    )
    assert [row.name for row in missing(offered, read(out), ())] == ["device", "train/2b"]
    assert [row.name for row in missing(offered, read(out), ("train", "cross"))] == ["train/2b"]


def test_no_row_begins_after_the_budget(tmp_path: Path) -> None:
    assert measured([Row("beside", "measure", "missing", alone=False)], tmp_path, -1.0) == {}
