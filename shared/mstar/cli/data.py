"""`mstar data …`: look at a data set as it is, and import it into the project's own folder."""

import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from mstar.answers.records import ChoiceForm
from mstar.cli.output import console, program
from mstar.cli.stack import DataRootOption, HomeOption
from mstar.errors import InvalidInput
from mstar.reach import Reach
from mstar.writing import writing

if TYPE_CHECKING:
    from mstar_data.rows import ImportedRow, ReadOptions
    from mstar_data.summary import Summary

app = typer.Typer(help="Look at data sets and import them.", no_args_is_help=True)
SourceArgument = Annotated[Path, typer.Argument(help="A file, an archive, or a folder with records and images.")]
SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", help="SPLIT=SHARE, such as train=0.9; shares add up to 1. Default: the source's splits."),
]
IndexOption = Annotated[int, typer.Option(help="Number of the first option, if answers are numbers.", min=0, max=1)]
AnswersOption = Annotated[
    ChoiceForm | None,
    typer.Option("--answers", help="How the right option is given. Default: any form that is unambiguous."),
]
MappingOption = Annotated[
    Path | None, typer.Option("--mapping", help="YAML file with the source's columns, types, splits and filters.")
]
OverlapOption = Annotated[
    list[str] | None,
    typer.Option("--overlap", help="NAME=PATH of an evaluation set to look for in the source; may be repeated."),
]
DropOption = Annotated[
    list[str] | None,
    typer.Option("--drop", help="Leave out shared, near, overlap or overlap-question records; may be repeated."),
]
PrmOption = Annotated[
    str | None,
    typer.Option(help="PRM for responses without step scores: a folder, a URL, or none. Default: the run's."),
]
UnlabelledOption = Annotated[
    bool, typer.Option("--unlabelled", help="Keep questions without an answer, in a separate split.")
]


@app.command()
def inspect(
    source: SourceArgument,
    shown: Annotated[int, typer.Option("--records", min=0, max=50, help="Records to show.")] = 5,
    mapping: MappingOption = None,
    first_index: IndexOption = 0,
    answers: AnswersOption = None,
    overlap: OverlapOption = None,
    unlabelled: UnlabelledOption = False,
    data_root: DataRootOption = Path(),
) -> None:
    """Show what an import would read: some records, and counts of splits, types, groups, duplicates and problems."""
    from mstar_data.rows import read_rows
    from mstar_data.summary import Summary, require_records

    summary = Summary()
    options = _options(None, first_index, answers, mapping, overlap, None, unlabelled, data_root)
    rows = read_rows(source, summary, options)
    for row in islice(rows, shown):
        _print_row(row)
    # Counts are of the whole source, so the rest is read as well.
    for _ in rows:
        pass
    _print(summary)
    require_records(summary, source)


@app.command("import")
def import_(
    source: SourceArgument,
    name: Annotated[Path, typer.Option("--as", help="Folder to create; it appears only once the import is complete.")],
    split: SplitOption = None,
    mapping: MappingOption = None,
    first_index: IndexOption = 0,
    answers: AnswersOption = None,
    overlap: OverlapOption = None,
    drop: DropOption = None,
    unlabelled: UnlabelledOption = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out unusable records.")] = False,
    data_root: DataRootOption = Path(),
) -> None:
    """Import LLaVA or chat JSON, image folders, tables, Parquet, archives and the published benchmarks."""
    from mstar_data.importing import import_source

    options = _options(split, first_index, answers, mapping, overlap, drop, unlabelled, data_root)
    with writing(name), _counting("records") as progress:
        task = progress.add_task("import", total=None)
        summary = import_source(
            source, name, options, skip_bad=skip_bad, tick=lambda done: progress.update(task, completed=done)
        )
    _print(summary)
    folder = shlex.quote(str(name))
    console.print(f"next: {program()} try --model FOLDER --data {folder}")
    console.print(f"then: {program()} run start demo --set data.source={folder}")


@app.command()
def export(
    source: Annotated[
        str,
        typer.Argument(
            help="A run id, latest, a data set's folder, or a file of `mstar score`.", metavar="RUN|FOLDER|FILE"
        ),
    ],
    name: Annotated[Path, typer.Option("--as", help="Folder to create.")],
    layout: Annotated[
        str, typer.Option(help="trl, trl-stepwise, verl, parquet, ms-swift or llama-factory.")
    ] = "parquet",
    which: Annotated[
        str, typer.Option("--set", help="Data set of a run: cot (responses) or prm (labelled steps).")
    ] = "cot",
    prm: PrmOption = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the rows, for the card.")] = None,
    home: HomeOption = Path("runs"),
    data_root: DataRootOption = Path(),
) -> None:
    """Write a data set in a trainer's layout, with images, step scores and a card of where the rows come from."""
    from mstar_data.exporting import export as write
    from mstar_data.layouts import fitting
    from mstar_data.layouts import layout as layout_of
    from mstar_data.samples import samples_of
    from mstar_eval.exported import described, with_scores

    chosen = layout_of(layout)
    folder, form, origin, own_prm = described(source, which, home, licence)
    # Rows of labelled steps have a score at each step already.
    ranked = None if chosen.labelled_steps or prm == "none" else prm or own_prm
    reach = reach_here(data_root)
    chosen = fitting(chosen, samples_of(folder, form, reach))
    rows = samples_of(folder, form, reach)
    with (
        writing(name),
        _counting("rows") as progress,
        with_scores(rows, ranked, origin.step_separator, progress.console.print) as samples,
    ):
        counts = write(progress.track(samples), chosen, name, origin)
    console.print(f"{counts.rows:,} rows, {counts.images:,} images, {counts.scored:,} with step scores")


def reach_here(data_root: Path) -> Reach:
    """What data sets may read besides their own folders, for who names them on their own machine."""
    return Reach(root=data_root.resolve(), binding=False)


def _counting(unit: str) -> Progress:
    """How many are done, at a terminal."""
    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,}} {unit}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _options(
    split: list[str] | None,
    first_index: int,
    answers: ChoiceForm | None,
    mapping: Path | None,
    overlap: list[str] | None,
    drop: list[str] | None,
    unlabelled: bool,
    data_root: Path,
) -> "ReadOptions":
    from mstar_data.importing import options_of
    from mstar_data.rows import DROPS

    wrong = sorted(set(drop or ()) - set(DROPS))
    if wrong:
        raise InvalidInput(f"--drop {wrong[0]}: use one of {', '.join(DROPS)}", field="drop")
    given: dict[str, Any] = {"drop": frozenset(drop or ()), "evaluation": _evaluation(overlap), "answers": answers}
    given["reach"] = reach_here(data_root)
    return options_of(mapping, shares=_shares(split), first_index=first_index, unlabelled=unlabelled, **given)


def _evaluation(given: list[str] | None) -> dict[str, Path]:
    sets = {}
    for one in given or ():
        name, equals, path = one.partition("=")
        # Found now, and not after the source was read for minutes.
        if not equals or not name or not Path(path).exists():
            raise InvalidInput(
                f"--overlap {one}: write a name with its file or folder: mathvista=PATH", field="overlap"
            )
        sets[name] = Path(path)
    return sets


def _shares(given: list[str] | None) -> dict[str, float] | None:
    from mstar.split_shares import require_shares

    if not given:
        return None
    shares = {}
    for one in given:
        split, _, share = one.partition("=")
        try:
            shares[split] = float(share)
        except ValueError:
            raise InvalidInput(f"--split {one}: write a split with its share: train=0.9", field="split") from None
    try:
        require_shares(shares)
    except ValueError as error:
        raise InvalidInput(f"--split: {error}", field="split") from None
    return shares


def _print_row(row: "ImportedRow") -> None:
    options = "  ".join(f"({chr(65 + place)}) {text}" for place, text in enumerate(row.columns.get("choices", ())))
    pictures = "  ".join(f"{name[:12]}…  {len(data):,} bytes" for name, data in zip(row.names, row.images, strict=True))
    console.print(Text.assemble((row.split, "bold"), f"  {pictures}"))
    console.print(row.columns["question"])
    if options:
        console.print(options)
    for step, label in zip(row.columns.get("completions", ()), row.columns.get("labels", ()), strict=True):
        console.print(f"  {label:.2f}  {step}")
    answer = f"{row.columns['answer']}  ({row.columns['answer_type']})" if "answer" in row.columns else "no answer"
    console.print(f"→ {answer}\n")


def _print(summary: "Summary") -> None:
    for title, counts in (("split", summary.records), ("type", summary.types), ("group", summary.groups)):
        named = ", ".join(f"{name or 'none'} {count:,}" for name, count in counts.most_common(12))
        console.print(f"{title:<7}{named or '-'}")
    # A look at a source writes none.
    written = f"images {summary.images:,} written, " if summary.images else ""
    console.print(f"{written}{summary.repeated:,} repeated records left out")
    for count, what in (
        (summary.in_words, "records have no image: the model sees their words only"),
        (summary.later_turns, "conversations have further turns: only their first question and answer are read"),
        (summary.same_options, "records have an option twice in choices: the letter of either counts"),
        (summary.filtered, "records are left out by the mapping's filters"),
        (summary.shared, "records are in an earlier split too: a test would repeat the training (--drop shared)"),
        (summary.near, "records repeat a question and answer about a picture that looks the same (--drop near)"),
        (summary.dropped, "records of these kinds were dropped"),
    ):
        if count:
            console.print(f"{count:,} {what}")
    if summary.pictures_unread:
        console.print("the source has pictures that no record names: name their column in a mapping (columns: image)")
    for name, count in summary.overlap.items():
        both = summary.overlap_questions[name]
        console.print(f"{count:,} records show a picture of {name}, {both:,} with its question (--drop overlap)")
    if summary.bad:
        console.print(f"{summary.bad:,} records cannot be used:")
        for problem in summary.complaints:
            console.print(f"  {problem}")
