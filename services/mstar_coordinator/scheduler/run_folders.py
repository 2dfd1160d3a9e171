"""The files of a run that people open: `recipe.yaml`, `results.json`, and `latest` beside the run folders.

They are copies for reading; the database decides. What the run publishes at its end is written by a worker; a run that
ends before that gets a report here, which says why.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

import yaml
from cachetools import LRUCache

from mstar.errors import NotFound, NotWritable, StorageFull
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar.stages import SHOWN_KINDS
from mstar.stages.publish import PUBLISH, PUBLISHED
from mstar.writing import not_written
from mstar_artefacts.durable import write_json
from mstar_coordinator.export.folders import replace_text
from mstar_coordinator.export.report import render_report
from mstar_coordinator.scheduler.results import build_results
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import RunRecord

REPORT, RECIPE = "report", "recipe.yaml"
CUT_SHORT = (RunState.FAILED, RunState.CANCELLED)
"""States of runs that may have ended before they published anything."""
ENDED = (RunState.SUCCEEDED, *CUT_SHORT)
ENDED_KEPT = 200
"""Runs that have ended whose results stay in memory, about 50 kB each."""
CUT_SHORT_MARK = b'name="mstar-cut-short"'
HEAD_BYTES = 1000
"""In which a report of such a run has its mark."""
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml where PyYAML was built with it: Python's own takes longer than the rest of a run's start."""


class RunFolders:
    """Run folders below the home folder."""

    def __init__(self, home: Path, store: Store) -> None:
        self._home = home
        self._store = store
        # One writer at a time, so that an older state can't replace a newer one.
        self._writing = Lock()
        self._ended: LRUCache[tuple[str, int], tuple[RunResults, Mapping[str, str]]] = LRUCache(ENDED_KEPT)
        self._counting = Lock()

    def path(self, run_id: str) -> Path:
        """Folder of a run."""
        return self._home / run_id

    def create(self, run: RunRecord) -> None:
        """Make the folder of a new run with its recipe in it. Raises StorageFull or NotWritable."""
        try:
            self.path(run.id).mkdir(parents=True)
            self._write_recipe(run)
        except OSError as error:
            self.discard(run.id)
            raise not_written(error, self.path(run.id)) from error

    def _write_recipe(self, run: RunRecord) -> None:
        recipe = run.recipe.model_dump(mode="json")
        text = yaml.dump(recipe, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        replace_text(self.path(run.id) / RECIPE, text)

    def discard(self, run_id: str) -> None:
        """Remove the folder of a run that did not come to be."""
        shutil.rmtree(self.path(run_id), ignore_errors=True)

    def remove(self, run_id: str) -> None:
        """Remove the folder of a deleted run; `latest` goes to the newest that is left, or away."""
        with self._writing:
            gone = self._home / f".tmp-deleted-{run_id}-{uuid.uuid4().hex}"
            with contextlib.suppress(FileNotFoundError):
                # One rename, so that nobody finds half of it. What a crash leaves is removed at the next start.
                self.path(run_id).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            latest = self._home / "latest"
            if latest.is_symlink() and os.readlink(latest) == run_id:
                self._point_latest_at_newest()

    def _point_latest_at_newest(self) -> None:
        with self._store.reading() as tx:
            newest = tx.runs.newest_trained()
        if newest is None:
            (self._home / "latest").unlink(missing_ok=True)
        else:
            self._point_latest_at(newest)

    def results(self, tx: Transaction, run: RunRecord) -> RunResults:
        """The run as numbers, as of this transaction."""
        numbers, wanted = self._numbers(tx, run)
        left = {name: place for name, place in wanted.items() if (self.path(run.id) / place).exists()}
        return numbers.model_copy(update={"artefacts": left})

    def _numbers(self, tx: Transaction, run: RunRecord) -> tuple[RunResults, Mapping[str, str]]:
        """The results without what lies in the folder, and what may lie there."""
        # Whatever they show makes a new revision, and a run that has ended has few: a list of them reads no step.
        key = run.id, run.revision
        with self._counting:
            if key in self._ended:
                return self._ended[key]
        steps = tx.steps.done(run.id, SHOWN_KINDS)
        published = any(step.spec.params.kind == PUBLISH.kind for step in steps)
        wanted = PUBLISHED if published else {REPORT: PUBLISHED[REPORT]} if run.state in CUT_SHORT else {}
        made = build_results(run, steps, tx.steps.stage_starts(run.id), {}, tx.suspects.quarantined(run.id)), wanted
        if run.state in ENDED:
            with self._counting:
                self._ended[key] = made
        return made

    def refresh(self) -> None:
        """Rewrite the files of every run that changed since they were written.

        Raises StorageFull, NotWritable or OSError for the first that cannot be written, after the others are.
        """
        with self._store.reading() as tx:
            stale = tx.runs.stale()
        failures: list[Exception] = []
        for run_id in stale:
            try:
                self._refresh(run_id)
            except NotFound:
                continue  # deleted in this moment
            # One folder that cannot be written must not keep the files of all later runs from being written.
            except (StorageFull, NotWritable, OSError) as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _refresh(self, run_id: str) -> None:
        with self._writing:
            with self._store.reading() as tx:
                run = tx.runs.get(run_id)
                results = self.results(tx, run)
                newest = tx.runs.newest_trained() == run_id
            self.path(run_id).mkdir(parents=True, exist_ok=True)
            # Gone with a folder that somebody removed, or emptied by a power cut.
            recipe = self.path(run_id) / RECIPE
            if not recipe.is_file() or not recipe.stat().st_size:
                self._write_recipe(run)
            results = self._reported(results)
            write_json(self.path(run_id) / "results.json", results.model_dump(mode="json"))
            if newest:
                self._point_latest_at(run_id)
            with self._store.writing() as tx:
                tx.runs.set_written(run_id, run.revision)

    def _reported(self, results: RunResults) -> RunResults:
        """The results, with a report where the run was cut short before its own; none of before where it goes on."""
        path = self.path(results.id) / PUBLISHED[REPORT]
        if results.state in CUT_SHORT:
            results = results.model_copy(update={"artefacts": results.artefacts | {REPORT: PUBLISHED[REPORT]}})
            replace_text(path, render_report(results, []))
        elif path.is_file() and CUT_SHORT_MARK in path.read_bytes()[:HEAD_BYTES]:
            # Only what was written here: a worker may just have put the run's own report in its place.
            path.unlink(missing_ok=True)
        return results

    def _point_latest_at(self, run_id: str) -> None:
        link = self._home / "latest"
        staging = self._home / f".tmp-latest-{uuid.uuid4().hex}"
        # Relative, so that it still points there when the home is moved or mounted elsewhere.
        os.symlink(run_id, staging, target_is_directory=True)
        os.replace(staging, link)
