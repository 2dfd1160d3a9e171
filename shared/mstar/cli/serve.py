"""`mstar serve RUN`: policy and PRM serve the weights that a run made, on the running stack or on one of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mstar.api.runs import Checkpoint
from mstar.cli.output import console, print_json
from mstar.cli.stack import HomeOption, JsonOption, embedded
from mstar.cli.which_run import RunArgument, resolve
from mstar.client import DEFAULT_URL, Client, Endpoint
from mstar.errors import NotFound, Unavailable


def serve(
    run: RunArgument = "latest",
    iteration: Annotated[
        int | None, typer.Option(min=0, help="The policy after this iteration; 0 is the warm-up. Default: the last.")
    ] = None,
    home: HomeOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Serve the policy and the PRM of a run. Without a running server, one is started and runs until Ctrl-C."""
    endpoint = Endpoint.from_environment()
    with Client(endpoint) as client:
        if client.reachable():
            _load(client, run, iteration, as_json=as_json)
            return
    if endpoint.url != DEFAULT_URL:
        raise Unavailable(f"nothing answers at {endpoint.url}: check MSTAR_URL")
    # Fixed ports: clients are told to look for the models at their usual addresses.
    with embedded(home, "fixed", quiet=as_json) as (client, _):
        _load(client, run, iteration, as_json=as_json)
        while True:
            time.sleep(0.5)


def chosen(checkpoints: Sequence[Checkpoint], iteration: int | None, run: str) -> list[Checkpoint]:
    """The policy after an iteration, by default after the last, and the PRM if there is one. Raises NotFound."""
    policies = {one.iteration: one for one in checkpoints if one.objective != "prm"}
    if not policies:
        raise NotFound(f"run {run} has no checkpoint yet: its first training makes one")
    wanted = max(policies) if iteration is None else iteration
    if wanted not in policies:
        there = ", ".join(str(one) for one in sorted(policies))
        raise NotFound(f"run {run} has no policy of iteration {wanted}: it has {there}", field="--iteration")
    return [policies[wanted], *(one for one in checkpoints if one.objective == "prm")]


def _load(client: Client, run: str, iteration: int | None, *, as_json: bool) -> None:
    run_id = resolve(client, run)
    wanted = chosen(client.checkpoints(run_id).data, iteration, run_id)
    served = {"prm" if one.objective == "prm" else "policy": client.load(one) for one in wanted}
    if as_json:
        print_json({name: state.model_dump(mode="json") for name, state in served.items()})
        return
    urls = {"policy": client.endpoint.policy_url, "prm": client.endpoint.prm_url}
    for name, state in served.items():
        console.print(f"{name:<6} {urls[name]}  serves {state.weight_version}")
    console.print("until a run samples or scores, or other weights are loaded")
