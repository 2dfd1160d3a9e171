"""`mstar study …`: run the arms of a study over its seeds, watch it, and write its report."""

import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mstar.api.runs import Run as RunBody
from mstar.api.studies import RunChoice, StudyCreate, StudyRunView, StudyView
from mstar.cli.output import ENDED, LONGEST_PAUSE, PATIENCE_SECONDS, console, print_json, program
from mstar.cli.stack import JsonOption, embedded
from mstar.cli.stopping import told_when_stopped
from mstar.cli.study_files import (
    in_order,
    names,
    numbers,
    read_properties,
    read_results,
    read_study,
    write_result,
    write_text,
)
from mstar.client import DEFAULT_URL, Client, Endpoint
from mstar.errors import NotFound, Unavailable
from mstar.evolution import RunState
from mstar.study.page import study_csv, study_page
from mstar.study.plan import Study
from mstar.study.record import StudyRun
from mstar.study.states import StudyState
from mstar.study.summary import summarise

app = typer.Typer(help="Compare arms of the method over several seeds.", no_args_is_help=True)
StudyArgument = Annotated[str, typer.Argument(help="A .yaml file, or the name of a study that ships.")]
IdArgument = Annotated[str, typer.Argument(help="Study id, or latest.", metavar="STUDY")]
ResultsOption = Annotated[Path | None, typer.Option(help="Folder of result files, one per finished run.")]
POLL_SECONDS = 2.0
LINE_SECONDS = 15.0
"""Between two lines about the run that is under way."""
Run = tuple[str, int]


@app.command()
def run(
    study: StudyArgument,
    seeds: Annotated[str | None, typer.Option(help="Comma-separated seeds to run, such as 3,4. Default: all.")] = None,
    arms: Annotated[
        str | None, typer.Option(help="Comma-separated arms to run, such as top-2,random-2. Default: all.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Run in this folder, with its own services on free ports.")] = None,
    results: ResultsOption = None,
    detach: Annotated[bool, typer.Option(help="Do not wait for the end; needs a running server.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a study, or a part of it, on the running server or with its own services.

    The same command continues an interrupted study. Runs that have a result file already are skipped.
    """
    plan = read_study(study)
    # Result files are what counts as done, so a study goes on in another home or after its server is gone.
    there = read_results(results, plan) if results is not None and results.is_dir() else {}
    wanted = [one for one in plan.part(names(arms), numbers(seeds, "--seeds")) if one not in there]
    if not wanted:
        _say(as_json, f"every run of this part has its result file already: {how_to_report(study, None, results)}")
        return
    endpoint = Endpoint.from_environment()
    if home is None:
        with Client(endpoint) as client:
            if client.reachable():
                view = _begin(client, plan, wanted, alone=False)
                if not detach:
                    with told_when_stopped(f"study {view.id} goes on: the same command follows it again"):
                        view = _follow(client, view, wanted, results, lambda: None, quiet=as_json)
                _finish(view, as_json=as_json)
                if not detach:
                    _say(as_json, f"next: {how_to_report(study, None, results)}")
                return
        if endpoint.url != DEFAULT_URL:
            raise Unavailable(f"nothing answers at {endpoint.url}: check MSTAR_URL")
    if detach:
        raise Unavailable(f"--detach needs a running server and no --home: start one with `{program()} up`")
    home = home or Path("runs")
    with embedded(home, "auto", quiet=as_json) as (client, supervisor):
        view = _begin(client, plan, wanted, alone=True)
        # Only in a home of its own: on a server the other studies are other people's.
        _leave_others(client, view, quiet=as_json)
        with told_when_stopped(f"study {view.id} is not finished: the same command continues it"):
            view = _follow(client, view, wanted, results, lambda: getattr(supervisor, "failure", None), quiet=as_json)
    _finish(view, as_json=as_json)
    _say(as_json, f"next: {how_to_report(study, home, results)}")


@app.command()
def show(study: IdArgument = "latest", as_json: JsonOption = False) -> None:
    """Show the runs of a study with their results so far."""
    with Client(Endpoint.from_environment()) as client:
        view = client.study(_resolve(client, study))
        found = {(one.arm, one.seed): one for one in _records(client, view.id)}
    if as_json:
        print_json(view)
        return
    console.print(study_table(view, found))
    for text in filter(None, (view.error, view.problem)):
        console.print(text)


def study_table(view: StudyView, found: Mapping[Run, StudyRun]) -> Table:
    """The runs of a study, with the results of those in `found`."""
    table = Table(title=f"{view.name} · {view.id} · {view.state.value}", title_justify="left")
    for name in ("seed", "arm", "run", "state", "warm-up", "final ID", "final OOD", "reused"):
        # Names and ids are what other commands are given; headings may wrap.
        table.add_column(name, no_wrap=name in ("arm", "run", "state"))
    for one in view.runs:
        record = found.get((one.arm, one.seed))
        state = one.state.value if one.state else "waiting"
        table.add_row(str(one.seed), one.arm, one.run or "", state, *(_scores(record) if record else [""] * 4))
    return table


@app.command()
def report(
    study: StudyArgument,
    results: ResultsOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the three files.")] = Path("study"),
    gates: Annotated[
        Path | None, typer.Option(help="JSON file with further `properties` that another program measured.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write study.html, study.csv and study.json from result files, or from the running server."""
    plan = read_study(study)
    if results is not None:
        found = list(read_results(results, plan).values())
    else:
        with Client(Endpoint.from_environment()) as client:
            # Several commands may have run parts of one plan; equal plans are one study to a reader.
            views = [view for view in client.studies(limit=100).data if view.study == plan]
            found = list({(one.arm, one.seed): one for view in views for one in _records(client, view.id)}.values())
    if not found and results is not None:
        raise NotFound(
            f"--results: {results} has no result file of study {plan.name}: their names begin with {plan.name}--"
        )
    if not found:
        raise NotFound(f"no run of study {plan.name} has ended yet: name the folder of its result files with --results")
    runs = in_order(plan, found)
    summary = summarise(plan, runs)
    if gates is not None:
        summary = summary.model_copy(update={"properties": (*read_properties(gates), *summary.properties)})
    texts = {
        "study.html": study_page(plan, summary, runs),
        "study.csv": study_csv(runs),
        "study.json": summary.model_dump_json(indent=1) + "\n",
    }
    for name, text in texts.items():
        write_text(out / name, text)
    if as_json:
        print_json(summary)
        return
    for pair in summary.pairs:
        ends = "" if pair.low is None else f" ({pair.low:+.1f} to {pair.high:+.1f})"
        console.print(f"{pair.a} − {pair.b}: {pair.difference:+.1f}{ends}, {pair.verdict}")
    console.print(f"{summary.runs} of {summary.planned} runs; report: {out / 'study.html'}")


@app.command()
def resume(study: IdArgument, as_json: JsonOption = False) -> None:
    """Retry the failed runs of a study, and continue with the rest."""
    with Client(Endpoint.from_environment()) as client:
        _finish(client.resume_study(_resolve(client, study)), as_json=as_json)


@app.command()
def cancel(study: IdArgument, as_json: JsonOption = False) -> None:
    """Stop a study and its current run for good; what was made so far is kept."""
    with Client(Endpoint.from_environment()) as client:
        _finish(client.cancel_study(_resolve(client, study)), as_json=as_json, ended=False)


def how_to_report(study: str, home: Path | None, results: Path | None) -> str:
    """What to type for the report of runs that have ended; `home`: that of a stack which has ended with them."""
    report = f"{program()} study report {shlex.quote(study)}"
    if results is not None:
        return f"{report} --results {shlex.quote(str(results))}"
    return report if home is None else f"{program()} up --home {shlex.quote(str(home))}, then {report}"


def _begin(client: Client, plan: Study, wanted: Collection[Run], *, alone: bool) -> StudyView:
    """The study that does these runs: one that was begun before and holds all of them, else a new one."""
    for view in client.studies(limit=100).data:
        if goes_on(view, plan, wanted, alone=alone):
            return client.resume_study(view.id) if view.state is StudyState.FAILED else view
    body = StudyCreate(
        study=plan.model_dump(mode="json"), runs=tuple(RunChoice(arm=arm, seed=seed) for arm, seed in wanted)
    )
    return client.create_study(body)


def goes_on(view: StudyView, plan: Study, wanted: Collection[Run], *, alone: bool) -> bool:
    """Whether a study that was begun before is the one to go on with for these runs.

    `alone`: the studies of this server are one person's. One that has other runs left is then no match, since those
    could come first. On a shared server it is: a new study would wait for its end.
    """
    if view.study != plan or view.state is StudyState.CANCELLED:
        return False
    left = {(one.arm, one.seed) for one in view.runs if one.state is not RunState.SUCCEEDED}
    return set(wanted) <= {(one.arm, one.seed) for one in view.runs} and (not alone or left <= set(wanted))


def _leave_others(client: Client, view: StudyView, *, quiet: bool) -> None:
    """Cancel what an earlier command had begun in this home and not ended: it would go first, and nobody waits for it.

    Nothing is lost: a run takes over the steps that cancelled ones have done, where they are equal.
    """
    for other in client.studies(limit=100).data:
        if other.state is StudyState.RUNNING and other.id != view.id:
            client.cancel_study(other.id)
            _say(
                quiet,
                f"study {other.id} of this home gives way to {view.id}, which is another part or has other settings",
            )


def _follow(
    client: Client,
    view: StudyView,
    wanted: Collection[Run],
    results: Path | None,
    broken: Callable[[], str | None],
    *,
    quiet: bool,
) -> StudyView:
    """Wait for the end of these runs, and write the result file of each as soon as it ends. Raises Unavailable."""
    told: set[Run] = set()
    silent_since = None
    lines = _Lines(quiet)
    while True:
        if (reason := broken()) is not None:
            raise Unavailable(reason)
        try:
            view = client.study(view.id)
            for record in _news(client, view, told):
                # An older study with the same plan may hold more runs than this command asked for.
                if (record.arm, record.seed) in wanted:
                    place = "" if results is None else f" → {write_result(results, record)}"
                    _say(quiet, f"{record.arm} · seed {record.seed}: {_line(record)}{place}")
                told.add((record.arm, record.seed))
            lines.tell(client, view)
        except Unavailable:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise
            time.sleep(LONGEST_PAUSE)
            continue
        silent_since = None
        ended = {(one.arm, one.seed) for one in view.runs if one.state in ENDED}
        # Its other runs go on without this command. Where there are none, the study itself ends in a moment.
        if view.state is not StudyState.RUNNING or (ended >= set(wanted) and len(ended) < len(view.runs)):
            return view
        time.sleep(POLL_SECONDS)


class _Lines:
    """Says from time to time how far the run has come that is under way."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._last, self._at = "", -LINE_SECONDS

    def tell(self, client: Client, view: StudyView) -> None:
        """A line about a study as it is now, where there is news. Raises Unavailable."""
        now = next((one for one in view.runs if one.run and one.state and one.state not in ENDED), None)
        if self._quiet or now is None or time.monotonic() - self._at < LINE_SECONDS:
            return
        assert now.run is not None, "only a run that has begun is under way"
        line = under_way(view, now, client.run(now.run))
        if line != self._last:
            print(line, file=sys.stderr, flush=True)
        self._last, self._at = line, time.monotonic()


def under_way(view: StudyView, now: StudyRunView, run: RunBody) -> str:
    """One line: how many runs have ended, which one is under way, and how far it has come."""
    ended = sum(one.state in ENDED for one in view.runs)
    done = run.progress
    parts = [
        f"{ended} of {len(view.runs)} runs ended",
        now.arm,
        f"seed {now.seed}",
        f"{done.steps_done}/{done.steps_total} steps",
        done.stage,
        run.problem or "",
    ]
    return " · ".join(filter(None, parts))


def _news(client: Client, view: StudyView, told: Collection[Run]) -> list[StudyRun]:
    """Results of the runs that have ended and were not told yet; each is asked for once, since it takes a while."""
    new = [
        place
        for place, one in enumerate(view.runs)
        if one.state is RunState.SUCCEEDED and (one.arm, one.seed) not in told
    ]
    # Cursors are places in the study, so the page after `place - 1` begins with this run.
    return [client.study_results(view.id, after=str(place - 1), limit=1).data[0] for place in new]


def _records(client: Client, study_id: str) -> list[StudyRun]:
    """All results that a study has so far."""
    found: list[StudyRun] = []
    after: str | None = None
    while True:
        page = client.study_results(study_id, after=after, limit=20)
        found += page.data
        if not page.has_more:
            return found
        after = page.last_id


def _finish(view: StudyView, *, as_json: bool, ended: bool = True) -> None:
    if as_json:
        print_json(view)
    else:
        done = sum(one.state is RunState.SUCCEEDED for one in view.runs)
        console.print(f"study {view.id} is {view.state.value}: {done} of {len(view.runs)} runs done")
        if view.state is StudyState.RUNNING:
            console.print(f"next: {program()} study show {view.id}")
    failed = [one for one in view.runs if one.state is RunState.FAILED]
    if ended and failed:
        one = failed[0]
        raise Unavailable(f"{len(failed)} runs failed; {one.arm} with seed {one.seed}: {one.error or 'see its events'}")


def _resolve(client: Client, study: str) -> str:
    """The study's id; that of the newest one for `latest`. Raises NotFound where there is none."""
    if study != "latest":
        return study
    page = client.studies(limit=1)
    if not page.data:
        raise NotFound(f"there is no study yet: start one with `{program()} study run quick`")
    return page.data[0].id


def _scores(record: StudyRun) -> list[str]:
    warmup = record.policy("warmup")
    shares = (warmup.tests.get("test_id") if warmup else None, *map(record.final.tests.get, ("test_id", "test_ood")))
    return [*("-" if share is None else f"{100 * share:.1f}" for share in shares), str(record.reused)]


def _line(record: StudyRun) -> str:
    warmup, final, ood, reused = _scores(record)
    return f"warm-up {warmup}, final {final} on test-ID and {ood} on test-OOD; {reused} steps reused"


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
