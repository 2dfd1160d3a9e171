"""Writes the reference pages from the code: recipe fields, settings, commands and routes.

`make docs` rewrites them; a test fails when a page and the code differ. A sentence that is missing on a page is missing
under its field.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import click
import typer
from fastapi import FastAPI
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mstar.recipes import Recipe
from mstar.recipes.parsing import MEASURE

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/reference/generate.py: change the code, then run `make docs`. -->\n"
TABLE = "| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n"


def pages() -> dict[str, str]:
    """File name → text of every generated page."""
    return {"recipe.md": recipe_page(), "settings.md": settings_page(), "cli.md": cli_page(), "api.md": api_page()}


def recipe_page() -> str:
    """Every field of a recipe by its dotted path, which is also what `--set` takes."""
    # The section of evaluations is made by the server, and refused in a recipe.
    own = ((path, field) for path, field in _fields(Recipe) if not path.startswith(f"{MEASURE}."))
    rows = "".join(_row(path, field) for path, field in own)
    return (
        f"# Recipe fields\n\n{MADE}\nA recipe is a YAML file; `--set path=value` and the `overrides` of the REST API "
        "lay single fields over it. A key that is not here is refused, but for `extends`: the name of a recipe that "
        "ships, or the path of a `.yaml` file from the folder of this one. It is that recipe with what it changes."
        f"\n\n{TABLE}{rows}"
    )


def settings_page() -> str:
    """Every environment variable that a process reads."""
    from mstar_coordinator.config import CoordinatorSettings
    from mstar_coordinator.worker.main import StepWorkerSettings
    from mstar_policy.config import PolicySettings
    from mstar_prm.config import PrmSettings
    from mstar_trainer.config import TrainerSettings

    made = f"# Settings\n\n{MADE}\nProcesses are set by environment variables only. A variable with a process's prefix "
    made += "that is not here is refused at start.\n"
    kinds: dict[str, type[BaseModel]] = {
        "Coordinator": CoordinatorSettings,
        "The coordinator's worker": StepWorkerSettings,
        "Policy": PolicySettings,
        "PRM": PrmSettings,
        "Trainer": TrainerSettings,
    }
    for title, kind in kinds.items():
        prefix = str(kind.model_config.get("env_prefix", ""))
        rows = "".join(_row(prefix + name.upper(), field) for name, field in kind.model_fields.items())
        made += f"\n## {title}\n\n{TABLE.replace('field', 'variable')}{rows}"
    return made


def cli_page() -> str:
    """Every command with its arguments and options, as `--help` shows them."""
    from mstar.cli.main import app

    made = f"# Commands\n\n{MADE}"
    for path, command in _commands("mstar", typer.main.get_command(app)):
        context = click.Context(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        made += f"\n## `{path}`\n\n```\n{path} {usage}\n```\n\n{_flat(command.help or '')}\n"
        rows = [_option(one, context) for one in command.params if one.name != "help"]
        if rows:
            made += f"\n| argument or option | meaning |\n|---|---|\n{''.join(rows)}"
    return made


def api_page() -> str:
    """Every route of the three HTTP services."""
    made = f"# Routes\n\n{MADE}\nEach service describes itself in full at `/openapi.json`, and for reading at `/docs`. "
    made += "Errors are `application/problem+json` (RFC 9457).\n"
    for title, app in _apps():
        made += f"\n## {title}\n\n| method | path | meaning |\n|---|---|---|\n"
        for path, methods in sorted(app.openapi()["paths"].items()):
            for method, route in methods.items():
                made += f"| {method.upper()} | `{path}` | {_cell(route.get('description') or route['summary'])} |\n"
    return made


def _apps() -> Iterator[tuple[str, FastAPI]]:
    """The real apps over an empty home; no engine is loaded and no broker is asked."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {f"MSTAR_{name}_HOME": home for name in ("COORDINATOR", "POLICY", "PRM")}
        os.environ |= {"MSTAR_COORDINATOR_BROKER_URL": "redis://127.0.0.1:1/0", "MSTAR_POLICY_ENGINE": "transformers"}
        os.environ |= {"MSTAR_COORDINATOR_PRM_URL": "http://127.0.0.1:1"}
        from mstar_coordinator.api.app import create_app as coordinator
        from mstar_policy.app import create_app as policy
        from mstar_prm.app import create_app as prm

        yield "Coordinator", coordinator()
        yield "Policy", policy()
        yield "PRM", prm()


def _fields(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            yield from _fields(inner, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also where it may be None."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _row(name: str, field: FieldInfo) -> str:
    bounds = ", ".join(_bound(one) for one in field.metadata if _bound(one))
    return (
        f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {bounds} | {_cell(field.description or '')} |\n"
    )


def _bound(rule: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}
    return ", ".join(
        f"{sign} {getattr(rule, name)}" for name, sign in signs.items() if getattr(rule, name, None) is not None
    )


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation))
    if annotation is type(None):
        return "null"
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    values = list(annotation) if isinstance(annotation, type) and hasattr(annotation, "__members__") else []
    if values:
        return ", ".join(f"`{one.value}`" for one in values)
    names = {SecretStr: "secret", str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).replace("|", "\\|"))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "the working folder" if field.default_factory is not None else ""
    if isinstance(field.default, Path) and field.default.is_absolute():
        relative = field.default.is_relative_to(HERE.parents[1])
        return f"`{field.default.relative_to(HERE.parents[1])}`" if relative else f"`{field.default}`"
    value = getattr(field.default, "value", field.default)
    return "" if value is None else f"`{list(value) if isinstance(value, tuple) else value}`"


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    # By attribute: typer brings a click of its own, whose classes are not this one's.
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(f"{path} {name}", one)


def _option(parameter: click.Parameter, context: click.Context) -> str:
    record = parameter.get_help_record(context) or (parameter.make_metavar(context), "")
    return f"| `{_cell(record[0])}` | {_cell(record[1])} |\n"


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def _flat(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, text in pages().items():
        (folder / name).write_text(text)
