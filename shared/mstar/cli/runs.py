"""`mstar run …`: start, watch and steer runs, and read what they left."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mstar.api.downloads import Part
from mstar.api.runs import RepairedRun, Run, RunCreate
from mstar.cli.download import download
from mstar.cli.output import (
    ENDED,
    byte_progress,
    console,
    left_out,
    outcome_lines,
    print_json,
    program,
    progress_console,
    require_success,
    show_results,
    unscored_lines,
)
from mstar.cli.recipe_files import overrides_of, recipe_values_of
from mstar.cli.stack import HomeOption, JsonOption, SettingsOption, run_embedded
from mstar.cli.stopping import told_when_stopped
from mstar.cli.watching import watch as watch_live
from mstar.cli.which_run import RunArgument, home_is_chosen, no_run, read_results, resolve, source_of_home
from mstar.client import DEFAULT_URL, Client, Endpoint
from mstar.data_check import check_lines
from mstar.errors import InvalidInput, NotFound, Unavailable
from mstar.evolution import RunState
from mstar.model_types import untried_lines
from mstar.recipe_folder import is_file_name
from mstar.recipes import parse_recipe

app = typer.Typer(help="Start, watch and steer runs.", no_args_is_help=True)


@app.command()
def start(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A .yaml file, or the name of a recipe that ships.")],
    settings: SettingsOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole run.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out unusable records and count them in the results.")
    ] = False,
    detach: Annotated[bool, typer.Option(help="Do not wait for the end.")] = False,
    home: HomeOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Start a run on the running server. Without one, start the services for this run and stop them after it."""
    create = _create(recipe, [*(settings or []), *(["data.skip_bad=true"] if skip_bad else [])], seed)
    endpoint = Endpoint.from_environment()
    with Client(endpoint) as client:
        if client.reachable():
            # MSTAR_HOME in the environment is for the stack of one's own, and no wish to move the server's folder.
            if source_of_home(context) == "COMMANDLINE":
                raise InvalidInput(
                    f"the server at {endpoint.url} has a folder of its own: leave out --home, or "
                    "stop the server to start one with this folder",
                    field="--home",
                )
            _start_on_server(client, create, detach=detach, as_json=as_json)
            return
    # An address that somebody set names a server; starting another one here would hide that it is away.
    if endpoint.url != DEFAULT_URL:
        raise Unavailable(f"nothing answers at {endpoint.url}: check MSTAR_URL")
    if detach:
        raise Unavailable(f"--detach needs a running server: start one with `{program()} up`")
    if not as_json:
        console.print("no server is running: starting one for this run, and stopping it at the end")
    run_embedded(home, create, as_json=as_json)


@app.command("list")
def list_runs(
    state: Annotated[RunState | None, typer.Option(help="Only runs in this state.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only runs with this tag.")] = None,
    text: Annotated[str | None, typer.Option(help="Only runs whose name or id contains this.")] = None,
    archived: Annotated[bool, typer.Option(help="Include archived runs.")] = False,
    limit: Annotated[int, typer.Option(help="How many of the newest runs to list.", min=1, max=500)] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest runs of the server."""
    with Client(Endpoint.from_environment()) as client:
        page = client.runs(limit=limit, state=state, tag=tag, text=text, archived=archived or None)
        if as_json:
            print_json(page)
            return
        for run in page.data:
            done = f"{run.progress.steps_done}/{run.progress.steps_total}"
            began = datetime.fromtimestamp(run.created_at).strftime("%Y-%m-%d %H:%M")
            line = f"{run.id}  {began}  {run.state.value:<9}  {done:>9} steps  {_score(client, run):>12}  {run.name}"
            console.print(line)
    if page.has_more:
        progress_console.print("older runs are left out: raise --limit, or name what to look for with --text")
    elif not page.data and (state, tag, text) == (None, None, None):
        console.print(
            no_run() if archived else f"no run: --archived lists archived ones, `{program()} run start` starts one"
        )
    elif not page.data:
        console.print("no run matches" if archived else "no run matches (--archived looks among archived ones too)")


def _score(client: Client, run: Run) -> str:
    """Greedy accuracy of the last policy of a run that has ended."""
    if run.state not in ENDED:
        return ""
    final = client.results(run.id).test.get("final")
    return "" if final is None or final.id is None else f"greedy {100 * final.id:.1f}"


@app.command()
def show(
    context: typer.Context, run: RunArgument = "latest", home: HomeOption = Path("runs"), as_json: JsonOption = False
) -> None:
    """Show the results of a run, from its folder or from the server."""
    results = read_results(run, home, chosen=home_is_chosen(context))
    if as_json:
        print_json(results)
        return
    show_results(results)
    if results.quarantined:
        console.print(left_out(results))
    for line in (
        *untried_lines(results.untried),
        *check_lines(results.data),
        *outcome_lines(results),
        *unscored_lines(results),
    ):
        console.print(line)
    if results.error:
        console.print(f"error: {results.error}")
    if results.state is RunState.RUNNING and (problem := _problem_of(results.id)) is not None:
        console.print(f"held up: {problem}")


def _problem_of(run_id: str) -> str | None:
    """What holds a run up, as its server says; None without a server, whose folder tells nothing of it."""
    with Client(Endpoint.from_environment()) as client:
        if not client.reachable():
            return None
        try:
            return client.run(run_id).problem
        except NotFound:
            # The folder is that of another server.
            return None


@app.command()
def watch(run: RunArgument = "latest", as_json: JsonOption = False) -> None:
    """Follow a run until it ends, with live progress or, in a pipe, as lines. Ctrl-C stops watching, not the run."""
    with Client(Endpoint.from_environment()) as client:
        _finish(client, resolve(client, run), as_json=as_json)


@app.command()
def pause(run: RunArgument, as_json: JsonOption = False) -> None:
    """Pause a run: steps in progress finish, and no others start."""
    _steer(run, lambda client, run_id: client.pause(run_id), as_json=as_json)


@app.command()
def resume(run: RunArgument, as_json: JsonOption = False) -> None:
    """Continue a paused or failed run. Damaged artefacts that its remaining steps read are rebuilt."""
    _steer(run, lambda client, run_id: client.resume(run_id), as_json=as_json)


@app.command()
def repair(run: RunArgument, as_json: JsonOption = False) -> None:
    """Check every artefact of a run, and rebuild the damaged ones."""
    _steer(run, lambda client, run_id: client.repair(run_id), as_json=as_json)


@app.command()
def cancel(run: RunArgument, as_json: JsonOption = False) -> None:
    """Stop a run for good; what it has made so far is kept."""
    _steer(run, lambda client, run_id: client.cancel(run_id), as_json=as_json)


@app.command()
def extend(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="Iterations to add.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Add iterations to a run, even after its end."""
    _steer(run, lambda client, run_id: client.extend(run_id, count), as_json=as_json)


@app.command()
def tag(
    run: RunArgument,
    tags: Annotated[list[str] | None, typer.Argument(help="The run's new tags; `archived` hides the run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the tags of a run; without tags, remove them all."""
    with Client(Endpoint.from_environment()) as client:
        changed = client.set_tags(resolve(client, run), tags or [])
    if as_json:
        print_json(changed)
    else:
        console.print(f"run {changed.id}: {' '.join(changed.tags) or 'no tags'}")


@app.command()
def delete(
    run: Annotated[str, typer.Argument(help="Run id.", metavar="RUN")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run that has ended, with everything it made. This cannot be undone."""
    if not yes:
        # `latest` is not resolved: what is deleted for good is named.
        typer.confirm(f"Delete run {run} with its models, data sets and responses?", abort=True)
    with Client(Endpoint.from_environment()) as client:
        client.delete(run)
    console.print(f"run {run} is deleted")


@app.command("download")
def download_run(
    run: RunArgument = "latest",
    part: Annotated[Part, typer.Argument(help="Which part of it.", metavar="WHAT")] = Part.ALL,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: one named after the run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Download what a run left. Every file is checked, and an interrupted download is resumed."""
    with Client(Endpoint.from_environment()) as client:
        run_id = resolve(client, run)
        total = next((one.bytes for one in client.downloads(run_id).data if one.part is part), 0)
        target = out or Path(run_id)
        again = told_when_stopped("the same command continues the download")
        with again, byte_progress(f"{run_id} {part.value}", total, quiet=as_json) as report_bytes:
            files = download(client, run_id, part, target, report_bytes)
    if as_json:
        print_json({"folder": str(target.resolve()), "files": [one.model_dump(mode="json") for one in files]})
        return
    size = sum(one.bytes for one in files)
    console.print(f"{len(files)} files, {size:,} bytes, checksums match: {target}")


def _create(recipe: str, settings: list[str], seed: int | None) -> RunCreate:
    overrides = overrides_of(settings) | ({} if seed is None else {"seed": seed})
    if not is_file_name(recipe):
        return RunCreate(recipe=recipe, overrides=overrides)
    values = recipe_values_of(recipe)
    # Parsed here only to fail here: the server reads the values again, and says the same without the file's name.
    parse_recipe(values, overrides)
    return RunCreate(recipe=values, overrides=overrides)


def _start_on_server(client: Client, create: RunCreate, *, detach: bool, as_json: bool) -> None:
    run = client.create_run(create)
    if detach:
        if as_json:
            print_json(run)
        else:
            console.print(f"run {run.id} started; next: {program()} run watch {run.id}")
        return
    _finish(client, run.id, as_json=as_json)


def _finish(client: Client, run_id: str, *, as_json: bool) -> None:
    again = f"{program()} run watch {run_id}"
    try:
        with told_when_stopped(f"the run goes on: `{again}` follows it again"):
            ended = watch_live(client, run_id)
    except Unavailable as error:
        raise Unavailable(
            f"{error.detail}; the run goes on without this command: follow it again with `{again}`"
        ) from error
    results = client.results(run_id)
    if as_json:
        print_json(results)
    else:
        show_results(results)
    require_success(ended)


def _steer(run: str, call: Callable[[Client, str], Run], *, as_json: bool) -> None:
    with Client(Endpoint.from_environment()) as client:
        changed = call(client, resolve(client, run))
    if as_json:
        print_json(changed)
    else:
        if isinstance(changed, RepairedRun):
            _print_damage(changed)
        goes_on = f"; next: {program()} run watch {changed.id}" if changed.state is RunState.RUNNING else ""
        console.print(f"run {changed.id} is {changed.state.value}{goes_on}")


def _print_damage(run: RepairedRun) -> None:
    for one in run.damaged:
        console.print(f"{one.step} is done again: {one.reason}")
    console.print(f"{run.checked} artefacts checked, {len(run.damaged)} damaged")
