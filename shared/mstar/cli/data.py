"""`mstar data …`: look at a data set as it is, and import it into the project's own folder."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mstar.cli.output import console
from mstar.errors import InvalidInput

app = typer.Typer(help="Look at data sets and import them.", no_args_is_help=True)
SourceArgument = Annotated[Path, typer.Argument(help="A file, or a folder with records and images.")]
SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", help="Share of a split: train=0.9; all make 1. Default: the source's own."),
]
IndexOption = Annotated[int, typer.Option(help="Number of the first option, where answers are numbers.", min=0, max=1)]


@app.command()
def inspect(source: SourceArgument, shown: Annotated[int, typer.Option("--records", min=0, max=50)] = 5) -> None:
    """Show what would be read: some records, and counts of splits, types, groups and problems."""
    from mstar_data.importing import Summary, read_rows

    summary = Summary()
    rows = read_rows(source, summary)
    for row in islice(rows, shown):
        options = "  ".join(f"({chr(65 + place)}) {text}" for place, text in enumerate(row.columns.get("choices", ())))
        console.print(f"[bold]{row.split}[/bold]  {row.name[:12]}…  {len(row.image):,} bytes", highlight=False)
        console.print(row.columns["question"], markup=False, highlight=False)
        if options:
            console.print(options, markup=False, highlight=False)
        console.print(f"→ {row.columns['answer']}  ({row.columns['answer_type']})\n", markup=False, highlight=False)
    for _ in rows:
        pass
    _print(summary)


@app.command("import")
def import_(
    source: SourceArgument,
    name: Annotated[Path, typer.Option("--as", help="Folder to make; its appearance means that all is there.")],
    split: SplitOption = None,
    first_index: IndexOption = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out records that cannot be used.")] = False,
) -> None:
    """Import LLaVA or chat JSON, image folders, tables, Parquet and the published benchmarks."""
    from mstar_data.importing import import_source

    columns = (SpinnerColumn(), TextColumn("{task.completed} records"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("import", total=None)
        summary = import_source(
            source,
            name,
            shares=_shares(split),
            first_index=first_index,
            skip_bad=skip_bad,
            tick=lambda: progress.advance(task),
        )
    _print(summary)
    console.print(f"next: mstar run start demo --set data.source={name}", highlight=False)


def _shares(given: list[str] | None) -> dict[str, float] | None:
    from mstar_data.importing import SPLITS

    if not given:
        return None
    shares = {}
    for one in given:
        split, _, share = one.partition("=")
        try:
            shares[split] = float(share)
        except ValueError:
            raise InvalidInput(f"--split {one}: write a split with its share: train=0.9", field="split") from None
        if split not in SPLITS or not 0 < shares[split] <= 1:
            raise InvalidInput(f"--split {one}: use {', '.join(SPLITS)} with a share in (0, 1]", field="split")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InvalidInput(f"--split: the shares make {sum(shares.values()):g}, not 1", field="split")
    return shares


def _print(summary: object) -> None:
    from mstar_data.importing import Summary

    assert isinstance(summary, Summary)
    for title, counts in (("split", summary.records), ("type", summary.types), ("group", summary.groups)):
        named = ", ".join(f"{name or 'none'} {count:,}" for name, count in counts.most_common(12))
        console.print(f"{title:<7}{named or '-'}", markup=False, highlight=False)
    console.print(f"images {summary.images:,} written, {summary.repeated:,} repeated records left out", highlight=False)
    if summary.shared:
        console.print(f"{summary.shared:,} records are in more than one split: a test would repeat the training")
    if summary.bad:
        console.print(f"{summary.bad:,} records cannot be used:", highlight=False)
        for problem in summary.problems:
            console.print(f"  {problem}", markup=False, highlight=False)
