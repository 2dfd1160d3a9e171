"""A coordinator without processes around it: a small recipe, a clock that is set by hand, and a worker in the test."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock

from mstar.api.steps import Claim, Commit
from mstar.errors import Unavailable
from mstar.recipes import (
    DataRecipe,
    EvaluationRecipe,
    EvolutionRecipe,
    ExplorationRecipe,
    GenerationRecipe,
    PrmRecipe,
    Recipe,
    WarmupRecipe,
)
from mstar.selection import Soundness
from mstar.stages.choose import ChooseResult
from mstar.stages.collect import CollectResult
from mstar.stages.evaluate import Accuracy, EvaluateResult
from mstar.stages.generate import GenerateResult
from mstar.stages.label import LabelResult
from mstar.stages.measure import MeasureResult
from mstar.stages.prepare import PrepareResult
from mstar.stages.score import ScoreResult
from mstar.stages.select import SelectResult
from mstar.stages.train import TrainResult
from mstar.steps import ArtefactRef, DoneResult, Queue, StepResult
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store, open_store
from mstar_coordinator.store.records import RunRecord, StepRecord

LEASE = 20.0
SMALL = Recipe(
    name="small",
    data=DataRecipe(train=8, validation=4, test_id=4, test_ood=4),
    generation=GenerationRecipe(shard_questions=4),
    warmup=WarmupRecipe(questions=4),
    prm=PrmRecipe(questions=4, own_questions=False),
    evolution=EvolutionRecipe(iterations=1, questions=8, n=4),
    exploration=ExplorationRecipe(start=2, every=1, grid=(0.5, 1.0), questions=4, n=2),
    evaluation=EvaluationRecipe(n=2, k=2),
)


def database_of(home: Path) -> str:
    """URL of the home's database: the one that was noted with `use_database`, else a SQLite file."""
    noted = home / "other-database"
    return noted.read_text() if noted.exists() else f"sqlite:///{home / '.mstar' / 'mstar.sqlite'}"


@cache
def _tables() -> bytes:
    with TemporaryDirectory() as folder:
        open_store(f"sqlite:///{folder}/tables.sqlite").close()
        return Path(folder, "tables.sqlite").read_bytes()


def lay_tables(home: Path) -> None:
    """Lay a SQLite file with the tables of today into a home that has no database yet.

    A copy takes a tenth of the time of all migrations.
    """
    file = home / ".mstar" / "mstar.sqlite"
    if not file.exists() and database_of(home).startswith("sqlite:"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_tables())


def use_database(home: Path, url: str) -> None:
    """Have every bench on this home open that database."""
    (home / "other-database").write_text(url)


class HandClock:
    """Time that stands still until a test moves it: monotonic, and beside it a time of day that may jump."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._day = 1_700_000_000.0

    def __call__(self) -> float:
        return self._passed

    def wall(self) -> float:
        return self._day

    def pass_(self, seconds: float) -> None:
        self._passed += seconds
        self._day += seconds

    def jump(self, seconds: float) -> None:
        """Set the time of day by so much, without any time passing."""
        self._day += seconds


class MemoryPublisher:
    """Queues in memory, which can be emptied or taken down like a broker."""

    def __init__(self) -> None:
        self.queues: dict[Queue, list[str]] = {queue: [] for queue in Queue}
        self.sent: list[str] = []
        self.down = False
        self._lock = Lock()

    def publish(self, queue: Queue, step_id: str) -> None:
        if self.down:
            raise Unavailable("the broker is down")
        with self._lock:
            self.queues[queue].append(step_id)
            self.sent.append(step_id)

    def depth(self, queue: Queue) -> int:
        if self.down:
            raise Unavailable("the broker is down")
        return len(self.queues[queue])

    def check(self) -> None:
        if self.down:
            raise Unavailable("the broker is down")

    def close(self) -> None:
        self.down = True

    def take(self) -> str | None:
        """The oldest hint of the first queue that has one."""
        with self._lock:
            return next((waiting.pop(0) for waiting in self.queues.values() if waiting), None)


class Bench:
    """Store and lifecycle over one home folder; a second bench on it is the process after a restart."""

    def __init__(self, home: Path, clock: HandClock | None = None, *, streaming: bool = False) -> None:
        self.home = home
        self.clock = clock or HandClock()
        self.changed = Event()
        self.store: Store = open_store(database_of(home), self.clock.wall)
        self.folders = RunFolders(home, self.store)
        self.artefacts = ArtefactStore(home)
        self.lifecycle = RunLifecycle(
            self.store, self.folders, self.clock, LEASE, self.changed, self.artefacts.discard, streaming=streaming
        )

    def run(self, run_id: str) -> RunRecord:
        with self.store.reading() as tx:
            return tx.runs.get(run_id)

    def steps(self, run_id: str) -> dict[str, StepRecord]:
        with self.store.reading() as tx:
            return {step.name: step for step in tx.steps.page(run_id, -1, 10_000)}

    def started(self) -> tuple[str, str]:
        """A new run, and its first step."""
        run_id = self.lifecycle.create(SMALL)
        return run_id, self.step_id(run_id, "prepare")

    def step_id(self, run_id: str, name: str) -> str:
        return self.steps(run_id)[name].id

    def due(self) -> list[str]:
        with self.store.reading() as tx:
            return [step.id for queue in Queue for step in tx.steps.due(queue, 1000)]

    def events(self, run_id: str) -> list[str]:
        with self.store.reading() as tx:
            return [event.type for event in tx.events.after(run_id, 0, 10_000)]

    def let_leases_run_out(self) -> None:
        """Time passes in which nobody sends a heartbeat, and the coordinator looks as it does every second."""
        for _ in range(5):
            self.clock.pass_(LEASE / 4)
            self.lifecycle.expire_leases()
        self.clock.pass_(1)
        self.lifecycle.expire_leases()

    def do(self, step_id: str) -> None:
        """Claim a step and commit it at once."""
        claim = self.lifecycle.claim(step_id, "w")
        self.lifecycle.commit(step_id, commit_of(claim))

    def work(self, until: Callable[[Claim], bool] = lambda _: False) -> None:
        """Do what is due until nothing is, or until a claimed step meets the condition; that one stays leased."""
        while due := self.due():
            for step_id in due:
                claim = self.lifecycle.claim(step_id, "w")
                if until(claim):
                    return
                self.clock.pass_(1)
                self.lifecycle.commit(step_id, commit_of(claim))


def commit_of(claim: Claim, digest: str = "a" * 64) -> Commit:
    """A commit that fits the step."""
    kept = claim.step.declaration.artefact
    artefact = ArtefactRef(id=claim.output_id, sha256=digest) if kept else None
    return Commit(epoch=claim.epoch, artefact=artefact, result=result_of(claim))


def result_of(claim: Claim) -> StepResult:
    """A result that fits the step; what it measures grows with the iteration."""
    params = claim.step.params
    made: dict[str, Callable[[], StepResult]] = {
        "generate": lambda: GenerateResult(
            questions=4, responses=16, correct=6, tokens=200, weight_version="v@0", seconds=1.0
        ),
        "score": lambda: ScoreResult(responses=16, scored=6, prm_version="p@0", seconds=1.0),
        "measure": lambda: MeasureResult(benchmarks={}),
        "label": lambda: LabelResult(solutions=8, prefixes=12, completions=96, seconds=1.0),
        "collect": lambda: CollectResult(solutions=8, kept=6, steps=14, mean_label=0.4),
        "select": lambda: SelectResult(
            questions=4,
            responses=16,
            correct=6,
            scored=5,
            kept=4,
            temperature=1.0,
            weight_version="v@0",
            solved_questions=3,
            soundness=Soundness(),
            prm_version="p@0",
            seconds=1.0,
        ),
        "prepare": lambda: PrepareResult(seconds=1.0),
        "train": lambda: TrainResult(
            examples=9,
            steps=2,
            global_step=2,
            first_loss=1.0,
            last_loss=0.5,
            losses=(1.0, 0.5),
            learning_rate=1e-4,
            tokens=90,
            seconds=2.0,
        ),
        "choose": lambda: ChooseResult(iteration=2, curve={"0.5": 0.4, "1.0": 0.3}, chosen=0.5),
        "evaluate": lambda: EvaluateResult(
            label=getattr(params, "label", ""),
            greedy=Accuracy(id=0.5, ood=0.25, by_task={"FQA": 0.5}),
            pass_at_k=0.75,
            k=2,
            reward_pass_at_2=0.6,
            sampled_accuracy=0.4,
            headroom=0.25,
        ),
    }
    return made.get(params.kind, lambda: DoneResult())()
