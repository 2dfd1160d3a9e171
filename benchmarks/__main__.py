"""`python -m benchmarks [ROW …]`: measure, print, and write results.md and results.json beside this file.

Each group of rows runs in a process of its own, so that none of them finds another's caches or threads. With
`--smallest` every group runs once at its smallest size, which shows that it works; nothing is written then.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import COSTS, SMALLEST

HERE = Path(__file__).parent
WORK_HEAD = (
    "What one measurement cost, ours and other; empty where a side does none of it or nobody counts it:\n\n"
    "| what | against | CPU-s | other | wall s | other | tokens | other | images | other |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)
GROUPS = ("prm_scoring", "rollouts", "training", "weight_push", "iteration", "coordination", "pipeline")


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--measure":
        rows = import_module(f"benchmarks.{sys.argv[2]}").run()
        Path(sys.argv[3]).write_text(json.dumps([row.dump() for row in rows]))
        return
    smallest = "--smallest" in sys.argv
    groups = [name for name in sys.argv[1:] if name != "--smallest"]
    if unknown := set(groups) - set(GROUPS):
        sys.exit(f"{', '.join(sorted(unknown))}: no such benchmark; choose from {', '.join(GROUPS)}")
    known = _known()
    for group in groups or GROUPS:
        known[group] = _measured(group, smallest=smallest)
        if not smallest:
            _write(known)


def _measured(group: str, *, smallest: bool) -> list[dict[str, Any]]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    environment |= {SMALLEST: "1"} if smallest else {}
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks", "--measure", group, str(found)]
        subprocess.run(command, env=environment, check=True)
        rows: list[dict[str, Any]] = json.loads(found.read_text())
    for row in rows:
        print(_line(row), flush=True)
    return rows


def _known() -> dict[str, list[dict[str, Any]]]:
    """Rows of earlier runs, so that one group can be measured again by itself."""
    path = HERE / "results.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    return {group: [row for row in rows if row["group"] == group] for group in GROUPS}


def _write(known: dict[str, list[dict[str, Any]]]) -> None:
    rows = [row | {"group": group} for group in GROUPS for row in known.get(group, [])]
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    (HERE / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    head = (
        "# Measured\n\n"
        f"`make bench` on {machine['processor']}, {machine['cores']} cores shared with other work, one thread a side.\n"
        "Medians of pairs in the order ours, other, other, ours. A ratio above 1 means that ours is better.\n\n"
        "| what | against | unit | ours | other | ratio | target | met | pairs |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    notes = [
        f"- {row['name']}, against {row['against']}: {_counted(row)}" for row in rows if row["counted"] or row["note"]
    ]
    costs = "\n".join(_costs(row) for row in rows)
    counted = "\n".join(notes)
    page = f"{head}{chr(10).join(map(_line, rows))}\n\n{WORK_HEAD}{costs}\n\nCounted besides:\n\n{counted}\n"
    (HERE / "results.md").write_text(page)


def _costs(row: dict[str, Any]) -> str:
    cells = [
        f"{row['work'][side][key]:.4g}" if key in row["work"].get(side, {}) else ""
        for key in COSTS
        for side in ("ours", "other")
    ]
    return f"| {row['name']} | {row['against']} | {' | '.join(cells)} |"


def _line(row: dict[str, Any]) -> str:
    met = "yes" if row["met"] else "no"
    numbers = f"{row['ours']:.4g} | {row['other']:.4g} | {row['ratio']:.2f}"
    return (
        f"| {row['name']} | {row['against']} | {row['unit']} | {numbers} | {row['target']} | {met} | {row['pairs']} |"
    )


def _counted(row: dict[str, Any]) -> str:
    parts = [f"{name} {value:.6g}" for name, value in row["counted"].items()]
    return ", ".join([*parts, *([row["note"]] if row["note"] else [])])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
