"""`mstar eval RUN|MODEL --on …`: the published benchmarks by their official rules."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mstar.cli.output import console, print_json, progress_console
from mstar.cli.stack import HomeOption, JsonOption
from mstar.errors import InvalidInput
from mstar.judges import BENCHMARKS, Benchmark, benchmark

if TYPE_CHECKING:
    from mstar_eval.results import EvaluationResult

PAPER_FIVE = "mathvista,m3cot,mmstar-r,mmbench-r,ai2d"

ModelArgument = Annotated[
    str, typer.Argument(help="A run (latest), a model folder, or the address of a policy service.", metavar="RUN|MODEL")
]
OnOption = Annotated[str, typer.Option("--on", help=f"Benchmarks, commas between them: {', '.join(BENCHMARKS)}.")]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="Folder with the published files, or NAME=PATH; may be repeated.")
]
JudgeOption = Annotated[
    str | None,
    typer.Option(help="MODEL@URL of a chat server that finds answers where the rule finds none. Default: no model."),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Questions of each group at most: a quick look, not a result.")
]
AgainstOption = Annotated[
    Path | None, typer.Option(help="Folder of another evaluation, for a paired bootstrap on the same questions.")
]


def evaluate(
    model: ModelArgument,
    on: OnOption = PAPER_FIVE,
    data: DataOption = None,
    samples: Annotated[int, typer.Option(min=1, max=256, help="Responses a question; 1 is greedy.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of sampling; greedy answers have none.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, max=32_768, help="Most tokens of a response.")] = 1024,
    prm: Annotated[str | None, typer.Option(help="PRM for the best of n: a folder, an address, or none.")] = None,
    prompt: Annotated[
        str, typer.Option(help="What is added to the official prompt: auto (the run's own), official, or a preset.")
    ] = "auto",
    judge: JudgeOption = None,
    limit: LimitOption = None,
    against: AgainstOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; continued where it is there.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of samples and intervals.")] = 0,
    home: HomeOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Measure a model on published benchmarks, by their official prompts and rules."""
    from minivista.builtin import MODELS
    from mstar.judges.asking import asking
    from mstar_eval.assistant import assistant_of
    from mstar_eval.measuring import items, measure, read_results, write_summary
    from mstar_eval.models import measured
    from mstar_eval.results import EvaluationResult, compared
    from mstar_eval.services import Sampling
    from mstar_eval.session import Session, prm_of

    chosen = _benchmarks(on)
    about = measured(model, home, MODELS)
    folder = out or about.out
    other = None if against is None else read_results(against)
    # Every file is read before a model is loaded, so that a bad one costs no time.
    shown = {one.name: items(one, data or [], limit) for one in chosen}
    asked = asking(prompt, about.form)
    how = Sampling(samples, temperature if samples > 1 else 0.0, max_tokens)
    signal.signal(signal.SIGTERM, _interrupt)
    with (
        Session(about, prm_of(prm, about, samples), folder, _notice(as_json)) as session,
        assistant_of(judge, folder / "judge.jsonl") as helper,
    ):
        results = {}
        for one in chosen:
            with _bar(one.title) as bar:
                results[one.name] = measure(one, shown[one.name], session, how, folder, seed, asked, bar, helper)
    final = EvaluationResult(model=about.name, benchmarks=results)
    if other is not None:
        final = compared(final, other)
    write_summary(folder, final)
    if as_json:
        print_json(final)
    else:
        _show(final, folder)


def _benchmarks(on: str) -> list[Benchmark]:
    chosen = [benchmark(name) for name in dict.fromkeys(name.strip() for name in on.split(",")) if name]
    if not chosen:
        raise InvalidInput(f"--on is empty: name benchmarks, such as {PAPER_FIVE}", field="on")
    return chosen


def _notice(quiet: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet:
            progress_console.print(f"[dim]{line}[/dim]", highlight=False)

    return say


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that appears with the first shard."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=progress_console) as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _show(final: "EvaluationResult", folder: Path) -> None:
    from mstar_eval.results import markdown, warnings

    console.print(Markdown(markdown(final)))
    for line in warnings(final):
        console.print(line, markup=False, highlight=False)
    console.print(f"results: {folder}", highlight=False, soft_wrap=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
