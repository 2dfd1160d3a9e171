"""`mstar try --model … --data …`: see prompts, responses and verdicts of a few questions before any run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mstar.cli.data import reach_here
from mstar.cli.output import console, print_json, progress_console
from mstar.cli.recipe_files import overrides_of, recipe_values_of
from mstar.cli.stack import DataRootOption, HomeOption, JsonOption, SettingsOption
from mstar.leftovers import temporary_folder
from mstar.outcomes import counted
from mstar.recipes import DataRecipe, Recipe, parse_recipe

if TYPE_CHECKING:
    from mstar.types import CheckedResponse
    from mstar_eval.trying import Pick, Trial, Tried

ModelOption = Annotated[
    str | None, typer.Option(help="A model folder, a run, or the URL of a policy service. Default: the recipe's.")
]
DataOption = Annotated[
    str | None,
    typer.Option(help="A data set, as data.source or `data import` takes it. Default: the recipe's."),
]
RecipeOption = Annotated[str | None, typer.Option("--recipe", help="A .yaml file, or the name of a recipe that ships.")]
ReferenceOption = Annotated[
    bool, typer.Option("--with-reference", help="Show the reference answer to the model, as warm-up does.")
]


def try_(
    model: ModelOption = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
    settings: SettingsOption = None,
    questions: Annotated[int, typer.Option(min=1, max=64, help="Questions to ask.")] = 5,
    samples: Annotated[int, typer.Option(min=1, max=64, help="Responses per question.")] = 1,
    with_reference: ReferenceOption = False,
    first_index: Annotated[
        int | None, typer.Option(help="Number of the first option, if answers are numbers. Default: the recipe's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed that draws the questions.")] = 0,
    home: HomeOption = Path("runs"),
    data_root: DataRootOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Ask a model a few questions as a run would, and show why each answer is accepted or refused."""
    from minivista.builtin import MODELS
    from mstar_eval.models import measured
    from mstar_eval.session import Session
    from mstar_eval.trying import picked, tried

    plan = _plan(recipe, settings or [], model, data)
    about = measured(plan.model.base, home, MODELS)
    # The policy of a run is asked as that run asked it, unless the recipe says otherwise.
    given = recipe is not None or any(one.startswith("prompt.") for one in settings or [])
    form = plan.form if given or about.form is None else about.form
    picks = picked(_pool(plan.data, first_index, data_root), questions, seed)
    with (
        temporary_folder("mstar-try-") as folder,
        Session(about, None, folder, _notice) as session,
    ):
        trial = tried(picks, session.services(), plan, form, samples, with_reference=with_reference)
    if as_json:
        print_json(trial)
    else:
        _show(trial, plan.generation.max_tokens)


def _pool(data: DataRecipe, first_index: int | None, data_root: Path) -> "Iterator[Pick]":
    from minivista.builtin import BUILTINS
    from mstar_data.importing import options_of
    from mstar_eval.trying import Pick, questions_of

    if data.source not in BUILTINS:
        mapping = None if data.mapping is None else Path(data.mapping)
        first = data.first_index if first_index is None else first_index
        how = {"shares": dict(data.split) or None, "first_index": first, "answers": data.answers}
        options = options_of(mapping, **how, reach=reach_here(data_root))
        return questions_of(Path(data.source), options)
    return (Pick(question, (png,)) for question, png in BUILTINS[data.source].load_split("train"))


def _plan(recipe: str | None, settings: list[str], model: str | None, data: str | None) -> Recipe:
    """The recipe with model and data of the options; one that only names them where no recipe is given."""
    named = {"model.base": model, "data.source": data}
    overrides = overrides_of(settings) | {key: value for key, value in named.items() if value is not None}
    if recipe is None:
        return parse_recipe({"name": "try"}, overrides)
    return parse_recipe(recipe_values_of(recipe), overrides)


def _show(trial: "Trial", max_tokens: int) -> None:
    if trial.system:
        _print(f"system: {trial.system}\n")
    for place, one in enumerate(trial.tried, 1):
        _show_one(place, len(trial.tried), one)
    seen = trial.outcomes
    _print(f"{seen.solved} of {seen.questions} questions solved; {counted(seen, trial.answer, max_tokens)}.")
    right = ", ".join(f"{name.value} {count}" for name, count in trial.right_in.items() if count)
    _print(f"right answers by prompt.answer: {right or 'none in any place'}")
    for line in filter(None, (trial.advice, trial.steps)):
        console.print(line, style="bold")


def _show_one(place: int, count: int, one: "Tried") -> None:
    about = one.question
    console.rule(f"{place} of {count} · {about.split} · {about.id}", align="left", style="dim")
    _print(f"{one.prompt}\n")
    if one.problem:
        _print(f"✗ not sampled: {one.problem}\n")
    for response in one.responses:
        _show_response(response, about.answer.value if about.answer else "")


def _show_response(checked: "CheckedResponse", gold: str) -> None:
    verdict = checked.verdict
    console.print(checked.response.text or "(empty)", style="cyan")
    read = "nothing" if verdict.extracted is None else repr(verdict.extracted)
    cut = ", cut off" if checked.response.finish_reason.value == "length" else ""
    mark, style = ("✓", "green") if verdict.correct else ("✗", "red")
    console.print(
        f"{mark} {verdict.reason}: read {read}, reference {gold!r}{cut}\n",
        style=style,
    )


def _print(line: str) -> None:
    console.print(line)


def _notice(line: str) -> None:
    progress_console.print(line, style="dim")
