"""A whole run by the command line on small models of two families: `python -m benchmarks.family_run [FAMILY …]`.

Each family's folder is made at random and taught for minutes (`family_teaching`); then `mstar run start
benchmarks/family_run.yaml` does the run on it, as a user types it. `--report` prints what was recorded.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "family_run.json"
RECIPE = ROOT / "benchmarks" / "family_run.yaml"
PLACES = ("", "shared", "services", "tests/support")
"""Folders that are imported from; nothing needs to be installed from this repository."""
FAMILIES: Mapping[str, str] = {"qwen2_5_vl": "Qwen2.5-VL", "internvl": "InternVL"}
UPDATES: Mapping[str, int] = {"qwen2_5_vl": 160, "internvl": 200}
"""After this many a model reads some pictures and not all: what is left to learn is the run's."""


def main() -> None:
    """Teach and run each family that is named, and record what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help=f"Of {', '.join(FAMILIES)}; default: all of them.")
    parser.add_argument("--work", type=Path, default=Path("runs/families"), help="A folder for models and runs.")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.families or list(FAMILIES)
    if strange := set(wanted) - FAMILIES.keys():
        parser.error(f"no such family: {', '.join(sorted(strange))}")
    recorded = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.report:
        for name in wanted:
            recorded[name] = _family(name, arguments.work / name)
            RESULTS.write_text(json.dumps(dict(sorted(recorded.items())), indent=1) + "\n")
    print(report(recorded))


def _family(name: str, work: Path) -> dict[str, Any]:
    # Slow to import, and the report needs neither.
    from benchmarks.family_halves import write_splits
    from benchmarks.family_teaching import teach, untaught

    work.mkdir(parents=True)
    write_splits(work / "data")
    taught = teach(untaught(name, work / "model"), UPDATES[name])
    command = ["run", "start", str(RECIPE), "--home", "runs", "--json"]
    print("mstar", *command, flush=True)
    # Started in the folder that holds model and data: recipes may name what lies below it.
    done = subprocess.run(
        [str(Path(sys.executable).with_name("mstar")), *command],
        cwd=work,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return summary(json.loads(done.stdout), taught)


def _environment() -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    path = [str(ROOT / place) for place in PLACES]
    return clean | {"PYTHONPATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def summary(results: Mapping[str, Any], taught: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows, of a run's results and of the teaching."""
    tests = results["test"]
    measured = [
        {"after": after, "greedy": tests[name]["id"], "ood": tests[name]["ood"], "pass_at_k": tests[name]["pass_at_k"]}
        for name, after in (("base", "base"), ("warmup", "warm-up"))
    ]
    kept = ("temperature", "greedy", "ood", "pass_at_k", "responses", "kept", "seconds")
    iterations = [
        {"after": f"iteration {one['index']}", "right": one["sampled_accuracy"]} | {key: one[key] for key in kept}
        for one in results["iterations"]
    ]
    return {
        "state": results["state"],
        "taught": dict(taught),
        "rows": measured + iterations,
        "sweeps": [{key: one[key] for key in ("iteration", "curve", "chosen")} for one in results["sweeps"]],
        "prm": results["prm"],
        "seconds": round(results["seconds"]),
    }


def report(recorded: Mapping[str, Any]) -> str:
    """The tables of docs/models.md."""
    lines: list[str] = []
    for name, found in recorded.items():
        taught = found["taught"]
        lines += [
            f"{FAMILIES[name]}, {taught['weights'] / 1e6:.1f} M weights, taught for {taught['updates']} updates; the "
            f"run took {found['seconds']} s:",
            "",
            "| after | greedy, test-ID | greedy, test-OOD | Pass@4 | T | right of sampled | kept |",
            "|---|---|---|---|---|---|---|",
            *map(_line, found["rows"]),
            "",
        ]
    return "\n".join(lines).rstrip()


def _line(row: Mapping[str, Any]) -> str:
    shares = " | ".join(f"{100 * row[key]:.1f} %" for key in ("greedy", "ood", "pass_at_k"))
    if "kept" not in row:
        return f"| {row['after']} | {shares} | | | |"
    right = f"{100 * row['right']:.1f} % of {row['responses']}"
    return f"| {row['after']} | {shares} | {row['temperature']} | {right} | {row['kept']} |"


if __name__ == "__main__":
    main()
