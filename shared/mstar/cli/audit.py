"""`mstar audit`: who changed what."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from mstar.cli.output import console, print_json
from mstar.cli.stack import JsonOption
from mstar.client import Client, Endpoint


def audit(
    limit: Annotated[int, typer.Option(help="How many of the newest entries to show.", min=1, max=500)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what on the server, in your project; in all projects with the bootstrap key."""
    with Client(Endpoint.from_environment()) as client:
        page = client.audit(limit=limit)
    if as_json:
        print_json(page)
        return
    for one in reversed(page.data):
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{at}  {one.status}  {one.actor:<24}  {one.method} {one.route}  {one.object or ''}"
        console.print(line.rstrip())
