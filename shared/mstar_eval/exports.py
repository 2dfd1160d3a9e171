"""Result files in the shapes of VLMEvalKit and lmms-eval, so that their tools read them.

Only the text after the answer heading is handed over as a prediction: their rules look for a letter among the last
words, which a chain of thought breaks. The whole responses are in `responses/`.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mstar.answers.options import LETTERS
from mstar.judges import Benchmark, benchmark
from mstar.judges.responses import answer_or_whole
from mstar.judges.statistics import Z
from mstar.judges.tables import Judged, TableRow
from mstar.types import Verdict
from mstar_eval.responses import ResponseFile
from mstar_eval.results import BenchmarkResult

Found = Sequence[tuple[Judged, Sequence[Verdict]]]
_LONG_GROUPS = {
    "FQA": "figure question answering", "GPS": "geometry problem solving", "MWP": "math word problem",
    "TQA": "textbook question answering", "VQA": "visual question answering",
}  # fmt: skip


def write_verdicts(path: Path, found: Found) -> None:
    """A line for each prompt: reference answer, what was read from each response, and why it is right or wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as sink:
        for one, verdicts in found:
            line = {
                "id": one.item.id,
                "group": one.item.group,
                "gold": one.item.gold,
                "best": one.best,
                "verdicts": [verdict.model_dump() for verdict in verdicts],
            }
            sink.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_vlmevalkit(out: Path, model: str, about: Benchmark, file: ResponseFile, found: Found) -> None:
    """`MODEL_SET.tsv` with a row for each prompt, as its inference writes it, and the table of scores beside it."""
    if not about.vlmevalkit:
        return
    folder, asking = out / "vlmevalkit" / model, file.settings.asking
    folder.mkdir(parents=True, exist_ok=True)
    # One column for each letter that any item has: the table is rectangular, and its readers look columns up by name.
    letters = LETTERS[: max((len(one.item.options) for one, _ in found), default=0)]
    columns = ["index", "question", *letters, "answer", "category", "l2-category", "prediction", "hit"]
    with (folder / f"{model}_{about.vlmevalkit}.tsv").open("w", encoding="utf-8", newline="") as sink:
        table = csv.DictWriter(sink, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        for one, verdicts in found:
            item = one.item
            table.writerow(
                {
                    "index": item.id,
                    "question": item.question,
                    **dict(zip(letters, item.options, strict=False)),
                    "answer": item.gold,
                    "category": item.subgroup or _LONG_GROUPS.get(item.group, item.group),
                    "l2-category": item.group,
                    "prediction": answer_or_whole(asking.readable(file.rows[item.id].texts[0])),
                    "hit": int(verdicts[0].correct),
                }
            )


def write_vlmevalkit_scores(out: Path, model: str, about: Benchmark, line: TableRow) -> None:
    """`MODEL_SET_acc.csv`: overall, then the groups; for MathVista its own `_score.csv` with counts."""
    if not about.vlmevalkit:
        return
    stem = out / "vlmevalkit" / model / f"{model}_{about.vlmevalkit}"
    if about.name == "mathvista":
        cells = {"Overall": line.average, **{_LONG_GROUPS.get(n, n): cell for n, cell in line.columns.items()}}
        rows: list[list[Any]] = [["Task&Skill", "tot", "hit", "acc"]]
        rows += [
            [name, cell.questions, round(cell.share * cell.questions), 100 * cell.share] for name, cell in cells.items()
        ]
        _csv(Path(f"{stem}_score.csv"), rows)
        return
    shares = {**{name: cell.share for name, cell in line.columns.items() if name != "ALL"}, **line.subgroups}
    _csv(Path(f"{stem}_acc.csv"), [["split", "Overall", *shares], ["none", line.average.share, *shares.values()]])


def write_lmms_eval(out: Path, model: str, about: Benchmark, file: ResponseFile, found: Found, date: str) -> None:
    """`DATE_samples_TASK.jsonl` with a line for each prompt."""
    if not about.lmms_eval:
        return
    folder, asking = out / "lmms-eval" / model, file.settings.asking
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{date}_samples_{about.lmms_eval}.jsonl").open("w", encoding="utf-8", newline="\n") as sink:
        for place, (one, verdicts) in enumerate(found):
            row = file.rows[one.item.id]
            line = {
                "doc_id": place,
                "target": one.item.gold,
                "input": asking.text(about, one.item),
                "resps": list(row.texts),
                "filtered_resps": [answer_or_whole(asking.readable(text)) for text in row.texts],
                "doc_hash": hashlib.sha256(one.item.model_dump_json().encode()).hexdigest(),
                "question_id": one.item.id,
                "exact_match": float(verdicts[0].correct),
            }
            sink.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_lmms_eval_results(out: Path, model: str, results: Mapping[str, BenchmarkResult], date: str) -> None:
    """`DATE_results.json` of all tasks that lmms-eval has."""
    tasks = {benchmark(name).lmms_eval: one for name, one in results.items() if benchmark(name).lmms_eval}
    if not tasks:
        return
    body = {
        "results": {task: _numbers(task, one) for task, one in tasks.items()},
        "configs": {
            task: {"generation_kwargs": one.settings.model_dump(include={"temperature", "max_tokens", "top_p"})}
            for task, one in tasks.items()
        },
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {"exact_match": True} for task in tasks},
        "n-samples": {task: {"original": one.items, "effective": one.items} for task, one in tasks.items()},
        "model_name": model,
    }
    path = out / "lmms-eval" / model / f"{date}_results.json"
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _numbers(task: str, result: BenchmarkResult) -> dict[str, Any]:
    line = result.lines[0]
    # lmms-eval reports a standard error; the interval is 2 Z of them wide.
    half = (line.average.interval.high - line.average.interval.low) / 2
    return {
        "alias": task,
        "exact_match,none": line.average.share,
        "exact_match_stderr,none": half / Z,
        **{f"{name},none": cell.share for name, cell in line.columns.items() if name != "ALL"},
    }


def _csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as sink:
        csv.writer(sink, lineterminator="\n").writerows(rows)
