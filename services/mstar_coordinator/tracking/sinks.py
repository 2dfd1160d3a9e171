"""The trackers themselves: each adapter knows one package, which is imported when the first run asks for it.

Where a tracker keeps its data is what its own variables say (`WANDB_*`, `MLFLOW_TRACKING_URI`, `TRACKIO_DIR`), else a
folder below the coordinator's home. Weights & Biases stays offline unless `WANDB_API_KEY` or `WANDB_MODE` is set.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mstar.errors import InvalidRecipe
from mstar.trackers import Tracker
from mstar_coordinator.tracking.scalars import Scalar

PROJECT = "mstar"
PACKAGES = {
    Tracker.WANDB: ("wandb", "wandb"),
    Tracker.MLFLOW: ("mlflow", "mlflow-skinny"),
    Tracker.TENSORBOARD: ("tensorboardX", "tensorboardX"),
    Tracker.TRACKIO: ("trackio", "trackio"),
}
"""Module to import, and package to install."""


class Sink(Protocol):
    """One run in one tracker."""

    def log(self, points: Sequence[Scalar]) -> None:
        """Send points that it has not been sent."""

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Send a table of an iteration."""

    def close(self, *, failed: bool) -> None:
        """The run has ended."""

    def leave(self) -> None:
        """Free what this holds, while the run goes on: it is opened anew later."""


def require_installed(trackers: Iterable[Tracker]) -> None:
    """Raises InvalidRecipe for a tracker whose package the coordinator does not have."""
    for tracker in trackers:
        module, package = PACKAGES[tracker]
        if find_spec(module) is None:
            raise InvalidRecipe(
                f"tracking: {tracker.value} is not installed where the coordinator runs: `pip install {package}` "
                "there, or leave it out",
                field="tracking",
            )


def open_sink(tracker: Tracker, home: Path, run_id: str, name: str, recipe: dict[str, Any]) -> Sink:
    """A run's place in a tracker; the same one each time it is asked for. Raises what the package raises."""
    kinds: dict[Tracker, Callable[[Path, str, str, dict[str, Any]], Sink]] = {
        Tracker.WANDB: WandbSink,
        Tracker.MLFLOW: MlflowSink,
        Tracker.TENSORBOARD: TensorboardSink,
        Tracker.TRACKIO: TrackioSink,
    }
    return kinds[tracker](home, run_id, name, recipe)


class WandbSink:
    """A Weights & Biases run, whose id is the run's."""

    def __init__(self, home: Path, run_id: str, name: str, recipe: dict[str, Any]) -> None:
        import wandb

        self._wandb: Any = wandb
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        folder = _folder(home, "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run_id,
            name=name,
            config=recipe,
            dir=folder,
            mode=mode,
            resume="allow",
            reinit="create_new",
            # The service's own log, code and machine are nobody else's business.
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, x_disable_stats=True),
        )
        self._axes: set[str] = set()

    def log(self, points: Sequence[Scalar]) -> None:
        for point in points:
            if point.name not in self._axes:
                self._axes.add(point.name)
                self._run.define_metric(point.name, step_metric=point.axis)
            self._run.log({point.name: point.value, point.axis: point.step})

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = self._wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: table, "iteration": step})

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))

    def leave(self) -> None:
        # Its end as well, as far as W&B knows, until it is resumed under its id.
        self._run.finish()


class MlflowSink:
    """An MLflow run of the experiment `mstar`, found again by its tag."""

    def __init__(self, home: Path, run_id: str, name: str, recipe: dict[str, Any]) -> None:
        from mlflow.tracking import MlflowClient

        where = os.environ.get("MLFLOW_TRACKING_URI")
        if not where:
            # MLflow asks for this where runs are kept as files.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            where = _folder(home, "mlflow").as_uri()
        self._client: Any = MlflowClient(tracking_uri=where)
        experiment = self._client.get_experiment_by_name(PROJECT)
        own = experiment.experiment_id if experiment else self._client.create_experiment(PROJECT)
        found = self._client.search_runs([own], f"tags.`mstar.run_id` = '{run_id}'", max_results=1)
        run = found[0] if found else self._client.create_run(own, run_name=name, tags={"mstar.run_id": run_id})
        self._id = run.info.run_id
        if not found:
            self._client.log_text(self._id, json.dumps(recipe, indent=2), "recipe.json")

    def log(self, points: Sequence[Scalar]) -> None:
        for point in points:
            self._client.log_metric(self._id, point.name, point.value, step=point.step)

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)
        self._client.log_text(self._id, lines, f"{name}/iteration-{step:02d}.jsonl")

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def leave(self) -> None:
        """Nothing is held: each call is a request, or a file that is closed again."""


class TensorboardSink:
    """Event files in the run's own folder: `tensorboard --logdir runs`."""

    def __init__(self, home: Path, run_id: str, name: str, recipe: dict[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        folder = home / run_id / "tensorboard"
        # Files are called after the second in which they begin: a service that starts anew in it would lose the first.
        self._writer: Any = SummaryWriter(str(folder), flush_secs=5, filename_suffix=f".{uuid.uuid4().hex[:8]}")

    def log(self, points: Sequence[Scalar]) -> None:
        for point in points:
            self._writer.add_scalar(point.name, point.value, point.step)
        self._writer.flush()

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        # A Markdown table; what would end a cell or a row is shown instead.
        cells = [[cell.replace("|", "\\|").replace("\n", " ⏎ ") for cell in row] for row in (columns, *rows)]
        cells.insert(1, ["---"] * len(columns))
        self._writer.add_text(name, "\n".join(f"| {' | '.join(row)} |" for row in cells), step)
        self._writer.flush()

    def close(self, *, failed: bool) -> None:
        self.leave()

    def leave(self) -> None:
        self._writer.close()


class TrackioSink:
    """A trackio run, which is called by the run's id since trackio finds runs again by their names."""

    def __init__(self, home: Path, run_id: str, name: str, recipe: dict[str, Any]) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(_folder(home, "trackio")))
        import trackio

        self._trackio: Any = trackio
        self._run = trackio.init(project=PROJECT, name=run_id, config={"name": name} | recipe, resume="allow")

    def log(self, points: Sequence[Scalar]) -> None:
        for point in points:
            self._run.log({point.name: point.value}, step=point.step)

    def table(self, name: str, step: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = "\n\n".join(" | ".join(row) for row in (columns, *rows))
        self._run.log({name: self._trackio.Markdown(lines)}, step=step)

    def close(self, *, failed: bool) -> None:
        self.leave()

    def leave(self) -> None:
        self._run.finish()


def _folder(home: Path, name: str) -> Path:
    folder = home.absolute() / ".mstar" / "tracking" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
