"""One benchmark from its files to its results, and the files that an evaluation leaves."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from mstar.errors import CorruptArtefact, InvalidInput, NotFound
from mstar.judges import BENCHMARKS, Benchmark, Item
from mstar.judges.asking import OFFICIALLY, Asking
from mstar.reach import Reach
from mstar_data.benchmarks import Shown, digest_of, items_of
from mstar_eval import exports
from mstar_eval.assistant import Assistant
from mstar_eval.evaluation import Progress, complete, judged, response_path
from mstar_eval.responses import ResponseFile
from mstar_eval.results import BenchmarkResult, EvaluationResult, markdown, result_of
from mstar_eval.services import SamplingOptions
from mstar_eval.session import Session


def named_data(data: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """What `--data` names: the folder of several benchmarks, if one, and the path of each that has its own."""
    split = [one.partition("=") for one in data]
    named = {name: path for name, equals, path in split if equals and name in BENCHMARKS}
    folders = [one for one in data if one.partition("=")[0] not in BENCHMARKS]
    return (folders[-1] if folders else None), named


def items(
    benchmark: Benchmark, data: Sequence[str], limit: int | None = None, reach: Reach | None = None
) -> list[Shown]:
    """The benchmark's items from what `--data` names: a folder of several, or `name=path`.

    `reach`: where links may lead besides. Raises InvalidInput where nothing is named for it, and InvalidDataset.
    """
    folder, named = named_data(data)
    # mmstar-r and mmbench-r are groups of the same published files.
    own = named.get(benchmark.name) or named.get(benchmark.name.removesuffix("-r"))
    given = own or folder
    if not given:
        raise InvalidInput(
            f"no files are named for {benchmark.title}: download them, then --data FOLDER or "
            f"--data {benchmark.name}=PATH (docs/evaluation.md says where they are)",
            field="data",
        )
    return list(items_of(benchmark, Path(given), limit, reach))


def measure(
    benchmark: Benchmark,
    shown: Sequence[Shown],
    session: Session,
    how: SamplingOptions,
    out: Path,
    seed: int,
    asking: Asking = OFFICIALLY,
    progress: Progress = lambda done, total: None,
    assistant: Assistant | None = None,
) -> BenchmarkResult:
    """Ask for what is missing, judge everything, write the result files."""
    digest = digest_of((one.item, hashlib.sha256(one.image).digest()) for one in shown)
    settings = session.settings(benchmark, digest, how, seed, asking)
    file = ResponseFile(response_path(out, benchmark), settings)
    if any(one.item.id not in file.rows for one in shown):
        complete(benchmark, shown, file, session.services(), progress, session.separator)
    return write_result(benchmark, [one.item for one in shown], file, out, assistant)


def write_result(
    benchmark: Benchmark,
    items: Iterable[Item],
    file: ResponseFile,
    out: Path,
    assistant: Assistant | None = None,
) -> BenchmarkResult:
    """Judge every response and write the benchmark's result files. `file`: has responses to all items."""
    found = list(judged(benchmark, items, file, assistant))
    result = result_of(benchmark, file, found, assistant.name if assistant else "")
    exports.write_verdicts(out / "verdicts" / f"{benchmark.name}.jsonl", found)
    model = file.settings.model
    exports.write_vlmevalkit(out, model, benchmark, file, found)
    exports.write_vlmevalkit_scores(out, model, benchmark, result.lines[0])
    exports.write_lmms_eval(out, model, benchmark, file, found, _date(file.path))
    return result


def write_summary(out: Path, result: EvaluationResult) -> None:
    """`results.json`, `results.md`, and lmms-eval's file over all tasks."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(result.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    (out / "results.md").write_text(markdown(result), encoding="utf-8")
    newest = max(response_path(out, BENCHMARKS[name]).stat().st_mtime for name in result.benchmarks)
    exports.write_lmms_eval_results(out, result.model, result.benchmarks, _written(newest))


def read_results(folder: Path) -> EvaluationResult:
    """The results that an evaluation left. Raises NotFound and CorruptArtefact."""
    path = folder / "results.json" if folder.is_dir() else folder
    if not path.is_file():
        raise NotFound(f"{path} does not exist: name the folder of another evaluation", field="against")
    try:
        return EvaluationResult.model_validate_json(path.read_bytes())
    except ValidationError:
        raise CorruptArtefact(f"{path} holds no results that this version can read", field="against") from None


def _date(path: Path) -> str:
    return _written(path.stat().st_mtime)


def _written(seconds: float) -> str:
    """When responses were last added, so that judging them again replaces the result files."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d_%H%M%S")
