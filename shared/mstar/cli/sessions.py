"""`mstar sessions …`: list and end sessions of people who are signed in to the pages."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from mstar.api.sessions import EndedSessions, OpenSession
from mstar.cli.output import console, print_json
from mstar.cli.stack import JsonOption
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput

app = typer.Typer(help="Manage sessions: who is signed in to the pages.", no_args_is_help=True)


@app.command("list")
def list_sessions(
    name: Annotated[str | None, typer.Option(help="Only sessions of this name.")] = None, as_json: JsonOption = False
) -> None:
    """List the open sessions of your project, newest first; of all projects with the bootstrap key."""
    with Client(Endpoint.from_environment()) as client:
        page = client.sessions(name)
        found = list(page.data)
        while page.has_more:
            page = client.sessions(name, after=page.last_id)
            found += page.data
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    for one in found:
        line = f"{one.id}  {_time(one.created_at)}  until {_time(one.expires_at)}  {one.project:<12}  {one.name}"
        console.print(line)
    if not found:
        console.print("nobody is signed in" if name is None else f"{name} is not signed in")


@app.command()
def end(
    session_id: Annotated[
        str | None, typer.Argument(help="Id of the session, as `mstar sessions list` shows it.", metavar="ID")
    ] = None,
    name: Annotated[str | None, typer.Option(help="End all sessions of this name instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """End one session, or all of one person, at once.

    Anyone who still has a key or a role at the provider can sign in again: revoke the key, or remove the role there.
    """
    if (session_id is None) == (name is None):
        raise InvalidInput("name one session by its id, or all of a person with --name NAME", field="ID")
    with Client(Endpoint.from_environment()) as client:
        if session_id is not None:
            one = client.end_session(session_id)
            said = f"session {one.id} of {one.name} is ended"
            answer: OpenSession | EndedSessions = one
        else:
            assert name is not None
            answer = ended = client.end_sessions(name)
            said = f"{ended.ended} session{'' if ended.ended == 1 else 's'} of {name} ended"
    if as_json:
        print_json(answer)
    else:
        console.print(said)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
