"""Puts the commands together, and turns every expected error into one line and exit code 1."""

import io
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from mstar.cli import (
    audit,
    data,
    doctor,
    evaluate,
    judge,
    keys,
    plan,
    runs,
    score,
    serve,
    sessions,
    stack,
    study,
    trying,
    which_run,
)
from mstar.cli.stopping import stop_in_order
from mstar.control_characters import PICTURES
from mstar.errors import MstarError
from mstar.host_memory import is_exhausted, no_memory
from mstar.writing import refused

LONGEST_NAME = 512
app = typer.Typer(
    name="mstar",
    help="Self-evolving training for multimodal reasoning (M-STaR).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"mstar {version('mstar-service')}")
        except PackageNotFoundError:
            print("mstar, from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


app.command()(stack.up)
app.command()(stack.demo)
app.add_typer(runs.app, name="run")
app.add_typer(study.app, name="study")
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(sessions.app, name="sessions")
app.command("audit")(audit.audit)
app.command("plan")(plan.plan)
app.command("score")(score.score)
app.command("judge")(judge.judge)
app.command("try")(trying.try_)
app.command("eval")(evaluate.evaluate)
app.command("report")(which_run.report)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)


def _named(error: OSError) -> str:
    """What the system refused, with the file: a home below a file, a name too long, a loop of links."""
    if (found := refused(error)) is not None:
        return found.detail
    file = error.filename2 or error.filename
    reason = error.strerror or str(error)
    # A name that is too long need not be repeated whole.
    shown = str(file) if len(str(file)) <= LONGEST_NAME else f"{str(file)[:100]}…{str(file)[-100:]}"
    return reason if file is None else f"{shown}: {reason}"


def main() -> None:
    """Entry point of the console script."""
    # For every command: a bar that is cut off hides the cursor, and services that were started must be stopped.
    stop_in_order()
    for stream in (sys.stdout, sys.stderr):
        # Where a terminal's encoding lacks a character, a question mark stands for it: data may hold any.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except MstarError as error:
        field = f"{error.field}: " if error.field and not error.detail.startswith(error.field) else ""
        # A server's or a data set's words may be in it, escape sequences included.
        sys.exit(f"error: {field}{error.detail}".translate(PICTURES))
    except ModuleNotFoundError as error:
        # The package by itself is the client. What starts services or reads data sets needs the whole checkout.
        fix = "clone the repository and run `make install`"
        sys.exit(f"error: this command needs {error.name}, which is not installed here: {fix}")
    except OSError as error:
        sys.exit(f"error: {_named(error)}".translate(PICTURES))
    except (MemoryError, RuntimeError) as error:
        # Of the second kind only what the system refuses; any other is a fault of the program, whose trace is wanted.
        if not is_exhausted(error):
            raise
        sys.exit(f"error: {no_memory(error, 'close other programs, or give this one less to read').detail}")
    except KeyboardInterrupt:
        # 128 + SIGINT, as shells report a program that Ctrl-C ended.
        sys.exit(130)
