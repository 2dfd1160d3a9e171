"""Which run a command means, by its id or as `latest`, and what it left, from its folder or from the server."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from mstar.cli.output import program
from mstar.cli.stack import HomeOption
from mstar.client import Client, Endpoint
from mstar.errors import CorruptArtefact, NotFound
from mstar.evolution import RunState
from mstar.results import RunResults

RunArgument = Annotated[str, typer.Argument(help="Run id, or latest.", metavar="RUN")]


def report(run: RunArgument = "latest", home: HomeOption = Path("runs")) -> None:
    """Print the path of a run's report."""
    path = home / run / "report.html"
    if not path.is_file():
        raise NotFound(_why_no_report(run, home))
    print(path.resolve())


def _why_no_report(run: str, home: Path) -> str:
    """What became of a run that has no report, as its folder says."""
    missing = f"{home / run / 'report.html'} does not exist"
    if not (home / run / "results.json").is_file():
        return f"{missing}: a run writes its report at its end"
    results = read_results(run, home)
    if results.recipe.measure is not None:
        return f"{results.id} is an evaluation: its tables are in {home / run / 'evaluation' / 'results.md'}"
    if results.state is RunState.FAILED:
        resume = f"`{program()} run resume {results.id}` goes on once the cause is removed"
        return f"run {results.id} failed before its report: {results.error}; {resume}"
    return f"{missing}: run {results.id} is {results.state.value}, and writes it at its end"


def read_results(run: str, home: Path, *, chosen: bool = True) -> RunResults:
    """Results from the run's folder, else from the server. Raises NotFound or Unavailable.

    `chosen`: whether somebody has named the folder; if not, `latest` is the server's newest run where a server runs.
    """
    path = home / run / "results.json"
    if run == "latest" and not chosen:
        with Client(Endpoint.from_environment()) as client:
            if client.reachable() and client.runs(limit=1).data:
                return client.results(resolve(client, run))
    # The folder first: a run that has ended is read without a server.
    if path.is_file():
        try:
            return RunResults.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise CorruptArtefact(f"{path} holds no results that this version can read") from error
    with Client(Endpoint.from_environment()) as client:
        if not client.reachable():
            raise NotFound(f"{path} does not exist, and no server is running: check the run id or --home")
        return client.results(resolve(client, run))


def home_is_chosen(context: typer.Context) -> bool:
    """Whether the command line or the environment names the folder of runs."""
    return source_of_home(context) in ("COMMANDLINE", "ENVIRONMENT")


def source_of_home(context: typer.Context) -> str | None:
    """Where the folder of runs was named, as click calls it: COMMANDLINE, ENVIRONMENT or DEFAULT."""
    source = context.get_parameter_source("home")
    return None if source is None else source.name


def resolve(client: Client, run: str) -> str:
    """The run's id; that of the newest one for `latest`. Raises NotFound where there is none."""
    if run != "latest":
        return run
    page = client.runs(limit=1)
    if not page.data:
        raise NotFound(no_run())
    return page.data[0].id


def no_run() -> str:
    """What to do on a server without a run."""
    return f"there is no run yet: start one with `{program()} run start demo`"
