"""`mstar keys …`: make, list and revoke the keys that open the services."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from mstar.api.keys import Key, KeyCreate, Limits, Role
from mstar.cli.output import console, print_json, program
from mstar.cli.stack import JsonOption
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput

app = typer.Typer(help="Manage keys: who may use the services, for which project, and how much.", no_args_is_help=True)
ROLES = ", ".join(role.value for role in Role)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Person or program that uses the key.")],
    role: Annotated[list[str], typer.Option("--role", help=f"One or more of {ROLES}.")],
    project: Annotated[str | None, typer.Option(help="Project that the key gives access to.")] = None,
    days: Annotated[int | None, typer.Option(help="Days until the key expires. Default: never.", min=1)] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help=f"NAME=AMOUNT; names are {', '.join(Limits.model_fields)}.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key. It is shown once, alone on standard output."""
    asked = _asked(name, role, project, days, limit or [])
    with Client(Endpoint.from_environment()) as client:
        made = client.create_key(asked)
    if as_json:
        print_json(made)
        return
    # On standard error, so that `KEY=$(mstar keys create …)` holds the key alone.
    print(f"key {made.id} of project {made.project}; it is not shown again:", file=sys.stderr)
    print(made.key)


@app.command("list")
def list_keys(
    all_: Annotated[bool, typer.Option("--all", help="Include revoked and expired keys.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the keys of your project, newest first; of all projects with the bootstrap key."""
    with Client(Endpoint.from_environment()) as client:
        page = client.keys()
        found = list(page.data)
        while page.has_more:
            page = client.keys(after=page.last_id)
            found += page.data
    now = datetime.now(UTC).timestamp()
    shown = [key for key in found if all_ or _ended(key, now) is None]
    if as_json:
        print_json([key.model_dump(mode="json") for key in shown])
        return
    for key in shown:
        line = (
            f"{key.id}  {_ended(key, now) or _until(key):<18}  {key.project:<12}  {','.join(key.roles):<20}  {key.name}"
        )
        console.print(line)
    if not shown:
        console.print(f"no key: make one with `{program()} keys create NAME --role score`")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `mstar keys list` shows it.", metavar="ID")],
    as_json: JsonOption = False,
) -> None:
    """Revoke a key for good. The coordinator refuses it at once, policy and PRM within 15 seconds."""
    with Client(Endpoint.from_environment()) as client:
        ended = client.revoke_key(key_id)
    if as_json:
        print_json(ended)
    else:
        console.print(f"key {ended.id} ({ended.name}) is revoked")


def _asked(name: str, roles: Sequence[str], project: str | None, days: int | None, limits: Sequence[str]) -> KeyCreate:
    """Raises InvalidInput naming the option that is wrong."""
    amounts: dict[str, int] = {}
    for one in limits:
        key, _, amount = one.partition("=")
        # isdecimal, since int() takes `1_000` and ` 5 ` as well, which people write by mistake.
        if key not in Limits.model_fields or not amount.isdecimal():
            known = ", ".join(Limits.model_fields)
            raise InvalidInput(f"--limit {one}: write NAME=AMOUNT, with NAME one of {known}", field="--limit")
        amounts[key] = int(amount)
    known_roles = {role.value: role for role in Role}
    for role in roles:
        if role.replace("-", "_") not in known_roles:
            raise InvalidInput(f"--role {role}: choose from {ROLES}", field="--role")
    try:
        return KeyCreate(
            name=name,
            roles=tuple(known_roles[role.replace("-", "_")] for role in roles),
            project=project,
            days=days,
            limits=Limits(**amounts),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "roles"
        raise InvalidInput(f"{field}: {first['msg'].removeprefix('Value error, ')}", field=field) from None


def _ended(key: Key, now: float) -> str | None:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is not None and key.expires_at <= now:
        return f"expired {_day(key.expires_at)}"
    return None


def _until(key: Key) -> str:
    return "no expiry" if key.expires_at is None else f"until {_day(key.expires_at)}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
