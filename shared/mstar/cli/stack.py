"""`mstar up` and `mstar demo`: the whole stack on this machine."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mstar.api.runs import RunCreate
from mstar.cli.output import console, follow, print_json, program, require_success, show_results
from mstar.cli.stopping import told_when_stopped
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput

if TYPE_CHECKING:
    from mstar_embedded.ports import Ports

DataRootOption = Annotated[
    Path,
    typer.Option(
        "--data-root", help="Folder that links in a data set may point into.", envvar="MSTAR_COORDINATOR_DATA_ROOT"
    ),
]
HomeOption = Annotated[Path, typer.Option(help="Folder that runs are written to.", envvar="MSTAR_HOME")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Recipe field to change, such as evolution.iterations=2; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON.")]


@contextmanager
def embedded(home: Path, ports: str, *, quiet: bool = False) -> "Iterator[tuple[Client, object]]":
    """The stack while the block runs, with a client for it. Raises InvalidInput for an unknown choice of ports."""
    from mstar_embedded.ports import fixed_ports, free_ports
    from mstar_embedded.supervisor import Supervisor

    if ports not in ("auto", "fixed"):
        raise InvalidInput(f"--ports {ports}: choose auto or fixed", field="ports")
    chosen = free_ports() if ports == "auto" else fixed_ports()
    notice = (lambda line: None) if quiet else (lambda line: console.print(line, style="dim"))
    endpoint = Endpoint(url=chosen.coordinator_url, prm_url=chosen.prm_url, policy_url=chosen.policy_url)
    # The client closes first, so that no connection delays the services' end.
    with Supervisor(home, chosen, notice) as supervisor, Client(endpoint) as client:
        yield client, supervisor


def up(
    home: HomeOption = Path("runs"),
    ports: Annotated[str, typer.Option(help="fixed (8400 to 8402) or auto (free ones).")] = "fixed",
) -> None:
    """Start the four services and their workers. Ctrl-C stops them."""
    with embedded(home, ports) as (client, supervisor):
        from mstar_embedded.supervisor import Supervisor

        assert isinstance(supervisor, Supervisor)
        _say_what_works(supervisor.ports, client.endpoint)
        while True:
            # The supervisor restarts what dies and prints it. Nothing is left to do here but to wait for Ctrl-C.
            time.sleep(0.5)


def _say_what_works(ports: "Ports", endpoint: Endpoint) -> None:
    """Addresses, and the next command; for ports of its own also what makes other terminals find them."""
    for name, url in (("coordinator", ports.coordinator_url), ("policy", ports.policy_url), ("PRM", ports.prm_url)):
        pages = f"pages at {url}/runs, " if name == "coordinator" else ""
        console.print(f"{name:<12} {url}   {pages}API at {url}/docs")
    console.print("keys         none, since only this machine can connect. Ctrl-C stops everything")
    there = Endpoint()
    named = (
        ("MSTAR_URL", endpoint.url, there.url),
        ("MSTAR_POLICY_URL", endpoint.policy_url, there.policy_url),
        ("MSTAR_PRM_URL", endpoint.prm_url, there.prm_url),
    )
    variables = [f"{name}={url}" for name, url, usual in named if url != usual]
    if variables:
        console.print(f"first, in another terminal: export {' '.join(variables)}")
    console.print(f"next: {program()} run start demo")


def demo(home: HomeOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Run the whole method on the small benchmark, within minutes and without a GPU."""
    run_embedded(home, RunCreate(recipe="demo"), as_json=as_json)


def run_embedded(home: Path, create: RunCreate, *, as_json: bool) -> None:
    """Start the stack, do one run in it, show its results, stop the stack. Raises Unavailable when the run failed."""
    with embedded(home, "auto", quiet=as_json) as (client, supervisor):
        run = client.create_run(create)
        if not as_json:
            console.print(f"run {run.id} · coordinator {client.endpoint.url} · everything in {home / run.id}")
        with told_when_stopped(
            f"run {run.id} is not finished: `{program()} up --home {shlex.quote(str(home))}` continues it"
        ):
            # Without `failure` a service that cannot start would be waited for as if it were restarting.
            ended = follow(lambda: client.run(run.id), lambda: getattr(supervisor, "failure", None))
        results = client.results(run.id)
    if as_json:
        print_json(results)
    else:
        show_results(results)
    require_success(ended)
    if not as_json:
        console.print(f"report: {home / run.id / 'report.html'}")
        where = "" if home == Path("runs") else f" --home {shlex.quote(str(home))}"
        console.print(f"next:   {program()} run show latest --json{where}")
