"""Measures one benchmark: asks the policy for what is not there yet, in shards, then judges everything."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from mstar.errors import Conflict, InvalidInput, TooLarge
from mstar.judges import Benchmark, Item
from mstar.judges.in_runs import question_id
from mstar.judges.options import REFUSED
from mstar.judges.tables import Judged
from mstar.layout import ANSWER_HEADING, STEP_SEPARATOR
from mstar.seeds import derive
from mstar.types import FinishReason, Response, Verdict
from mstar_data.benchmarks import Shown
from mstar_eval.assistant import Assistant
from mstar_eval.responses import ResponseFile, Responses, Settings
from mstar_eval.services import ModelServices, SamplingOptions

SHARD_ITEMS = 32
SHARD_BYTES = 24 * 2**20
"""Of images; in base64 this is half of what the policy takes in one request."""
IN_FLIGHT = 2
"""Requests at a time: one is sampled while the next one's images are decoded."""
Progress = Callable[[int, int], None]
"""Told how many items are done, of how many."""


def complete(
    benchmark: Benchmark,
    shown: Sequence[Shown],
    file: ResponseFile,
    services: ModelServices,
    progress: Progress = lambda done, total: None,
    separator: str | None = None,
) -> None:
    """Sample, and score where there is a PRM, each item that the file lacks; every finished shard is kept.

    `separator`: what separates steps where the PRM reads them; None: what it was trained with.
    Raises Conflict when the policy's weights change meanwhile, and what the services raise.
    """
    # Threads only ask; rows are added by the caller's thread below, so the file needs no lock.
    missing = [one for one in shown if one.item.id not in file.rows]
    threads = ThreadPoolExecutor(IN_FLIGHT)
    waiting = {threads.submit(_shard, benchmark, shard, file, services, separator) for shard in _shards(missing)}
    failure: Exception | None = None
    try:
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in done:
                try:
                    rows = one.result()
                except Exception as error:
                    # The first: those after it are often its consequence.
                    failure = failure or error
                    continue
                file.add(rows)
                progress(len(file.rows), len(shown))
            if failure is not None:
                # What is being sampled is still waited for and kept; of what is cancelled nobody is told.
                waiting = {one for one in waiting if not one.cancel()}
    finally:
        # After Ctrl-C nothing is waited for: the session closes the connections, which ends the requests.
        threads.shutdown(wait=False, cancel_futures=True)
    if failure is not None:
        raise failure


def judged(
    benchmark: Benchmark, items: Iterable[Item], file: ResponseFile, assistant: Assistant | None = None
) -> Iterator[tuple[Judged, list[Verdict]]]:
    """Each item with its verdicts, in the order of the benchmark's file.

    `assistant`: is asked for the answer of a response in which the rule finds none.
    """
    asking = file.settings.asking
    for item in items:
        row = file.rows[item.id]
        verdicts = [_verdict(benchmark, item, text, asking.readable(text), assistant) for text in row.texts]
        yield Judged(item, tuple(verdict.correct for verdict in verdicts), row.best), verdicts


def _verdict(benchmark: Benchmark, item: Item, text: str, readable: str, assistant: Assistant | None) -> Verdict:
    if not text:
        return Verdict(correct=False, reason="no-response")
    verdict = benchmark.judge(readable, item)
    # A rule that has read an answer, right or wrong, is never overruled: the judge only finds what it could not.
    if verdict.extracted is not None or assistant is None:
        return verdict
    found = assistant.answer(item, text)
    if found.strip("(). ") in ("", REFUSED):
        return verdict.model_copy(update={"reason": f"{verdict.reason}, nor by the judge"})
    helped = benchmark.judge(f"{ANSWER_HEADING}{STEP_SEPARATOR}{found}", item)
    return helped.model_copy(update={"reason": f"{helped.reason}, by the judge"})


def response_path(out: Path, benchmark: Benchmark) -> Path:
    """Where an evaluation keeps its responses to a benchmark."""
    return out / "responses" / f"{benchmark.name}.jsonl"


def _shards(shown: Sequence[Shown]) -> Iterator[list[Shown]]:
    shard: list[Shown] = []
    size = 0
    for one in shown:
        # An item beyond the limit by itself makes a shard of its own, and the policy says what is wrong with it.
        if shard and (len(shard) >= SHARD_ITEMS or size + len(one.image) > SHARD_BYTES):
            yield shard
            shard, size = [], 0
        shard.append(one)
        size += len(one.image)
    if shard:
        yield shard


def _shard(
    benchmark: Benchmark,
    shard: Sequence[Shown],
    file: ResponseFile,
    services: ModelServices,
    separator: str | None,
) -> list[Responses]:
    settings = file.settings
    how = SamplingOptions(settings.n, settings.temperature, settings.max_tokens, settings.top_p)
    asking = settings.asking
    prompts = [(asking.text(benchmark, one.item), (one.image,), _seed(settings, benchmark, one)) for one in shard]
    try:
        reply = services.rollouts(prompts, how, asking.system)
    except (InvalidInput, TooLarge) as error:
        # One item that cannot be asked must not cost the others of its shard.
        if len(shard) > 1:
            return [row for one in shard for row in _shard(benchmark, [one], file, services, separator)]
        return [refused(shard[0].item.id, settings.n, error.detail)]
    version, problems = reply.weight_version, {one.index: one.detail for one in reply.refused}
    # Empty where nobody has asked for the weights.
    if services.version not in ("", version):
        raise Conflict(f"the policy now serves {version}, and this evaluation began with {services.version}")
    return [
        refused(one.item.id, settings.n, problems[place])
        if place in problems
        else _row(one, text, responses, services, separator)
        for place, (one, (text, _, _), responses) in enumerate(zip(shard, prompts, reply.samples, strict=True))
    ]


def _row(
    one: Shown, text: str, samples: Sequence[Response], services: ModelServices, separator: str | None
) -> Responses:
    texts = tuple(sample.text for sample in samples)
    ranked = services.scores and len(texts) > 1
    scores = services.score(text, (one.image,), texts, separator)[1] if ranked else None
    cut = tuple(sample.finish_reason is FinishReason.LENGTH for sample in samples)
    return Responses(id=one.item.id, texts=texts, cut=cut, scores=scores)


def refused(item: str, n: int, detail: str) -> Responses:
    """An item that could not be asked: it has empty responses, which are wrong."""
    return Responses(id=item, texts=("",) * n, cut=(False,) * n, refused=detail[:500])


def _seed(settings: Settings, benchmark: Benchmark, one: Shown) -> int:
    """That of a shard's step, so an evaluation through the queue draws the same responses."""
    # By the item and not by its place: with --limit, or in other shards, an item is sampled as ever.
    return derive(settings.seed, "eval", question_id(benchmark, one.item), settings.temperature)
