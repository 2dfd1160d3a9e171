"""`mstar eval RUN|MODEL --on …`: the published benchmarks by their official rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mstar.cli.data import reach_here
from mstar.cli.output import console, print_json, progress_console
from mstar.cli.stack import DataRootOption, HomeOption, JsonOption
from mstar.errors import InvalidInput
from mstar.judges import BENCHMARKS, Benchmark, benchmark
from mstar.writing import writing

if TYPE_CHECKING:
    from mstar_eval.results import EvaluationResult

PAPER_FIVE = "mathvista,m3cot,mmstar-r,mmbench-r,ai2d"

ModelArgument = Annotated[
    str,
    typer.Argument(help="A run id, latest, a model folder, or the URL of a policy service.", metavar="RUN|MODEL"),
]
OnOption = Annotated[str, typer.Option("--on", help=f"Comma-separated benchmarks: {', '.join(BENCHMARKS)}.")]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="Folder with the published files, or NAME=PATH; may be repeated.")
]
JudgeOption = Annotated[
    str | None,
    typer.Option(help="MODEL@URL of a chat server that extracts answers where the rule finds none. Default: no model."),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="At most this many questions of each group: a quick look, not a result.")
]
AgainstOption = Annotated[
    Path | None, typer.Option(help="Folder of another evaluation, for a paired bootstrap on the same questions.")
]


def evaluate(
    model: ModelArgument,
    on: OnOption = PAPER_FIVE,
    data: DataOption = None,
    samples: Annotated[int, typer.Option(min=1, max=256, help="Responses per question; 1 is greedy.")] = 1,
    temperature: Annotated[
        float, typer.Option(min=0, max=2, help="Sampling temperature; unused with --samples 1.")
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, max=32_768, help="Maximum length of a response.")] = 1024,
    prm: Annotated[str | None, typer.Option(help="PRM for best-of-n: a folder, a URL, or none.")] = None,
    prompt: Annotated[
        str,
        typer.Option(help="Prompt around the official question: auto (the run's), official (none), or a preset."),
    ] = "auto",
    judge: JudgeOption = None,
    limit: LimitOption = None,
    against: AgainstOption = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; an existing one is continued.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and intervals.")] = 0,
    queue: Annotated[
        bool, typer.Option("--through-queue", help="Let the running server's workers do the evaluation, by shards.")
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Policy of a run (--through-queue): base, warmup or it02. Default: the newest."),
    ] = None,
    home: HomeOption = Path("runs"),
    data_root: DataRootOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Measure a model on published benchmarks, by their official prompts and rules."""
    from mstar_eval.measuring import read_results, write_summary
    from mstar_eval.results import compared

    chosen = _benchmarks(on)
    other = None if against is None else read_results(against)
    asked = {"samples": samples, "temperature": temperature, "max_tokens": max_tokens, "prm": prm, "prompt": prompt}
    asked |= {"limit": limit, "seed": seed}
    if queue:
        if judge is not None:
            # A server that called the address of a request would reach what only it can: its own network.
            detail = "--judge calls its server from this machine: leave out --through-queue, or --judge"
            raise InvalidInput(detail, field="judge")
        folder = _queued(model, checkpoint, chosen, data or [], asked, out, quiet=as_json)
        final = read_results(folder)
    else:
        if checkpoint is not None:
            detail = "--checkpoint needs --through-queue; without, the policy that the run left is measured"
            raise InvalidInput(detail, field="checkpoint")
        final, folder = _here(model, chosen, data or [], asked, judge, out, home, data_root, quiet=as_json)
    if other is not None:
        final = compared(final, other)
    write_summary(folder, final)
    if as_json:
        print_json(final)
    else:
        _show(final, folder)


def _queued(
    model: str,
    checkpoint: str | None,
    chosen: Sequence[Benchmark],
    data: Sequence[str],
    asked: Mapping[str, Any],
    out: Path | None,
    *,
    quiet: bool,
) -> Path:
    """Folder of the result files. Raises InvalidInput for what the server would refuse."""
    from mstar.api.evaluations import EvaluationCreate
    from mstar.cli.queued import through_queue
    from mstar_eval.measuring import named_data

    folder, files = named_data(data)
    sets = tuple(one.name for one in chosen)
    try:
        create = EvaluationCreate(model=model, checkpoint=checkpoint, sets=sets, data=folder, files=files, **asked)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"--{field}: {first['msg']}", field=field) from None
    return through_queue(create, out, quiet=quiet)


def _here(
    model: str,
    chosen: Sequence[Benchmark],
    data: Sequence[str],
    asked: Mapping[str, Any],
    judge: str | None,
    out: Path | None,
    home: Path,
    data_root: Path,
    *,
    quiet: bool,
) -> "tuple[EvaluationResult, Path]":
    """Measure with services of this machine, or with one that is named by its address."""
    from minivista.builtin import MODELS
    from mstar.judges.asking import asking
    from mstar_eval.assistant import assistant_of
    from mstar_eval.measuring import items, measure
    from mstar_eval.models import measured
    from mstar_eval.results import EvaluationResult
    from mstar_eval.services import SamplingOptions
    from mstar_eval.session import Session, prm_of

    about = measured(model, home, MODELS)
    folder = out or about.out
    # Every file is read before a model is loaded, so that a bad one costs no time.
    shown = {one.name: items(one, data, asked["limit"], reach_here(data_root)) for one in chosen}
    put, samples = asking(asked["prompt"], about.form), asked["samples"]
    how = SamplingOptions(samples, asked["temperature"] if samples > 1 else 0.0, asked["max_tokens"])
    with (
        writing(folder),
        Session(about, prm_of(asked["prm"], about, samples), folder, _notice(quiet)) as session,
        assistant_of(judge, folder / "judge.jsonl") as helper,
    ):
        results = {}
        for one in chosen:
            with _bar(one.title) as bar:
                shards = shown[one.name]
                results[one.name] = measure(one, shards, session, how, folder, asked["seed"], put, bar, helper)
    return EvaluationResult(model=about.name, benchmarks=results), folder


def _benchmarks(on: str) -> list[Benchmark]:
    chosen = [benchmark(name) for name in dict.fromkeys(name.strip() for name in on.split(",")) if name]
    if not chosen:
        raise InvalidInput(f"--on is empty: name benchmarks, such as {PAPER_FIVE}", field="on")
    return chosen


def _notice(quiet: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet:
            progress_console.print(line, style="dim")

    return say


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that appears with the first shard."""
    columns = (
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=progress_console) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _show(final: "EvaluationResult", folder: Path) -> None:
    from mstar_eval.results import markdown, warnings

    console.print(Markdown(markdown(final)))
    for line in warnings(final.benchmarks):
        console.print(line)
    console.print(f"results: {folder}")
