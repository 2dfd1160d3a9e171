"""The live picture of a run in a terminal, at any width, and lines where there is no terminal."""

import io

import pytest
from rich.console import Console

from mstar.api.live import LiveRun, Rates, StageProgress, StepNow
from mstar.api.runs import Event, Page, Progress, Run
from mstar.cli.watching import picture, watch
from mstar.client import Client, Endpoint
from mstar.errors import Unavailable
from mstar.evolution import RunState
from mstar.gpu_memory import GpuMemory
from mstar.recipes import Recipe
from mstar.results import RunResults
from mstar.steps import Queue
from publish_bench import finished_run


def run_in(state: RunState, problem: str | None = None) -> Run:
    progress = Progress(steps_done=3, steps_total=9, stage="it01/generate")
    return Run(
        id="r-1",
        name="mine",
        state=state,
        created_at=0,
        updated_at=0,
        iterations=1,
        recipe=Recipe(name="mine"),
        progress=progress,
        problem=problem,
    )


LIVE = LiveRun(
    run="r-1",
    now=(StepNow(name="it01/generate/0003", queue=Queue.ROLLOUT, worker="w@h:1", done=4, total=8, seconds=12.4),),
    rates=Rates(responses=3.25),
    stages=(
        StageProgress(name="prepare", done=1, running=0, due=0, failed=0, total=1),
        StageProgress(name="it01/generate", done=2, running=1, due=0, failed=1, total=4, waits_for=("prepare",)),
    ),
)
ON_GPUS = LIVE.model_copy(
    update={
        "now": (
            LIVE.now[0].model_copy(update={"gpu_memory": GpuMemory(used=31 * 2**30, total=80 * 2**30)}),
            LIVE.now[0].model_copy(update={"queue": Queue.CONTROL}),
        )
    }
)
EVENT = Event(id=7, run_id="r-1", at=0.0, type="step.retried", step="it01/generate/0003", message="[b]lost[/b] worker")


def drawn(width: int, live: LiveRun = LIVE, **run: str) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    state = run_in(RunState.RUNNING, **run)
    console.print(picture(state, live, finished_run(), [EVENT], width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_says_who_does_what_how_fast_and_what_happened() -> None:
    seen = drawn(120, problem="the broker is away")
    progress = ("mine r-1 · running · 3 of 9 steps", "policy", "4/8", "w@h:1", "3.2 responses/s")
    rest = ("it01/generate/0003", "generate 2/4", "prepare 1/1", "step.retried", "[b]lost[/b] worker", "held up: the")
    for text in (*progress, *rest):
        assert text in seen, text


def test_it_shows_the_memory_of_the_gpus_where_there_are_some() -> None:
    seen = drawn(120, ON_GPUS)
    assert "GPU memory" in seen and seen.count("31.0 of 80.0 GiB") == 1
    assert "GPU memory" not in drawn(120)


@pytest.mark.parametrize("live", [LIVE, ON_GPUS], ids=["cpu", "gpu"])
@pytest.mark.parametrize("width", [40, 50, 80, 200])
def test_it_fits_into_the_terminal(width: int, live: LiveRun) -> None:
    lines = drawn(width, live).splitlines()
    assert max(map(len, lines)) <= width
    assert next(set(line.strip()) <= {*"━╸╺"} for line in lines if "━" in line), "the bar has its line"
    assert any(line.startswith("now ") for line in lines)


class Scripted(Client):
    """A client that answers from a list of states, and once not at all."""

    def __init__(self) -> None:
        super().__init__(Endpoint())
        self.left: list[Run | None] = [run_in(RunState.RUNNING), None, run_in(RunState.SUCCEEDED)]
        self.asked: list[str] = []

    def run(self, run_id: str) -> Run:
        made = self.left.pop(0)
        if made is None:
            raise Unavailable("nothing answers")
        return made

    def live(self, run_id: str) -> LiveRun:
        return LIVE

    def events(self, run_id: str, after: str | None = None, limit: int = 100) -> Page[Event]:
        self.asked.append(f"events after {after}")
        return Page(data=(EVENT,) if after == "0" else (), last_id="7" if after == "0" else None)

    def results(self, run_id: str) -> RunResults:
        self.asked.append("results")
        return finished_run()


def test_results_are_read_again_only_after_something_happened_and_a_silence_is_waited_out() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Scripted() as client:
        assert watch(client, "r-1", console).state is RunState.SUCCEEDED
    assert client.asked == ["events after 0", "results", "events after 7"]


def test_a_pipe_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Scripted() as client:
        watch(client, "r-1", Console(file=io.StringIO()))
    assert client.asked == [] and "3/9 steps · succeeded" in capsys.readouterr().err
